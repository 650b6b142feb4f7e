/*
** reactor.c: see reactor.h.
*/
#include "reactor.h"

#include <string.h>

#include "net.h"

struct watch;

struct reactor {
  struct sl_handle handle; /* a uv_timer_t; first */
  struct sl_host host;
  struct sl_engine *engine; /* NULL: it has ended */
  struct watch **watches; /* by descriptor; NULL where there is none */
  size_t nwatches;        /* room in the table */
};

struct watch {
  struct sl_handle handle;  /* a uv_poll_t; first */
  struct reactor *reactor;  /* NULL: it is closing */
  int fd;
  int wanted;     /* by the engine */
  int registered; /* with libuv */
  bool kept;
};

struct reactor_box {
  struct sl_box box; /* first */
  /* Here, since a finaliser may give up a wait when handles are freed. */
  struct sl_wait_kind kind;
};

static const struct sl_class reactor_class = {"sluice.Reactor",
                                              sizeof(struct reactor_box)};

static struct reactor *reactor_of(struct sl_host *host) {
  return sl_container(host, struct reactor, host);
}

/* -- watching descriptors -- */

static void end_watch(struct watch *watch) {
  if (watch->reactor == NULL) return;
  watch->reactor->watches[watch->fd] = NULL;
  watch->reactor = NULL;
}

static void fini_watch(struct sl_handle *handle) {
  end_watch((struct watch *)handle);
}

static struct watch *find(struct reactor *reactor, int fd) {
  if (fd < 0 || (size_t)fd >= reactor->nwatches) return NULL;
  return reactor->watches[fd];
}

static bool reserve(struct reactor *reactor, int fd) {
  struct sl_memory memory = reactor->handle.memory;
  size_t n = reactor->nwatches, size = sizeof *reactor->watches;
  struct watch **watches;
  if ((size_t)fd < n) return true;
  n = (size_t)fd + 16 + n / 2;
  watches = memory.alloc(memory.ud, reactor->watches,
                         reactor->nwatches * size, n * size);
  if (watches == NULL) return false;
  memset(watches + reactor->nwatches, 0, (n - reactor->nwatches) * size);
  reactor->watches = watches;
  reactor->nwatches = n;
  return true;
}

static struct watch *new_watch(struct reactor *reactor, int fd) {
  struct sl_loop *loop = reactor->handle.loop;
  struct watch *watch;
  if (loop->closed || !reserve(reactor, fd)) return NULL;
  watch = sl_handle_new(loop, reactor->handle.memory, sizeof *watch);
  if (watch == NULL) return NULL;
  watch->fd = fd;
  watch->handle.fini = fini_watch;
  if (uv_poll_init(&loop->uv, &watch->handle.uv.poll, fd) != 0) {
    sl_handle_free(&watch->handle);
    return NULL;
  }
  sl_handle_opened(&watch->handle);
  watch->reactor = reactor;
  reactor->watches[fd] = watch;
  return watch;
}

static void close_watch(struct watch *watch) {
  end_watch(watch);
  sl_handle_close(&watch->handle);
}

static void on_ready(uv_poll_t *poll, int status, int events);

/* Registers what is wanted, or as little as costs nothing. */
static bool settle(struct watch *watch) {
  uv_poll_t *poll = &watch->handle.uv.poll;
  bool idle = watch->wanted == 0;
  if (idle)
    uv_unref(&watch->handle.uv.any);
  else
    uv_ref(&watch->handle.uv.any);
  if (watch->wanted == watch->registered) return true;
  if (idle && watch->registered == SL_READABLE) return true;
  watch->registered = 0;
  if (idle) return uv_poll_stop(poll) == 0;
  if (uv_poll_start(poll,
                    ((watch->wanted & SL_READABLE) ? UV_READABLE : 0) |
                        ((watch->wanted & SL_WRITABLE) ? UV_WRITABLE : 0),
                    on_ready) != 0)
    return false;
  watch->registered = watch->wanted;
  return true;
}

/* The engine may end the watch, or want something else; the reactor stays,
   since it ends only by Lua's hand. */
