/*
** condition.c: see condition.h. The user value of a condition is its lock.
*/
#include "condition.h"

#include "lock.h"

struct condition {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_link waiters; /* not yet notified */
  struct sl_lock *lock;
};

static const struct sl_class condition_class = {"sluice.Condition",
                                                sizeof(struct condition)};

static struct condition *check_condition(lua_State *L) {
  return sl_check(L, 1, &condition_class);
}

/* -- the lock's part -- */

static int k_acquire(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  lua_settop(L, 1);
  return 1;
}

/* condition:acquire([timeout]): as Lock:acquire; returns the condition, a
   to-be-closed value. */
static int acquire(lua_State *L) {
  struct condition *condition = check_condition(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  return sl_lock_acquire_k(L, condition->lock, timeout_ns, acquire,
                           k_acquire);
}

/* condition:release(): as Lock:release. */
static int release(lua_State *L) {
  struct condition *condition = check_condition(L);
  sl_lock_check_owner(L, condition->lock, "release");
  sl_lock_pass(condition->lock);
  return 0;
}

/* condition:locked(): whether some task owns its lock. */
static int locked(lua_State *L) {
  lua_pushboolean(L, check_condition(L)->lock->owner != NULL);
  return 1;
}

static int close_guard(lua_State *L) {
  sl_lock_close_guard(L, check_condition(L)->lock);
  return 0;
}

/* -- waiting -- */

static struct sl_task *lock_holder(struct sl_task *waiter) {
  return ((struct sl_lock *)waiter->object)->owner;
}

/* In the lock's queue, what the wait came to being fixed: only a deadlock
   ends it. */
static void abandon_reacquire(struct sl_task *task, enum sl_wake why) {
  if (why == SL_DEADLOCKED) sl_task_wake(task, why);
}

static const struct sl_wait_kind reacquire_kind = {
    "Condition:wait (taking the lock again)", abandon_reacquire, lock_holder,
    NULL};

/* Moves a waiter to the queue of the lock: it will have waited for `woken`. */
static void requeue(struct sl_task *task, enum sl_wake woken) {
  struct condition *condition = task->object;
  sl_link_unlink(&task->link);
  sl_clock_disarm(task->loop, &task->deadline);
  task->woken = (uint8_t)woken;
  task->kind = &reacquire_kind;
  task->object = condition->lock;
  sl_lock_queue(condition->lock, task);
}

static const struct sl_wait_kind wait_kind = {"Condition:wait", requeue,
                                              NULL, NULL};

/* Releases the lock and parks. */
static int park_k(lua_State *L, struct condition *condition,
                  struct sl_task *task, uint64_t timeout_ns,
                  lua_KFunction k) {
  luaL_checkstack(L, 16, NULL); /* nothing throws after the release */
  sl_lock_pass(condition->lock);
  return sl_wait_park_k(L, task, &condition->waiters, &wait_kind, condition,
                        timeout_ns, k);
}

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  lua_pushboolean(L, 1);
  return 1;
}

/* condition:wait([timeout]): releases the lock, waits to be notified, takes
   the lock again. Returns true, or nil, "timeout"; returns and raises holding
   the lock. Raises unless this task owns it. Allocates nothing. */
static int wait(lua_State *L) {
  struct condition *condition = check_condition(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, condition->loop);
  sl_lock_check_owner(L, condition->lock, "wait");
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, wait);
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  return park_k(L, condition, task, timeout_ns, k_wait);
}

/* wait_for's stack: the condition, the predicate, when it is due (an integer
   of nanoseconds, nil: never). */
enum { PREDICATE = 2, DUE = 3 };

static int k_waited_for(lua_State *L, int status, lua_KContext ctx);

