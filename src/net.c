/*
** net.c: see net.h. Servers; connect.c connects.
*/
#include "net.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "address.h"
#include "connect.h"

enum { RETRY_NS = 100000000 };

/* Lives as long as its handle, its box or one of its connections does. */
struct server {
  struct sl_handle handle; /* first */
  struct sl_link accepted; /* streams that nobody took yet */
  struct sl_link acceptors; /* tasks parked in accept */
  struct sl_link closers;  /* tasks parked in wait_closed */
  struct sl_flusher *flusher;
  uint32_t active; /* connections that are open */
  uint32_t most;   /* how many may be */
  uint32_t refs;
  bool held;   /* libuv has one that there was no room for */
  bool closed; /* the handle is closing or gone */
  bool local;  /* a Unix socket */
};

struct server_box {
  const struct sl_class *class;
  struct server *server;
};

static const struct sl_class server_class = {"sluice.Server",
                                             sizeof(struct server_box)};

static void unref_server(struct server *server) {
  if (--server->refs == 0) sl_handle_free(&server->handle);
}

static void wake_all(struct sl_link *list) {
  while (!sl_list_empty(list))
    sl_task_wake(sl_task_of(list->next), SL_WOKEN);
}

/* -- connections that arrive -- */

static void wake_acceptor(struct server *server) {
  if (!sl_list_empty(&server->acceptors))
    sl_task_wake(sl_task_of(server->acceptors.next), SL_WOKEN);
}

static void accept_one(struct server *server);

/* The last of a connection: makes room for one that was held back. */
static void on_connection_gone(struct sl_stream *stream) {
  struct server *server = stream->server;
  server->active--;
  if (server->held && !uv_is_closing(&server->handle.uv.any)) {
    accept_one(server);
    wake_acceptor(server);
  }
  if (server->closed && server->active == 0) wake_all(&server->closers);
  unref_server(server);
}

static int init_stream(struct server *server, struct sl_stream *stream) {
  uv_loop_t *uv = &server->handle.loop->uv;
  int error = server->local
                  ? uv_pipe_init(uv, &stream->handle.uv.pipe, 0)
                  : uv_tcp_init(uv, &stream->handle.uv.tcp);
  if (error == 0) sl_handle_opened(&stream->handle);
  return error;
}

/* A stream for the connection that libuv holds, or NULL without memory. */
static struct sl_stream *new_stream(struct server *server) {
  struct sl_stream *stream = sl_stream_new(
      server->handle.loop, server->handle.memory, server->flusher);
  if (stream == NULL) return NULL;
  if (init_stream(server, stream) != 0) {
    sl_handle_free(&stream->handle);
    return NULL;
  }
  stream->gone = on_connection_gone;
  stream->server = server;
  server->active++;
  server->refs++;
  return stream;
}

/* Takes the connection that libuv holds, if there is room. */
static void accept_one(struct server *server) {
  struct sl_stream *stream = NULL;
  if (server->active < server->most) stream = new_stream(server);
  server->held = stream == NULL;
  if (stream == NULL) return;
  if (uv_accept(&server->handle.uv.stream, &stream->handle.uv.stream) < 0) {
    sl_handle_close(&stream->handle);
    return;
  }
  if (!server->local) uv_tcp_nodelay(&stream->handle.uv.tcp, 1);
  sl_list_push(&server->accepted, &stream->link);
}

static void on_connection(uv_stream_t *uv, int status) {
  struct server *server = (struct server *)sl_handle_of(uv);
  if (status < 0) return; /* it is gone already */
  accept_one(server);
  wake_acceptor(server);
}

/* -- accept -- */

static struct server *check_server(lua_State *L) {
  struct server_box *box = sl_check(L, 1, &server_class);
  if (box->server == NULL) luaL_argerror(L, 1, "server was collected");
  return box->server;
}

static int accept_stream(lua_State *L);

/* The stream that arrived first, in a box. */
static int push_accepted(lua_State *L, struct server *server) {
  struct sl_box *box = sl_stream_push_box(L, server->handle.loop);
  struct sl_link *link;
  if (sl_list_empty(&server->accepted)) { /* a finaliser closed the server */
    sl_clock_release(server->handle.loop);
    lua_settop(L, 1);
    return accept_stream(L);
  }
  link = sl_list_pop(&server->accepted);
  sl_stream_fill_box(box, sl_container(link, struct sl_stream, link));
  return 1;
}

