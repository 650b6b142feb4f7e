/*
** signal.c: see signal.h.
*/
#include "signal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dump.h"

enum { MAX_SIGNAL = 31 };

struct listener {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_link link;    /* in the list of listeners */
  struct sl_link waiters; /* tasks parked in wait */
  uint32_t mask;          /* the signals it takes */
  uint32_t pending;       /* those that came and nobody took */
  bool open;
};

static const struct sl_class listener_class = {"sluice.Signal",
                                               sizeof(struct listener)};

static const struct name {
  const char *name;
  int number;
} names[] = {{"SIGINT", SIGINT},   {"SIGTERM", SIGTERM},
             {"SIGHUP", SIGHUP},   {"SIGUSR1", SIGUSR1},
             {"SIGUSR2", SIGUSR2}, {"SIGQUIT", SIGQUIT}};

enum { NNAMES = sizeof names / sizeof names[0] };

/* Of the process: who is told, and what to restore. */
static struct sl_loop *volatile owner;
static volatile sig_atomic_t stops; /* SIGINT and SIGTERM of this run */
static struct sigaction saved[MAX_SIGNAL + 1];
static uint32_t installed; /* a bit for each handler of ours */
static struct sl_link listeners;
static unsigned listening; /* tasks that wait for a signal */

static void on_signal(int number) {
  struct sl_loop *loop = owner;
  if (loop == NULL) return;
  if (number == SIGINT || number == SIGTERM) {
    if (++stops > 1) _exit(128 + number);
  }
  atomic_fetch_or(&loop->signals, 1u << number);
  uv_async_send(&loop->wake);
}

static void install(int number) {
  struct sigaction action;
  if (installed & UINT32_C(1) << number) return;
  sigaction(number, NULL, &saved[number]);
  /* Ignored by whoever started us (nohup): it stays ignored. */
  if (saved[number].sa_handler == SIG_IGN) return;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, NULL);
  installed |= UINT32_C(1) << number;
}

static void restore(int number) {
  if (!(installed & UINT32_C(1) << number)) return;
  sigaction(number, &saved[number], NULL);
  installed &= ~(UINT32_C(1) << number);
}

void sl_signal_start(struct sl_loop *loop) {
  if (owner != NULL) return;
  stops = 0;
  loop->signals = 0;
  owner = loop;
  install(SIGINT);
  install(SIGQUIT);
}

void sl_signal_stop(struct sl_loop *loop) {
  if (owner != loop) return;
  for (int number = 1; number <= MAX_SIGNAL; number++) restore(number);
  if (listening > 0) uv_unref((uv_handle_t *)&loop->wake);
  listening = 0; /* of tasks that were dropped */
  owner = NULL;
}

/* -- between two steps -- */

static int print_dump(lua_State *L) {
  sl_dump_push(L, lua_touserdata(L, 1));
  fflush(stdout);
  fprintf(stderr, "sluice: tasks\n%s", lua_tostring(L, -1));
  fflush(stderr);
  return 0;
}

