/*
** queue.c: see queue.h. What waits and what moves; the functions that only
** look at a queue are in queue_info.c.
*/
#include "queue.h"

#include <string.h>

#include "queue_impl.h"

const struct sl_class sl_queue_classes[SL_NDISCIPLINES] = {
    {"sluice.Queue", sizeof(struct sl_queue)},
    {"sluice.LifoQueue", sizeof(struct sl_queue)},
    {"sluice.PriorityQueue", sizeof(struct sl_queue)}};

static inline struct sl_queue *check_queue(lua_State *L) {
  return sl_queue_check(L);
}

/* The stack of put: the queue, the item, in a priority queue the priority
   (ITEM if it is the item itself), the timeout. */
enum { OWNER = 1, ITEM = 2, PRIORITY = 3 };

/* -- the store -- */

static inline void count_stored(struct sl_queue *queue) {
  queue->len++;
  if (queue->len > queue->high_water) queue->high_water = queue->len;
}

/* Adds the item at `item`, for which there is room. Returns LUA_OK or a
   status of sl_prio_push. */
static inline int store_item(lua_State *L, struct sl_queue *queue, int item,
                             int priority) {
  if (queue->discipline == SL_BY_PRIORITY) {
    int status =
        sl_prio_push(L, OWNER, &queue->store.prio, item, priority);
    if (status != LUA_OK) return status;
  } else {
    sl_ring_push(L, OWNER, &queue->store.ring, item);
  }
  count_stored(queue);
  return LUA_OK;
}

/* Whether the store can take put's item without memory; `later`: from a
   putter that waits, when one item has left the store. */
static inline bool has_room(lua_State *L, const struct sl_queue *queue,
                            int priority, bool later) {
  if (queue->discipline == SL_BY_PRIORITY)
    return later ? queue->store.prio.has_table
                 : sl_prio_has_room(&queue->store.prio,
                                    sl_prio_needs_table(L, ITEM, priority));
  return later ? queue->store.ring.has_table
               : sl_ring_has_room(L, &queue->store.ring, ITEM);
}

/* Takes memory for put's item. Finalisers may run, and use the queue: what
   was known of it before is void. */
static SL_COLD void reserve(lua_State *L, struct sl_queue *queue,
                            int priority, bool any) {
  if (queue->discipline == SL_BY_PRIORITY)
    sl_prio_reserve(L, OWNER, &queue->store.prio,
                    any || sl_prio_needs_table(L, ITEM, priority));
  else
    sl_ring_reserve(L, OWNER, &queue->store.ring,
                    any || lua_type(L, ITEM) != LUA_TNUMBER);
}

/* Takes the next item and pushes it, and its priority. Returns LUA_OK or a
   status of sl_prio_pop. */
int sl_queue_take(lua_State *L, struct sl_queue *queue) {
  switch (queue->discipline) {
    case SL_FIFO: sl_ring_shift(L, OWNER, &queue->store.ring); break;
    case SL_LIFO: sl_ring_pop(L, OWNER, &queue->store.ring); break;
    default: {
      int status = sl_prio_pop(L, OWNER, &queue->store.prio);
      if (status != LUA_OK) return status;
    }
  }
  queue->len--;
  return LUA_OK;
}

static inline int results(const struct sl_queue *queue) {
  return queue->discipline == SL_BY_PRIORITY ? 2 : 1;
}

static inline bool is_full(const struct sl_queue *queue) {
  return queue->len >= queue->maxsize;
}

/* -- put -- */

/* Gives the item of put's stack to the first getter that waits. */
static void hand_over(lua_State *L, struct sl_queue *queue, int priority) {
  struct sl_task *getter = sl_task_of(queue->getters.next);
  lua_pushvalue(L, ITEM);
  if (queue->discipline == SL_BY_PRIORITY) lua_pushvalue(L, priority);
  lua_xmove(L, getter->coroutine.co, results(queue));
  queue->gets++;
  sl_task_wake(getter, SL_WOKEN);
}

static void count_put(struct sl_queue *queue) {
  queue->puts++;
  queue->unfinished++;
}

/* Puts without waiting. Returns false if the queue is full; throws if it is
   shut down, or if priorities do not compare. */
static inline bool put_now(lua_State *L, struct sl_queue *queue,
                           int priority) {
  for (;;) {
    if (sl_unlikely(queue->shut_down))
      luaL_error(L, "cannot put: the queue is shut down");
    if (!sl_list_empty(&queue->getters)) {
      hand_over(L, queue, priority);
      break;
    }
    if (is_full(queue)) return false;
    if (sl_likely(has_room(L, queue, priority, false))) {
      int status = store_item(L, queue, ITEM, priority);
      if (sl_unlikely(status != LUA_OK)) sl_prio_raise(L, status);
      break;
    }
    reserve(L, queue, priority, false);
  }
  count_put(queue);
  return true;
}

