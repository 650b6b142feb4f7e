/*
** run.c: see run.h.
*/
#include "run.h"

#include <stdio.h>
#include <string.h>

#include "group.h"
#include "signal.h"

enum { MAX_FUTILE = 1000 }; /* deadlocks at the end before tasks are dropped */

static const char traceback_key; /* registry: of the last run that failed */

struct runner {
  const struct sl_class *class;
  struct sl_loop *loop;
  uint64_t now_ns;  /* the virtual time when its last run ended */
  uint64_t seed;
  uint64_t slow_ns; /* 0: no report */
  bool virtual_time;
  bool seeded;
  bool closed;
};

static const struct sl_class runner_class = {"sluice.Runner",
                                             sizeof(struct runner)};

/* -- being stuck -- */

static void wake_stuck(struct sl_task *task, void *arg) {
  (void)arg;
  if (task->state == SL_PARKED && !sl_group_leaving_cancelled(task))
    sl_task_abandon(task, SL_DEADLOCKED);
}

/* Main is told where it waits. If it only waits for children that were told
   to end, or has ended, all who wait are told. */
static bool stuck(struct sl_loop *loop) {
  struct sl_tasks *tasks = loop->tasks;
  bool told = tasks->main_left && !sl_group_leaving_cancelled(tasks->main);
  if (told)
    sl_task_abandon(tasks->main, SL_DEADLOCKED);
  else
    sl_task_each(loop, wake_stuck, NULL, tasks->L);
  if (loop->nready == 0) return false;
  return told || ++tasks->futile < MAX_FUTILE;
}

/* Tasks that wait for everybody else to be blocked: they are. */
static bool settled(struct sl_loop *loop) {
  struct sl_link *settlers = &loop->tasks->settlers;
  if (sl_list_empty(settlers)) return false;
  while (!sl_list_empty(settlers))
    sl_task_wake(sl_task_of(settlers->next), SL_WOKEN);
  return true;
}

/* -- a run -- */

/* Main has ended: cancels what is left and runs until it has ended. */
static void end_tasks(struct sl_loop *loop) {
  struct sl_tasks *tasks = loop->tasks;
  if (tasks->live == 0) return;
  sl_task_withdraw_scheduled(loop);
  sl_cancel_scope(&tasks->root, SL_FOR_RUN_END);
  if (sl_loop_run(loop, &tasks->live)) return;
  fprintf(stderr, "sluice: %u tasks could not be ended and are dropped\n",
          (unsigned)tasks->live);
  sl_task_drop_all(loop);
}

static void begin(lua_State *L, struct sl_loop *loop) {
  struct sl_tasks *tasks = loop->tasks;
  tasks->L = L;
  tasks->pool.L = L;
  sl_pool_push_anchors(L, &tasks->pool);
  tasks->pool.anchors = lua_gettop(L);
  tasks->futile = 0;
  tasks->main_left = 1;
  loop->nticks = loop->nswitches = 0;
}

