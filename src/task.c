/*
** task.c: see task.h.
**
** A coroutine starts sl_task_body with the task, the message handler, the
** function and its arguments on its stack, and ends when it returns;
** then it goes back to the pool. What may throw (results that need a table,
** reports) happens there, inside the coroutine; what comes after, in
** drain, is plain C and cannot fail.
*/
#include "task.h"

#include <stdio.h>
#include <string.h>

enum { SELF = 1, HANDLER, FUNCTION };

const struct sl_class sl_task_class = {"sluice.Task",
                                       sizeof(struct sl_task)};

/* Their addresses are keys of the registry. */
static const char loop_key, names_key;

/* -- making a task -- */

static void on_task_due(struct sl_deadline *deadline) {
  sl_task_abandon(sl_container(deadline, struct sl_task, deadline),
                  SL_TIMED_OUT);
}

static void init(struct sl_task *task, struct sl_loop *loop,
                 struct sl_group *group, struct sl_scope *parent) {
  memset(task, 0, sizeof *task);
  task->class = &sl_task_class;
  task->loop = loop;
  task->id = ++loop->tasks->next_id;
  task->group = group;
  task->owner = group;
  task->scope = &task->root;
  sl_link_init(&task->link);
  sl_link_init(&task->awaiters);
  sl_link_init(&task->watches);
  sl_deadline_init(&task->deadline, on_task_due);
  sl_scope_init(&task->root, parent, task, false);
}

/* Moves the function and the arguments from the stack into the task. */
static void keep_arguments(lua_State *L, int first, int n) {
  int self = lua_gettop(L);
  for (int i = 0; i < n; i++) {
    lua_pushvalue(L, first + i);
    lua_setiuservalue(L, self, i + 1);
  }
}

struct sl_task *sl_task_new(lua_State *L, struct sl_loop *loop, int first,
                            struct sl_group *group, struct sl_scope *parent,
                            bool ready) {
  struct sl_tasks *tasks = loop->tasks;
  int n = lua_gettop(L) - first + 1; /* the function and its arguments */
  int nuv = n < 2 ? 2 : n;
  struct sl_task *task;
  uint32_t slot;
  if (n >= USHRT_MAX) luaL_error(L, "too many arguments for a task");
  task = lua_newuserdatauv(L, sizeof *task, nuv);
  task->class = NULL; /* not a task until it is whole */
  lua_rawgeti(L, LUA_REGISTRYINDEX, tasks->class_ref);
  lua_setmetatable(L, -2);
  keep_arguments(L, first, n);
  slot = sl_pool_find_slot(L, &tasks->pool);
  sl_pool_push_anchors(L, &tasks->pool);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (lua_Integer)slot);
  lua_pop(L, 1);
  sl_clock_reserve(L, loop);
  /* From here on nothing throws. */
  sl_pool_take_slot(&tasks->pool, slot);
  init(task, loop, group, parent);
  task->slot = slot;
  task->nuv = (uint16_t)nuv;
  task->nvalues = (uint32_t)n;
  task->place = sl_place_here(L, &tasks->places);
  sl_pool_grew(&tasks->pool, ++tasks->live);
  if (ready) sl_loop_ready(loop, &task->link);
  return task;
}

void sl_task_launch(struct sl_task *task) {
  sl_loop_ready(task->loop, &task->link);
}

void sl_task_push(lua_State *L, const struct sl_task *task) {
  sl_pool_push_anchors(L, &task->loop->tasks->pool);
  lua_rawgeti(L, -1, (lua_Integer)task->slot);
  lua_remove(L, -2);
}

/* -- names -- */

const char *sl_task_push_name(lua_State *L, const struct sl_task *task,
                              int self) {
  luaL_checkstack(L, 4, NULL);
  if (!task->named) {
    lua_pushfstring(L, "Task-%d", (int)task->id);
    return lua_tostring(L, -1);
  }
  if (self == 0)
    sl_task_push(L, task);
  else
    lua_pushvalue(L, self);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key);
  lua_insert(L, -2);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

void sl_task_set_name(lua_State *L, struct sl_task *task, int name) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, name);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  task->named = true;
}

/* Names are rare, so they live in a table with weak keys. */
static void open_names(lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &names_key);
}

/* -- outcomes -- */

/* Lets go of the function, or of an error that was met and its traceback. */
static void clear_stash(lua_State *L, struct sl_task *task) {
  for (int i = 1; i <= (task->stashed ? 2 : 1); i++) {
    lua_pushnil(L);
    lua_setiuservalue(L, SELF, i);
  }
}

