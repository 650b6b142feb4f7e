/*
** wait.c: see wait.h.
*/
#include "wait.h"

enum { WARN_RAISES = 100, MAX_HOPS = 1000 };

static int yield_k(lua_State *L, struct sl_task *task, lua_KFunction k) {
  return lua_yieldk(L, 0, (lua_KContext)task, k);
}

/* -- where a task may wait -- */

/* Pushes the name under which `require "sluice"` has the function on the
   top, if it has. */
static const char *exported_name(lua_State *L) {
  int function = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "sluice") != LUA_TTABLE) return NULL;
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    if (lua_rawequal(L, -1, function) && lua_type(L, -2) == LUA_TSTRING) {
      lua_pop(L, 1);
      return lua_tostring(L, -1);
    }
    lua_pop(L, 1);
  }
  return NULL;
}

/* The name that the running C function was called by. */
static const char *called_name(lua_State *L, lua_Debug *ar) {
  const char *name;
  luaL_checkstack(L, 8, NULL);
  if (!lua_getstack(L, 0, ar) || !lua_getinfo(L, "nf", ar)) return "?";
  if (ar->name != NULL) return ar->name;
  name = exported_name(L);
  return name != NULL ? name : "?";
}

/* Raises at the caller of the function at `level` why it may not wait. */
static SL_COLD SL_NORETURN void refuse(lua_State *L, struct sl_loop *loop,
                                       const char *name, int level) {
  struct sl_task *task = loop->current;
  luaL_where(L, level);
  if (task == NULL)
    lua_pushfstring(L,
                    "'%s' can wait, so it must be called in a task "
                    "(a function run by sluice.run or create_task)",
                    name);
  else if (task->coroutine.co != L)
    lua_pushfstring(L,
                    "'%s' can wait, so it cannot be called inside a plain "
                    "coroutine: only the task's own can wait",
                    name);
  else
    lua_pushfstring(L,
                    "'%s' can wait, so it cannot be called where Lua cannot "
                    "yield (inside table.sort, string.gsub, require…)",
                    name);
  lua_concat(L, 2);
  lua_error(L);
  for (;;) continue; /* never reached */
}

SL_COLD void sl_wait_refuse(lua_State *L, struct sl_loop *loop) {
  lua_Debug ar;
  refuse(L, loop, called_name(L, &ar), 1);
}

static bool may_wait(lua_State *L, const struct sl_task *task) {
  return task != NULL && task->coroutine.co == L && lua_isyieldable(L);
}

/* checkpoint(name): for functions of the Lua layer that wait: raises where
   `name` may not wait, at its caller's line, or a pending cancellation; lets
   others run from time to time. */
static int checkpoint(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  struct sl_task *task = loop->current;
  if (!may_wait(L, task)) refuse(L, loop, luaL_checkstring(L, 1), 2);
  if (loop->tasks->probing) sl_wait_probe(task);
  if (!sl_wait_must_pause(task)) return 0;
  return sl_wait_pause_k(L, task, checkpoint);
}

void sl_wait_probe(struct sl_task *task) {
  struct sl_tasks *tasks = task->loop->tasks;
  if (task != tasks->main) return;
  tasks->probe_count++;
  if (tasks->probe_count != tasks->probe_at) return;
  if (tasks->probe_parked)
    tasks->probe_fire = true;
  else
    sl_cancel_scope(&task->root, SL_NO_REASON);
}

/* Main has parked at the checkpoint, or gone on: it is cancelled now. */
static void fire_probe(struct sl_task *task) {
  if (task->state != SL_ENDED)
    sl_cancel_scope(&task->root, SL_NO_REASON);
}

/* -- raising -- */

/* A task that keeps swallowing its cancellation is told of, not stopped. */
static void count_raise(lua_State *L, struct sl_task *task) {
  if (task->raises == UINT16_MAX) return;
  if (++task->raises != WARN_RAISES) return;
  lua_warning(L, "sluice: ", 1);
  lua_warning(L, sl_task_push_name(L, task, 0), 1);
  lua_warning(L, " was cancelled and keeps waiting: does a loop around "
                 "pcall swallow the cancellation?", 0);
  lua_pop(L, 1);
}

static SL_COLD void refuse_hand(lua_State *L) {
  luaL_error(L, "a task's coroutine cannot be resumed by hand");
}

SL_COLD void sl_wait_raise(lua_State *L, struct sl_task *task) {
  luaL_checkstack(L, 4, NULL);
  if (task->state != SL_RUNNING) {
    /* It leaves what it waits at, whose place this stack was. */
    if (task->state == SL_PARKED)
      sl_task_abandon(task, SL_DEADLOCKED); /* the one that all obey */
    refuse_hand(L);
  }
  if (task->woken == SL_DEADLOCKED) {
    task->loop->tasks->hooks.push_deadlock(L, task);
  } else {
    count_raise(L, task);
    sl_cancel_push(L, task);
  }
  lua_error(L);
  for (;;) continue; /* never reached */
}

/* -- yielding and parking -- */

static void link_ready(struct sl_task *task) {
  task->state = SL_READY;
  task->woken = SL_WOKEN;
  if (sl_unlikely(task->unarmed != 0)) sl_wait_arm_scopes(task);
  sl_loop_ready(task->loop, &task->link);
}

