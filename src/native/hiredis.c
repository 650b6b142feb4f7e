/*
** hiredis.c: the module sluice.native.hiredis: Redis' protocol, by hiredis.
**
** The one idea: hiredis' reader is plain functions over bytes; its contexts
** and adapters, which own sockets, are not used. The bytes travel over a
** sluice stream (lua/sluice/jobs/redis). Commands are put together here (by
** hiredis it takes a printf a word), and so are jobs.
**
** A reply becomes a Lua value: a string or status a string, an integer an
** integer, nil false, an array a list, an error a table { err = text }. The
** tree that hiredis built is kept by the reader's userdata while it is
** converted, so that an error in between leaks nothing.
*/
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

static const char *const READER = "sluice.native.hiredis.Reader";

/* Arrays in each other. The scripts' replies have three; deeper ones would be
   freed and converted by as deep a recursion. hiredis itself has a limit in
   its versions before 1.0 only. */
enum { MOST_DEPTH = 7 };

#if HIREDIS_MAJOR >= 1
typedef size_t array_len;
#else
typedef int array_len;
#endif

struct reader {
  redisReader *reader; /* NULL once it is closed */
  redisReply *reply;   /* being converted */
  redisReplyObjectFunctions functions; /* hiredis' own, but for arrays */
  void *(*create_array)(const redisReadTask *, array_len); /* its own */
  bool too_deep;       /* for ever: the bytes are no replies */
  char *out;           /* the last command */
  size_t len, cap;     /* of it, of its memory */
};

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_sluice_native_hiredis(lua_State *L);

static struct reader *check_reader(lua_State *L) {
  struct reader *reader = luaL_checkudata(L, 1, READER);
  if (reader->reader == NULL) luaL_error(L, "the reader is closed");
  return reader;
}

static void drop_reply(struct reader *reader) {
  if (reader->reply != NULL) freeReplyObject(reader->reply);
  reader->reply = NULL;
}

static void drop_command(struct reader *reader) {
  free(reader->out);
  reader->out = NULL;
  reader->len = reader->cap = 0;
}

/* As hiredis' own; NULL, which ends the reading, if it would be too deep. */
static void *create_array(const redisReadTask *task, array_len len) {
  struct reader *reader = task->privdata;
  const redisReadTask *outer = task->parent;
  int depth = 1;
  for (; outer != NULL; outer = outer->parent) depth++;
  reader->too_deep = depth > MOST_DEPTH;
  return reader->too_deep ? NULL : reader->create_array(task, len);
}

static void limit_depth(struct reader *reader) {
  redisReader *parser = reader->reader;
  reader->functions = *parser->fn;
  reader->create_array = reader->functions.createArray;
  reader->functions.createArray = create_array;
  reader->too_deep = false;
  parser->fn = &reader->functions;
  parser->privdata = reader;
}

/* Reader(): a reader of replies. Throws: memory. */
static int new_reader(lua_State *L) {
  struct reader *reader = lua_newuserdatauv(L, sizeof *reader, 0);
  reader->reader = NULL;
  reader->reply = NULL;
  reader->out = NULL;
  reader->len = reader->cap = 0;
  luaL_setmetatable(L, READER);
  reader->reader = redisReaderCreate();
  if (reader->reader == NULL) return luaL_error(L, "not enough memory");
  limit_depth(reader);
  return 1;
}

static int close_reader(lua_State *L) {
  struct reader *reader = luaL_checkudata(L, 1, READER);
  drop_reply(reader);
  drop_command(reader);
  if (reader->reader != NULL) redisReaderFree(reader->reader);
  reader->reader = NULL;
  return 0;
}

/* reader:feed(bytes): takes what has arrived. Never waits. */
static int feed(lua_State *L) {
  struct reader *reader = check_reader(L);
  size_t len;
  const char *bytes = luaL_checklstring(L, 2, &len);
  if (redisReaderFeed(reader->reader, bytes, len) != REDIS_OK)
    return luaL_error(L, "not enough memory");
  return 0;
}

static void push_reply(lua_State *L, const redisReply *reply);

