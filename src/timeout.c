/*
** timeout.c: see timeout.h.
*/
#include "timeout.h"

#include <string.h>
#include <time.h>

enum { CHUNK = 32, COARSE_NS = 10000000, LONG_NS = 1000000000 };

struct sl_limit {
  struct sl_scope scope;
  struct sl_deadline deadline;
  uint64_t ns;         /* how long, SL_NEVER: no deadline */
  uint64_t entered_ns; /* not before it was entered; see latest_ns */
  uint32_t generation; /* rises each time it is left */
  bool unarmed;        /* has a deadline that is counted as unarmed */
  struct sl_limit *next; /* in the pool */
};

struct sl_limit_chunk {
  struct sl_limit limits[CHUNK];
};

struct guard {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_limit *limit;
  uint32_t generation; /* the limit is ours while it has the same */
  bool expired;
};

static const struct sl_class guard_class = {"sluice.Timeout",
                                            sizeof(struct guard)};

/* -- the pool -- */

static void add_chunk(lua_State *L, struct sl_tasks *tasks) {
  struct sl_limit_chunk *chunk = lua_newuserdatauv(L, sizeof *chunk, 0);
  memset(chunk, 0, sizeof *chunk);
  luaL_ref(L, LUA_REGISTRYINDEX); /* guards may look at it to the last */
  for (int i = 0; i < CHUNK; i++) {
    chunk->limits[i].next = tasks->free_limits;
    tasks->free_limits = &chunk->limits[i];
  }
}

static void on_limit_due(struct sl_deadline *deadline) {
  struct sl_limit *limit =
      sl_container(deadline, struct sl_limit, deadline);
  sl_cancel_scope(&limit->scope, SL_FOR_TIMEOUT);
}

/* A reading of the clock that is late rather than early, by 10 ms at most,
   and cheap: the exact one, 20 ns, is made only if something really waits,
   and not for a second or more. */
static uint64_t latest_ns(struct sl_loop *loop) {
#if defined(CLOCK_MONOTONIC_COARSE)
  struct timespec coarse;
  if (loop->virtual_time) return loop->now_ns;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &coarse);
  return (uint64_t)coarse.tv_sec * 1000000000 + (uint64_t)coarse.tv_nsec +
         COARSE_NS;
#else
  return sl_loop_now(loop);
#endif
}

static void arm(struct sl_limit *limit, struct sl_task *task) {
  uint64_t from_ns = limit->entered_ns;
  /* A long one may be 10 ms late; a short one is worth reading the clock. */
  if (limit->ns < LONG_NS) {
    uint64_t now_ns = sl_loop_now(task->loop);
    if (now_ns < from_ns) from_ns = now_ns;
  }
  limit->unarmed = false;
  task->unarmed--;
  sl_clock_arm(task->loop, &limit->deadline,
               sl_clock_after(from_ns, limit->ns));
}

static void set_deadline(struct sl_limit *limit, struct sl_task *task,
                         uint64_t ns) {
  limit->ns = ns;
  limit->scope.timed = ns != SL_NEVER;
  limit->unarmed = ns != SL_NEVER && ns != 0;
  if (limit->unarmed) {
    limit->entered_ns = latest_ns(task->loop);
    task->unarmed++;
    /* Set by another task, while the owner may be waiting already. */
    if (sl_unlikely(task != task->loop->current)) arm(limit, task);
  }
  if (ns == 0) sl_cancel_scope(&limit->scope, SL_FOR_TIMEOUT);
}

static void clear_deadline(struct sl_limit *limit, struct sl_task *task) {
  if (limit->unarmed) task->unarmed--;
  limit->unarmed = false;
  sl_clock_disarm(task->loop, &limit->deadline);
}

/* Enters a scope. Throws: memory. */
static struct sl_limit *enter(lua_State *L, struct sl_task *task,
                              uint64_t ns, bool shield) {
  struct sl_tasks *tasks = task->loop->tasks;
  struct sl_limit *limit;
  if (sl_unlikely(tasks->free_limits == NULL)) add_chunk(L, tasks);
  sl_clock_reserve(L, task->loop);
  limit = tasks->free_limits;
  tasks->free_limits = limit->next;
  sl_scope_init(&limit->scope, task->scope, task, shield);
  sl_deadline_init(&limit->deadline, on_limit_due);
  task->scope = &limit->scope;
  set_deadline(limit, task, ns);
  return limit;
}

