/*
** await.c: see await.h.
*/
#include "await.h"

#include <string.h>

#include "group.h"

static struct sl_task *check_task(lua_State *L) {
  return sl_check(L, 1, &sl_task_class);
}

/* -- await -- */

static struct sl_task *awaited(struct sl_task *waiter) {
  return waiter->object;
}

static const struct sl_wait_kind await_kind = {"Task:await", NULL, awaited,
                                                NULL};

static int k_await(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  return sl_task_push_outcome(L, lua_touserdata(L, 1), 1);
}

/* As the outcome of a protected call. */
static int push_protected(lua_State *L) {
  struct sl_task *task = lua_touserdata(L, 1);
  lua_pushboolean(L, task->end == SL_RETURNED);
  return 1 + sl_task_push_values(L, task, 1);
}

static int k_pawait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  return push_protected(L);
}

static int park(lua_State *L, struct sl_task *self, struct sl_task *task,
                uint64_t timeout_ns, lua_KFunction k) {
  if (task == self) return luaL_error(L, "a task cannot await itself");
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  sl_wait_check_cycle(L, self, task, timeout_ns);
  return sl_wait_park_k(L, self, &task->awaiters, &await_kind, task,
                        timeout_ns, k);
}

/* task:await([timeout]): waits until the task has ended. Returns its
   function's results, or nil, "timeout". Raises its error unchanged; a
   circle of tasks that await each other. Cancelling the waiter never cancels
   the task. */
