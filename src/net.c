/*
** net.c: see net.h. Servers; connect.c connects, listen.c makes the sockets.
**
**                active = most, or no memory, no descriptors
**   ACCEPTING ────────────────────────────────────────────► PAUSED
**       ▲                                                      │
**       └── a connection ends, or after a while for the latter ┘
*/
#include "net.h"

#include <string.h>
#include <unistd.h>

#include "address.h"
#include "connect.h"
#include "secure.h"
#include "listen.h"

enum {
  BATCH = 64 /* connections taken before the loop looks at the others */
};

static const uint64_t RETRY_NS = 100000000;

/* Lives as long as its box, one of its sockets or of its connections does. */
struct server {
  struct sl_loop *loop;
  struct sl_memory memory;
  struct sl_flusher *flusher;
  struct listener *listeners; /* the first is the one it was made for */
  struct sl_link accepted;    /* streams that nobody took yet */
  struct sl_link acceptors;   /* tasks parked in accept */
  struct sl_link closers;     /* tasks parked in wait_closed */
  struct sl_deadline retry;   /* of PAUSED for want of something */
  uint32_t active; /* connections that are open */
  uint32_t most;   /* how many may be */
  uint32_t refs;
  int trouble;    /* why it cannot accept, to be told; 0: nothing new */
  bool troubled;  /* it was told, and no connection came since */
  bool accepting; /* its sockets are polled */
  bool closed;    /* its sockets are closing or gone */
};

/* One of its sockets. */
struct listener {
  struct sl_handle handle; /* a uv_poll_t; first */
  struct server *server;
  struct listener *next;
  struct sl_socket_file file;
  int fd; /* -1 once it is closed */
};

struct server_box {
  const struct sl_class *class;
  struct server *server;
};

static const struct sl_class server_class = {"sluice.Server",
                                             sizeof(struct server_box)};

static void unref_server(struct server *server) {
  if (--server->refs > 0) return;
  if (server->loop->clock != NULL) {
    sl_clock_disarm(server->loop, &server->retry);
    sl_clock_release(server->loop);
  }
  server->memory.alloc(server->memory.ud, server, sizeof *server, 0);
}

static void wake_all(struct sl_link *list) {
  while (!sl_list_empty(list))
    sl_task_wake(sl_task_of(list->next), SL_WOKEN);
}

static void wake_acceptor(struct server *server) {
  if (!sl_list_empty(&server->acceptors))
    sl_task_wake(sl_task_of(server->acceptors.next), SL_WOKEN);
}

/* -- when it accepts -- */

static void on_readable(uv_poll_t *poll, int status, int events);

static void pause_accepting(struct server *server) {
  if (!server->accepting) return;
  server->accepting = false;
  for (struct listener *at = server->listeners; at != NULL; at = at->next)
    uv_poll_stop(&at->handle.uv.poll);
}

static void resume_accepting(struct server *server) {
  if (server->accepting || server->closed) return;
  if (server->active >= server->most) return;
  server->accepting = true;
  sl_clock_disarm(server->loop, &server->retry);
  for (struct listener *at = server->listeners; at != NULL; at = at->next)
    uv_poll_start(&at->handle.uv.poll, UV_READABLE, on_readable);
}

static void on_retry(struct sl_deadline *deadline) {
  resume_accepting(sl_container(deadline, struct server, retry));
}

/* Memory or descriptors are short: connections wait in the kernel. */
static void retry_later(struct server *server, int error) {
  struct sl_loop *loop = server->loop;
  pause_accepting(server);
  sl_clock_disarm(loop, &server->retry);
  sl_clock_arm(loop, &server->retry,
               sl_clock_after(sl_loop_now(loop), RETRY_NS));
  if (server->troubled) return;
  server->troubled = true;
  server->trouble = error;
  wake_acceptor(server);
}

/* -- connections that arrive -- */

/* The last of a connection: makes room for another. */
static void on_connection_gone(struct sl_stream *stream) {
  struct server *server = stream->server;
  server->active--;
  resume_accepting(server);
  if (server->closed && server->active == 0) wake_all(&server->closers);
  unref_server(server);
}