/* Keeps the values above FUNCTION - 1 of the coroutine's stack as results.
   Throws: memory, if there are more than the task has user values. */
static void keep_results(lua_State *L, struct sl_task *task) {
  int n = lua_gettop(L) - FUNCTION + 1;
  if (sl_unlikely(task->stashed || n == 0)) clear_stash(L, task);
  if (n <= task->nuv) {
    for (int i = n; i >= 1; i--) lua_setiuservalue(L, SELF, i);
  } else {
    lua_createtable(L, n, 0);
    lua_insert(L, FUNCTION);
    for (int i = n; i >= 1; i--) lua_rawseti(L, FUNCTION, i);
    lua_setiuservalue(L, SELF, 1);
  }
  task->nvalues = (uint32_t)n;
  task->end = SL_RETURNED;
}

/* Keeps the error on the top of the coroutine's stack. Its traceback is in
   the second user value if the first holds the same error. */
static void keep_error(lua_State *L, struct sl_task *task) {
  /* The cancellation of a scope that was left open is not the task's. */
  bool own = task->root.effective &&
             task->loop->tasks->hooks.own_cancel(L, task, -1);
  lua_getiuservalue(L, SELF, 1);
  if (!lua_rawequal(L, -1, -2)) {
    lua_pushnil(L);
    lua_setiuservalue(L, SELF, 2);
  }
  lua_pop(L, 1);
  lua_setiuservalue(L, SELF, 1);
  task->nvalues = 1;
  task->end = own ? SL_CANCELLED : SL_FAILED;
}

int sl_task_push_values(lua_State *L, struct sl_task *task, int index) {
  int n = (int)task->nvalues;
  if (n == 0) return 0;
  if (!lua_checkstack(L, n + 1)) luaL_error(L, "too many results");
  if (n <= task->nuv) {
    for (int i = 1; i <= n; i++) lua_getiuservalue(L, index, i);
  } else {
    lua_getiuservalue(L, index, 1);
    for (int i = 1; i <= n; i++) lua_rawgeti(L, -i, i);
    lua_remove(L, -n - 1);
  }
  return n;
}

void sl_task_keep_traceback(lua_State *L, struct sl_loop *loop, int err,
                            int trace) {
  err = lua_absindex(L, err);
  trace = lua_absindex(L, trace);
  if (loop->current == NULL) return;
  sl_task_push(L, loop->current);
  lua_pushvalue(L, err);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, trace);
  lua_setiuservalue(L, -2, 2);
  lua_pop(L, 1);
  loop->current->stashed = true;
}

int sl_task_push_outcome(lua_State *L, struct sl_task *task, int index) {
  if (task->end == SL_RETURNED) return sl_task_push_values(L, task, index);
  luaL_checkstack(L, 4, NULL);
  lua_getiuservalue(L, index, 1);
  lua_getiuservalue(L, index, 2);
  sl_task_keep_traceback(L, task->loop, -2, -1);
  lua_pop(L, 1);
  return sl_task_rethrow(L, task->loop);
}

/* The C function at a level of the stack, or NULL. */
static lua_CFunction function_at(lua_State *L, int level) {
  lua_Debug ar;
  lua_CFunction function = NULL;
  if (lua_getstack(L, level, &ar) && lua_getinfo(L, "f", &ar)) {
    function = lua_tocfunction(L, -1);
    lua_pop(L, 1);
  }
  return function;
}

int sl_task_rethrow(lua_State *L, struct sl_loop *loop) {
  luaL_checkstack(L, 2, NULL);
  loop->tasks->rethrower = function_at(L, 0);
  return lua_error(L);
}

/* Whether the error being handled is raised once more by a function of ours:
   an equal text alone may be another error. */
static bool is_rethrown(lua_State *L, struct sl_tasks *tasks) {
  lua_CFunction rethrower = tasks->rethrower;
  tasks->rethrower = NULL;
  return rethrower != NULL && rethrower == function_at(L, 1);
}