static void on_ready(uv_poll_t *poll, int status, int events) {
  struct watch *watch = (struct watch *)sl_handle_of(poll);
  struct reactor *reactor = watch->reactor;
  int fd = watch->fd, ready = 0;
  if (status < 0) watch->registered = 0; /* libuv has stopped it */
  if (watch->wanted == 0) { /* a resting connection stirs: look at it later */
    if (watch->registered != 0) uv_poll_stop(poll);
    watch->registered = 0;
    return;
  }
  if (status < 0 || (events & UV_READABLE)) ready |= SL_READABLE;
  if (status < 0 || (events & UV_WRITABLE)) ready |= SL_WRITABLE;
  if (reactor->engine != NULL)
    reactor->engine->on_ready(reactor->engine, fd, ready);
  watch = find(reactor, fd);
  if (watch != NULL) settle(watch);
}

static bool host_keep(struct sl_host *host, int fd) {
  struct reactor *reactor = reactor_of(host);
  struct watch *watch = find(reactor, fd);
  if (watch != NULL) close_watch(watch); /* it was closed unnoticed */
  watch = new_watch(reactor, fd);
  if (watch == NULL) return false;
  watch->kept = true;
  return settle(watch);
}

static bool host_watch(struct sl_host *host, int fd, int events) {
  struct reactor *reactor = reactor_of(host);
  struct watch *watch = find(reactor, fd);
  if (watch == NULL && events == 0) return true;
  if (watch == NULL) watch = new_watch(reactor, fd);
  if (watch == NULL) return false;
  watch->wanted = events;
  if (events != 0 || watch->kept) return settle(watch);
  close_watch(watch);
  return true;
}

static void host_forget(struct sl_host *host, int fd) {
  struct watch *watch = find(reactor_of(host), fd);
  if (watch != NULL) close_watch(watch);
}

/* -- the timer, the clock -- */

/* libuv calls it before it polls: a task that it made ready must not wait for
   the end of the poll. */
static void on_timer(uv_timer_t *timer) {
  struct reactor *reactor = (struct reactor *)sl_handle_of(timer);
  struct sl_loop *loop = reactor->handle.loop;
  uv_unref(&reactor->handle.uv.any);
  if (reactor->engine != NULL)
    reactor->engine->on_timeout(reactor->engine);
  if (loop->nready > 0) uv_stop(&loop->uv);
}

/* libuv counts whole milliseconds from the beginning of its turn. One more,
   so that it is never early: an engine that was called too early may think
   that its timer is still running. */
static void host_set_timer(struct sl_host *host, long ms) {
  struct reactor *reactor = reactor_of(host);
  uv_timer_t *timer = &reactor->handle.uv.timer;
  if (ms < 0) {
    uv_timer_stop(timer);
    uv_unref(&reactor->handle.uv.any);
    return;
  }
  uv_ref(&reactor->handle.uv.any);
  uv_update_time(&reactor->handle.loop->uv);
  uv_timer_start(timer, on_timer, ms > 0 ? (uint64_t)ms + 1 : 0, 0);
}

static uint64_t host_now_ns(struct sl_host *host) {
  return sl_loop_now(reactor_of(host)->handle.loop);
}

/* -- waiting at slots -- */

static void host_wake(struct sl_host *host, struct sl_slot *slot) {
  (void)host;
  if (sl_list_empty(&slot->waiters))
    slot->signalled = true;
  else
    sl_task_wake(sl_task_of(slot->waiters.next), SL_WOKEN);
}

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  lua_pushboolean(L, 1);
  return 1;
}

/* reactor:wait(slot [, timeout]): true once the slot has been woken since
   the last wait; nil, "timeout". Waits. Allocates nothing. */
static int wait(lua_State *L) {
  struct reactor_box *box = sl_check(L, 1, &reactor_class);
  struct reactor *reactor = (struct reactor *)box->box.handle;
  uint64_t timeout_ns = sl_opt_timeout(L, 3);
  struct sl_task *task;
  struct sl_slot *slot;
  if (reactor == NULL || reactor->engine == NULL)
    return sl_fail_closed(L, "reactor");
  slot = sl_check(L, 2, reactor->engine->slot_class);
  task = sl_wait_enter(L, reactor->handle.loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, wait);
  if (slot->signalled) {
    slot->signalled = false;
    lua_pushboolean(L, 1);
    return 1;
  }
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  if (!sl_list_empty(&slot->waiters))
    return luaL_error(L, "another task is waiting for this %s",
                      reactor->engine->what);
  return sl_wait_park_k(L, task, &slot->waiters, &box->kind, slot,
                        timeout_ns, k_wait);
}