static int init_stream(struct listener *listener, struct sl_stream *stream) {
  uv_loop_t *uv = &listener->server->loop->uv;
  int error = listener->file.path[0] != 0
                  ? uv_pipe_init(uv, &stream->handle.uv.pipe, 0)
                  : uv_tcp_init(uv, &stream->handle.uv.tcp);
  if (error == 0) sl_handle_opened(&stream->handle);
  return error;
}

static int open_stream(struct listener *listener, struct sl_stream *stream,
                       int fd) {
  if (listener->file.path[0] != 0)
    return uv_pipe_open(&stream->handle.uv.pipe, fd);
#ifndef __linux__ /* there it was inherited */
  uv_tcp_nodelay(&stream->handle.uv.tcp, 1);
#endif
  return uv_tcp_open(&stream->handle.uv.tcp, fd);
}

/* The stream becomes the connection of the descriptor, or both are lost. */
static void take(struct listener *listener, struct sl_stream *stream,
                 int fd) {
  struct server *server = listener->server;
  if (init_stream(listener, stream) < 0) {
    close(fd);
    sl_handle_free(&stream->handle);
    return;
  }
  stream->gone = on_connection_gone;
  stream->server = server;
  server->active++;
  server->refs++;
  server->troubled = false;
  if (open_stream(listener, stream, fd) < 0) {
    close(fd);
    sl_handle_close(&stream->handle);
    return;
  }
  sl_list_push(&server->accepted, &stream->link);
  wake_acceptor(server);
}

/* Returns whether the next may be tried. The memory is there before the
   connection is taken from the kernel: what cannot be kept stays there. */
static bool accept_one(struct listener *listener) {
  struct server *server = listener->server;
  struct sl_stream *stream =
      sl_stream_new(server->loop, server->memory, server->flusher);
  int fd = stream == NULL ? UV_ENOMEM : sl_listen_accept(listener->fd);
  if (fd >= 0) {
    take(listener, stream, fd);
    return true;
  }
  if (stream != NULL) sl_handle_free(&stream->handle);
  if (sl_listen_lost_one(fd)) return true;
  if (fd != UV_EAGAIN) retry_later(server, fd);
  return false;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  struct listener *listener = (struct listener *)sl_handle_of(poll);
  struct server *server = listener->server;
  (void)status, (void)events; /* accepting tells what is wrong */
  for (int n = 0; n < BATCH && server->active < server->most; n++)
    if (!accept_one(listener)) return;
  if (server->active >= server->most) pause_accepting(server);
}

/* -- accept -- */

static struct server *check_server(lua_State *L, int arg) {
  struct server_box *box = sl_check(L, arg, &server_class);
  if (box->server == NULL) luaL_argerror(L, arg, "server was collected");
  return box->server;
}

static int accept_stream(lua_State *L);

/* The stream that arrived first, in a box. */
static int push_accepted(lua_State *L, struct server *server) {
  struct sl_box *box = sl_stream_push_box(L, server->loop);
  struct sl_link *link;
  if (sl_list_empty(&server->accepted)) { /* a finaliser closed the server */
    sl_clock_release(server->loop);
    lua_settop(L, 1);
    return accept_stream(L);
  }
  link = sl_list_pop(&server->accepted);
  sl_stream_fill_box(box, sl_container(link, struct sl_stream, link));
  return 1;
}

static int push_trouble(lua_State *L, struct server *server) {
  int error = server->trouble;
  server->trouble = 0;
  return sl_fail_uv(L, error);
}

static const struct sl_wait_kind accept_kind = {"Server:accept", NULL, NULL,
                                                NULL};

static int k_accept(lua_State *L, int status, lua_KContext ctx) {
  struct server *server;
  (void)status;
  sl_wait_outcome(L, (struct sl_task *)ctx);
  server = check_server(L, 1);
  if (!sl_list_empty(&server->accepted)) return push_accepted(L, server);
  return accept_stream(L);
}