/* Checks the item and the priority; returns the index of the priority. */
static inline int check_item(lua_State *L, struct sl_queue *queue) {
  int priority = ITEM;
  if (sl_unlikely(lua_isnoneornil(L, ITEM)))
    luaL_argerror(L, ITEM, "nil cannot be an item");
  if (queue->discipline != SL_BY_PRIORITY) return ITEM;
  sl_prio_check_idle(L, &queue->store.prio);
  if (!lua_isnoneornil(L, PRIORITY)) priority = PRIORITY;
  sl_prio_check_priority(L, priority, priority);
  return priority;
}

static const struct sl_wait_kind put_kind = {"Queue:put", NULL, NULL, NULL};

/* A get has left the error, and whether it is ours, on the stack. */
static int raise_refusal(lua_State *L) {
  bool ours = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return sl_prio_raise(L, ours ? SL_PRIO_ORDER : LUA_ERRRUN);
}

static int k_put(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  switch (sl_wait_outcome(L, (struct sl_task *)ctx)) {
    case SL_TIMED_OUT: return sl_fail(L, "timeout");
    case SL_SHUT_DOWN:
      return luaL_error(L, "cannot put: the queue was shut down");
    case SL_REFUSED: return raise_refusal(L);
    default: lua_pushboolean(L, 1); return 1;
  }
}

/* queue:put(item [, timeout]), of a PriorityQueue: put(item [, priority [,
   timeout]]): waits while the queue is full. Returns true, or nil,
   "timeout", and then the item is not in. Raises: nil as an item; a queue
   that is shut down; priorities that do not compare. */
static int put(lua_State *L) {
  struct sl_queue *queue = check_queue(L);
  uint64_t timeout_ns = sl_opt_timeout(L, ITEM + results(queue));
  int priority = check_item(L, queue);
  struct sl_task *task = sl_wait_enter(L, queue->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, put);
  if (put_now(L, queue, priority)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  if (sl_unlikely(!has_room(L, queue, priority, true))) {
    reserve(L, queue, priority, true); /* so that a get can move the item in */
    return put(L);           /* start over: finalisers may have run */
  }
  if (queue->discipline == SL_BY_PRIORITY) lua_settop(L, PRIORITY);
  return sl_wait_park_k(L, task, &queue->putters, &put_kind, queue,
                        timeout_ns, k_put);
}

/* queue:put_nowait(item), of a PriorityQueue (item [, priority]): true, or
   nil, "full". Raises as put. Never waits. */
static int put_nowait(lua_State *L) {
  struct sl_queue *queue = check_queue(L);
  int priority = check_item(L, queue);
  if (!put_now(L, queue, priority)) return sl_fail(L, "full");
  lua_pushboolean(L, 1);
  return 1;
}

/* -- get -- */

/* Tells a putter, which was woken, that its priority does not compare: the
   error is on the top of L. Whose message it is decides whether its put adds
   the place. */
static void refuse_putter(lua_State *L, struct sl_task *putter,
                          int status) {
  lua_pushboolean(L, status == SL_PRIO_ORDER);
  lua_xmove(L, putter->coroutine.co, 2);
  putter->woken = SL_REFUSED;
}

/* There is room in a store without priorities: takes the items of putters
   from where they lie, on the putters' own stacks. */
static void admit_to_ring(struct sl_queue *queue) {
  while (!sl_list_empty(&queue->putters) && !is_full(queue)) {
    struct sl_task *putter = sl_task_of(queue->putters.next);
    sl_ring_push(putter->coroutine.co, OWNER, &queue->store.ring, ITEM);
    count_stored(queue);
    count_put(queue);
    sl_task_wake(putter, SL_WOKEN);
  }
}

/* There is room: moves in the item of the putter that has waited longest.
   One whose priority does not compare gets the error in its own put. */
static void admit_by_priority(lua_State *L, struct sl_queue *queue) {
  int top = lua_gettop(L);
  while (!sl_list_empty(&queue->putters) && !is_full(queue)) {
    struct sl_task *putter = sl_task_of(queue->putters.next);
    int status, item = top + 1, priority = top + 1;
    lua_pushvalue(putter->coroutine.co, ITEM);
    lua_xmove(putter->coroutine.co, L, 1);
    if (!lua_isnil(putter->coroutine.co, PRIORITY)) {
      lua_pushvalue(putter->coroutine.co, PRIORITY);
      lua_xmove(putter->coroutine.co, L, 1);
      priority++;
    }
    /* Woken first: a comparison may try to cancel it. */
    sl_task_wake(putter, SL_WOKEN);
    status = store_item(L, queue, item, priority);
    if (status == LUA_OK)
      count_put(queue);
    else
      refuse_putter(L, putter, status);
    lua_settop(L, top);
  }
}

/* Takes the next item; there is one. Returns how many values. */
static inline int get_now(lua_State *L, struct sl_queue *queue) {
  int status = sl_queue_take(L, queue);
  if (sl_unlikely(status != LUA_OK)) return sl_prio_raise(L, status);
  queue->gets++;
  if (!sl_list_empty(&queue->putters)) {
    if (queue->discipline == SL_BY_PRIORITY)
      admit_by_priority(L, queue);
    else
      admit_to_ring(queue);
  }
  return results(queue);
}

static const struct sl_wait_kind get_kind = {"Queue:get", NULL, NULL, NULL};

static int k_get(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  (void)status;
  switch (sl_wait_outcome(L, task)) {
    case SL_TIMED_OUT: return sl_fail(L, "timeout");
    case SL_SHUT_DOWN: return sl_fail(L, "shutdown");
    default: return results(task->object);
  }
}

static inline void check_not_compared(lua_State *L,
                                      const struct sl_queue *queue) {
  if (queue->discipline == SL_BY_PRIORITY)
    sl_prio_check_idle(L, &queue->store.prio);
}

/* queue:get([timeout]): waits for an item. Returns it (a PriorityQueue also
   its priority); nil, "timeout"; nil, "shutdown" once the queue is shut down
   and drained. */
static int get(lua_State *L) {
  struct sl_queue *queue = check_queue(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, queue->loop);
  check_not_compared(L, queue);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, get);
  if (queue->len > 0) return get_now(L, queue);
  if (queue->shut_down) return sl_fail(L, "shutdown");
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  return sl_wait_park_k(L, task, &queue->getters, &get_kind, queue,
                        timeout_ns, k_get);
}