static int await(lua_State *L) {
  struct sl_task *task = check_task(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *self = sl_wait_enter(L, task->loop);
  if (sl_wait_must_pause(self)) return sl_wait_pause_k(L, self, await);
  if (task->state == SL_ENDED) return sl_task_push_outcome(L, task, 1);
  return park(L, self, task, timeout_ns, k_await);
}

/* task:pawait([timeout]): as await, but returns true and the results, or
   false and the error. The caller's own cancellation is raised all the
   same. */
static int pawait(lua_State *L) {
  struct sl_task *task = check_task(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *self = sl_wait_enter(L, task->loop);
  if (sl_wait_must_pause(self)) return sl_wait_pause_k(L, self, pawait);
  if (task->state == SL_ENDED) return push_protected(L);
  return park(L, self, task, timeout_ns, k_pawait);
}

/* -- looking at a task -- */

/* task:cancel([reason]): true if the task was not done. What it waits for
   now, and every wait from now on, raises a cancellation. The first reason
   stays. Never waits. */
static int cancel(lua_State *L) {
  struct sl_task *task = check_task(L);
  lua_settop(L, 2);
  if (task->state != SL_ENDED)
    sl_cancel_scope_because(L, &task->root, 2);
  lua_pushboolean(L, task->state != SL_ENDED);
  return 1;
}

/* task:done(): whether it has ended. */
static int done(lua_State *L) {
  lua_pushboolean(L, check_task(L)->state == SL_ENDED);
  return 1;
}

/* task:cancelled(): whether it ended by its own cancellation. */
static int cancelled(lua_State *L) {
  struct sl_task *task = check_task(L);
  lua_pushboolean(L,
                  task->state == SL_ENDED && task->end == SL_CANCELLED);
  return 1;
}

/* task:error(): the error it ended with, or nil. */
static int error_of(lua_State *L) {
  struct sl_task *task = check_task(L);
  if (task->state != SL_ENDED || task->end == SL_RETURNED)
    lua_pushnil(L);
  else
    lua_getiuservalue(L, 1, 1);
  return 1;
}

/* task:traceback(): where it is, or where its error was raised; nil if it
   has returned. */
static int traceback(lua_State *L) {
  struct sl_task *task = check_task(L);
  if (task->state == SL_ENDED) {
    if (task->end == SL_FAILED)
      lua_getiuservalue(L, 1, 2);
    else
      lua_pushnil(L);
  } else if (task->coroutine.co == NULL) {
    lua_pushliteral(L, "stack traceback:\n\t(not started)");
  } else {
    lua_State *co = task->coroutine.co;
    luaL_traceback(L, co, NULL, co == L ? 1 : 0);
  }
  return 1;
}

static const char *state_name(const struct sl_task *task) {
  static const char *const live[] = {"new", "ready", "running", "waiting"};
  static const char *const ended[] = {"done", "failed", "cancelled"};
  return task->state == SL_ENDED ? ended[task->end] : live[task->state];
}

static int task_tostring(lua_State *L) {
  struct sl_task *task = check_task(L);
  const char *name = sl_task_push_name(L, task, 1);
  lua_pushfstring(L, "sluice.Task (%s, %s)", name, state_name(task));
  return 1;
}

/* task.name, task.id; else a method (the second upvalue). */
static int task_index(lua_State *L) {
  struct sl_task *task = check_task(L);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
  if (lua_type(L, 2) != LUA_TSTRING) return 1;
  if (strcmp(lua_tostring(L, 2), "name") == 0)
    sl_task_push_name(L, task, 1);
  else if (strcmp(lua_tostring(L, 2), "id") == 0)
    lua_pushinteger(L, task->id);
  return 1;
}

/* task.name = string. */
static int task_newindex(lua_State *L) {
  struct sl_task *task = check_task(L);
  if (lua_type(L, 2) != LUA_TSTRING ||
      strcmp(lua_tostring(L, 2), "name") != 0)
    return luaL_error(L, "a task has no field '%s' to set",
                      luaL_tolstring(L, 2, NULL));
  if (lua_type(L, 3) != LUA_TSTRING)
    return luaL_error(L, "a task's name must be a string, got %s",
                      luaL_typename(L, 3));
  sl_task_set_name(L, task, 3);
  return 0;
}

/* -- creating -- */

static struct sl_loop *check_running(lua_State *L, const char *name) {
  struct sl_loop *loop = sl_loop_of(L);
  if (!loop->running)
    luaL_error(L, "'%s' needs a running loop (see sluice.run)", name);
  return loop;
}

/* sluice.create_task(fn, ...): a task that runs fn(...), started at the
   creator's next checkpoint. It belongs to the innermost task_group that the
   creator runs in, or to the run. Never waits. Raises outside a run.
   Allocates one userdata, and a coroutine at its start if none is at
   rest. */
static int create_task(lua_State *L) {
  struct sl_loop *loop = check_running(L, "create_task");
  struct sl_group *group;
  sl_check_callable(L, 1);
  group = loop->current != NULL ? loop->current->group : NULL;
  sl_task_new(L, loop, 1, group, sl_group_scope(loop, group), true);
  sl_group_adopt(group);
  return 1;
}

/* sluice.current_task(): the running task, nil outside one. */
static int current_task(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  if (loop->current == NULL)
    lua_pushnil(L);
  else
    sl_task_push(L, loop->current);
  return 1;
}

/* is_task(value): for the Lua layer. */
static int is_task(lua_State *L) {
  lua_pushboolean(L, sl_test(L, 1, &sl_task_class) != NULL);
  return 1;
}

/* has_failed(task): for the Lua layer: it ended, and not by returning. */
static int has_failed(lua_State *L) {
  struct sl_task *task = check_task(L);
  lua_pushboolean(L,
                  task->state == SL_ENDED && task->end != SL_RETURNED);
  return 1;
}

struct listing {
  lua_State *L;
  int list;
  lua_Integer n;
};

static void append(struct sl_task *task, void *arg) {
  struct listing *listing = arg;
  (void)task;
  lua_pushvalue(listing->L, -1);
  lua_rawseti(listing->L, listing->list, ++listing->n);
}

/* sluice.all_tasks(): a list of the tasks that have not ended, in no
   promised order; empty outside a run. */
static int all_tasks(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  struct listing listing;
  lua_settop(L, 0);
  lua_newtable(L);
  listing.L = L;
  listing.list = 1;
  listing.n = 0;
  sl_task_each(loop, append, &listing, L);
  return 1;
}

/* -- call_soon, call_later, call_at -- */

struct handle {
  const struct sl_class *class;
  struct sl_loop *loop;
};

static const struct sl_class handle_class = {"sluice.Handle",
                                             sizeof(struct handle)};

static void start_due(struct sl_task *task, enum sl_wake why) {
  (void)why;
  sl_task_launch(task);
}

/* A NEW task whose deadline starts it. */
static const struct sl_wait_kind call_kind = {"call_later", start_due, NULL,
                                               NULL};

/* Makes a task of what is at `first` that starts at due_ns (0: now), and
   leaves its handle. */
static int schedule(lua_State *L, struct sl_loop *loop, int first,
                    uint64_t due_ns) {
  struct handle *handle = sl_object_new(L, &handle_class, 1);
  struct sl_task *task;
  handle->loop = loop;
  lua_insert(L, 1);
  task = sl_task_new(L, loop, first + 1, NULL, sl_group_scope(loop, NULL),
                     due_ns == 0);
  task->kind = &call_kind;
  if (due_ns != 0) sl_clock_arm(loop, &task->deadline, due_ns);
  lua_setiuservalue(L, 1, 1);
  lua_settop(L, 1);
  /* The run is ending: it does not wait for what is not due yet. */
  if (due_ns != 0 && loop->tasks->main_left == 0) sl_task_withdraw(task);
  return 1;
}

/* sluice.call_soon(fn, ...): runs fn(...) in a task of its own as soon as
   the loop can. Returns a handle with :cancel(). Never waits. */
static int call_soon(lua_State *L) {
  struct sl_loop *loop = check_running(L, "call_soon");
  sl_check_callable(L, 1);
  return schedule(L, loop, 1, 0);
}

/* sluice.call_later(seconds, fn, ...): the same, not before that time has
   passed. */
static int call_later(lua_State *L) {
  uint64_t ns = sl_check_seconds(L, 1);
  struct sl_loop *loop = check_running(L, "call_later");
  sl_check_callable(L, 2);
  return schedule(L, loop, 2, sl_clock_after(sl_loop_now(loop), ns));
}

/* sluice.call_at(time, fn, ...): the same, at a time of sluice.time(); at one
   that has passed, as soon as the loop can. */
static int call_at(lua_State *L) {
  bool is_past = lua_type(L, 1) == LUA_TNUMBER && lua_tonumber(L, 1) <= 0;
  uint64_t due_ns = is_past ? 0 : sl_check_seconds(L, 1);
  struct sl_loop *loop = check_running(L, "call_at");
  sl_check_callable(L, 2);
  /* Those that have passed come in their order, as all do. */
  if (due_ns == 0 && sl_loop_now(loop) > 0) due_ns = 1;
  return schedule(L, loop, 2, due_ns);
}

/* handle:cancel(): fn will not run if it has not begun; if it has, its task
   is cancelled. Returns whether it had not ended. */
static int handle_cancel(lua_State *L) {
  struct sl_task *task;
  sl_check(L, 1, &handle_class);
  lua_getiuservalue(L, 1, 1);
  task = lua_touserdata(L, -1);
  lua_pushboolean(L, task->state != SL_ENDED);
  if (task->state == SL_NEW)
    sl_task_withdraw(task);
  else if (task->state != SL_ENDED)
    sl_cancel_scope(&task->root, SL_NO_REASON);
  return 1;
}

static int handle_tostring(lua_State *L) {
  struct sl_task *task;
  sl_check(L, 1, &handle_class);
  lua_getiuservalue(L, 1, 1);
  task = lua_touserdata(L, -1);
  lua_pushfstring(L, "sluice.Handle (%s)",
                  task->state == SL_NEW ? "pending" : state_name(task));
  return 1;
}

void sl_await_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"create_task", create_task},
                                       {"current_task", current_task},
                                       {"all_tasks", all_tasks},
                                       {"is_task", is_task},
                                       {"has_failed", has_failed},
                                       {"call_soon", call_soon},
                                       {"call_later", call_later},
                                       {"call_at", call_at},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"await", await},   {"pawait", pawait},
      {"cancel", cancel}, {"done", done},
      {"error", error_of}, {"cancelled", cancelled},
      {"traceback", traceback}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", task_tostring},
                                  {"__newindex", task_newindex},
                                  {NULL, NULL}};
  static const luaL_Reg handle_methods[] = {{"cancel", handle_cancel},
                                            {NULL, NULL}};
  static const luaL_Reg handle_meta[] = {{"__tostring", handle_tostring},
                                         {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &sl_task_class, loop, methods, meta);
  lua_pushlightuserdata(L, loop);
  lua_getfield(L, -2, "__index");
  lua_pushcclosure(L, task_index, 2);
  lua_setfield(L, -2, "__index");
  sl_class_new(L, &handle_class, loop, handle_methods, handle_meta);
  lua_pop(L, 1);
  loop->tasks->class_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