int sl_task_traceback(lua_State *L) {
  struct sl_loop *loop;
  struct sl_task *task;
  bool same;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &loop_key);
  loop = lua_touserdata(L, -1);
  lua_pop(L, 1);
  task = loop->current;
  if (task == NULL || loop->tasks->hooks.own_cancel(L, task, 1)) return 1;
  sl_task_push(L, task);
  lua_getiuservalue(L, -1, 1);
  same = is_rethrown(L, loop->tasks) && lua_rawequal(L, -1, 1) &&
         lua_getiuservalue(L, -2, 2) == LUA_TSTRING;
  lua_settop(L, 2);
  if (same) { /* raised again: the first place is the one to tell */
    lua_settop(L, 1);
    return 1;
  }
  luaL_traceback(L, L, NULL, 1);
  task->stashed = true;
  lua_setiuservalue(L, 2, 2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, 1);
  lua_settop(L, 1);
  return 1;
}

/* -- running a task -- */

static int k_body(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct sl_task_hooks *hooks = &task->loop->tasks->hooks;
  if (status == LUA_OK || status == LUA_YIELD)
    keep_results(L, task);
  else
    keep_error(L, task);
  if (task->scope != &task->root) hooks->unwind(task, &task->root);
  if (task->end == SL_FAILED || task->held != NULL) {
    lua_settop(L, SELF);
    hooks->ending(L, task, SELF);
  }
  return 0;
}

int sl_task_body(lua_State *L) {
  struct sl_task *task = lua_touserdata(L, SELF);
  int status;
  status = lua_pcallk(L, lua_gettop(L) - FUNCTION, LUA_MULTRET, HANDLER,
                          (lua_KContext)task, k_body);
  return k_body(L, status, (lua_KContext)task);
}

static void return_coroutine(struct sl_task *task, bool reusable) {
  sl_pool_return(&task->loop->tasks->pool, task->coroutine, reusable);
  task->coroutine.co = NULL;
}

/* Moves the function and the arguments onto the coroutine's stack. Returns
   false, the error on L's top, if there is no memory. */
static bool load(struct sl_tasks *tasks, struct sl_task *task) {
  lua_State *L = tasks->L, *co;
  int n = (int)task->nvalues;
  if (!sl_pool_borrow(&tasks->pool, &task->coroutine)) return false;
  co = task->coroutine.co;
  if (n > LUA_MINSTACK / 2 && !lua_checkstack(co, n + 4)) {
    return_coroutine(task, true);
    lua_pushliteral(L, "not enough memory");
    return false;
  }
  lua_pushcfunction(co, sl_task_body);
  lua_rawgeti(L, tasks->pool.anchors, (lua_Integer)task->slot);
  lua_xmove(L, co, 1);
  lua_pushcfunction(co, sl_task_traceback);
  lua_getiuservalue(co, 2, 1); /* the function: it lives as long as we do */
  for (int i = 2; i <= n; i++) {
    lua_getiuservalue(co, 2, i);
    lua_pushnil(co);
    lua_setiuservalue(co, 2, i);
  }
  return true;
}