static void show_dump(struct sl_loop *loop) {
  lua_State *L = loop->tasks->L;
  lua_pushcfunction(L, print_dump);
  lua_pushlightuserdata(L, loop);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* Gives a signal to those who listen for it. Returns whether any does. */
static bool tell_listeners(int number) {
  bool told = false;
  struct sl_link *at = listeners.next;
  for (; at != &listeners; at = at->next) {
    struct listener *listener = sl_container(at, struct listener, link);
    if (!(listener->mask & UINT32_C(1) << number)) continue;
    told = true;
    listener->pending |= UINT32_C(1) << number;
    if (!sl_list_empty(&listener->waiters))
      sl_task_wake(sl_task_of(listener->waiters.next), SL_WOKEN);
  }
  return told;
}

static void signalled(struct sl_loop *loop) {
  for (int number = 1; number <= MAX_SIGNAL; number++) {
    unsigned bit = 1u << number;
    if (!(atomic_fetch_and(&loop->signals, ~bit) & bit)) continue;
    if (tell_listeners(number)) continue;
    if (number == SIGQUIT) show_dump(loop);
    if (number == SIGINT && loop->tasks->main_left)
      sl_cancel_scope(&loop->tasks->main->root, SL_FOR_INTERRUPT);
  }
}

/* -- listeners -- */

static int number_of(lua_State *L, int arg) {
  const char *name = luaL_checkstring(L, arg);
  for (int i = 0; i < NNAMES; i++)
    if (strcmp(names[i].name, name) == 0) return names[i].number;
  return luaL_argerror(L, arg, "not the name of a signal");
}

/* Signal(name, ...): listens for signals ("SIGTERM"); while it is open, they
   do nothing else. A to-be-closed value. Needs a run. */
static int new_listener(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  int n = lua_gettop(L);
  uint32_t mask = 0;
  struct listener *listener;
  for (int arg = 1; arg <= n || arg == 1; arg++) /* at least one */
    mask |= UINT32_C(1) << number_of(L, arg);
  if (owner != loop)
    return luaL_error(L, "'Signal' needs a running loop (see sluice.run)");
  listener = sl_object_new(L, &listener_class, 0);
  listener->loop = loop;
  listener->mask = mask;
  sl_link_init(&listener->waiters);
  sl_link_init(&listener->link);
  sl_list_push(&listeners, &listener->link);
  listener->open = true;
  for (int number = 1; number <= MAX_SIGNAL; number++)
    if (mask & UINT32_C(1) << number) install(number);
  return 1;
}

/* Takes the first pending signal and pushes its name. */
static int take(lua_State *L, struct listener *listener) {
  for (int i = 0; i < NNAMES; i++) {
    uint32_t bit = UINT32_C(1) << names[i].number;
    if (!(listener->pending & bit)) continue;
    listener->pending &= ~bit;
    lua_pushstring(L, names[i].name);
    return 1;
  }
  return sl_fail(L, "shutdown"); /* it was closed */
}

/* While somebody listens, a signal can wake the loop: no deadlock. A handle's
   reference is no count, hence ours. */
static void enter(struct sl_loop *loop) {
  if (listening++ == 0) uv_ref((uv_handle_t *)&loop->wake);
}

static void leave(struct sl_loop *loop) {
  if (--listening == 0) uv_unref((uv_handle_t *)&loop->wake);
}

static const struct sl_wait_kind signal_kind = {"a signal", NULL, NULL,
                                                NULL};

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  struct listener *listener = lua_touserdata(L, 1);
  (void)status;
  leave(listener->loop);
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  return take(L, listener);
}

/* signal:wait([timeout]): the name of the next signal; nil, "timeout"; nil,
   "shutdown" once it is closed. Waits. */
static int wait(lua_State *L) {
  struct listener *listener = sl_check(L, 1, &listener_class);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, listener->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, wait);
  if (listener->pending != 0 || !listener->open) return take(L, listener);
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  if (!sl_list_empty(&listener->waiters))
    return luaL_error(L, "a task is waiting for this signal already");
  enter(listener->loop);
  return sl_wait_park_k(L, task, &listener->waiters, &signal_kind, listener,
                        timeout_ns, k_wait);
}

/* signal:close(): the signals do again what they did. Never waits. */
static int close_listener(lua_State *L) {
  struct listener *listener = sl_check(L, 1, &listener_class);
  struct sl_link *at = listeners.next;
  uint32_t mask = UINT32_C(1) << SIGINT | UINT32_C(1) << SIGQUIT;
  if (!listener->open) return 0;
  listener->open = false;
  sl_link_unlink(&listener->link);
  if (!sl_list_empty(&listener->waiters))
    sl_task_wake(sl_task_of(listener->waiters.next), SL_WOKEN);
  for (at = listeners.next; at != &listeners; at = at->next)
    mask |= sl_container(at, struct listener, link)->mask;
  for (int number = 1; number <= MAX_SIGNAL; number++)
    if (!(mask & UINT32_C(1) << number)) restore(number);
  return 0;
}

static int listener_tostring(lua_State *L) {
  const struct listener *listener = sl_check(L, 1, &listener_class);
  const char *between = "";
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  luaL_addstring(&buffer, "sluice.Signal (");
  for (int i = 0; i < NNAMES; i++) {
    if (!(listener->mask & UINT32_C(1) << names[i].number)) continue;
    luaL_addstring(&buffer, between);
    luaL_addstring(&buffer, names[i].name);
    between = ", ";
  }
  luaL_addstring(&buffer, listener->open ? ")" : ", closed)");
  luaL_pushresult(&buffer);
  return 1;
}

void sl_signal_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"Signal", new_listener}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"wait", wait}, {"close", close_listener}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", listener_tostring},
                                  {"__close", close_listener},
                                  {"__gc", close_listener},
                                  {NULL, NULL}};
  if (listeners.next == NULL) sl_link_init(&listeners);
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &listener_class, loop, methods, meta);
  lua_pop(L, 1);
  loop->hooks.signalled = signalled;
}
