/*
** hiredis.c: the module sluice.native.hiredis: Redis' protocol, by hiredis.
**
** The one idea: hiredis' reader is plain functions over bytes; its contexts
** and adapters, which own sockets, are not used. The bytes travel over a
** sluice stream (lua/sluice/jobs/redis). Commands are put together here: by
** hiredis it takes a printf a word.
**
** A reply becomes a Lua value: a string or status a string, an integer an
** integer, nil false, an array a list, an error a table { err = text }. The
** tree that hiredis built is kept by the reader's userdata while it is
** converted, so that an error in between leaks nothing.
*/
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

static const char *const READER = "sluice.native.hiredis.Reader";

struct reader {
  redisReader *reader; /* NULL once it is closed */
  redisReply *reply;   /* being converted */
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

/* Reader(): a reader of replies. Throws: memory. */
static int new_reader(lua_State *L) {
  struct reader *reader = lua_newuserdatauv(L, sizeof *reader, 0);
  reader->reader = NULL;
  reader->reply = NULL;
  luaL_setmetatable(L, READER);
  reader->reader = redisReaderCreate();
  if (reader->reader == NULL) return luaL_error(L, "not enough memory");
  return 1;
}

static int close_reader(lua_State *L) {
  struct reader *reader = luaL_checkudata(L, 1, READER);
  drop_reply(reader);
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
  luaL_checkstack(L, 4, "a reply is nested too deeply");
  lua_createtable(L, (int)reply->elements, 0);
  for (size_t i = 0; i < reply->elements; i++) {
    push_reply(L, reply->element[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* hiredis nests no deeper than its stack of nine. */
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

/* reader:get(): the next whole reply; nothing when more bytes are needed;
   nil, message when the bytes are no replies, for ever. Never waits. */
static int get(lua_State *L) {
  struct reader *reader = check_reader(L);
  void *reply = NULL;
  drop_reply(reader); /* of a conversion that failed */
  if (redisReaderGetReply(reader->reader, &reply) != REDIS_OK) {
    lua_pushnil(L);
    lua_pushstring(L, reader->reader->errstr);
    return 2;
  }
  if (reply == NULL) return 0;
  reader->reply = reply;
  push_reply(L, reader->reply);
  drop_reply(reader);
  return 1;
}

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

enum {
  HEAD = 32,          /* more than a length and the ends of two lines take */
  LONGEST_NUMBER = 64 /* more than Lua makes of one */
};

/* What the words of the list at 2 take at most. */
static size_t measure(lua_State *L, size_t n) {
  size_t size = HEAD;
  for (size_t i = 1; i <= n; i++) {
    int type = lua_rawgeti(L, 2, (lua_Integer)i);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
      luaL_error(L, "word %d of a command is a %s", (int)i,
                 lua_typename(L, type));
    size += HEAD + (type == LUA_TSTRING ? lua_rawlen(L, -1)
                                        : (size_t)LONGEST_NUMBER);
    lua_pop(L, 1);
  }
  return size;
}

/* reader:format(words): the bytes of a command; words are strings or
   numbers. Throws: wrong arguments, memory. Never waits. */
static int format(lua_State *L) {
  luaL_Buffer buffer;
  size_t n;
  char *begin, *at;
  check_reader(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  n = (size_t)lua_rawlen(L, 2);
  luaL_argcheck(L, n > 0, 2, "a command expected");
  at = begin = luaL_buffinitsize(L, &buffer, measure(L, n));
  at = write_number(at, '*', n);
  for (size_t i = 1; i <= n; i++) {
    size_t len;
    const char *word;
    lua_rawgeti(L, 2, (lua_Integer)i);
    word = lua_tolstring(L, -1, &len); /* of a number: the copy on the stack */
    at = write_number(at, '$', len);
    memcpy(at, word, len);
    at += len;
    *at++ = '\r';
    *at++ = '\n';
    lua_pop(L, 1);
  }
  luaL_pushresultsize(&buffer, (size_t)(at - begin));
  return 1;
}

int luaopen_sluice_native_hiredis(lua_State *L) {
  static const luaL_Reg functions[] = {{"Reader", new_reader}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"feed", feed}, {"get", get}, {"format", format}, {NULL, NULL}};
  luaL_newmetatable(L, READER);
  lua_pushcfunction(L, close_reader);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
