/*
** secure.c: see secure.h.
*/
#include "secure.h"

#include <string.h>

enum { STREAM = 1, CODEC = 2 };

int sl_secure_fail(lua_State *L, const struct sl_stream *stream, int error) {
  const char *message, *code;
  if (error != UV_EPROTO || stream->codec == NULL)
    return sl_fail_uv(L, error);
  message = stream->codec->ops->error(stream->codec, &code);
  lua_pushnil(L);
  lua_pushstring(L, message);
  lua_pushstring(L, code);
  return 3;
}

/* -- the handshake -- */

static void abandon_handshake(struct sl_task *task, enum sl_wake why) {
  struct sl_stream *stream = task->object;
  sl_task_wake(task, why);
  sl_stream_close(stream, SL_CLOSE_NOW);
}

static const struct sl_wait_kind handshake_kind = {
    "a TLS handshake", abandon_handshake, NULL, NULL};

static int fail_and_close(lua_State *L, struct sl_stream *stream,
                          int error) {
  int n = sl_secure_fail(L, stream, error);
  sl_stream_close(stream, SL_CLOSE_FLUSHED);
  return n;
}

/* The handshake is over, or the stream is. */
static int push_secured(lua_State *L, struct sl_stream *stream) {
  int error;
  if (stream == NULL) return sl_fail_closed(L, "stream");
  if (stream->codec->state == SL_CODEC_OPEN) {
    lua_pushboolean(L, 1);
    return 1;
  }
  error = stream->end != 0 ? stream->end : stream->broken;
  return fail_and_close(L, stream, error != 0 ? error : UV_EPROTO);
}

static int k_secure(lua_State *L, int status, lua_KContext ctx) {
  struct sl_box *box = lua_touserdata(L, STREAM);
  struct sl_stream *stream;
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) != SL_TIMED_OUT)
    return push_secured(L, sl_stream_of(box));
  stream = sl_stream_of(box);
  if (stream != NULL) sl_stream_close(stream, SL_CLOSE_NOW);
  lua_pushnil(L);
  lua_pushliteral(L, "the TLS handshake was not done in time");
  lua_pushliteral(L, "ETIMEDOUT");
  return 3;
}

/* Where the userdata at CODEC keeps its codec. Throws if there is none. */
static struct sl_codec **check_codec(lua_State *L) {
  const size_t *offset;
  char *object = lua_touserdata(L, CODEC);
  struct sl_codec **codec;
  if (object == NULL ||
      luaL_getmetafield(L, CODEC, SL_CODEC_FIELD) != LUA_TLIGHTUSERDATA)
    sl_type_error(L, CODEC, "codec");
  offset = lua_touserdata(L, -1);
  codec = (struct sl_codec **)(void *)(object + *offset);
  if (*codec == NULL) luaL_argerror(L, CODEC, "a stream has it already");
  if ((*codec)->ops->size != sizeof **codec)
    luaL_argerror(L, CODEC, "of another build of sluice");
  lua_pop(L, 1);
  return codec;
}

/* Bytes that were read or queued without the codec would be taken for what
   went through it. */
static void check_unused(lua_State *L, const struct sl_stream *stream) {
  if (stream->codec != NULL) luaL_error(L, "the stream has a codec already");
  if (stream->in.len > 0 || sl_stream_unwritten(stream) > 0 ||
      stream->ending || !sl_list_empty(&stream->readers))
    luaL_error(L, "the stream is in use");
}

/* secure(stream, codec [, timeout]): gives the stream the codec and waits
   for its handshake. Returns true; nil, message, code, and the stream is
   closed. */
static int secure(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  struct sl_box *box = sl_check(L, STREAM, &sl_stream_class);
  struct sl_codec **codec = check_codec(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 3);
  struct sl_task *task = sl_wait_enter(L, loop);
  struct sl_stream *stream;
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, secure);
  stream = sl_stream_of(box);
  if (stream == NULL) return sl_fail_closed(L, "stream");
  check_unused(L, stream);
  if (!sl_stream_adopt_codec(stream, *codec))
    return luaL_error(L, "not enough memory");
  *codec = NULL;
  if (stream->end != 0 || stream->codec->state != SL_CODEC_STARTING)
    return push_secured(L, stream);
  return sl_wait_park_k(L, task, &stream->connectors, &handshake_kind,
                        stream, timeout_ns, k_secure);
}

/* -- what was agreed upon -- */

enum { ROOM = 4096 };

static void *refuse_more(void *ud, void *block, size_t osize, size_t nsize) {
  (void)ud;
  (void)block;
  (void)osize;
  (void)nsize;
  return NULL;
}

/* Sets t[name] = value in the table on the top; `a.b` is t.a.b. */
static void set_pair(lua_State *L, const char *name, const char *value) {
  const char *dot = strchr(name, '.');
  if (dot == NULL) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
    return;
  }
  lua_pushlstring(L, name, (size_t)(dot - name));
  luaL_getsubtable(L, -2, lua_tostring(L, -1));
  lua_pushstring(L, value);
  lua_setfield(L, -2, dot + 1);
  lua_pop(L, 2);
}

/* stream:tls(): what the handshake agreed upon, a table; nil: the stream has
   no TLS; nil, message, code: it is closed. Never waits. */
int sl_secure_describe(lua_State *L) {
  struct sl_box *box = sl_check(L, STREAM, &sl_stream_class);
  struct sl_stream *stream = sl_stream_of(box);
  char room[ROOM]; /* so that an error of Lua loses no memory */
  struct sl_bytes pairs = {room, 0, 0, sizeof room, refuse_more, NULL};
  const char *at = room;
  if (stream == NULL) return sl_fail_closed(L, "stream");
  lua_pushnil(L);
  if (stream->codec == NULL) return 1;
  stream->codec->ops->describe(stream->codec, &pairs);
  lua_newtable(L);
  while (at < room + pairs.len) {
    const char *value = at + strlen(at) + 1;
    set_pair(L, at, value);
    at = value + strlen(value) + 1;
  }
  return 1;
}

void sl_secure_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"secure", secure}, {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
}