/* The predicate's value is on the top. `last`: the time is up. */
static int k_predicate(lua_State *L, int status, lua_KContext last) {
  struct condition *condition = lua_touserdata(L, 1);
  struct sl_task *task = condition->loop->current;
  uint64_t timeout_ns = SL_NEVER, now_ns;
  (void)status;
  if (lua_toboolean(L, -1)) return 1;
  if (last) return sl_fail(L, "timeout");
  lua_settop(L, DUE);
  if (!lua_isnil(L, DUE)) {
    uint64_t due_ns = (uint64_t)lua_tointeger(L, DUE);
    now_ns = sl_loop_now(condition->loop);
    if (due_ns <= now_ns) return sl_fail(L, "timeout");
    timeout_ns = due_ns - now_ns;
  }
  sl_lock_check_owner(L, condition->lock, "wait");
  return park_k(L, condition, task, timeout_ns, k_waited_for);
}

static int call_predicate(lua_State *L, bool last) {
  lua_settop(L, DUE);
  lua_pushvalue(L, PREDICATE);
  lua_callk(L, 0, 1, (lua_KContext)last, k_predicate);
  return k_predicate(L, LUA_OK, (lua_KContext)last);
}

static int k_waited_for(lua_State *L, int status, lua_KContext ctx) {
  enum sl_wake woken = sl_wait_outcome(L, (struct sl_task *)ctx);
  (void)status;
  return call_predicate(L, woken == SL_TIMED_OUT);
}

/* condition:wait_for(predicate [, timeout]): waits until predicate() is
   true; it is called holding the lock, once more when the time is up.
   Returns its value, or nil, "timeout"; holds the lock in any case. */
static int wait_for(lua_State *L) {
  struct condition *condition = check_condition(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 3);
  struct sl_task *task;
  sl_check_callable(L, 2);
  task = sl_wait_enter(L, condition->loop);
  sl_lock_check_owner(L, condition->lock, "wait");
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, wait_for);
  lua_settop(L, DUE);
  if (timeout_ns != SL_NEVER) {
    uint64_t now_ns = sl_loop_now(condition->loop);
    lua_pushinteger(L, (lua_Integer)sl_clock_after(now_ns, timeout_ns));
    lua_replace(L, DUE);
  }
  return call_predicate(L, timeout_ns == 0);
}

/* -- notifying -- */

static void notify_first(struct condition *condition, lua_Integer n) {
  while (n-- > 0 && !sl_list_empty(&condition->waiters))
    requeue(sl_task_of(condition->waiters.next), SL_WOKEN);
}

/* condition:notify([n]): n of those who wait (1 unless given), in order,
   will return. Raises unless this task owns the lock. Never waits. */
static int notify(lua_State *L) {
  struct condition *condition = check_condition(L);
  lua_Integer n = sl_opt_count(L, 2, 1);
  luaL_argcheck(L, n >= 0, 2, "cannot notify fewer than 0");
  sl_lock_check_owner(L, condition->lock, "notify");
  notify_first(condition, n);
  return 0;
}

/* condition:notify_all(): all who wait will return, in order. */
static int notify_all(lua_State *L) {
  struct condition *condition = check_condition(L);
  sl_lock_check_owner(L, condition->lock, "notify");
  notify_first(condition, LUA_MAXINTEGER);
  return 0;
}

static int condition_tostring(lua_State *L) {
  struct condition *condition = check_condition(L);
  lua_pushfstring(L, "sluice.Condition (%s, %d waiting)",
                  condition->lock->owner ? "locked" : "free",
                  (int)sl_list_count(&condition->waiters));
  return 1;
}

/* sluice.Condition([lock]): on the lock given, or one of its own. */
static int new_condition(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  struct condition *condition;
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    sl_lock_new(L, loop);
    lua_replace(L, 1);
  }
  sl_check(L, 1, &sl_lock_class);
  condition = sl_object_new(L, &condition_class, 1);
  condition->loop = loop;
  condition->lock = lua_touserdata(L, 1);
  sl_link_init(&condition->waiters);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

void sl_condition_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"Condition", new_condition},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"acquire", acquire}, {"release", release},
      {"locked", locked},   {"wait", wait},
      {"wait_for", wait_for}, {"notify", notify},
      {"notify_all", notify_all}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", close_guard},
                                  {"__tostring", condition_tostring},
                                  {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &condition_class, loop, methods, meta);
  lua_pop(L, 1);
}