static const struct sl_wait_kind accept_kind = {"Server:accept", NULL, NULL,
                                                NULL};

static int k_accept(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  sl_wait_outcome(L, (struct sl_task *)ctx);
  return accept_stream(L);
}

/* accept(server): the next connection, nil once the server is closed. */
static int accept_stream(lua_State *L) {
  struct server *server = check_server(L);
  struct sl_task *task = sl_wait_enter(L, server->handle.loop);
  bool lacks_memory;
  if (sl_wait_must_pause(task))
    return sl_wait_pause_k(L, task, accept_stream);
  if (server->held && !server->closed) accept_one(server);
  if (!sl_list_empty(&server->accepted)) return push_accepted(L, server);
  if (server->closed) return 0;
  /* Held back though there is room: for want of memory. It is tried again. */
  lacks_memory = server->held && server->active < server->most;
  return sl_wait_park_k(L, task, &server->acceptors, &accept_kind, server,
                        lacks_memory ? RETRY_NS : SL_NEVER, k_accept);
}

/* -- the end -- */

/* In the handle's close callback; `active` connections may still live. The
   struct goes with its last reference, not here. */
static void on_server_closed(uv_handle_t *uv) {
  unref_server((struct server *)sl_handle_of(uv));
}

static void drop_accepted(struct server *server) {
  while (!sl_list_empty(&server->accepted)) {
    struct sl_link *link = sl_list_pop(&server->accepted);
    sl_handle_close(&sl_container(link, struct sl_stream, link)->handle);
  }
}

static void stop_server(struct server *server) {
  if (server->closed) return;
  server->closed = true;
  drop_accepted(server);
  if (!uv_is_closing(&server->handle.uv.any))
    uv_close(&server->handle.uv.any, server->handle.closer.on_closed);
  wake_all(&server->acceptors);
  if (server->active == 0) wake_all(&server->closers);
}

/* server:close(): refuses new connections; those that are open go on. Never
   waits. */
static int close_server(lua_State *L) {
  stop_server(check_server(L));
  return 0;
}

static int collect_server(lua_State *L) {
  struct server_box *box = lua_touserdata(L, 1);
  struct server *server = box->server;
  if (server == NULL) return 0;
  box->server = NULL;
  stop_server(server);
  unref_server(server);
  return 0;
}

static const struct sl_wait_kind closed_kind = {"Server:wait_closed", NULL,
                                                NULL, NULL};

static int k_wait_closed(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  lua_pushboolean(L, 1);
  return 1;
}

/* server:wait_closed([timeout]): true once the server is closed and the last
   of its connections, too; nil, "timeout". Waits. */
static int wait_closed(lua_State *L) {
  struct server *server = check_server(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, server->handle.loop);
  if (sl_wait_must_pause(task))
    return sl_wait_pause_k(L, task, wait_closed);
  if (server->closed && server->active == 0) /* who accepts may end first */
    return sl_wait_yield_k(L, task, k_wait_closed);
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  return sl_wait_park_k(L, task, &server->closers, &closed_kind, server,
                        timeout_ns, k_wait_closed);
}

/* server:sockname(): its host and port, or path; nil, message, code. Never
   waits. */
static int sockname(lua_State *L) {
  struct server *server = check_server(L);
  if (server->closed) return sl_fail_closed(L, "server");
  return sl_address_push(L, &server->handle, SL_OWN_ADDRESS);
}

static int server_tostring(lua_State *L) {
  struct server *server = check_server(L);
  lua_pushfstring(L, "sluice.Server (%s, %d connections)",
                  server->closed ? "closed" : "open", (int)server->active);
  return 1;
}

/* -- listening -- */