/* Leaves the innermost scope, a limit. */
static void leave_innermost(struct sl_task *task) {
  struct sl_tasks *tasks = task->loop->tasks;
  struct sl_limit *limit =
      sl_container(task->scope, struct sl_limit, scope);
  clear_deadline(limit, task);
  task->scope = limit->scope.parent;
  sl_scope_fini(&limit->scope);
  limit->generation++;
  limit->next = tasks->free_limits;
  tasks->free_limits = limit;
  sl_clock_release(task->loop);
}

/* Leaves scopes until `down_to` is innermost: guards that a script did not
   close end with what is around them. */
static void unwind(struct sl_task *task, struct sl_scope *down_to) {
  while (task->scope != down_to) {
    if (task->scope->group)
      task->loop->tasks->hooks.orphan(task->scope);
    else
      leave_innermost(task);
  }
}

static void leave(struct sl_task *task, struct sl_limit *limit) {
  unwind(task, &limit->scope);
  leave_innermost(task);
}

static void arm_scopes(struct sl_task *task) {
  struct sl_scope *scope = task->scope;
  for (; scope != &task->root && task->unarmed > 0; scope = scope->parent) {
    struct sl_limit *limit;
    if (!scope->timed) continue;
    limit = sl_container(scope, struct sl_limit, scope);
    if (limit->unarmed) arm(limit, task);
  }
}

/* -- wait_for, shield, pcall -- */

/* The error on the top leaves a scope that does not absorb it. If it is the
   task's own cancellation, the scope outside has the last word on why. */
static int pass_on(lua_State *L, struct sl_task *task) {
  if (sl_cancel_own(L, task, -1)) {
    sl_cancel_push(L, task);
    return lua_error(L);
  }
  return sl_task_rethrow(L, task->loop);
}

static bool failed(int status) {
  return status != LUA_OK && status != LUA_YIELD;
}

static int k_wait_for(lua_State *L, int status, lua_KContext ctx) {
  struct sl_limit *limit = (struct sl_limit *)ctx;
  struct sl_task *task = limit->scope.task;
  bool timed_out;
  if (!failed(status)) {
    leave(task, limit);
    return lua_gettop(L) - 1;
  }
  timed_out = sl_scope_absorbs(&limit->scope) && sl_cancel_test(L, -1);
  leave(task, limit);
  if (timed_out) return sl_fail(L, "timeout");
  return pass_on(L, task);
}

/* sluice.wait_for(seconds, fn, ...): runs fn(...) in this task under a
   deadline. Returns fn's results, or nil, "timeout". Raises: what fn raises;
   a cancellation from outside. Waits as fn does. */
static int wait_for(lua_State *L) {
  uint64_t ns = sl_check_seconds(L, 1);
  struct sl_task *task;
  struct sl_limit *limit;
  int status;
  sl_check_callable(L, 2);
  task = sl_wait_enter(L, sl_loop_of(L));
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, wait_for);
  limit = enter(L, task, ns, false);
  limit->scope.fixed = true;
  lua_pushcfunction(L, sl_task_traceback);
  lua_replace(L, 1);
  status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1,
                      (lua_KContext)limit, k_wait_for);
  return k_wait_for(L, status, (lua_KContext)limit);
}

static int k_shield(lua_State *L, int status, lua_KContext ctx) {
  struct sl_limit *limit = (struct sl_limit *)ctx;
  struct sl_task *task = limit->scope.task;
  leave(task, limit);
  if (failed(status)) return pass_on(L, task);
  return lua_gettop(L) - 1;
}

/* sluice.shield(fn, ...): runs fn(...) exempt from cancellation from
   outside, which comes at the next checkpoint after it. Returns and raises
   as fn does. Is no checkpoint itself; waits as fn does. */
static int shield(lua_State *L) {
  struct sl_task *task;
  struct sl_limit *limit;
  int status;
  sl_check_callable(L, 1);
  task = sl_wait_enter(L, sl_loop_of(L));
  limit = enter(L, task, SL_NEVER, true);
  limit->scope.fixed = true;
  lua_pushcfunction(L, sl_task_traceback);
  lua_insert(L, 1);
  status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1,
                      (lua_KContext)limit, k_shield);
  return k_shield(L, status, (lua_KContext)limit);
}

static int k_pcall(lua_State *L, int status, lua_KContext ctx) {
  struct sl_loop *loop = sl_loop_of(L);
  (void)ctx;
  if (!failed(status)) return lua_gettop(L);
  if (loop->current != NULL && sl_cancel_own(L, loop->current, -1))
    return lua_error(L); /* unchanged: no scope is left here */
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

/* sluice.pcall(fn, ...): pcall that lets the task's own cancellation
   through. Returns true and fn's results, or false and the error. */
static int protected_call(lua_State *L) {
  int status;
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, k_pcall);
  return k_pcall(L, status, 0);
}