static int k_pause(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task;
  lua_CFunction again = (lua_CFunction)ctx;
  struct sl_loop *loop = sl_loop_of(L);
  (void)status;
  task = loop->current;
  if (sl_unlikely(task == NULL || task->coroutine.co != L)) refuse_hand(L);
  if (task->scope->effective) {
    task->woken = SL_WAS_CANCELLED;
    sl_wait_raise(L, task);
  }
  return again(L);
}

int sl_wait_pause_k(lua_State *L, struct sl_task *task,
                    lua_CFunction again) {
  link_ready(task);
  return lua_yieldk(L, 0, (lua_KContext)again, k_pause);
}

int sl_wait_yield_k(lua_State *L, struct sl_task *task, lua_KFunction k) {
  link_ready(task);
  return yield_k(L, task, k);
}

int sl_wait_park_k(lua_State *L, struct sl_task *task, struct sl_link *list,
                   const struct sl_wait_kind *kind, void *object,
                   uint64_t timeout_ns, lua_KFunction k) {
  if (sl_unlikely(task->state != SL_RUNNING)) refuse_hand(L);
  task->woken = SL_NOT_WOKEN;
  task->kind = kind;
  task->object = object;
  task->state = SL_PARKED;
  if (list != NULL) sl_list_push(list, &task->link);
  if (timeout_ns != SL_NEVER)
    sl_clock_arm(task->loop, &task->deadline,
                 sl_clock_after(sl_loop_now(task->loop), timeout_ns));
  if (sl_unlikely(task->unarmed != 0)) sl_wait_arm_scopes(task);
  return yield_k(L, task, k);
}

void sl_wait_arm_scopes(struct sl_task *task) {
  task->loop->tasks->hooks.arm_scopes(task);
}

/* -- circles -- */

/* Whether nothing but its holder can end the wait of a parked task. */
bool sl_wait_for_ever(const struct sl_task *task) {
  const struct sl_scope *scope = task->scope;
  if (sl_deadline_armed(&task->deadline)) return false;
  for (; scope != NULL; scope = scope->shield ? NULL : scope->parent)
    if (scope->timed) return false;
  return true;
}

/* The task that `task` waits for, if it waits for that one for ever. */
static struct sl_task *waited_for(struct sl_task *task) {
  if (task->state != SL_PARKED || task->kind->holder == NULL) return NULL;
  return sl_wait_for_ever(task) ? task->kind->holder(task) : NULL;
}

/* Whether `waiter` waits for `task` to end, among others. */
static bool includes(struct sl_task *waiter, struct sl_task *task) {
  return waiter->state == SL_PARKED && waiter->kind->includes != NULL &&
         sl_wait_for_ever(waiter) && waiter->kind->includes(waiter, task);
}

bool sl_wait_reaches(struct sl_task *from, struct sl_task *task) {
  /* The bound keeps long chains cheap (a longer circle is found when all are
     stuck), and the walk finite: a condition that takes its lock again can
     close a circle that lacks `task`. */
  uint32_t hops = MAX_HOPS;
  while (from != NULL && from != task && !includes(from, task))
    from = hops-- > 0 ? waited_for(from) : NULL;
  return from != NULL;
}

SL_COLD static void raise_cycle(lua_State *L, struct sl_task *task,
                                struct sl_task *target) {
  const char *me = sl_task_push_name(L, task, 0);
  const char *other = sl_task_push_name(L, target, 0);
  const char *what = target->kind != NULL ? target->kind->what : "?";
  luaL_error(L,
             "deadlock: %s would wait for %s, which waits for it "
             "(in %s), with no timeout among them",
             me, other, what);
}

void sl_wait_check_cycle(lua_State *L, struct sl_task *task,
                         struct sl_task *target, uint64_t timeout_ns) {
  if (timeout_ns != SL_NEVER || target == NULL) return;
  /* Nobody can wait for this task: no circle leads back to it. */
  if (task->held == NULL && task->owner == NULL &&
      sl_list_empty(&task->awaiters) && sl_list_empty(&task->watches))
    return;
  if (sl_wait_reaches(target, task) && sl_wait_for_ever(task))
    raise_cycle(L, task, target);
}

/* -- sleep -- */

static const struct sl_wait_kind sleep_kind = {"sleep", NULL, NULL, NULL};

static int k_sleep(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  sl_wait_outcome(L, (struct sl_task *)ctx);
  return 0;
}

/* sluice.sleep(seconds): waits that long; sleep(0) lets every other ready
   task run once. Returns nothing. Raises: not a duration; outside a task; a
   cancellation. Allocates nothing. */
static int sleep_for(lua_State *L) {
  uint64_t ns = sl_check_seconds(L, 1);
  struct sl_task *task = sl_wait_enter(L, sl_loop_of(L));
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, sleep_for);
  if (ns == 0) return sl_wait_yield_k(L, task, k_sleep);
  return sl_wait_park_k(L, task, NULL, &sleep_kind, NULL, ns, k_sleep);
}

void sl_wait_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {
      {"sleep", sleep_for}, {"checkpoint", checkpoint}, {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  loop->tasks->hooks.probe = fire_probe;
}