/* A server in a box on the top; its handle is still to be opened. */
static struct server *push_server(lua_State *L, struct sl_loop *loop,
                                  lua_Integer most) {
  struct server_box *box = sl_object_new(L, &server_class, 0);
  struct server *server = sl_handle_new(loop, sl_memory_of(L),
                                        sizeof *server);
  if (server == NULL) luaL_error(L, "not enough memory");
  server->handle.closer.on_closed = on_server_closed;
  server->flusher = sl_stream_flusher(L);
  server->most = most > 0 && most < UINT32_MAX ? (uint32_t)most
                                                : UINT32_MAX;
  server->closed = true; /* until its handle is open */
  server->refs = 1;
  sl_link_init(&server->accepted);
  sl_link_init(&server->acceptors);
  sl_link_init(&server->closers);
  box->server = server;
  return server;
}

/* The handle was initialised: from now on it must be closed. */
static void opened(struct server *server) {
  sl_handle_opened(&server->handle);
  server->closed = false;
  server->refs++;
}

/* Returns the server on the top, or a failure. */
static int start(lua_State *L, struct server *server, int error,
                 lua_Integer backlog) {
  if (error == 0)
    error = uv_listen(&server->handle.uv.stream, (int)backlog,
                      on_connection);
  if (error == 0) return 1;
  stop_server(server);
  return sl_fail_uv(L, error);
}

static int share_port(uv_tcp_t *tcp) {
#ifdef SO_REUSEPORT
  int yes = 1;
  uv_os_fd_t fd;
  int error = uv_fileno((uv_handle_t *)tcp, &fd);
  if (error < 0) return error;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) == 0)
    return 0;
#endif
  (void)tcp;
  return UV_ENOTSUP;
}

/* listen(address, backlog, most, reuse_port): a server, or nil, message,
   code. Never waits. */
static int listen_tcp(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  const struct sockaddr *address = sl_address_check(L, 1);
  lua_Integer backlog = luaL_checkinteger(L, 2);
  bool reuse_port = lua_toboolean(L, 4);
  struct server *server = push_server(L, loop, luaL_checkinteger(L, 3));
  uv_tcp_t *tcp = &server->handle.uv.tcp;
  int error = uv_tcp_init_ex(&loop->uv, tcp, address->sa_family);
  if (error < 0) return sl_fail_uv(L, error);
  opened(server);
  if (reuse_port) error = share_port(tcp);
  if (error == 0) error = uv_tcp_bind(tcp, address, 0);
  return start(L, server, error, backlog);
}

/* A socket that a server left behind when it was killed. */
static void remove_stale(const char *path) {
  struct stat info;
  if (stat(path, &info) == 0 && S_ISSOCK(info.st_mode)) unlink(path);
}

/* listen_unix(path, backlog, most): as listen. */
static int listen_unix(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  lua_Integer backlog = luaL_checkinteger(L, 2);
  struct server *server = push_server(L, loop, luaL_checkinteger(L, 3));
  uv_pipe_t *pipe = &server->handle.uv.pipe;
  int error;
  if (len >= sizeof ((struct sockaddr_un *)0)->sun_path)
    return sl_fail_uv(L, UV_ENAMETOOLONG);
  error = uv_pipe_init(&loop->uv, pipe, 0);
  if (error < 0) return sl_fail_uv(L, error);
  opened(server);
  server->local = true;
  remove_stale(path);
  return start(L, server, uv_pipe_bind(pipe, path), backlog);
}

static void open_server(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg methods[] = {{"close", close_server},
                                     {"wait_closed", wait_closed},
                                     {"sockname", sockname},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", close_server},
                                  {"__gc", collect_server},
                                  {"__tostring", server_tostring},
                                  {NULL, NULL}};
  sl_class_new(L, &server_class, loop, methods, meta);
  lua_pop(L, 1);
}

static int push_module(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  return 1;
}

void sl_net_preload(lua_State *L, const char *name) {
  lua_pushcclosure(L, push_module, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_insert(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

void sl_net_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"listen", listen_tcp},
                                       {"listen_unix", listen_unix},
                                       {"accept", accept_stream},
                                       {NULL, NULL}};
  sl_stream_open(L, loop);
  open_server(L, loop);
  lua_newtable(L);
  sl_setfuncs(L, loop, functions);
  sl_address_open(L, loop);
  sl_connect_open(L, loop);
  sl_net_preload(L, "sluice.core.net");
}