/* -- birth and death -- */

static void host_part(struct sl_host *host) {
  reactor_of(host)->engine = NULL;
}

static const struct sl_host host_functions = {
    host_keep, host_watch,  host_forget, host_set_timer,
    host_wake, host_now_ns, host_part};

/* The two know nothing of each other any more. The engine now closes
   descriptors unseen, and their numbers are used again: nothing here may still
   watch them. */
static void part(struct reactor *reactor) {
  if (reactor->engine != NULL) reactor->engine->host = NULL;
  reactor->engine = NULL;
  for (size_t fd = 0; fd < reactor->nwatches; fd++)
    if (reactor->watches[fd] != NULL) close_watch(reactor->watches[fd]);
}

static void fini_reactor(struct sl_handle *handle) {
  struct reactor *reactor = (struct reactor *)handle;
  struct sl_memory memory = handle->memory;
  part(reactor);
  if (reactor->watches != NULL)
    memory.alloc(memory.ud, reactor->watches,
                 reactor->nwatches * sizeof *reactor->watches, 0);
}

/* reactor:close(): the engine is on its own. Never waits. */
static int close_reactor(lua_State *L) {
  struct sl_box *box = sl_check(L, 1, &reactor_class);
  struct reactor *reactor = (struct reactor *)box->handle;
  if (reactor == NULL) return 0;
  part(reactor);
  sl_handle_close(&reactor->handle);
  return 0;
}

/* The engine in the userdata at `arg`, which has none of our classes. */
static struct sl_engine *check_engine(lua_State *L, int arg) {
  char *object = lua_touserdata(L, arg);
  const size_t *offset = NULL;
  if (object != NULL &&
      luaL_getmetafield(L, arg, SL_ENGINE_FIELD) == LUA_TLIGHTUSERDATA)
    offset = lua_touserdata(L, -1);
  if (offset == NULL) luaL_argerror(L, arg, "not an engine");
  lua_pop(L, 1);
  return (struct sl_engine *)(void *)(object + *offset);
}

static struct reactor *new_reactor(lua_State *L, struct sl_loop *loop,
                                   struct sl_engine *engine) {
  struct reactor *reactor =
      sl_handle_new(loop, sl_memory_of(L), sizeof *reactor);
  if (reactor == NULL) luaL_error(L, "not enough memory");
  reactor->handle.fini = fini_reactor;
  reactor->host = host_functions;
  reactor->engine = engine;
  engine->host = &reactor->host;
  uv_timer_init(&loop->uv, &reactor->handle.uv.timer);
  uv_unref(&reactor->handle.uv.any); /* until it is set */
  sl_handle_opened(&reactor->handle);
  return reactor;
}

/* open(engine): the reactor of an engine that has none. Each keeps the
   other. Never waits. */
static int open_reactor(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  struct sl_engine *engine = check_engine(L, 1);
  struct reactor_box *box;
  lua_settop(L, 1);
  if (loop->closed) return luaL_error(L, "the loop is closed");
  luaL_argcheck(L, engine->host == NULL, 1, "it has a reactor");
  box = sl_object_new(L, &reactor_class, 1);
  box->kind.what = engine->what;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, 1);
  sl_box_fill(&box->box, &new_reactor(L, loop, engine)->handle);
  return 1;
}

void sl_reactor_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"open", open_reactor}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"wait", wait}, {"close", close_reactor}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", close_reactor}, {NULL, NULL}};
  sl_class_new(L, &reactor_class, loop, methods, meta);
  lua_pop(L, 1);
  lua_newtable(L);
  sl_setfuncs(L, loop, functions);
  sl_net_preload(L, "sluice.core.reactor");
}
