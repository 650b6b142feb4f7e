/*
** stream_io.c: what a script does with a stream.
**
** A read is a function that tries (sl_read_fn) and is tried again whenever
** there are as many bytes as it asked for. Its arguments stay on the stack
** meanwhile.
*/
#include "stream.h"

#include <string.h>

#include "address.h"
#include "secure.h"

enum { STREAM = 1, ARGUMENT = 2 };

const struct sl_class sl_stream_class = {"sluice.Stream",
                                         sizeof(struct sl_box)};

static struct sl_box *check_box(lua_State *L) {
  return sl_check(L, STREAM, &sl_stream_class);
}

/* -- reading -- */

/* Pushes and drops the first n bytes. */
static void take(lua_State *L, struct sl_stream *stream, size_t n) {
  lua_pushlstring(L, stream->in.data, n);
  sl_stream_consume(stream, n);
}

/* nil, "eof" or nil, message, code: there are no more bytes. */
static int push_end(lua_State *L, const struct sl_stream *stream) {
  if (stream->end == UV_EOF) return sl_fail(L, "eof");
  return sl_secure_fail(L, stream, stream->end);
}

/* As above; what is left is the third value if the peer ended there. */
static int push_end_and_rest(lua_State *L, struct sl_stream *stream) {
  int n = push_end(L, stream);
  if (stream->end != UV_EOF) return n;
  take(L, stream, stream->in.len);
  return 3;
}

static int push_limit(lua_State *L, struct sl_stream *stream, size_t n) {
  sl_fail(L, "limit");
  take(L, stream, n);
  return 3;
}

static const struct sl_wait_kind read_kind = {"Stream:read", NULL, NULL,
                                              NULL};

static int attempt(lua_State *L, struct sl_task *task, uint64_t timeout_ns);

static int k_attempt(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  (void)status;
  if (sl_wait_outcome(L, task) == SL_TIMED_OUT) return sl_fail(L, "timeout");
  return attempt(L, task, SL_NEVER);
}

static int attempt(lua_State *L, struct sl_task *task, uint64_t timeout_ns) {
  struct sl_box *box = lua_touserdata(L, STREAM);
  struct sl_stream *stream = sl_stream_of(box);
  int n;
  if (stream == NULL) return sl_fail_closed(L, "stream");
  n = stream->read_fn(L, stream);
  if (n > 0) return n;
  if (timeout_ns == 0) {
    sl_stream_try_read(stream);
    n = stream->read_fn(L, stream);
    return n > 0 ? n : sl_fail(L, "timeout");
  }
  return sl_stream_park_reader_k(L, stream, task, stream->want, &read_kind,
                                 timeout_ns, k_attempt);
}

/* The body of every read: `again` is the running function. */
static int start_read(lua_State *L, sl_read_fn *fn, uint64_t timeout_ns,
                      lua_CFunction again) {
  struct sl_box *box = check_box(L);
  struct sl_task *task = sl_wait_enter(L, sl_loop_of(L));
  struct sl_stream *stream;
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, again);
  stream = sl_stream_of(box);
  if (stream == NULL) return sl_fail_closed(L, "stream");
  if (!sl_list_empty(&stream->readers))
    return luaL_error(L, "another task is reading this stream");
  stream->read_fn = fn;
  stream->scanned = 0; /* one given up may have sought something else */
  return attempt(L, task, timeout_ns);
}

static lua_Integer check_size(lua_State *L, int arg) {
  lua_Integer n = sl_check_count(L, arg);
  if (n < 0) luaL_argerror(L, arg, "negative size");
  return n;
}

static int try_some(lua_State *L, struct sl_stream *stream) {
  size_t most = lua_isnoneornil(L, ARGUMENT)
                    ? SIZE_MAX
                    : (size_t)lua_tointeger(L, ARGUMENT);
  size_t n = stream->in.len < most ? stream->in.len : most;
  stream->want = 1;
  if (n == 0 && most > 0)
    return stream->end == 0 ? 0 : push_end(L, stream);
  take(L, stream, n);
  return 1;
}

/* stream:read([n [, timeout]]): up to n bytes (as many as there are), as
   soon as there are any. Returns a string; nil, "eof"; nil, "timeout"; nil,
   message, code. Waits. */
static int read_some(lua_State *L) {
  uint64_t timeout_ns = sl_opt_timeout(L, 3);
  if (!lua_isnoneornil(L, ARGUMENT)) check_size(L, ARGUMENT);
  return start_read(L, try_some, timeout_ns, read_some);
}

static int try_exactly(lua_State *L, struct sl_stream *stream) {
  stream->want = (size_t)lua_tointeger(L, ARGUMENT);
  if (stream->in.len >= stream->want) {
    take(L, stream, stream->want);
    return 1;
  }
  return stream->end == 0 ? 0 : push_end_and_rest(L, stream);
}

