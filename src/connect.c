/*
** connect.c: see connect.h.
*/
#include "connect.h"

#include "address.h"

static void on_connected(uv_connect_t *request, int status) {
  struct sl_stream *stream =
      (struct sl_stream *)sl_handle_of(request->handle);
  stream->handle.loop->nremote--;
  stream->connected = status;
  if (!sl_list_empty(&stream->connectors))
    sl_task_wake(sl_task_of(stream->connectors.next), SL_WOKEN);
}

static void abandon_connect(struct sl_task *task, enum sl_wake why) {
  struct sl_stream *stream = task->object;
  sl_task_wake(task, why);
  sl_stream_close(stream, SL_CLOSE_NOW);
}

static const struct sl_wait_kind connect_kind = {
    "connecting", abandon_connect, NULL, NULL};

/* The box is on the top. */
static int k_connect(lua_State *L, int status, lua_KContext ctx) {
  struct sl_box *box = lua_touserdata(L, -1);
  struct sl_stream *stream;
  int error;
  (void)status;
  sl_wait_outcome(L, (struct sl_task *)ctx);
  stream = sl_stream_of(box);
  if (stream == NULL) return sl_fail_closed(L, "stream");
  error = stream->connected;
  if (error == 0) return 1;
  sl_stream_close(stream, SL_CLOSE_NOW);
  return sl_fail_uv(L, error);
}

/* A stream, not yet initialised, for the box that this pushes. */
static struct sl_stream *push_stream(lua_State *L, struct sl_loop *loop,
                                     struct sl_box **box) {
  struct sl_memory memory = sl_memory_of(L);
  struct sl_flusher *flusher = sl_stream_flusher(L);
  struct sl_stream *stream;
  *box = sl_stream_push_box(L, loop);
  stream = sl_stream_new(loop, memory, flusher);
  if (stream != NULL) return stream;
  sl_clock_release(loop);
  luaL_error(L, "not enough memory");
  return NULL;
}

static int fail_early(lua_State *L, struct sl_loop *loop,
                      struct sl_stream *stream, int error) {
  sl_clock_release(loop);
  sl_handle_free(&stream->handle);
  return sl_fail_uv(L, error);
}

/* A connect is in flight. */
static int park(lua_State *L, struct sl_stream *stream,
                struct sl_task *task) {
  stream->handle.loop->nremote++;
  return sl_wait_park_k(L, task, &stream->connectors, &connect_kind, stream,
                        SL_NEVER, k_connect);
}

/* connect(address): a stream, or nil, message, code. Waits. */
static int connect_tcp(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  const struct sockaddr *address = sl_address_check(L, 1);
  struct sl_task *task = sl_wait_enter(L, loop);
  struct sl_stream *stream;
  struct sl_box *box;
  uv_tcp_t *tcp;
  int error;
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, connect_tcp);
  stream = push_stream(L, loop, &box);
  tcp = &stream->handle.uv.tcp;
  error = uv_tcp_init(&loop->uv, tcp);
  if (error < 0) return fail_early(L, loop, stream, error);
  sl_handle_opened(&stream->handle);
  sl_stream_fill_box(box, stream);
  uv_tcp_nodelay(tcp, 1); /* the socket is made by what follows */
  error = uv_tcp_connect(&stream->request.connect, tcp, address,
                         on_connected);
  if (error == 0) return park(L, stream, task);
  sl_stream_close(stream, SL_CLOSE_NOW);
  return sl_fail_uv(L, error);
}

/* connect_unix(path): as connect. */
static int connect_unix(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  struct sl_task *task = sl_wait_enter(L, loop);
  struct sl_stream *stream;
  struct sl_box *box;
  int error = sl_address_check_path(path, len);
  if (sl_wait_must_pause(task))
    return sl_wait_pause_k(L, task, connect_unix);
  if (error < 0) return sl_fail_uv(L, error);
  stream = push_stream(L, loop, &box);
  error = uv_pipe_init(&loop->uv, &stream->handle.uv.pipe, 0);
  if (error < 0) return fail_early(L, loop, stream, error);
  sl_handle_opened(&stream->handle);
  sl_stream_fill_box(box, stream);
  uv_pipe_connect(&stream->request.connect, &stream->handle.uv.pipe, path,
                  on_connected);
  return park(L, stream, task);
}

void sl_connect_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {
      {"connect", connect_tcp}, {"connect_unix", connect_unix}, {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
}
