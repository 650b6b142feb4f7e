/*
** group.c: see group.h.
**
**   OPEN ──── body ended ────► WAITING ──── last child ended ────► ENDED
**
** User values of a group: the first error, its traceback, the list of the
** other errors. While it has not ended the registry holds it by its address,
** so that a child's failure finds it.
*/
#include "group.h"

#include <string.h>

enum { FIRST_ERROR = 1, FIRST_TRACEBACK, OTHER_ERRORS };
enum { HANDLER = 1, GROUP, RESULTS }; /* the stack of task_group */

struct sl_group {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_scope scope;
  struct sl_task *body;    /* NULL: it has ended */
  struct sl_group *parent; /* the group its body runs in */
  uint32_t children;       /* that have not ended */
  bool failed;             /* there is a first error */
  bool body_cancelled;     /* the body ended by a cancellation of its own */
  bool cut_short;          /* a child was cancelled from outside the group */
};

static const struct sl_class group_class = {"sluice.TaskGroup",
                                            sizeof(struct sl_group)};

struct sl_scope *sl_group_scope(struct sl_loop *loop,
                                struct sl_group *group) {
  return group != NULL ? &group->scope : &loop->tasks->root;
}

void sl_group_adopt(struct sl_group *group) {
  if (group != NULL) group->children++;
}

bool sl_group_awaited(const struct sl_group *group) {
  return group->body != NULL;
}

/* -- errors -- */

/* Records the error at `err` with its traceback at `trace` in the group at
   `index`. Throws: memory, for the second error and later ones. */
static void record(lua_State *L, struct sl_group *group, int index, int err,
                   int trace) {
  index = lua_absindex(L, index);
  err = lua_absindex(L, err);
  trace = lua_absindex(L, trace);
  if (!group->failed) {
    group->failed = true;
    lua_pushvalue(L, err);
    lua_setiuservalue(L, index, FIRST_ERROR);
    lua_pushvalue(L, trace);
    lua_setiuservalue(L, index, FIRST_TRACEBACK);
    sl_cancel_scope(&group->scope, SL_FOR_SIBLING);
    return;
  }
  if (lua_getiuservalue(L, index, OTHER_ERRORS) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, index, OTHER_ERRORS);
  }
  lua_pushvalue(L, err);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

void sl_group_child_failed(lua_State *L, struct sl_task *task, int self) {
  luaL_checkstack(L, 8, NULL);
  lua_getiuservalue(L, self, 1);
  lua_getiuservalue(L, self, 2);
  lua_rawgetp(L, LUA_REGISTRYINDEX, task->owner);
  task->reported = true;
  record(L, task->owner, -1, -3, -2);
  lua_pop(L, 3);
}

/* The body's failure, at the top of the stack. */
static void body_failed(lua_State *L, struct sl_group *group) {
  sl_task_push(L, group->body);
  lua_getiuservalue(L, -1, 2);
  record(L, group, GROUP, -3, -1);
  lua_pop(L, 2);
}

/* -- the end of a child -- */

/* Takes a group whose children have all ended out of the tree and the
   registry. */
static void dispose(lua_State *L, struct sl_group *group) {
  sl_scope_fini(&group->scope);
  if (group->scope.owns_ref)
    luaL_unref(L, LUA_REGISTRYINDEX, group->scope.error_ref);
  group->scope.owns_ref = false;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, group);
}

/* Takes the group out of its body's task. */
static void part(struct sl_group *group) {
  struct sl_task *task = group->body;
  task->scope = group->scope.parent;
  task->group = group->parent;
  group->parent = NULL; /* which may vanish before our children */
  group->body = NULL;
}

/* The body is gone without having ended: the children, cancelled, go on in a
   group that nobody awaits. */
static void orphan(struct sl_scope *scope) {
  struct sl_group *group = sl_container(scope, struct sl_group, scope);
  struct sl_loop *loop = group->loop;
  part(group);
  scope->task = NULL;
  sl_cancel_scope(scope, SL_FOR_SIBLING);
  if (group->children == 0) dispose(loop->tasks->L, group);
}