/* stream:readexactly(n): n bytes. Returns a string; nil, "eof", what there
   was; nil, message, code. Waits. */
static int read_exactly(lua_State *L) {
  check_size(L, ARGUMENT);
  return start_read(L, try_exactly, SL_NEVER, read_exactly);
}

/* Where the separator begins in `in`, or SIZE_MAX. */
static size_t find(struct sl_stream *stream, const char *separator,
                   size_t len) {
  const struct sl_bytes *in = &stream->in;
  size_t at = stream->scanned;
  while (at + len <= in->len) {
    const char *hit = memchr(in->data + at, separator[0],
                             in->len - len + 1 - at);
    if (hit == NULL) break;
    if (memcmp(hit, separator, len) == 0) return (size_t)(hit - in->data);
    at = (size_t)(hit - in->data) + 1;
  }
  if (in->len >= len) stream->scanned = in->len - len + 1;
  return SIZE_MAX;
}

/* Finds the separator: its place, or SIZE_MAX and *results says what the
   read comes to so far. */
static size_t find_line(lua_State *L, struct sl_stream *stream,
                        const char *separator, size_t len, int *results) {
  size_t at = find(stream, separator, len);
  *results = 0;
  if (at <= stream->limit) return at;
  stream->want = stream->in.len + 1;
  if (at != SIZE_MAX || stream->in.len >= stream->limit + len)
    *results = push_limit(L, stream, stream->limit);
  else if (stream->end != 0)
    *results = push_end_and_rest(L, stream);
  return SIZE_MAX;
}

static int try_until(lua_State *L, struct sl_stream *stream) {
  size_t len;
  const char *separator = lua_tolstring(L, ARGUMENT, &len);
  int results;
  size_t at = find_line(L, stream, separator, len, &results);
  if (at == SIZE_MAX) return results;
  take(L, stream, at + len);
  return 1;
}

/* stream:readuntil(separator): the bytes up to and with the separator.
   Returns a string; nil, "eof", what there was; nil, "limit", the first
   bytes, when the separator does not come within the stream's limit; nil,
   message, code. Waits. */
static int read_until(lua_State *L) {
  luaL_checktype(L, ARGUMENT, LUA_TSTRING);
  if (lua_rawlen(L, ARGUMENT) == 0)
    return luaL_argerror(L, ARGUMENT, "empty separator");
  return start_read(L, try_until, SL_NEVER, read_until);
}

static int try_line(lua_State *L, struct sl_stream *stream) {
  int results;
  size_t at = find_line(L, stream, "\n", 1, &results), len;
  if (at == SIZE_MAX) return results;
  len = at > 0 && stream->in.data[at - 1] == '\r' ? at - 1 : at;
  lua_pushlstring(L, stream->in.data, len);
  sl_stream_consume(stream, at + 1);
  return 1;
}

/* stream:readline(): a line without its end, which is LF or CRLF. Returns as
   readuntil. Waits. */
static int read_line(lua_State *L) {
  return start_read(L, try_line, SL_NEVER, read_line);
}

static int try_all(lua_State *L, struct sl_stream *stream) {
  size_t most = lua_isnoneornil(L, ARGUMENT)
                    ? SIZE_MAX
                    : (size_t)lua_tointeger(L, ARGUMENT);
  if (stream->in.len > most) return push_limit(L, stream, most);
  stream->want = stream->in.len + 1;
  if (stream->end == 0) return 0;
  if (stream->end != UV_EOF) return push_end(L, stream);
  take(L, stream, stream->in.len);
  return 1;
}

/* stream:read_all([limit]): everything until the peer ends. Returns a
   string; nil, "limit", the first bytes; nil, message, code. Waits. */
static int read_all(lua_State *L) {
  if (!lua_isnoneornil(L, ARGUMENT)) check_size(L, ARGUMENT);
  return start_read(L, try_all, SL_NEVER, read_all);
}

static int try_next_line(lua_State *L, struct sl_stream *stream) {
  int n = try_line(L, stream);
  if (n < 3) return n; /* a line, or not yet */
  if (strcmp(lua_tostring(L, -2), "eof") != 0)
    return luaL_error(L, "%s", lua_tostring(L, -2));
  if (lua_rawlen(L, -1) == 0) lua_pushnil(L);
  return 1;
}

static int next_line(lua_State *L) {
  return start_read(L, try_next_line, SL_NEVER, next_line);
}

/* for line in stream:lines() do: lines as of readline, also a last one that
   has no end. Raises when reading fails or a line is too long. */
static int lines(lua_State *L) {
  check_box(L);
  lua_pushlightuserdata(L, sl_loop_of(L));
  lua_pushcclosure(L, next_line, 1);
  lua_pushvalue(L, STREAM);
  return 2;
}