/* The error on the top of `from` becomes the task's outcome; pops it. */
static void fail(struct sl_tasks *tasks, struct sl_task *task,
                 lua_State *from) {
  lua_State *L = tasks->L;
  lua_rawgeti(L, tasks->pool.anchors, (lua_Integer)task->slot);
  if (from == L)
    lua_rotate(L, -2, 1);
  else
    lua_xmove(from, L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushnil(L);
  lua_setiuservalue(L, -2, 2);
  lua_pop(L, 1);
  task->nvalues = 1;
  task->end = SL_FAILED;
}

static void wake_awaiters(struct sl_task *task) {
  while (!sl_list_empty(&task->awaiters))
    sl_task_wake(sl_task_of(task->awaiters.next), SL_WOKEN);
  while (!sl_list_empty(&task->watches)) {
    struct sl_link *link = sl_list_pop(&task->watches);
    struct sl_watch *watch = sl_container(link, struct sl_watch, link);
    watch->ended(watch);
  }
}

/* An error for which there was no memory to report it as others are. */
static SL_COLD void tell_plainly(const struct sl_tasks *tasks,
                                 const struct sl_task *task) {
  if (task == tasks->main || task->owner != NULL ||
      !sl_list_empty(&task->awaiters) || !sl_list_empty(&task->watches))
    return;
  fprintf(stderr,
          "sluice: Task-%u failed, which nobody awaits, without memory to "
          "tell how\n",
          (unsigned)task->id);
}

/* The task has its outcome: nobody may find it alive any more. */
static void finish(struct sl_tasks *tasks, struct sl_task *task) {
  if (task->scope != &task->root)
    tasks->hooks.unwind(task, &task->root);
  if (task->held != NULL) tasks->hooks.drop_locks(task);
  if (sl_unlikely(task->end == SL_FAILED && !task->reported))
    tell_plainly(tasks, task);
  task->state = SL_ENDED;
  sl_clock_release(task->loop);
  wake_awaiters(task);
  if (task->owner != NULL) tasks->hooks.child_ended(task);
  sl_scope_fini(&task->root);
  if (task->root.owns_ref)
    luaL_unref(tasks->L, LUA_REGISTRYINDEX, task->root.error_ref);
  task->root.owns_ref = false;
  if (task == tasks->main) tasks->main_left = 0;
  sl_pool_release_slot(&tasks->pool, task->slot);
  task->slot = 0;
  sl_pool_shrank(&tasks->pool, --tasks->live);
}

static void withdraw_now(struct sl_tasks *tasks, struct sl_task *task) {
  task->nvalues = 0;
  task->end = SL_RETURNED;
  finish(tasks, task);
}

void sl_task_withdraw(struct sl_task *task) {
  struct sl_tasks *tasks = task->loop->tasks;
  task->withdrawn = true;
  sl_clock_disarm(task->loop, &task->deadline);
  if (task->loop->current != NULL && !tasks->walked) {
    if (sl_link_linked(&task->link))
      sl_loop_unready(task->loop, &task->link);
    withdraw_now(tasks, task);
  } else if (!sl_link_linked(&task->link)) {
    /* By a finaliser, while the loop or a dump looks at the tasks: it ends
       at its first step. */
    sl_loop_ready(task->loop, &task->link);
  }
}

/* Ends a task that cannot be ended by raising in it. */
static void drop(struct sl_task *task) {
  struct sl_tasks *tasks = task->loop->tasks;
  /* What it waits at is told, as by any other end of a wait. */
  if (task->state == SL_PARKED) sl_task_abandon(task, SL_DEADLOCKED);
  if (task->state != SL_PARKED && sl_link_linked(&task->link))
    sl_loop_unready(task->loop, &task->link);
  sl_clock_disarm(task->loop, &task->deadline);
  lua_pushliteral(tasks->L, "dropped");
  fail(tasks, task, tasks->L);
  task->reported = true;
  if (task->coroutine.co != NULL) return_coroutine(task, false);
  task->owner = NULL; /* its group's body is dropped as well */
  finish(tasks, task);
}

/* A plain coroutine.yield in a task's own body: as sleep(0), but no
   checkpoint. What it yields goes nowhere. */
static void yielded_plainly(struct sl_task *task, int nresults) {
  lua_pop(task->coroutine.co, nresults);
  task->state = SL_READY;
  sl_loop_ready(task->loop, &task->link);
}

/* Makes a NEW task ready to be resumed. Returns how many values its
   coroutine starts with, or -1: it was withdrawn, or has failed without
   memory. */
static int begin(struct sl_tasks *tasks, struct sl_task *task) {
  task->state = SL_RUNNING;
  if (sl_unlikely(task->withdrawn)) {
    withdraw_now(tasks, task);
    return -1;
  }
  if (load(tasks, task)) return (int)task->nvalues + HANDLER;
  fail(tasks, task, tasks->L);
  finish(tasks, task);
  return -1;
}

/* The task's coroutine has ended. That its stack is not empty means that it
   was run by hand. */
static void ended(struct sl_tasks *tasks, struct sl_task *task,
                  int status) {
  lua_State *co = task->coroutine.co;
  bool reusable = status == LUA_OK && lua_gettop(co) == 0;
  if (status != LUA_OK) fail(tasks, task, co);
  return_coroutine(task, reusable);
  finish(tasks, task);
}

/* After a step, if somebody watches the steps. */
static SL_COLD void watch_step(struct sl_loop *loop, struct sl_task *task,
                               uint64_t began_ns) {
  struct sl_tasks *tasks = loop->tasks;
  uint64_t ns = uv_hrtime() - began_ns;
  if (loop->slow_ns != 0 && ns > loop->slow_ns)
    tasks->hooks.slow(loop, task, ns);
  if (tasks->probe_fire) {
    tasks->probe_fire = false;
    tasks->hooks.probe(task);
  }
}

/* Asks for what the next step touches first, while this one runs: thousands
   of tasks that are woken at once do not fit the near caches. */
static inline void prefetch_next(struct sl_loop *loop) {
  struct sl_link *next = loop->ready.next;
  if (next == &loop->ready) return;
  sl_prefetch(sl_task_of(next)->coroutine.co);
  sl_prefetch(next->next);
}

/* The loop's inner loop. lua_resume is called here and not deeper: a yield
   is a long jump past the frames above it, after which the processor
   mispredicts one return for each frame between it and here. */
static void drain(struct sl_loop *loop, const uint32_t *left) {
  struct sl_tasks *tasks = loop->tasks;
  bool watched = loop->slow_ns != 0 || tasks->probing;
  struct sl_link *link;
  while (*left != 0 && (link = sl_loop_take(loop)) != NULL) {
    struct sl_task *task = sl_task_of(link);
    uint64_t began_ns = sl_unlikely(watched) ? uv_hrtime() : 0;
    int nargs = 0, nresults, status;
    if (task->state == SL_NEW && (nargs = begin(tasks, task)) < 0) continue;
    task->state = SL_RUNNING;
    loop->current = task;
    prefetch_next(loop);
    status = lua_resume(task->coroutine.co, tasks->L, nargs, &nresults);
    loop->current = NULL;
    if (sl_unlikely(watched)) watch_step(loop, task, began_ns);
    if (status != LUA_YIELD)
      ended(tasks, task, status);
    else if (sl_unlikely(task->state == SL_RUNNING))
      yielded_plainly(task, nresults);
  }
}

void sl_task_each(struct sl_loop *loop,
                  void (*fn)(struct sl_task *task, void *arg), void *arg,
                  lua_State *L) {
  struct sl_tasks *tasks = loop->tasks;
  struct sl_scope *top = &tasks->root, *scope = top;
  tasks->walked = true;
  sl_pool_push_anchors(L, &tasks->pool);
  while ((scope = sl_scope_following(scope, top, true)) != NULL) {
    struct sl_task *task = scope->task;
    if (task == NULL || scope != &task->root || task->withdrawn) continue;
    lua_rawgeti(L, -1, (lua_Integer)task->slot);
    fn(task, arg);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  tasks->walked = false;
}

/* A scheduled call hangs on the run's own scope, and has no children. */
void sl_task_withdraw_scheduled(struct sl_loop *loop) {
  struct sl_scope *root = &loop->tasks->root;
  struct sl_link *at = root->children.next, *next;
  for (; at != &root->children; at = next) {
    struct sl_task *task = sl_container(at, struct sl_scope, link)->task;
    next = at->next;
    if (task != NULL && task->state == SL_NEW &&
        !sl_link_linked(&task->link))
      sl_task_withdraw(task);
  }
}

void sl_task_drop_all(struct sl_loop *loop) {
  struct sl_tasks *tasks = loop->tasks;
  for (uint32_t slot = 1; slot <= tasks->pool.nslots; slot++) {
    struct sl_task *task;
    lua_rawgeti(tasks->L, tasks->pool.anchors, (lua_Integer)slot);
    task = sl_test(tasks->L, -1, &sl_task_class);
    if (task != NULL && task->state != SL_ENDED) drop(task);
    lua_pop(tasks->L, 1);
  }
}

/* -- opening -- */

void sl_tasks_open(lua_State *L, struct sl_loop *loop) {
  /* Memory that lua_close frees after the last finaliser. */
  struct sl_tasks *tasks = lua_newuserdatauv(L, sizeof *tasks, 0);
  memset(tasks, 0, sizeof *tasks);
  luaL_ref(L, LUA_REGISTRYINDEX);
  sl_scope_init(&tasks->root, NULL, NULL, false);
  sl_link_init(&tasks->settlers);
  loop->tasks = tasks;
  sl_pool_open(L, &tasks->pool);
  lua_pushlightuserdata(L, loop);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &loop_key);
  open_names(L);
  loop->hooks.drain = drain;
}

static void forsake(struct sl_task *task, void *arg) {
  (void)arg;
  sl_clock_disarm(task->loop, &task->deadline);
  sl_link_unlink(&task->link);
}

void sl_tasks_free(lua_State *L, struct sl_loop *loop) {
  struct sl_tasks *tasks = loop->tasks;
  if (tasks == NULL) return;
  /* Finalisers yet to come find no waiters. */
  sl_task_each(loop, forsake, NULL, L);
  loop->nready = 0;
  tasks->live = 0;
  sl_pool_free(L, &tasks->pool);
  sl_place_free(L, &tasks->places);
}