static void child_ended(struct sl_task *task) {
  struct sl_group *group = task->owner;
  /* It failed without memory to tell: the message is preallocated. */
  if (task->end == SL_FAILED && !task->reported) {
    lua_State *L = task->loop->tasks->L;
    sl_cancel_scope(&group->scope, SL_FOR_SIBLING);
    if (!group->failed) {
      group->failed = true;
      sl_task_push(L, task);
      lua_rawgetp(L, LUA_REGISTRYINDEX, group);
      lua_getiuservalue(L, -2, 1);
      lua_setiuservalue(L, -2, FIRST_ERROR);
      lua_pop(L, 2);
    }
  }
  if (task->end == SL_CANCELLED && !task->root.cancelled &&
      !group->scope.cancelled)
    group->cut_short = true;
  if (--group->children > 0) return;
  if (group->body == NULL)
    dispose(task->loop->tasks->L, group);
  else if (group->body->state == SL_PARKED && group->body->object == group)
    sl_task_wake(group->body, SL_WOKEN);
}

/* -- the end of the group -- */

/* The body waits for its children: only a deadlock makes it look up, since a
   cancellation has reached the children already. */
static void abandon_exit(struct sl_task *task, enum sl_wake why) {
  if (why == SL_DEADLOCKED) sl_task_wake(task, why);
}

static bool is_child(struct sl_task *waiter, struct sl_task *task) {
  struct sl_group *group = task->owner;
  while (group != NULL && group != waiter->object) group = group->parent;
  return group != NULL;
}

static const struct sl_wait_kind exit_kind = {"task_group's children",
                                              abandon_exit, NULL, is_child};

bool sl_group_leaving_cancelled(const struct sl_task *task) {
  const struct sl_group *group = task->object;
  return task->state == SL_PARKED && task->kind == &exit_kind &&
         group->scope.cancelled;
}

/* Returns the body's results, or raises what the group came to. */
static int conclude(lua_State *L, struct sl_group *group) {
  struct sl_task *task = group->body;
  bool absorbs = sl_scope_absorbs(&group->scope);
  part(group);
  dispose(L, group);
  if (group->failed) {
    lua_getiuservalue(L, GROUP, FIRST_ERROR);
    lua_getiuservalue(L, GROUP, FIRST_TRACEBACK);
    sl_task_keep_traceback(L, group->loop, -2, -1);
    lua_pop(L, 1);
    return sl_task_rethrow(L, group->loop);
  }
  if (absorbs && group->body_cancelled) return 0;
  /* From outside: it ended the body, or children that the body's results
     may depend on. */
  if (task->scope->effective && (group->body_cancelled || group->cut_short)) {
    sl_cancel_push(L, task);
    return lua_error(L);
  }
  return lua_gettop(L) - GROUP;
}

static int k_exit(lua_State *L, int status, lua_KContext ctx);

/* A child that awaits the body: the circle closes now. */
static struct sl_task *child_in_circle(struct sl_group *group) {
  struct sl_link *at = group->scope.children.next;
  for (; at != &group->scope.children; at = at->next) {
    struct sl_task *task = sl_container(at, struct sl_scope, link)->task;
    if (task != NULL && task != group->body &&
        sl_wait_reaches(task, group->body))
      return task;
  }
  return NULL;
}

/* The first error of the group is that it waits for itself. */
static void check_circle(lua_State *L, struct sl_group *group) {
  struct sl_task *child = child_in_circle(group);
  if (child == NULL || !sl_wait_for_ever(group->body)) return;
  lua_pushfstring(L,
                  "deadlock: %s waits for the children of its group, and %s "
                  "among them waits for it, with no timeout among them",
                  sl_task_push_name(L, group->body, 0),
                  sl_task_push_name(L, child, 0));
  lua_pushnil(L);
  record(L, group, GROUP, -2, -1);
  lua_pop(L, 4);
}

static int wait_children(lua_State *L, struct sl_group *group) {
  struct sl_task *task = group->body;
  luaL_checkstack(L, 8, NULL);
  if (group->children == 0) return conclude(L, group);
  if (!group->failed) check_circle(L, group);
  return sl_wait_park_k(L, task, NULL, &exit_kind, group, SL_NEVER, k_exit);
}