/* accept(server): the next connection; nothing once the server is closed;
   nil, message, code, once, when connections wait because memory or
   descriptors are short: they are tried again and again. Waits. */
static int accept_stream(lua_State *L) {
  struct server *server = check_server(L, 1);
  struct sl_task *task = sl_wait_enter(L, server->loop);
  if (sl_wait_must_pause(task))
    return sl_wait_pause_k(L, task, accept_stream);
  if (!sl_list_empty(&server->accepted)) return push_accepted(L, server);
  if (server->closed) return 0;
  if (server->trouble != 0) return push_trouble(L, server);
  return sl_wait_park_k(L, task, &server->acceptors, &accept_kind, server,
                        SL_NEVER, k_accept);
}

/* -- the end -- */

/* Nobody connects any more. The handle is closing. */
static void shut_listener(struct listener *listener) {
  if (listener->fd < 0) return;
  sl_listen_remove(&listener->file);
  close(listener->fd);
  listener->fd = -1;
}

/* In the handle's close callback, also when the loop is closed. */
static void free_listener(struct sl_handle *handle) {
  struct listener *listener = (struct listener *)handle;
  shut_listener(listener);
  listener->server->closed = true;
  listener->server->listeners = NULL;
  unref_server(listener->server);
}

static void drop_accepted(struct server *server) {
  while (!sl_list_empty(&server->accepted)) {
    struct sl_link *link = sl_list_pop(&server->accepted);
    sl_handle_close(&sl_container(link, struct sl_stream, link)->handle);
  }
}

static void stop_server(struct server *server) {
  struct listener *at, *next;
  if (server->closed) return;
  server->closed = true;
  sl_clock_disarm(server->loop, &server->retry);
  drop_accepted(server);
  for (at = server->listeners; at != NULL; at = next) {
    next = at->next;
    sl_handle_close(&at->handle);
    shut_listener(at);
  }
  server->listeners = NULL;
  wake_all(&server->acceptors);
  if (server->active == 0) wake_all(&server->closers);
}

/* server:close(): refuses new connections; those that are open go on. Never
   waits. */
static int close_server(lua_State *L) {
  stop_server(check_server(L, 1));
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
  struct server *server = check_server(L, 1);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, server->loop);
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
  struct server *server = check_server(L, 1);
  if (server->closed) return sl_fail_closed(L, "server");
  return sl_address_push(L, &server->listeners->handle, SL_OWN_ADDRESS);
}

static int server_tostring(lua_State *L) {
  struct server *server = check_server(L, 1);
  lua_pushfstring(L, "sluice.Server (%s, %d connections)",
                  server->closed ? "closed" : "open", (int)server->active);
  return 1;
}

/* -- listening -- */

/* A server in a box on the top, without a socket. */
static struct server *push_server(lua_State *L, struct sl_loop *loop,
                                  lua_Integer most) {
  struct server_box *box = sl_object_new(L, &server_class, 0);
  struct sl_memory memory = sl_memory_of(L);
  struct server *server;
  sl_clock_reserve(L, loop);
  server = memory.alloc(memory.ud, NULL, 0, sizeof *server);
  if (server == NULL) {
    sl_clock_release(loop);
    luaL_error(L, "not enough memory");
  }
  memset(server, 0, sizeof *server);
  server->loop = loop;
  server->memory = memory;
  server->flusher = sl_stream_flusher(L);
  server->most = most > 0 && most < UINT32_MAX ? (uint32_t)most
                                                : UINT32_MAX;
  server->closed = true; /* until it has a socket */
  server->refs = 1;
  sl_link_init(&server->accepted);
  sl_link_init(&server->acceptors);
  sl_link_init(&server->closers);
  sl_deadline_init(&server->retry, on_retry);
  box->server = server;
  return server;
}

