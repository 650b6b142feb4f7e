/*
** lock.c: see lock.h.
*/
#include "lock.h"

const struct sl_class sl_lock_class = {"sluice.Lock",
                                       sizeof(struct sl_lock)};

static struct sl_lock *check_lock(lua_State *L) {
  return sl_check(L, 1, &sl_lock_class);
}

/* -- owning -- */

void sl_lock_take(struct sl_lock *lock, struct sl_task *task) {
  lock->owner = task;
  lock->next = task->held;
  lock->back = &task->held;
  if (lock->next != NULL) lock->next->back = &lock->next;
  task->held = lock;
}

/* Takes the lock out of its owner's chain; it is free. */
static void disown(struct sl_lock *lock) {
  *lock->back = lock->next;
  if (lock->next != NULL) lock->next->back = lock->back;
  lock->owner = NULL;
}

/* What a waiter's wait comes to with the lock: a condition has fixed it. */
static enum sl_wake intended(const struct sl_task *waiter) {
  return waiter->woken == SL_NOT_WOKEN ? SL_WOKEN
                                       : (enum sl_wake)waiter->woken;
}

void sl_lock_pass(struct sl_lock *lock) {
  struct sl_task *heir;
  disown(lock);
  if (sl_list_empty(&lock->waiters)) return;
  heir = sl_task_of(lock->waiters.next);
  sl_lock_take(lock, heir);
  sl_task_wake(heir, intended(heir));
}

void sl_lock_queue(struct sl_lock *lock, struct sl_task *task) {
  if (lock->owner == NULL) {
    sl_lock_take(lock, task);
    sl_task_wake(task, intended(task));
  } else {
    sl_list_push(&lock->waiters, &task->link);
  }
}

static void drop_locks(struct sl_task *task) {
  while (task->held != NULL) sl_lock_pass(task->held);
}

bool sl_lock_push_complaint(lua_State *L, const struct sl_task *task,
                            int n) {
  const struct sl_lock *lock = task->held;
  while (lock != NULL && --n > 0) lock = lock->next;
  if (lock == NULL) return false;
  sl_task_push_name(L, task, 0);
  lua_pushfstring(L, "%s ended holding a lock (%p), which passes on",
                  lua_tostring(L, -1), (const void *)lock);
  lua_remove(L, -2);
  return true;
}

void sl_lock_check_owner(lua_State *L, const struct sl_lock *lock,
                         const char *action) {
  const struct sl_task *task = lock->loop->current;
  if (sl_likely(task != NULL && lock->owner == task)) return;
  if (lock->owner == NULL)
    luaL_error(L, "cannot %s: the lock is not held", action);
  luaL_error(L, "cannot %s: the lock is held by %s, not by this task",
             action, sl_task_push_name(L, lock->owner, 0));
}

/* -- acquire and release -- */

static struct sl_task *holder(struct sl_task *waiter) {
  return ((struct sl_lock *)waiter->object)->owner;
}

static const struct sl_wait_kind acquire_kind = {"Lock:acquire", NULL,
                                                 holder, NULL};

int sl_lock_acquire_k(lua_State *L, struct sl_lock *lock,
                      uint64_t timeout_ns, lua_CFunction again,
                      lua_KFunction k) {
  struct sl_task *task = sl_wait_enter(L, lock->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, again);
  if (sl_unlikely(lock->collected))
    return luaL_error(L, "cannot acquire: the lock was collected");
  if (lock->owner == NULL) {
    sl_lock_take(lock, task);
    lua_settop(L, 1);
    return 1;
  }
  if (lock->owner == task)
    return luaL_error(L, "deadlock: %s holds this lock already",
                      sl_task_push_name(L, task, 0));
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  sl_wait_check_cycle(L, task, lock->owner, timeout_ns);
  return sl_wait_park_k(L, task, &lock->waiters, &acquire_kind, lock,
                        timeout_ns, k);
}

static int k_acquire(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  lua_settop(L, 1);
  return 1;
}

/* lock:acquire([timeout]): waits until this task owns the lock. Returns the
   lock, a to-be-closed value that releases it, or nil, "timeout". Raises if
   this task owns it already, or would close a circle of tasks that wait for
   each other. Allocates nothing. */
static int acquire(lua_State *L) {
  struct sl_lock *lock = check_lock(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  return sl_lock_acquire_k(L, lock, timeout_ns, acquire, k_acquire);
}

/* lock:release(): passes the lock to the task that has waited longest.
   Raises unless this task owns it. Never waits, allocates nothing. */
static int release(lua_State *L) {
  struct sl_lock *lock = check_lock(L);
  sl_lock_check_owner(L, lock, "release");
  sl_lock_pass(lock);
  return 0;
}

/* lock:locked(): whether some task owns it. */
static int locked(lua_State *L) {
  lua_pushboolean(L, check_lock(L)->owner != NULL);
  return 1;
}

/* lock:owner(): the task that owns it, or nil. */
static int owner(lua_State *L) {
  struct sl_lock *lock = check_lock(L);
  if (lock->owner == NULL)
    lua_pushnil(L);
  else
    sl_task_push(L, lock->owner);
  return 1;
}

void sl_lock_close_guard(lua_State *L, struct sl_lock *lock) {
  if (lock->owner != NULL && lock->owner == lock->loop->current)
    sl_lock_pass(lock);
  else if (lua_isnoneornil(L, 2))
    sl_lock_check_owner(L, lock, "close the guard");
}

static int close_guard(lua_State *L) {
  sl_lock_close_guard(L, check_lock(L));
  return 0;
}

/* Collected while a task owns it: nobody can wait for it any more. */
static int collect(lua_State *L) {
  struct sl_lock *lock = check_lock(L);
  if (lock->owner != NULL) disown(lock);
  lock->collected = true; /* another finaliser may keep it from vanishing */
  return 0;
}

static int lock_tostring(lua_State *L) {
  struct sl_lock *lock = check_lock(L);
  int n = (int)sl_list_count(&lock->waiters);
  if (lock->owner == NULL) {
    lua_pushliteral(L, "sluice.Lock (free)");
  } else {
    const char *name = sl_task_push_name(L, lock->owner, 0);
    lua_pushfstring(L, "sluice.Lock (held by %s, %d waiting)", name, n);
  }
  return 1;
}

struct sl_lock *sl_lock_new(lua_State *L, struct sl_loop *loop) {
  struct sl_lock *lock = sl_object_new(L, &sl_lock_class, 0);
  lock->loop = loop;
  sl_link_init(&lock->waiters);
  return lock;
}

/* sluice.Lock(): a free lock. */
static int new_lock(lua_State *L) {
  sl_lock_new(L, sl_loop_of(L));
  return 1;
}

void sl_lock_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"Lock", new_lock}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"acquire", acquire},
                                     {"release", release},
                                     {"locked", locked},
                                     {"owner", owner},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", close_guard},
                                  {"__gc", collect},
                                  {"__tostring", lock_tostring},
                                  {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &sl_lock_class, loop, methods, meta);
  lua_pop(L, 1);
  loop->tasks->hooks.drop_locks = drop_locks;
}