/* for item in queue do: as get without a timeout. */
static int iterate(lua_State *L) {
  lua_settop(L, 1);
  return get(L);
}

/* queue:get_nowait(): the item, or nil, "empty"; nil, "shutdown". Never
   waits. */
static int get_nowait(lua_State *L) {
  struct sl_queue *queue = check_queue(L);
  check_not_compared(L, queue);
  if (queue->len > 0) return get_now(L, queue);
  return sl_fail(L, queue->shut_down ? "shutdown" : "empty");
}

/* -- work done -- */

static void wake_joiners(struct sl_queue *queue) {
  while (!sl_list_empty(&queue->joiners))
    sl_task_wake(sl_task_of(queue->joiners.next), SL_WOKEN);
}

/* queue:task_done(): one item that was got is worked off. Raises if there
   are more of these than items put. Never waits. */
static int task_done(lua_State *L) {
  struct sl_queue *queue = check_queue(L);
  if (queue->unfinished == 0)
    return luaL_error(L, "task_done called too many times");
  if (--queue->unfinished == 0) wake_joiners(queue);
  return 0;
}

static const struct sl_wait_kind join_kind = {"Queue:join", NULL, NULL,
                                              NULL};

static int k_join(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  lua_pushboolean(L, 1);
  return 1;
}

/* queue:join([timeout]): waits until every item put has been marked done.
   Returns true, or nil, "timeout". */
static int join(lua_State *L) {
  struct sl_queue *queue = check_queue(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, queue->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, join);
  if (queue->unfinished == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  return sl_wait_park_k(L, task, &queue->joiners, &join_kind, queue,
                        timeout_ns, k_join);
}

/* -- shutting down -- */

/* Takes every item into a list in the order of get; if a comparison fails,
   the rest in no order. Throws: memory, before anything is changed. */
static int drop_items(lua_State *L, struct sl_queue *queue) {
  bool compares = true;
  uint64_t room;
  do { /* a collection may run finalisers that put */
    room = queue->len;
    lua_settop(L, 1);
    lua_createtable(L, (int)room, 0);
  } while (queue->len > room);
  for (lua_Integer i = 1; queue->len > 0; i++) {
    if (compares && sl_queue_take(L, queue) != LUA_OK) {
      lua_pop(L, 1);
      compares = false;
    }
    if (!compares) {
      sl_prio_take_any(L, OWNER, &queue->store.prio);
      queue->len--;
    }
    if (results(queue) == 2) lua_pop(L, 1);
    lua_rawseti(L, 2, i);
    queue->dropped++;
    if (queue->unfinished > 0 && --queue->unfinished == 0)
      wake_joiners(queue);
  }
  return 1;
}

/* queue:shutdown([immediate]): no more puts; tasks that wait in put raise;
   those in get drain what is there, then get nil, "shutdown". immediate:
   drops and returns the items, a list in the order of get, and counts them
   done. Never waits. */
static int shut_down(lua_State *L) {
  struct sl_queue *queue = check_queue(L);
  int returned = 0;
  check_not_compared(L, queue);
  if (lua_toboolean(L, 2)) returned = drop_items(L, queue);
  queue->shut_down = true;
  while (!sl_list_empty(&queue->putters))
    sl_task_wake(sl_task_of(queue->putters.next), SL_SHUT_DOWN);
  while (!sl_list_empty(&queue->getters))
    sl_task_wake(sl_task_of(queue->getters.next), SL_SHUT_DOWN);
  return returned;
}

const luaL_Reg sl_queue_methods[] = {
    {"put", put},           {"put_nowait", put_nowait},
    {"get", get},           {"get_nowait", get_nowait},
    {"task_done", task_done}, {"join", join},
    {"shutdown", shut_down}, {NULL, NULL}};

const luaL_Reg sl_queue_iterator[] = {{"__call", iterate}, {NULL, NULL}};