static void push_array(lua_State *L, const redisReply *reply) {
  luaL_checkstack(L, 4, "not enough memory");
  lua_createtable(L, (int)reply->elements, 0);
  for (size_t i = 0; i < reply->elements; i++) {
    push_reply(L, reply->element[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* Recurses no deeper than MOST_DEPTH. */
static void push_reply(lua_State *L, const redisReply *reply) {
  switch (reply->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      lua_pushlstring(L, reply->str, reply->len);
      break;
    case REDIS_REPLY_INTEGER: lua_pushinteger(L, reply->integer); break;
    case REDIS_REPLY_ARRAY: push_array(L, reply); break;
    case REDIS_REPLY_ERROR:
      lua_createtable(L, 0, 1);
      lua_pushlstring(L, reply->str, reply->len);
      lua_setfield(L, -2, "err");
      break;
    default: lua_pushboolean(L, 0);
  }
}

/* reader:get(): the next whole reply, and whether there may be more; nothing
   when more bytes are needed; nil, message when the bytes are no replies, for
   ever. Never waits. */
static int get(lua_State *L) {
  struct reader *reader = check_reader(L);
  redisReader *parser = reader->reader;
  void *reply = NULL;
  drop_reply(reader); /* of a conversion that failed */
  if (redisReaderGetReply(parser, &reply) != REDIS_OK) {
    lua_pushnil(L);
    lua_pushstring(L, reader->too_deep ? "a reply is nested too deeply"
                                       : parser->errstr);
    return 2;
  }
  if (reply == NULL) return 0;
  reader->reply = reply;
  push_reply(L, reader->reply);
  drop_reply(reader);
  lua_pushboolean(L, parser->pos < parser->len);
  return 2;
}

/* -- jobs -- */

/* The places of a job's record, as the scripts make it. */
enum {
  BODY = 1, FORMAT, PRIORITY, ATTEMPTS, MAX_ATTEMPTS, TOKEN, CREATED, LEASE,
  UNIQUE, ERROR, STATE, ID, STATE_AGAIN, UNTIL
};

enum { RECORD = 1, JOB };

/* Pushes what stands at a place, a number as such; nil for what is false. */
static void push_number(lua_State *L, int place) {
  if (lua_rawgeti(L, RECORD, place) == LUA_TSTRING) {
    size_t size = lua_stringtonumber(L, lua_tostring(L, -1));
    if (size > 0) lua_remove(L, -2);
  } else if (lua_isboolean(L, -1)) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

static void set_number(lua_State *L, const char *name, int place) {
  push_number(L, place);
  lua_setfield(L, JOB, name);
}

/* From milliseconds. */
static void set_seconds(lua_State *L, const char *name, int place) {
  push_number(L, place);
  if (lua_isnumber(L, -1)) {
    lua_pushnumber(L, lua_tonumber(L, -1) / 1000);
    lua_remove(L, -2);
  }
  lua_setfield(L, JOB, name);
}

static void set_text(lua_State *L, const char *name, int place) {
  if (lua_rawgeti(L, RECORD, place) == LUA_TSTRING)
    lua_setfield(L, JOB, name);
  else
    lua_pop(L, 1);
}

static bool is_state(lua_State *L, const char *state) {
  bool is;
  lua_rawgeti(L, RECORD, STATE_AGAIN);
  is = lua_type(L, -1) == LUA_TSTRING &&
       strcmp(lua_tostring(L, -1), state) == 0;
  lua_pop(L, 1);
  return is;
}

/* job(record, reserved): the raw job that a script's record describes. Who
   only looks at a job gets no token. Throws: memory. Never waits. */
static int make_job(lua_State *L) {
  bool reserved = lua_toboolean(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, RECORD);
  lua_createtable(L, 0, 16);
  set_number(L, "id", ID);
  set_text(L, "body", BODY);
  set_text(L, "state", STATE_AGAIN);
  set_number(L, "priority", PRIORITY);
  set_number(L, "attempts", ATTEMPTS);
  set_number(L, "max_attempts", MAX_ATTEMPTS);
  set_seconds(L, "created", CREATED);
  set_seconds(L, "lease", LEASE);
  set_text(L, "unique", UNIQUE);
  set_text(L, "error", ERROR);
  if (reserved) set_number(L, "token", TOKEN);
  if (is_state(L, "leased")) set_seconds(L, "deadline", UNTIL);
  if (is_state(L, "delayed")) set_seconds(L, "due", UNTIL);
  push_number(L, FORMAT);
  if (lua_tointeger(L, -1) != 0)
    lua_setfield(L, JOB, "format");
  else
    lua_pop(L, 1);
  return 1;
}

/* -- commands -- */

enum {
  HEAD = 32,     /* more than a length and the ends of two lines take */
  KEPT = 1 << 16 /* bytes of a command that are kept for the next */
};

/* Writes a number and the end of its line. */
static char *write_number(char *at, char sign, size_t number) {
  char digits[24];
  size_t n = 0;
  *at++ = sign;
  do {
    digits[n++] = (char)('0' + number % 10);
  } while ((number /= 10) > 0);
  while (n > 0) *at++ = digits[--n];
  *at++ = '\r';
  *at++ = '\n';
  return at;
}

/* Where `more` bytes may be written. Throws: memory. */
static char *room(lua_State *L, struct reader *reader, size_t more) {
  size_t cap = reader->cap;
  char *out;
  if (cap - reader->len >= more) return reader->out + reader->len;
  if (cap > SIZE_MAX / 2 - more) luaL_error(L, "not enough memory");
  cap = cap * 2 + more;
  out = realloc(reader->out, cap);
  if (out == NULL) luaL_error(L, "not enough memory");
  reader->out = out;
  reader->cap = cap;
  return out + reader->len;
}

static void add_bytes(lua_State *L, struct reader *reader,
                      const char *bytes, size_t len) {
  if (len > SIZE_MAX / 4) luaL_error(L, "not enough memory");
  memcpy(room(L, reader, len), bytes, len);
  reader->len += len;
}

/* Adds the argument as a word. An integer is not made a string of Lua's
   first. */
static void add_word(lua_State *L, struct reader *reader, int arg) {
  char digits[24], *at;
  const char *word = digits;
  size_t len;
  lua_Integer number = lua_tointeger(L, arg);
  if (lua_isinteger(L, arg) && number >= 0) {
    at = write_number(digits, ':', (size_t)number); /* with an end of line */
    word = digits + 1;
    len = (size_t)(at - digits) - 3;
  } else {
    word = luaL_checklstring(L, arg, &len);
  }
  if (len > SIZE_MAX / 4) luaL_error(L, "not enough memory");
  at = write_number(room(L, reader, len + HEAD), '$', len);
  memcpy(at, word, len);
  at[len] = '\r';
  at[len + 1] = '\n';
  reader->len = (size_t)(at + len + 2 - reader->out);
}

enum { HEAD_ARG = 2, TAIL_ARG, COUNT_ARG, FIRST_WORD };

/* reader:format(head, tail, n, ...): the bytes of a command: the words given,
   strings or numbers, between two pieces of n words that were made by
   reader:words. Throws: wrong arguments, memory. Never waits. */
static int format(lua_State *L) {
  struct reader *reader = check_reader(L);
  size_t head_len, tail_len;
  const char *head = luaL_checklstring(L, HEAD_ARG, &head_len);
  const char *tail = luaL_checklstring(L, TAIL_ARG, &tail_len);
  size_t n = (size_t)luaL_checkinteger(L, COUNT_ARG);
  int top = lua_gettop(L);
  reader->len = 0;
  n += (size_t)(top - FIRST_WORD + 1);
  reader->len =
      (size_t)(write_number(room(L, reader, HEAD), '*', n) - reader->out);
  add_bytes(L, reader, head, head_len);
  for (int i = FIRST_WORD; i <= top; i++) add_word(L, reader, i);
  add_bytes(L, reader, tail, tail_len);
  lua_pushlstring(L, reader->out, reader->len);
  if (reader->cap > KEPT) drop_command(reader);
  return 1;
}

/* reader:words(list): the bytes of words, strings or numbers, as a piece of a
   command. Throws: wrong arguments, memory. Never waits. */
static int words(lua_State *L) {
  struct reader *reader = check_reader(L);
  lua_Integer n;
  luaL_checktype(L, 2, LUA_TTABLE);
  n = (lua_Integer)lua_rawlen(L, 2);
  reader->len = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 2, i);
    add_word(L, reader, 3);
    lua_pop(L, 1);
  }
  lua_pushlstring(L, reader->out, reader->len);
  if (reader->cap > KEPT) drop_command(reader);
  return 1;
}

int luaopen_sluice_native_hiredis(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"Reader", new_reader}, {"job", make_job}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"feed", feed},   {"get", get}, {"format", format},
      {"words", words}, {NULL, NULL}};
  luaL_newmetatable(L, READER);
  lua_pushcfunction(L, close_reader);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
