/*
** hiredis.c: the module sluice.native.hiredis: Redis' protocol, by hiredis.
**
** The one idea: hiredis' reader and its formatting of commands are plain
** functions over bytes; its contexts and adapters, which own sockets, are not
** used. The bytes travel over a sluice stream (lua/sluice/jobs/redis).
**
** A reply becomes a Lua value: a string or status a string, an integer an
** integer, nil false, an array a list, an error a table { err = text }. The
** tree that hiredis built is kept by the reader's userdata while it is
** converted, so that an error in between leaks nothing.
*/
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

static const char *const READER = "sluice.native.hiredis.Reader";

struct reader {
  redisReader *reader; /* NULL once it is closed */
  redisReply *reply;   /* being converted */
  char *command;       /* being copied */
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
  if (reader->command != NULL) redisFreeCommand(reader->command);
  reader->command = NULL;
}

/* Reader(): a reader of replies. Throws: memory. */
static int new_reader(lua_State *L) {
  struct reader *reader = lua_newuserdatauv(L, sizeof *reader, 0);
  reader->reader = NULL;
  reader->reply = NULL;
  reader->command = NULL;
  luaL_setmetatable(L, READER);
  reader->reader = redisReaderCreate();
  if (reader->reader == NULL) return luaL_error(L, "not enough memory");
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

/* reader:format(word, ...): the bytes of a command; words are strings or
   numbers. Throws: wrong arguments, memory. Never waits. */
static int format(lua_State *L) {
  struct reader *reader = check_reader(L);
  int n = lua_gettop(L) - 1, len;
  const char **words;
  size_t *lens;
  luaL_argcheck(L, n > 0, 2, "a command expected");
  words = lua_newuserdatauv(L, (size_t)n * sizeof *words, 0);
  lens = lua_newuserdatauv(L, (size_t)n * sizeof *lens, 0);
  for (int i = 0; i < n; i++)
    words[i] = luaL_checklstring(L, i + 2, &lens[i]);
  drop_command(reader);
  len = (int)redisFormatCommandArgv(&reader->command, n, words, lens);
  if (len < 0) return luaL_error(L, "not enough memory");
  lua_pushlstring(L, reader->command, (size_t)len);
  drop_command(reader);
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
