/*
** testing.c: see testing.h.
*/
#include "testing.h"

static const struct sl_wait_kind settle_kind = {"testing.settle", NULL, NULL,
                                                NULL};

static int k_settle(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  sl_wait_outcome(L, (struct sl_task *)ctx);
  return 0;
}

/* settle(): waits until every other task is blocked; the clock stands. */
static int settle(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  struct sl_task *task = sl_wait_enter(L, loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, settle);
  return sl_wait_park_k(L, task, &loop->tasks->settlers, &settle_kind, NULL,
                        SL_NEVER, k_settle);
}

/* probe([at [, parked]]): begins to count main's checkpoints, and cancels
   main at the at-th (0: none): on entry, or once it is parked there. Returns
   how many were counted by the probe before. */
static int probe(lua_State *L) {
  struct sl_tasks *tasks = sl_loop_of(L)->tasks;
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)tasks->probe_count);
  tasks->probing = !lua_isnoneornil(L, 1);
  tasks->probe_at = (uint64_t)sl_opt_count(L, 1, 0);
  tasks->probe_parked = lua_toboolean(L, 2);
  tasks->probe_fire = false;
  tasks->probe_count = 0;
  return 1;
}

/* schedule(): the choices of the last run, a list of "taken/options", and
   whether a replay met others than those of its log. */
static int schedule(lua_State *L) {
  const struct sl_schedule *schedule = &sl_loop_of(L)->schedule;
  lua_createtable(L, (int)schedule->len, 0);
  for (size_t i = 0; i < schedule->len; i++) {
    lua_pushfstring(L, "%d/%d", (int)schedule->log[i].taken + 1,
                    (int)schedule->log[i].options);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pushboolean(L, schedule->diverged || (schedule->replay > 0 &&
                                            schedule->met !=
                                                schedule->replay));
  return 2;
}

/* replay(on): the next run of a Runner follows the log of choices and checks
   that it meets the same. */
static int replay(lua_State *L) {
  struct sl_schedule *schedule = &sl_loop_of(L)->schedule;
  schedule->replay = lua_toboolean(L, 1) ? schedule->len : 0;
  return 0;
}

/* handles(): how many handles of libuv are open and active. Those of the loop
   and the clock, without data, are not counted: after a run in real time the
   clock's may still wait. */
static void count_handle(uv_handle_t *handle, void *arg) {
  if (handle->data != NULL && uv_has_ref(handle) && !uv_is_closing(handle))
    ++*(int *)arg;
}

static int handles(lua_State *L) {
  int n = 0;
  uv_walk(&sl_loop_of(L)->uv, count_handle, &n);
  lua_pushinteger(L, n);
  return 1;
}

/* grace(ms): how long virtual time waits for handles that merely listen. */
static int grace(lua_State *L) {
  sl_loop_of(L)->idle_grace_ms = (uint32_t)luaL_checkinteger(L, 1);
  return 0;
}

void sl_testing_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {
      {"settle", settle}, {"probe", probe},     {"schedule", schedule},
      {"replay", replay}, {"handles", handles},
      {"grace", grace},   {NULL, NULL}};
  lua_newtable(L);
  sl_setfuncs(L, loop, functions);
  lua_setfield(L, -2, "testing");
}