/* stream:set_limit(n): how long a line may be. Never waits. */
static int set_limit(lua_State *L) {
  struct sl_box *box = check_box(L);
  lua_Integer n = check_size(L, ARGUMENT);
  if (box->handle != NULL) sl_stream_of(box)->limit = (size_t)n;
  return 0;
}

/* -- writing -- */

static int push_written(lua_State *L, const struct sl_box *box) {
  const struct sl_stream *stream = sl_stream_of(box);
  if (stream == NULL) return sl_fail_closed(L, "stream");
  if (stream->broken != 0) return sl_secure_fail(L, stream, stream->broken);
  lua_pushboolean(L, 1);
  return 1;
}

static int k_write(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  return push_written(L, lua_touserdata(L, STREAM));
}

/* stream:write(data [, timeout]): queues the data and waits until little
   enough is queued. Returns true; nil, "timeout"; nil, message, code. What a
   write has queued goes out also when it timed out or was cancelled. */
static int write_data(lua_State *L) {
  struct sl_box *box = check_box(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 3);
  struct sl_stream *stream;
  struct sl_task *task;
  size_t len;
  const char *data;
  luaL_checktype(L, ARGUMENT, LUA_TSTRING);
  data = lua_tolstring(L, ARGUMENT, &len);
  task = sl_wait_enter(L, sl_loop_of(L));
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, write_data);
  stream = sl_stream_of(box);
  if (stream == NULL) return sl_fail_closed(L, "stream");
  if (stream->ending) return sl_fail_uv(L, UV_EPIPE);
  sl_stream_send(stream, data, len);
  if (!sl_stream_above(stream)) return push_written(L, box);
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  return sl_stream_park_writer_k(L, stream, task, timeout_ns, k_write);
}

static const struct sl_wait_kind shutdown_kind = {"Stream:shutdown", NULL,
                                                  NULL, NULL};

static int k_shutdown(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  sl_wait_outcome(L, (struct sl_task *)ctx);
  return push_written(L, lua_touserdata(L, STREAM));
}

/* stream:shutdown(): writes what is queued and tells the peer that no more
   will come; reading goes on. Returns true; nil, message, code. Waits. */
static int shut_down(lua_State *L) {
  struct sl_box *box = check_box(L);
  struct sl_task *task = sl_wait_enter(L, sl_loop_of(L));
  struct sl_stream *stream;
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, shut_down);
  stream = sl_stream_of(box);
  if (stream == NULL) return sl_fail_closed(L, "stream");
  sl_stream_finish(stream);
  if (stream->fin_sent || stream->broken != 0) return push_written(L, box);
  return sl_wait_park_k(L, task, &stream->finishers, &shutdown_kind, stream,
                        SL_NEVER, k_shutdown);
}

/* -- the rest -- */

/* stream:close(): no more reads and writes; what is queued is written in the
   background. Never waits; twice is harmless. */
static int close_stream(lua_State *L) {
  struct sl_box *box = check_box(L);
  if (box->handle != NULL)
    sl_stream_close(sl_stream_of(box), SL_CLOSE_FLUSHED);
  return 0;
}

static int push_name(lua_State *L, enum sl_address_end end) {
  struct sl_box *box = check_box(L);
  if (box->handle == NULL) return sl_fail_closed(L, "stream");
  return sl_address_push(L, box->handle, end);
}

/* stream:peername(): the peer's host and port, or the path of a Unix socket;
   nil, message, code. Never waits. */
static int peername(lua_State *L) { return push_name(L, SL_PEER_ADDRESS); }

/* stream:sockname(): as peername, of this end. Never waits. */
static int sockname(lua_State *L) { return push_name(L, SL_OWN_ADDRESS); }

static int stream_tostring(lua_State *L) {
  struct sl_box *box = check_box(L);
  struct sl_stream *stream = sl_stream_of(box);
  if (stream == NULL)
    lua_pushliteral(L, "sluice.Stream (closed)");
  else
    lua_pushfstring(L, "sluice.Stream (%d bytes to read, %d to write)",
                    (int)stream->in.len, (int)sl_stream_queued(stream));
  return 1;
}

void sl_stream_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg methods[] = {{"read", read_some},
                                     {"readexactly", read_exactly},
                                     {"readuntil", read_until},
                                     {"readline", read_line},
                                     {"read_all", read_all},
                                     {"lines", lines},
                                     {"set_limit", set_limit},
                                     {"write", write_data},
                                     {"shutdown", shut_down},
                                     {"close", close_stream},
                                     {"peername", peername},
                                     {"sockname", sockname},
                                     {"tls", sl_secure_describe},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", close_stream},
                                  {"__gc", close_stream},
                                  {"__tostring", stream_tostring},
                                  {NULL, NULL}};
  sl_class_new(L, &sl_stream_class, loop, methods, meta);
  lua_pop(L, 1);
  sl_stream_open_flusher(L, loop);
}