/* Keeps the traceback of a main that failed, for sluice.traceback. */
static void keep_traceback(lua_State *L, const struct sl_task *main,
                           int index) {
  if (main->end == SL_RETURNED) return;
  lua_getiuservalue(L, index, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
}

/* The run itself: the loop at 1, main and its arguments above it. Returns
   main's results or raises its error. */
static int drive(lua_State *L) {
  struct sl_loop *loop = lua_touserdata(L, 1);
  struct sl_tasks *tasks = loop->tasks;
  struct sl_task *main;
  luaL_checkstack(L, 16, NULL);
  tasks->root.cancelled = tasks->root.effective = false;
  main = sl_task_new(L, loop, 2, NULL, &tasks->root, true);
  lua_replace(L, 1);
  lua_settop(L, 1);
  begin(L, loop);
  tasks->main = main;
  sl_signal_start(loop);
  sl_loop_run(loop, &tasks->main_left);
  end_tasks(loop);
  lua_settop(L, 1);
  keep_traceback(L, main, 1);
  return sl_task_push_outcome(L, main, 1);
}

/* Runs the function at `first` with the arguments above it under the
   settings that the loop has. Whatever happens, the loop can run again. */
static int run_main(lua_State *L, struct sl_loop *loop, int first) {
  int status, n = lua_gettop(L) - first + 1;
  luaL_checkstack(L, 4, NULL);
  loop->running = true; /* a finaliser must not begin a run in between */
  lua_pushcfunction(L, drive);
  lua_pushlightuserdata(L, loop);
  lua_rotate(L, first, 2);
  status = lua_pcall(L, n + 1, LUA_MULTRET, 0);
  sl_signal_stop(loop);
  loop->tasks->main = NULL;
  loop->tasks->main_left = 0;
  if (loop->clock_kept_ns != NULL) *loop->clock_kept_ns = loop->now_ns;
  loop->clock_kept_ns = NULL;
  loop->virtual_time = false;
  loop->slow_ns = 0;
  loop->running = false;
  if (status != LUA_OK) return lua_error(L);
  return lua_gettop(L) - first + 1;
}

static void check_idle(lua_State *L, struct sl_loop *loop) {
  if (loop->closed) luaL_error(L, "the loop is closed");
  if (loop->running)
    luaL_error(L, "'run' cannot be called inside a run: await a task "
                  "instead");
}

/* sluice.run(main, ...): runs main(...) as the first task until it has
   ended, then cancels and awaits what tasks are left. Returns main's
   results or raises its error unchanged. SIGINT cancels main with the reason
   "interrupted"; a second one ends the process with status 130. */
static int run(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  sl_check_callable(L, 1);
  check_idle(L, loop);
  sl_schedule_start(&loop->schedule, false, 0);
  return run_main(L, loop, 1);
}

/* -- Runner -- */

/* The field `name` of the options at 1; leaves it on the top. */
static int option(lua_State *L, const char *name) {
  return lua_getfield(L, 1, name);
}

static void option_error(lua_State *L, const char *name,
                         const char *expected) {
  luaL_argerror(L, 1,
                lua_pushfstring(L, "option '%s' must be %s, got %s", name,
                                expected, luaL_tolstring(L, -1, NULL)));
}

/* The option `name`, a duration, in nanoseconds; `fallback` if it is nil. */
static uint64_t duration_option(lua_State *L, const char *name,
                                uint64_t fallback) {
  uint64_t ns = fallback;
  if (option(L, name) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TNUMBER || !(lua_tonumber(L, -1) >= 0))
      option_error(L, name, "a number of seconds, 0 or more");
    ns = sl_seconds_ns(lua_tonumber(L, -1));
  }
  lua_pop(L, 1);
  return ns;
}

/* A name that nobody reads would be a wish that is not granted. */
static void check_options(lua_State *L) {
  static const char *const known[] = {"clock", "start", "seed", "debug",
                                      "slow", NULL};
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    const char *const *name = known;
    while (*name != NULL && (lua_type(L, -2) != LUA_TSTRING ||
                             strcmp(lua_tostring(L, -2), *name) != 0))
      name++;
    if (*name != NULL) continue;
    luaL_argerror(L, 1, lua_pushfstring(L, "unknown option '%s'",
                                        luaL_tolstring(L, -2, NULL)));
  }
}

static void read_clock(lua_State *L, struct runner *runner) {
  int type = option(L, "clock");
  const char *clock = lua_tostring(L, -1);
  if (type != LUA_TNIL &&
      (type != LUA_TSTRING ||
       (strcmp(clock, "virtual") != 0 && strcmp(clock, "real") != 0)))
    option_error(L, "clock", "\"virtual\" or \"real\"");
  runner->virtual_time = clock != NULL && strcmp(clock, "virtual") == 0;
  lua_pop(L, 1);
  runner->now_ns = duration_option(L, "start", 0);
}

