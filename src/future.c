/*
** future.c: see future.h. The user value of a future is a list of its
** results, or its error.
*/
#include "future.h"

enum future_state { PENDING, HAS_RESULT, HAS_ERROR };

struct future {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_link waiters; /* empty unless pending */
  int nresults;
  enum future_state state;
};

static const struct sl_class future_class = {"sluice.Future",
                                             sizeof(struct future)};

static struct future *check_future(lua_State *L) {
  return sl_check(L, 1, &future_class);
}

static void settle(struct future *future, enum future_state state) {
  future->state = state;
  while (!sl_list_empty(&future->waiters))
    sl_task_wake(sl_task_of(future->waiters.next), SL_WOKEN);
}

static void check_pending(lua_State *L, const struct future *future) {
  if (future->state != PENDING)
    luaL_error(L, "the future is done: it has %s already",
               future->state == HAS_RESULT ? "a result" : "an error");
}

/* future:set_result(...): the awaiters return these values. Once: raises
   afterwards. Never waits. */
static int set_result(lua_State *L) {
  struct future *future = check_future(L);
  int n = lua_gettop(L) - 1;
  check_pending(L, future);
  lua_createtable(L, n, 0);
  check_pending(L, future); /* a finaliser may have set it */
  lua_insert(L, 2);
  for (int i = n; i >= 1; i--) lua_rawseti(L, 2, i);
  lua_setiuservalue(L, 1, 1);
  future->nresults = n;
  settle(future, HAS_RESULT);
  return 0;
}

/* future:set_error(err): the awaiters raise err. Once: raises afterwards.
   Never waits. */
static int set_error(lua_State *L) {
  struct future *future = check_future(L);
  check_pending(L, future);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1);
  settle(future, HAS_ERROR);
  return 0;
}

static int push_outcome(lua_State *L, struct future *future) {
  lua_getiuservalue(L, 1, 1);
  if (future->state == HAS_ERROR) return lua_error(L);
  luaL_checkstack(L, future->nresults, "too many results");
  for (int i = 1; i <= future->nresults; i++) lua_rawgeti(L, -i, i);
  return future->nresults;
}

static const struct sl_wait_kind await_kind = {"Future:await", NULL, NULL,
                                               NULL};

static int k_await(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  return push_outcome(L, lua_touserdata(L, 1));
}

/* future:await([timeout]): waits until it is set. Returns its results or
   raises its error; nil, "timeout". */
static int await(lua_State *L) {
  struct future *future = check_future(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, future->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, await);
  if (future->state != PENDING) return push_outcome(L, future);
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  return sl_wait_park_k(L, task, &future->waiters, &await_kind, future,
                        timeout_ns, k_await);
}

/* future:done(): whether it was set. */
static int done(lua_State *L) {
  lua_pushboolean(L, check_future(L)->state != PENDING);
  return 1;
}

static int future_tostring(lua_State *L) {
  static const char *const states[] = {"pending", "result", "error"};
  struct future *future = check_future(L);
  lua_pushfstring(L, "sluice.Future (%s, %d waiting)",
                  states[future->state],
                  (int)sl_list_count(&future->waiters));
  return 1;
}

/* sluice.Future(): a result yet to be set. */
static int new_future(lua_State *L) {
  struct future *future = sl_object_new(L, &future_class, 1);
  future->loop = sl_loop_of(L);
  sl_link_init(&future->waiters);
  return 1;
}

void sl_future_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"Future", new_future}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"set_result", set_result},
                                     {"set_error", set_error},
                                     {"await", await},
                                     {"done", done},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", future_tostring},
                                  {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &future_class, loop, methods, meta);
  lua_pop(L, 1);
}
