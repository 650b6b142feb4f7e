/*
** event.c: see event.h.
*/
#include "event.h"

struct event {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_link waiters; /* empty while set */
  bool set;
};

static const struct sl_class event_class = {"sluice.Event",
                                            sizeof(struct event)};

static struct event *check_event(lua_State *L) {
  return sl_check(L, 1, &event_class);
}

static const struct sl_wait_kind wait_kind = {"Event:wait", NULL, NULL,
                                              NULL};

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (sl_wait_outcome(L, (struct sl_task *)ctx) == SL_TIMED_OUT)
    return sl_fail(L, "timeout");
  lua_pushboolean(L, 1);
  return 1;
}

/* event:wait([timeout]): waits until the event is set. Returns true, or nil,
   "timeout". Allocates nothing. */
static int wait(lua_State *L) {
  struct event *event = check_event(L);
  uint64_t timeout_ns = sl_opt_timeout(L, 2);
  struct sl_task *task = sl_wait_enter(L, event->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, wait);
  if (event->set) {
    lua_pushboolean(L, 1);
    return 1;
  }
  if (timeout_ns == 0) return sl_fail(L, "timeout");
  return sl_wait_park_k(L, task, &event->waiters, &wait_kind, event,
                        timeout_ns, k_wait);
}

/* event:set(): wakes everybody who waits. Never waits, allocates nothing. */
static int set(lua_State *L) {
  struct event *event = check_event(L);
  event->set = true;
  while (!sl_list_empty(&event->waiters))
    sl_task_wake(sl_task_of(event->waiters.next), SL_WOKEN);
  return 0;
}

/* event:clear(): waits from now on wait for the next set. */
static int clear(lua_State *L) {
  check_event(L)->set = false;
  return 0;
}

/* event:is_set() */
static int is_set(lua_State *L) {
  lua_pushboolean(L, check_event(L)->set);
  return 1;
}

static int event_tostring(lua_State *L) {
  struct event *event = check_event(L);
  lua_pushfstring(L, "sluice.Event (%s, %d waiting)",
                  event->set ? "set" : "not set",
                  (int)sl_list_count(&event->waiters));
  return 1;
}

/* sluice.Event(): an event that is not set. */
static int new_event(lua_State *L) {
  struct event *event = sl_object_new(L, &event_class, 0);
  event->loop = sl_loop_of(L);
  sl_link_init(&event->waiters);
  return 1;
}

void sl_event_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"Event", new_event}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"wait", wait},
                                     {"set", set},
                                     {"clear", clear},
                                     {"is_set", is_set},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", event_tostring},
                                  {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &event_class, loop, methods, meta);
  lua_pop(L, 1);
}