static int k_exit(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct sl_group *group = lua_touserdata(L, GROUP);
  (void)status;
  if (task->state != SL_RUNNING) sl_wait_raise(L, task); /* by hand */
  if (task->woken == SL_DEADLOCKED) {
    task->loop->tasks->hooks.push_deadlock(L, task);
    lua_pushnil(L);
    record(L, group, GROUP, -2, -1);
    lua_pop(L, 2);
  }
  return wait_children(L, group);
}

static int k_body(lua_State *L, int status, lua_KContext ctx) {
  struct sl_group *group = (struct sl_group *)ctx;
  struct sl_task *task = group->body;
  if (task == NULL) /* its task was dropped */
    return luaL_error(L, "a task's coroutine cannot be resumed by hand");
  task->loop->tasks->hooks.unwind(task, &group->scope);
  if (status != LUA_OK && status != LUA_YIELD) {
    group->body_cancelled = sl_cancel_own(L, task, -1);
    if (!group->body_cancelled) body_failed(L, group);
  }
  return wait_children(L, group);
}

/* -- the functions -- */

static void enter(struct sl_group *group, struct sl_task *task) {
  group->loop = task->loop;
  group->body = task;
  group->parent = task->group;
  sl_scope_init(&group->scope, task->scope, task, false);
  group->scope.fixed = true;
  group->scope.group = true;
  task->scope = &group->scope;
  task->group = group;
}

/* sluice.task_group(fn): runs fn(group) and waits until every task created
   inside has ended. Returns fn's results. The first error of a child cancels
   the body and the other children and is raised when all have ended; the
   others are in group.errors. A group that was cancelled ends without an
   error and returns nothing. Waits. */
static int task_group(lua_State *L) {
  struct sl_task *task;
  struct sl_group *group;
  int status;
  sl_check_callable(L, 1);
  task = sl_wait_enter(L, sl_loop_of(L));
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, task_group);
  lua_settop(L, 1);
  group = sl_object_new(L, &group_class, 3);
  group->loop = task->loop;
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, group);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, GROUP);
  lua_pushcfunction(L, sl_task_traceback);
  lua_replace(L, HANDLER);
  enter(group, task);
  status = lua_pcallk(L, 1, LUA_MULTRET, HANDLER, (lua_KContext)group,
                      k_body);
  return k_body(L, status, (lua_KContext)group);
}

static struct sl_group *check_group(lua_State *L) {
  return sl_check(L, 1, &group_class);
}

/* group:create_task(fn, ...): a child that runs fn(...), started at the
   creator's next checkpoint. Never waits. Raises if the group has ended. */
static int group_create_task(lua_State *L) {
  struct sl_group *group = check_group(L);
  sl_check_callable(L, 2);
  if (group->body == NULL) return luaL_error(L, "the task group has ended");
  sl_task_new(L, group->loop, 2, group, &group->scope, true);
  sl_group_adopt(group);
  return 1;
}

/* group:cancel([reason]): cancels the body and every child. The group ends
   without an error. Never waits. */
static int group_cancel(lua_State *L) {
  struct sl_group *group = check_group(L);
  lua_settop(L, 2);
  if (group->body != NULL)
    sl_cancel_scope_because(L, &group->scope, 2);
  return 0;
}

/* group.errors: the errors after the first; else a method. */
static int group_index(lua_State *L) {
  check_group(L);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
  if (lua_type(L, 2) != LUA_TSTRING ||
      strcmp(lua_tostring(L, 2), "errors") != 0)
    return 1;
  if (lua_getiuservalue(L, 1, OTHER_ERRORS) == LUA_TTABLE) return 1;
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, OTHER_ERRORS);
  return 1;
}

static int group_tostring(lua_State *L) {
  struct sl_group *group = check_group(L);
  lua_pushfstring(L, "sluice.TaskGroup (%s, %d children)",
                  group->body == NULL      ? "ended"
                  : group->scope.cancelled ? "cancelled"
                                           : "open",
                  (int)group->children);
  return 1;
}

void sl_group_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"task_group", task_group},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {{"create_task", group_create_task},
                                     {"cancel", group_cancel},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", group_tostring},
                                  {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &group_class, loop, methods, meta);
  lua_pushlightuserdata(L, loop);
  lua_getfield(L, -2, "__index");
  lua_pushcclosure(L, group_index, 2);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  loop->tasks->hooks.child_ended = child_ended;
  loop->tasks->hooks.orphan = orphan;
}
