/*
** watch.c: see watch.h.
*/
#include "watch.h"

#include <string.h>

struct watched {
  struct sl_watch watch;
  struct sl_task *task; /* the set's list keeps it */
  struct set *set;
  uint32_t index; /* in the list of tasks, from 1 */
};

struct set {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_link ended;   /* nodes of tasks that have ended, in order */
  struct sl_link waiters; /* tasks parked in next */
  uint32_t left;          /* nodes not yet returned by next */
  uint32_t n;
  bool all;     /* whoever waits needs every task, not just the next */
  bool checked; /* for circles, when first parked */
  struct watched at[];
};

static const struct sl_class set_class = {"sluice.Watch",
                                          sizeof(struct set)};

/* There is nothing to wait for any more. */
static void release_waiters(struct set *set) {
  while (!sl_list_empty(&set->waiters))
    sl_task_wake(sl_task_of(set->waiters.next), SL_SHUT_DOWN);
}

static void count_taken(struct set *set) {
  if (--set->left == 0) release_waiters(set);
}

static void node_ended(struct sl_watch *watch) {
  struct watched *node = sl_container(watch, struct watched, watch);
  struct set *set = node->set;
  struct sl_task *waiter;
  if (sl_list_empty(&set->waiters)) {
    sl_list_push(&set->ended, &watch->link);
    return;
  }
  /* Handed over: the index is left on the waiter's stack. */
  waiter = sl_task_of(set->waiters.next);
  lua_pushinteger(waiter->coroutine.co, node->index);
  sl_task_wake(waiter, SL_WOKEN);
  count_taken(set);
}

/* Hangs a node on the task at the top of the stack, or on the ended list. */
static void watch_task(struct set *set, uint32_t index,
                       struct sl_task *task) {
  struct watched *node = &set->at[index - 1];
  node->set = set;
  node->task = task;
  node->index = index;
  node->watch.ended = node_ended;
  if (task->state == SL_ENDED)
    sl_list_push(&set->ended, &node->watch.link);
  else
    sl_list_push(&task->watches, &node->watch.link);
}

/* watch(list, all): a set over a list of distinct tasks, which it keeps. */
static int watch(lua_State *L) {
  lua_Unsigned n;
  struct set *set;
  lua_settop(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  n = lua_rawlen(L, 1);
  for (lua_Unsigned i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i);
    if (sl_test(L, -1, &sl_task_class) == NULL)
      return luaL_error(L, "not a task at index %d", (int)i);
    lua_pop(L, 1);
  }
  set = lua_newuserdatauv(L, sizeof *set + n * sizeof set->at[0], 1);
  memset(set, 0, sizeof *set + n * sizeof set->at[0]);
  sl_link_init(&set->ended);
  sl_link_init(&set->waiters);
  set->class = &set_class;
  set->loop = sl_loop_of(L);
  set->n = set->left = (uint32_t)n;
  set->all = lua_toboolean(L, 2);
  for (uint32_t i = 0; i < set->n; i++)
    sl_link_init(&set->at[i].watch.link);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  sl_class_push(L, &set_class);
  lua_setmetatable(L, -2);
  for (uint32_t i = 1; i <= set->n; i++) {
    lua_rawgeti(L, 1, i);
    watch_task(set, i, lua_touserdata(L, -1));
    lua_pop(L, 1);
  }
  return 1;
}

/* Returns a task of the list and its index. */
static int push_task(lua_State *L, lua_Integer index) {
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, index);
  lua_pushinteger(L, index);
  return 2;
}

/* Returns the task of the first node of the ended list and its index. */
static int take_ended(lua_State *L, struct set *set) {
  struct sl_link *link = sl_list_pop(&set->ended);
  struct watched *node = sl_container(
      sl_container(link, struct sl_watch, link), struct watched, watch);
  count_taken(set);
  return push_task(L, node->index);
}

/* Whether the waiter needs the end of `task`. */
static bool includes(struct sl_task *waiter, struct sl_task *task) {
  const struct set *set = waiter->object;
  for (uint32_t i = 0; set->all && i < set->n; i++)
    if (set->at[i].task == task && task->state != SL_ENDED) return true;
  return false;
}

static const struct sl_wait_kind next_kind = {"tasks to end", NULL, NULL,
                                              includes};

/* Throws if a task of the set waits for the one that is about to wait for
   all of them. */
static void check_circle(lua_State *L, struct set *set,
                         struct sl_task *task, uint64_t timeout_ns) {
  if (set->checked || !set->all || timeout_ns != SL_NEVER) return;
  set->checked = true;
  for (uint32_t i = 0; i < set->n; i++)
    if (set->at[i].task->state == SL_PARKED)
      sl_wait_check_cycle(L, task, set->at[i].task, timeout_ns);
}

static int k_next(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  switch (sl_wait_outcome(L, (struct sl_task *)ctx)) {
    case SL_TIMED_OUT: return sl_fail(L, "timeout");
    case SL_SHUT_DOWN: lua_pushnil(L); return 1;
    default: return push_task(L, lua_tointeger(L, -1));
  }
}

/* set:next([timeout]): the next task that has ended and its index; nil when
   all were returned; nil, "timeout". */
static int next(lua_State *L) {
  struct set *set = sl_check(L, 1, &set_class);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, set->loop);
  /* No checkpoint before what is there: who was woken for it has it. */
  if (!sl_list_empty(&set->ended)) return take_ended(L, set);
  if (set->left == 0) {
    lua_pushnil(L);
    return 1;
  }
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, next);
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  check_circle(L, set, task, timeout_ns);
  return sl_wait_park_k(L, task, &set->waiters, &next_kind, set, timeout_ns,
                        k_next);
}

/* set:close(), __close, __gc: nothing is watched any more. */
static int close_set(lua_State *L) {
  struct set *set = sl_check(L, 1, &set_class);
  for (uint32_t i = 0; i < set->n; i++)
    sl_link_unlink(&set->at[i].watch.link);
  set->left = 0;
  release_waiters(set);
  return 0;
}

void sl_watch_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"watch", watch}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"next", next}, {"close", close_set}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__close", close_set}, {"__gc", close_set}, {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &set_class, loop, methods, meta);
  lua_pop(L, 1);
}