/* -- the guard -- */

/* The guard's scope, or NULL if it was left. */
static struct sl_limit *limit_of(const struct guard *guard) {
  if (guard->limit == NULL || guard->loop->closed) return NULL;
  return guard->limit->generation == guard->generation ? guard->limit
                                                       : NULL;
}

/* sluice.timeout(seconds): a to-be-closed deadline for the block it is in.
   What still blocks when it passes is cancelled, and the block is left with
   the error "timeout". Never waits. Raises outside a task. */
static int timeout(lua_State *L) {
  uint64_t ns = sl_check_seconds(L, 1);
  struct sl_task *task = sl_wait_enter(L, sl_loop_of(L));
  struct guard *guard = sl_object_new(L, &guard_class, 0);
  guard->loop = task->loop;
  guard->limit = enter(L, task, ns, false);
  guard->generation = guard->limit->generation;
  return 1;
}

/* timeout:reschedule([seconds]): counts anew from now; nil: no deadline.
   Raises if it has expired or the block was left. */
static int reschedule(lua_State *L) {
  struct guard *guard = sl_check(L, 1, &guard_class);
  uint64_t ns = sl_opt_timeout(L, 2);
  struct sl_limit *limit = limit_of(guard);
  if (limit == NULL) return luaL_error(L, "the timeout's block has ended");
  if (limit->scope.cancelled)
    return luaL_error(L, "the timeout has expired");
  clear_deadline(limit, limit->scope.task);
  set_deadline(limit, limit->scope.task, ns);
  return 0;
}

/* timeout:expired(): whether the deadline passed before the block ended. */
static int expired(lua_State *L) {
  struct guard *guard = sl_check(L, 1, &guard_class);
  struct sl_limit *limit = limit_of(guard);
  lua_pushboolean(L, limit ? limit->scope.cancelled : guard->expired);
  return 1;
}

/* The error at 2, if any, goes on by itself; but of a cancellation, what is
   around the block has the last word on why. */
static int pass_by(lua_State *L, struct sl_task *task) {
  if (lua_isnoneornil(L, 2) || !sl_cancel_own(L, task, 2)) return 0;
  sl_cancel_push(L, task);
  if (lua_rawequal(L, 2, -1)) return 0;
  return lua_error(L);
}

/* Leaving the guard's scope must not leave one that a C call is in. */
static void check_innermost(lua_State *L, const struct guard *guard,
                            const struct sl_limit *limit) {
  const struct sl_task *task = limit->scope.task;
  const struct sl_scope *scope = task->scope;
  if (task != guard->loop->current)
    luaL_error(L, "a timeout can only be closed by the task that made it");
  for (; scope != &limit->scope; scope = scope->parent)
    if (scope->fixed)
      luaL_error(L, "a timeout cannot be closed inside a group, wait_for or "
                    "shield that began after it");
}

static int close_guard(lua_State *L) {
  struct guard *guard = sl_check(L, 1, &guard_class);
  struct sl_limit *limit = limit_of(guard);
  bool absorbed;
  if (limit == NULL) return 0;
  check_innermost(L, guard, limit);
  guard->expired = limit->scope.cancelled;
  absorbed = sl_scope_absorbs(&limit->scope) && sl_cancel_test(L, 2);
  leave(limit->scope.task, limit);
  guard->limit = NULL;
  if (!absorbed) return pass_by(L, guard->loop->current);
  lua_pushliteral(L, "timeout");
  return lua_error(L);
}

static int guard_tostring(lua_State *L) {
  struct guard *guard = sl_check(L, 1, &guard_class);
  struct sl_limit *limit = limit_of(guard);
  const char *state = limit == NULL             ? "closed"
                      : limit->scope.cancelled ? "expired"
                                               : "open";
  lua_pushfstring(L, "sluice.Timeout (%s)", state);
  return 1;
}

void sl_timeout_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"wait_for", wait_for},
                                       {"shield", shield},
                                       {"pcall", protected_call},
                                       {"timeout", timeout},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"reschedule", reschedule}, {"expired", expired}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", close_guard},
                                  {"__tostring", guard_tostring},
                                  {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &guard_class, loop, methods, meta);
  lua_pop(L, 1);
  loop->tasks->hooks.unwind = unwind;
  loop->tasks->hooks.arm_scopes = arm_scopes;
}