static void read_seed(lua_State *L, struct runner *runner) {
  if (option(L, "seed") != LUA_TNIL) {
    int whole;
    runner->seeded = true;
    runner->seed = (uint64_t)lua_tointegerx(L, -1, &whole);
    if (!whole || lua_type(L, -1) != LUA_TNUMBER)
      option_error(L, "seed", "a whole number");
  }
  lua_pop(L, 1);
}

static void read_slow(lua_State *L, struct runner *runner) {
  option(L, "debug");
  if (lua_toboolean(L, -1)) runner->slow_ns = 100000000;
  lua_pop(L, 1);
  runner->slow_ns = duration_option(L, "slow", runner->slow_ns);
}

/* sluice.Runner{ clock =, start =, seed =, debug =, slow = }: a loop to use
   several times. clock = "virtual": time jumps when all are blocked, from
   `start` seconds on. seed: a schedule drawn by it. slow: seconds after
   which a step that did not wait is reported; debug: 0.1. */
static int new_runner(lua_State *L) {
  struct runner *runner;
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  check_options(L);
  runner = sl_object_new(L, &runner_class, 0);
  runner->loop = sl_loop_of(L);
  read_clock(L, runner);
  read_seed(L, runner);
  read_slow(L, runner);
  lua_settop(L, 2);
  return 1;
}

/* runner:run(main, ...): as sluice.run. */
static int runner_run(lua_State *L) {
  struct runner *runner = sl_check(L, 1, &runner_class);
  struct sl_loop *loop = runner->loop;
  sl_check_callable(L, 2);
  check_idle(L, loop);
  if (runner->closed) return luaL_error(L, "the runner is closed");
  loop->virtual_time = runner->virtual_time;
  if (runner->virtual_time) loop->now_ns = runner->now_ns;
  loop->clock_kept_ns = runner->virtual_time ? &runner->now_ns : NULL;
  loop->slow_ns = runner->slow_ns;
  if (loop->schedule.replay > 0)
    sl_schedule_replay(&loop->schedule, runner->seeded, runner->seed);
  else
    sl_schedule_start(&loop->schedule, runner->seeded, runner->seed);
  return run_main(L, loop, 2);
}

/* runner:close(): no more runs. Never waits. */
static int runner_close(lua_State *L) {
  struct runner *runner = sl_check(L, 1, &runner_class);
  runner->closed = true;
  return 0;
}

static int runner_tostring(lua_State *L) {
  struct runner *runner = sl_check(L, 1, &runner_class);
  lua_pushfstring(L, "sluice.Runner (%s clock%s)",
                  runner->virtual_time ? "virtual" : "real",
                  runner->closed ? ", closed" : "");
  return 1;
}

/* -- looking at the loop -- */

/* sluice.time(): the loop's clock in seconds. Never waits. */
static int now(lua_State *L) {
  lua_pushnumber(L, sl_ns_seconds(sl_loop_now(sl_loop_of(L))));
  return 1;
}

/* sluice.traceback(): the traceback of the last run that failed, or nil. */
static int traceback(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
  return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

/* sluice.stats(): tasks alive, ready ones, armed timers, polls of the kernel
   (ticks) and steps (switches) of this run, and how many seconds late the
   last timer fired (lag). */
static int stats(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  lua_createtable(L, 0, 6);
  set_count(L, "tasks", loop->tasks->live);
  set_count(L, "ready", loop->nready);
  set_count(L, "timers", sl_clock_count(loop));
  set_count(L, "ticks", loop->nticks);
  set_count(L, "switches", loop->nswitches);
  lua_pushnumber(L, sl_ns_seconds(loop->lag_ns));
  lua_setfield(L, -2, "lag");
  return 1;
}

void sl_run_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {
      {"run", run},     {"Runner", new_runner}, {"time", now},
      {"stats", stats}, {"traceback", traceback}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"run", runner_run}, {"close", runner_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", runner_close},
                                  {"__tostring", runner_tostring},
                                  {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &runner_class, loop, methods, meta);
  lua_pop(L, 1);
  loop->hooks.stuck = stuck;
  loop->hooks.settled = settled;
}