/* A listener that has no socket yet. Throws: memory. */
static struct listener *new_listener(lua_State *L, struct server *server) {
  struct listener *listener =
      sl_handle_new(server->loop, server->memory, sizeof *listener);
  if (listener == NULL) luaL_error(L, "not enough memory");
  listener->handle.fini = free_listener;
  listener->server = server;
  return listener;
}

static void append(struct server *server, struct listener *listener) {
  struct listener **end = &server->listeners;
  while (*end != NULL) end = &(*end)->next;
  *end = listener;
}

/* Gives the listener its socket, an error if negative, and has it accept.
   Returns 0, or an error and the listener is gone. */
static int open_listener(struct listener *listener, int fd) {
  struct server *server = listener->server;
  uv_poll_t *poll = &listener->handle.uv.poll;
  int error = fd < 0 ? fd : uv_poll_init(&server->loop->uv, poll, fd);
  listener->fd = fd;
  if (error < 0) {
    shut_listener(listener);
    sl_handle_free(&listener->handle);
    return error;
  }
  sl_handle_opened(&listener->handle);
  append(server, listener);
  server->refs++;
  server->closed = false;
  server->accepting = false; /* polls them all, the new one, too */
  resume_accepting(server);
  return 0;
}

/* Of the arguments backlog, _, reuse_port, only_ipv6. */
static struct sl_listen check_how(lua_State *L, int arg) {
  struct sl_listen how;
  how.backlog = (int)luaL_checkinteger(L, arg);
  how.reuse_port = lua_toboolean(L, arg + 2);
  how.only_ipv6 = lua_toboolean(L, arg + 3);
  return how;
}

static int listen_inet(struct listener *listener,
                       const struct sockaddr *address,
                       const struct sl_listen *how) {
  socklen_t len = (socklen_t)sl_address_size(address);
  return open_listener(listener, sl_listen_inet(address, len, how));
}

/* listen(address, backlog, most, reuse_port, only_ipv6): a server, or nil,
   message, code. `most`: connections at once, 0: any number. Never waits. */
static int listen_first(lua_State *L) {
  const struct sockaddr *address = sl_address_check(L, 1);
  struct sl_listen how = check_how(L, 2);
  lua_Integer most = luaL_checkinteger(L, 3);
  struct server *server = push_server(L, sl_loop_of(L), most);
  int error = listen_inet(new_listener(L, server), address, &how);
  return error < 0 ? sl_fail_uv(L, error) : 1;
}

/* listen_also(address, backlog, server, reuse_port, only_ipv6): the server
   listens there, too. True, or nil, message, code. Never waits. */
static int listen_also(lua_State *L) {
  const struct sockaddr *address = sl_address_check(L, 1);
  struct sl_listen how = check_how(L, 2);
  struct server *server = check_server(L, 3);
  int error;
  if (server->closed) return sl_fail_closed(L, "server");
  error = listen_inet(new_listener(L, server), address, &how);
  if (error < 0) return sl_fail_uv(L, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* listen_unix(path, backlog, most): as listen. */
static int listen_unix(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  int backlog = (int)luaL_checkinteger(L, 2);
  lua_Integer most = luaL_checkinteger(L, 3);
  struct listener *listener;
  int error = sl_address_check_path(path, len);
  if (error < 0) return sl_fail_uv(L, error);
  listener = new_listener(L, push_server(L, sl_loop_of(L), most));
  memcpy(listener->file.path, path, len);
  error = open_listener(listener, sl_listen_unix(&listener->file, backlog));
  return error < 0 ? sl_fail_uv(L, error) : 1;
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
  static const luaL_Reg functions[] = {{"listen", listen_first},
                                       {"listen_also", listen_also},
                                       {"listen_unix", listen_unix},
                                       {"accept", accept_stream},
                                       {NULL, NULL}};
  sl_stream_open(L, loop);
  open_server(L, loop);
  lua_newtable(L);
  sl_setfuncs(L, loop, functions);
  sl_address_open(L, loop);
  sl_connect_open(L, loop);
  sl_secure_open(L, loop);
  sl_net_preload(L, "sluice.core.net");
}
