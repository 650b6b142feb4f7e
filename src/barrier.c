/*
** barrier.c: see barrier.h.
*/
#include "barrier.h"

struct barrier {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_link waiters; /* of this generation, in order of arrival */
  lua_Integer parties;
  lua_Integer waiting; /* the length of waiters */
  bool broken;
};

static const struct sl_class barrier_class = {"sluice.Barrier",
                                              sizeof(struct barrier)};

static struct barrier *check_barrier(lua_State *L) {
  return sl_check(L, 1, &barrier_class);
}

static struct sl_task *first(struct barrier *barrier) {
  barrier->waiting--;
  return sl_task_of(barrier->waiters.next);
}

/* Everybody is there. The index of each is left on its own stack, which has
   room since it parked. */
static void trip(struct barrier *barrier) {
  lua_Integer index = 0;
  while (!sl_list_empty(&barrier->waiters)) {
    struct sl_task *task = first(barrier);
    lua_pushinteger(task->coroutine.co, ++index);
    sl_task_wake(task, SL_WOKEN);
  }
}

static void break_off(struct barrier *barrier) {
  while (!sl_list_empty(&barrier->waiters))
    sl_task_wake(first(barrier), SL_BROKEN);
}

static void abandon_wait(struct sl_task *task, enum sl_wake why) {
  ((struct barrier *)task->object)->waiting--;
  sl_task_wake(task, why);
}

static const struct sl_wait_kind wait_kind = {"Barrier:wait", abandon_wait,
                                              NULL, NULL};

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  switch (sl_wait_outcome(L, (struct sl_task *)ctx)) {
    case SL_TIMED_OUT: return sl_fail(L, "timeout");
    case SL_BROKEN: return sl_fail(L, "broken");
    default: return 1;
  }
}

/* barrier:wait([timeout]): waits until n tasks are here. Returns this one's
   index, 1 to n in order of arrival; nil, "timeout"; nil, "broken".
   Allocates nothing. */
static int wait(lua_State *L) {
  struct barrier *barrier = check_barrier(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, barrier->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, wait);
  if (barrier->broken) return sl_fail(L, "broken");
  if (barrier->waiting + 1 == barrier->parties) {
    trip(barrier);
    lua_pushinteger(L, barrier->parties);
    return 1;
  }
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  barrier->waiting++;
  return sl_wait_park_k(L, task, &barrier->waiters, &wait_kind, barrier,
                        timeout_ns, k_wait);
}

/* barrier:reset(): who waits gets nil, "broken"; the barrier is as new.
   Never waits. */
static int reset(lua_State *L) {
  struct barrier *barrier = check_barrier(L);
  barrier->broken = false;
  break_off(barrier);
  return 0;
}

/* barrier:abort(): who waits, and every wait until reset, gets nil,
   "broken". Never waits. */
static int abort_barrier(lua_State *L) {
  struct barrier *barrier = check_barrier(L);
  barrier->broken = true;
  break_off(barrier);
  return 0;
}

/* barrier:n_waiting(): how many tasks wait at it. */
static int n_waiting(lua_State *L) {
  lua_pushinteger(L, check_barrier(L)->waiting);
  return 1;
}

/* barrier:broken(): whether it was aborted and not reset. */
static int broken(lua_State *L) {
  lua_pushboolean(L, check_barrier(L)->broken);
  return 1;
}

static int barrier_tostring(lua_State *L) {
  struct barrier *barrier = check_barrier(L);
  lua_pushfstring(L, "sluice.Barrier (%I of %I waiting%s)",
                  (LUAI_UACINT)barrier->waiting,
                  (LUAI_UACINT)barrier->parties,
                  barrier->broken ? ", broken" : "");
  return 1;
}

/* sluice.Barrier(n): for n tasks, at least 1. */
static int new_barrier(lua_State *L) {
  lua_Integer parties = sl_check_count(L, 1);
  struct barrier *barrier;
  luaL_argcheck(L, parties >= 1, 1, "a barrier needs at least 1 task");
  barrier = sl_object_new(L, &barrier_class, 0);
  barrier->loop = sl_loop_of(L);
  barrier->parties = parties;
  sl_link_init(&barrier->waiters);
  return 1;
}

void sl_barrier_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"Barrier", new_barrier},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"wait", wait},           {"reset", reset},
      {"abort", abort_barrier}, {"n_waiting", n_waiting},
      {"broken", broken},       {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", barrier_tostring},
                                  {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &barrier_class, loop, methods, meta);
  lua_pop(L, 1);
}
