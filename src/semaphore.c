/*
** semaphore.c: see semaphore.h.
*/
#include "semaphore.h"

struct semaphore {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_link waiters; /* empty while value > 0 */
  lua_Integer value;
  lua_Integer bound; /* the most it may hold */
};

static const struct sl_class plain_class = {"sluice.Semaphore",
                                            sizeof(struct semaphore)};
static const struct sl_class bounded_class = {"sluice.BoundedSemaphore",
                                              sizeof(struct semaphore)};

static struct semaphore *check_semaphore(lua_State *L) {
  struct semaphore *semaphore = sl_test(L, 1, &plain_class);
  if (semaphore == NULL) semaphore = sl_check(L, 1, &bounded_class);
  return semaphore;
}

static const struct sl_wait_kind acquire_kind = {"Semaphore:acquire", NULL,
                                                 NULL, NULL};

static int k_acquire(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  lua_settop(L, 1);
  return 1;
}

/* semaphore:acquire([timeout]): waits for a permit. Returns the semaphore, a
   to-be-closed value that releases the permit, or nil, "timeout". Allocates
   nothing. */
static int acquire(lua_State *L) {
  struct semaphore *semaphore = check_semaphore(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, semaphore->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, acquire);
  if (semaphore->value > 0) {
    semaphore->value--;
    lua_settop(L, 1);
    return 1;
  }
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  return sl_wait_park_k(L, task, &semaphore->waiters, &acquire_kind,
                        semaphore, timeout_ns, k_acquire);
}

/* semaphore:release(): gives a permit to who has waited longest, or back.
   A bounded one raises if it would hold more than at the start. Never waits,
   allocates nothing. */
static int release(lua_State *L) {
  struct semaphore *semaphore = check_semaphore(L);
  if (semaphore->value == semaphore->bound)
    return luaL_error(L, "semaphore released too many times");
  if (!sl_list_empty(&semaphore->waiters)) {
    sl_task_wake(sl_task_of(semaphore->waiters.next), SL_WOKEN);
    return 0;
  }
  semaphore->value++;
  return 0;
}

/* semaphore:locked(): whether acquire would have to wait. */
static int locked(lua_State *L) {
  lua_pushboolean(L, check_semaphore(L)->value == 0);
  return 1;
}

/* semaphore:value(): how many permits are free. */
static int value(lua_State *L) {
  lua_pushinteger(L, check_semaphore(L)->value);
  return 1;
}

static int semaphore_tostring(lua_State *L) {
  struct semaphore *semaphore = check_semaphore(L);
  lua_pushfstring(L, "%s (%I free, %d waiting)", semaphore->class->name,
                  (LUAI_UACINT)semaphore->value,
                  (int)sl_list_count(&semaphore->waiters));
  return 1;
}

static int create(lua_State *L, const struct sl_class *class, bool bounded) {
  lua_Integer n = sl_opt_count(L, 1, 1);
  struct semaphore *semaphore;
  luaL_argcheck(L, n >= 0, 1, "a semaphore cannot start below 0");
  semaphore = sl_object_new(L, class, 0);
  semaphore->loop = sl_loop_of(L);
  semaphore->value = n;
  semaphore->bound = bounded ? n : LUA_MAXINTEGER;
  sl_link_init(&semaphore->waiters);
  return 1;
}

/* sluice.Semaphore([n]): n permits, 1 unless given. */
static int new_semaphore(lua_State *L) {
  return create(L, &plain_class, false);
}

/* sluice.BoundedSemaphore([n]): never holds more than n. */
static int new_bounded(lua_State *L) {
  return create(L, &bounded_class, true);
}

void sl_semaphore_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"Semaphore", new_semaphore},
                                       {"BoundedSemaphore", new_bounded},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {{"acquire", acquire},
                                     {"release", release},
                                     {"locked", locked},
                                     {"value", value},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", release},
                                  {"__tostring", semaphore_tostring},
                                  {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &plain_class, loop, methods, meta);
  sl_class_new(L, &bounded_class, loop, methods, meta);
  lua_pop(L, 2);
}
