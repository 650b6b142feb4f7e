/*
** store.c: see store.h. An engine that runs inline is driven here, one with
** a thread in store_thread.c.
*/
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "store_memory.h"
#include "store_thread.h"

enum {
  MAX_IN_FLIGHT = 8192, /* more calls wait before their arguments are copied */
  MAX_SPARE = 1024,
  NARGUMENTS = 5
};

static const int64_t RETRY_NS = 1000000; /* without memory to settle */

struct store_box {
  const struct sl_class *class;
  struct sl_store *store;
};

static const struct sl_class store_class = {"sluice.Store",
                                            sizeof(struct store_box)};

/* Registry: the list of the stores that are not closed. */
static const char stores_key;

static lua_CFunction const methods_by_verb[SL_NVERBS];

/* -- calls -- */

static void free_call(struct sl_call *call) {
  sl_link_unlink(&call->link);
  sl_op_fini(&call->op);
  free(call);
}

/* Throws: memory. */
static struct sl_call *new_call(lua_State *L, struct sl_store *store,
                                enum sl_verb verb) {
  struct sl_call *call;
  if (!sl_list_empty(&store->spare)) {
    call = sl_container(sl_list_pop(&store->spare), struct sl_call, link);
    store->nspare--;
    sl_op_reset(&call->op, verb);
  } else {
    call = malloc(sizeof *call);
    if (call == NULL) luaL_error(L, "not enough memory");
    sl_op_init(&call->op, verb);
    sl_link_init(&call->link);
    sl_link_init(&call->waiters);
  }
  sl_list_push(&store->calls, &call->link);
  call->store = store;
  call->timeout_ns = SL_NEVER;
  call->state = SL_CALL_IDLE;
  call->no_wait = call->withdrawn = call->orphan = false;
  return call;
}

/* The call is wanted no more; it is not with the engine. */
static void return_call(struct sl_call *call) {
  struct sl_store *store = call->store;
  if (store->nspare == MAX_SPARE || store->closing) {
    free_call(call);
    return;
  }
  sl_link_unlink(&call->link);
  sl_list_push(&store->spare, &call->link);
  store->nspare++;
}

static bool has_room(const struct sl_store *store) {
  return store->in_flight + store->granted < MAX_IN_FLIGHT;
}

/* There is room: who waits longest has it. */
static void admit(struct sl_store *store) {
  while (has_room(store) && !sl_list_empty(&store->crowd)) {
    store->granted++;
    sl_task_wake(sl_task_of(store->crowd.next), SL_WOKEN);
  }
}

static void free_calls(struct sl_link *list) {
  while (!sl_list_empty(list))
    free_call(sl_container(list->next, struct sl_call, link));
}

/* Frees it when nobody refers to it any more. */
static void free_store(struct sl_store *store) {
  if (store->boxed || !store->closed || store->in_flight > 0) return;
  free_calls(&store->calls);
  free_calls(&store->spare);
  sl_link_unlink(&store->link);
  free(store);
}

static void leave_flight(struct sl_store *store) {
  store->in_flight--;
  if (!sl_list_empty(&store->crowd)) admit(store);
  if (store->in_flight > 0) return;
  if (store->thread != NULL) sl_store_thread_hold(store->thread, false);
  free_store(store);
}

void sl_call_finish(struct sl_call *call) {
  struct sl_store *store = call->store;
  bool found = call->op.status != SL_OP_WAITING;
  call->state = SL_CALL_FINISHED;
  if (!sl_list_empty(&call->waiters))
    sl_task_wake(sl_task_of(call->waiters.next),
                 found ? SL_WOKEN : (enum sl_wake)call->why);
  if (call->orphan) return_call(call);
  leave_flight(store);
}

/* -- inline: the engine runs where it is called -- */

static int64_t first_retry(const struct sl_link *asleep) {
  int64_t first = INT64_MAX;
  for (struct sl_link *at = asleep->next; at != asleep; at = at->next) {
    int64_t retry_ns = sl_call_of(at)->op.retry_ns;
    if (retry_ns < first) first = retry_ns;
  }
  return first;
}

/* Asks the engine again when something is due for those who wait. */
static void arm(struct sl_store *store) {
  int64_t due_ns = first_retry(&store->asleep);
  int64_t soon_ns = (int64_t)store->loop->now_ns + RETRY_NS;
  sl_clock_disarm(store->loop, &store->due);
  if (due_ns == INT64_MAX) return;
  if (due_ns <= (int64_t)store->loop->now_ns) due_ns = soon_ns;
  sl_clock_arm(store->loop, &store->due, (uint64_t)due_ns);
}

/* Runs a call's operation, or none, and those that wait. */
static void run_inline(struct sl_store *store, struct sl_call *call) {
  struct sl_link ops;
  sl_link_init(&ops);
  if (call != NULL) sl_list_push(&ops, &call->op.link);
  store->engine_class->run(store->engine, &ops, &store->asleep,
                           (int64_t)sl_loop_now(store->loop));
  if (call != NULL && call->op.status == SL_OP_WAITING) {
    call->state = SL_CALL_ASLEEP;
    if (call->no_wait) {
      sl_link_unlink(&call->op.link);
      sl_list_push(&ops, &call->op.link);
      call->op.status = SL_OP_TIMED_OUT;
    }
  }
  while (!sl_list_empty(&ops)) sl_call_finish(sl_call_of(sl_list_pop(&ops)));
  arm(store);
}

static void on_store_due(struct sl_deadline *deadline) {
  struct sl_store *store = sl_container(deadline, struct sl_store, due);
  run_inline(store, NULL);
}

/* Takes back a call that has had no effect. False: it may have one by now,
   and will be finished soon. */
static bool withdraw(struct sl_store *store, struct sl_call *call,
                     enum sl_wake why) {
  if (store->thread != NULL)
    return sl_store_thread_withdraw(store->thread, call, why);
  sl_link_unlink(&call->op.link);
  call->why = (uint8_t)why;
  arm(store);
  return true;
}

static void post(struct sl_call *call) {
  struct sl_store *store = call->store;
  call->state = SL_CALL_PENDING;
  if (store->in_flight++ == 0 && store->thread != NULL)
    sl_store_thread_hold(store->thread, true);
  if (store->thread != NULL) {
    sl_store_thread_post(store->thread, call);
  } else {
    run_inline(store, call);
  }
}

/* -- closing -- */

static void begin_close(struct sl_store *store);

void sl_store_opened(struct sl_store *store) {
  if (!store->failed) store->closing = false;
  sl_store_thread_hold(store->thread, false);
  while (!sl_list_empty(&store->openers))
    sl_task_wake(sl_task_of(store->openers.next), SL_WOKEN);
  if (!store->boxed) begin_close(store); /* nobody waited for it */
}

void sl_store_ended(struct sl_store *store) {
  store->closing = true;
  store->closed = true;
  store->engine = NULL;
  store->thread = NULL;
  sl_link_unlink(&store->link);
  while (!sl_list_empty(&store->closers))
    sl_task_wake(sl_task_of(store->closers.next), SL_WOKEN);
  free_store(store);
}

static void close_inline(struct sl_store *store) {
  if (!store->loop->closed) {
    sl_clock_disarm(store->loop, &store->due);
    sl_clock_release(store->loop);
  }
  while (!sl_list_empty(&store->asleep)) {
    struct sl_call *call = sl_call_of(sl_list_pop(&store->asleep));
    call->op.status = SL_OP_CLOSED;
    sl_call_finish(call);
  }
  if (store->engine != NULL) store->engine_class->close(store->engine);
  sl_store_ended(store);
}

/* No more calls; what was posted is still done. */
static void begin_close(struct sl_store *store) {
  if (store->closing) return;
  store->closing = true;
  while (!sl_list_empty(&store->crowd))
    sl_task_wake(sl_task_of(store->crowd.next), SL_SHUT_DOWN);
  if (store->thread != NULL)
    sl_store_thread_end(store->thread);
  else
    close_inline(store);
}

/* -- waiting -- */

/* A call with an effect, or about to have one, is waited for. */
static void abandon_call(struct sl_task *task, enum sl_wake why) {
  struct sl_call *call = task->object;
  if (withdraw(call->store, call, why)) {
    call->op.status = SL_OP_WAITING;
    sl_call_finish(call);
  } else if (why == SL_DEADLOCKED) {
    call->orphan = true; /* it ends by itself */
    task->object = NULL;
    sl_task_wake(task, why);
  }
}

#define KIND(what) {what, abandon_call, NULL, NULL}
static const struct sl_wait_kind call_kinds[SL_NVERBS] = {
    KIND("jobs: opening a queue"), KIND("jobs: put"),
    KIND("jobs: reserve"),         KIND("jobs: keep"),
    KIND("jobs: ack"),             KIND("jobs: release"),
    KIND("jobs: nack"),            KIND("jobs: bury"),
    KIND("jobs: touch"),           KIND("jobs: cancel"),
    KIND("jobs: kick"),            KIND("jobs: peek"),
    KIND("jobs: job"),             KIND("jobs: pause"),
    KIND("jobs: resume"),          KIND("jobs: purge"),
    KIND("jobs: drain"),           KIND("jobs: stats"),
    KIND("jobs: queues"),          KIND("jobs: check")};

static const struct sl_wait_kind crowd_kind = {"jobs: room for a call", NULL,
                                               NULL, NULL};
static const struct sl_wait_kind close_kind = {"jobs: close", NULL, NULL,
                                               NULL};
static const struct sl_wait_kind open_kind = {"jobs: open", NULL, NULL,
                                              NULL};

/* Returns what the call came to. If that throws, it is the store's. */
static int deliver(lua_State *L, struct sl_call *call) {
  int n;
  luaL_checkstack(L, 16, NULL);
  n = sl_call_push(L, call);
  return_call(call);
  return n;
}

static int k_call(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct sl_call *call = task->object;
  (void)status;
  if (task->woken != SL_WOKEN && task->state == SL_RUNNING && call != NULL)
    return_call(call);
  if (sl_wait_outcome(L, task) == SL_TIMED_OUT) return sl_fail(L, "timeout");
  return deliver(L, call);
}

static int start_k(lua_State *L, struct sl_store *store,
                   struct sl_task *task, enum sl_verb verb) {
  struct sl_call *call = new_call(L, store, verb);
  uint64_t timeout_ns;
  sl_call_fill(L, call);
  luaL_checkstack(L, 16, NULL); /* nothing throws once it is posted */
  if (task->scope->effective || store->closing) {
    /* A finaliser cancelled the task, or closed the store. */
    return_call(call);
    lua_settop(L, NARGUMENTS);
    return sl_wait_pause_k(L, task, methods_by_verb[verb]);
  }
  /* What is not to wait is tried all the same, which may take a while. */
  timeout_ns = call->no_wait ? SL_NEVER : call->timeout_ns;
  post(call);
  if (call->state == SL_CALL_FINISHED) return deliver(L, call);
  return sl_wait_park_k(L, task, &call->waiters, &call_kinds[verb], call,
                        timeout_ns, k_call);
}

static struct sl_store *check_store(lua_State *L) {
  struct store_box *box = sl_check(L, 1, &store_class);
  return box->store;
}

/* Room was found, or the store was closed. The verb is above the arguments. */
static int k_crowd(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct sl_store *store = check_store(L);
  enum sl_verb verb = (enum sl_verb)lua_tointeger(L, NARGUMENTS + 1);
  (void)status;
  if (task->woken == SL_WOKEN) store->granted--;
  if (sl_wait_outcome(L, task) == SL_SHUT_DOWN || store->closing)
    return sl_fail(L, "closed");
  lua_settop(L, NARGUMENTS);
  return start_k(L, store, task, verb);
}

/* Every method: carries out `verb` with the arguments. */
static int perform(lua_State *L, enum sl_verb verb) {
  struct sl_store *store = check_store(L);
  struct sl_task *task = sl_wait_enter(L, sl_loop_of(L));
  if (sl_wait_must_pause(task))
    return sl_wait_pause_k(L, task, methods_by_verb[verb]);
  if (store == NULL || store->closing) return sl_fail(L, "closed");
  lua_settop(L, NARGUMENTS);
  if (has_room(store)) return start_k(L, store, task, verb);
  lua_pushinteger(L, (lua_Integer)verb);
  return sl_wait_park_k(L, task, &store->crowd, &crowd_kind, store, SL_NEVER,
                        k_crowd);
}

#define METHOD(name, verb) \
  static int name(lua_State *L) { return perform(L, verb); }
METHOD(open_queue, SL_OP_QUEUE)
METHOD(put, SL_OP_PUT)
METHOD(reserve, SL_OP_RESERVE)
METHOD(ack, SL_OP_ACK)
METHOD(release, SL_OP_RELEASE)
METHOD(nack, SL_OP_NACK)
METHOD(bury, SL_OP_BURY)
METHOD(touch, SL_OP_TOUCH)
METHOD(cancel, SL_OP_CANCEL)
METHOD(kick, SL_OP_KICK)
METHOD(peek, SL_OP_PEEK)
METHOD(look_at, SL_OP_JOB)
METHOD(pause_queue, SL_OP_PAUSE)
METHOD(resume, SL_OP_RESUME)
METHOD(purge, SL_OP_PURGE)
METHOD(drain, SL_OP_DRAIN)
METHOD(stats, SL_OP_STATS)
METHOD(queues, SL_OP_QUEUES)
METHOD(check, SL_OP_CHECK)

static lua_CFunction const methods_by_verb[SL_NVERBS] = {
    [SL_OP_QUEUE] = open_queue,   [SL_OP_PUT] = put,
    [SL_OP_RESERVE] = reserve,    [SL_OP_ACK] = ack,
    [SL_OP_RELEASE] = release,    [SL_OP_NACK] = nack,
    [SL_OP_BURY] = bury,          [SL_OP_TOUCH] = touch,
    [SL_OP_CANCEL] = cancel,      [SL_OP_KICK] = kick,
    [SL_OP_PEEK] = peek,          [SL_OP_JOB] = look_at,
    [SL_OP_PAUSE] = pause_queue,  [SL_OP_RESUME] = resume,
    [SL_OP_PURGE] = purge,        [SL_OP_DRAIN] = drain,
    [SL_OP_STATS] = stats,        [SL_OP_QUEUES] = queues,
    [SL_OP_CHECK] = check};

/* engine:keep(queue, jobs): never waits. */
static int keep(lua_State *L) {
  struct sl_store *store = check_store(L);
  struct sl_call *call;
  if (store == NULL || store->closing) return 0;
  lua_settop(L, NARGUMENTS);
  call = new_call(L, store, SL_OP_KEEP);
  sl_call_fill(L, call);
  if (store->closing) {
    return_call(call);
    return 0;
  }
  call->orphan = true;
  post(call);
  /* The task may compute for longer than the lease from here on. */
  if (store->thread != NULL) sl_store_thread_flush(store->thread);
  return 0;
}

/* engine:now(): seconds since 1970 on the engine's clock; nil once it is
   closed. Never waits. */
static int now(lua_State *L) {
  struct sl_store *store = check_store(L);
  int64_t now_ns;
  if (store == NULL || store->closing) return 0;
  if (store->thread != NULL)
    now_ns = sl_store_thread_now(store->thread);
  else
    now_ns = store->engine_class->now(store->engine,
                                      (int64_t)sl_loop_now(store->loop));
  lua_pushnumber(L, (lua_Number)now_ns / 1e9);
  return 1;
}

/* -- close -- */

static int k_close(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  sl_wait_outcome(L, (struct sl_task *)ctx);
  lua_pushboolean(L, 1);
  return 1;
}

/* engine:close(): ends when all that was begun is done. Waits. */
static int close_store(lua_State *L) {
  struct sl_store *store = check_store(L);
  struct sl_task *task = sl_wait_enter(L, sl_loop_of(L));
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, close_store);
  if (store != NULL) begin_close(store);
  if (store != NULL && !store->closed)
    return sl_wait_park_k(L, task, &store->closers, &close_kind, store,
                          SL_NEVER, k_close);
  lua_pushboolean(L, 1);
  return 1;
}

static int collect_box(lua_State *L) {
  struct store_box *box = sl_check(L, 1, &store_class);
  struct sl_store *store = box->store;
  if (store == NULL) return 0;
  box->store = NULL;
  begin_close(store);
  store->boxed = false;
  free_store(store);
  return 0;
}

/* -- open -- */

/* Pushes a box with a new store that is closed. Throws: memory. */
static struct sl_store *new_store(lua_State *L, struct sl_loop *loop,
                                  const struct sl_engine_class *class) {
  struct store_box *box = sl_object_new(L, &store_class, 0);
  struct sl_store *store;
  struct sl_link *stores;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &stores_key);
  stores = lua_touserdata(L, -1);
  lua_pop(L, 1);
  store = calloc(1, sizeof *store);
  if (store == NULL) luaL_error(L, "not enough memory");
  store->loop = loop;
  store->engine_class = class;
  store->boxed = true;
  store->closing = true;
  store->closed = true;
  sl_link_init(&store->asleep);
  sl_link_init(&store->calls);
  sl_link_init(&store->spare);
  sl_link_init(&store->crowd);
  sl_link_init(&store->openers);
  sl_link_init(&store->closers);
  sl_link_init(&store->link);
  sl_deadline_init(&store->due, on_store_due);
  sl_list_push(stores, &store->link);
  box->store = store;
  return store;
}

static int fail_open(lua_State *L, const struct sl_engine_error *error) {
  lua_pushnil(L);
  lua_pushstring(L, error->message);
  lua_pushstring(L, error->code);
  return 3;
}

/* The wall clock less the loop's. On a virtual clock both begin together. */
static int64_t wall_offset(struct sl_loop *loop) {
  uv_timeval64_t wall;
  if (loop->virtual_time || uv_gettimeofday(&wall) != 0) return 0;
  return wall.tv_sec * 1000000000 + (int64_t)wall.tv_usec * 1000 -
         (int64_t)sl_loop_now(loop);
}

static int open_inline(lua_State *L, struct sl_store *store,
                       struct sl_engine_config *config) {
  struct sl_engine_error error;
  sl_clock_reserve(L, store->loop);
  config->offset_ns = wall_offset(store->loop);
  store->engine = store->engine_class->open(config, &error);
  if (store->engine == NULL) {
    sl_clock_release(store->loop);
    return fail_open(L, &error);
  }
  store->closing = false;
  store->closed = false;
  return 1;
}

enum { BOX = 4 };

static int k_open(lua_State *L, int status, lua_KContext ctx) {
  const struct store_box *box = lua_touserdata(L, BOX);
  (void)status;
  sl_wait_outcome(L, (struct sl_task *)ctx);
  lua_settop(L, BOX);
  return box->store->failed ? fail_open(L, &box->store->error) : 1;
}

static int open_threaded(lua_State *L, struct sl_task *task,
                         struct sl_store *store,
                         const struct sl_engine_config *config) {
  int error = sl_store_thread_start(store, sl_memory_of(L), config);
  if (error < 0) return sl_fail_uv(L, error);
  store->closed = false;
  return sl_wait_park_k(L, task, &store->openers, &open_kind, store,
                        SL_NEVER, k_open);
}

static const struct sl_engine_class *check_class(lua_State *L, int arg) {
  const struct sl_engine_class *const *class;
  if (lua_isnoneornil(L, arg)) return &sl_memory_engine;
  class = luaL_checkudata(L, arg, SL_ENGINE_TYPE);
  if ((*class)->version != SL_ENGINE_VERSION)
    luaL_argerror(L, arg, "engine of another version of sluice");
  return *class;
}

/* open(class, path, durable): the engine of that class (nil: memory), at a
   file. Returns it; nil, message, code. Waits. */
static int open_store(lua_State *L) {
  const struct sl_engine_class *class = check_class(L, 1);
  struct sl_engine_config config = {luaL_optstring(L, 2, NULL),
                                    lua_toboolean(L, 3), 0};
  struct sl_loop *loop = sl_loop_of(L);
  struct sl_task *task = sl_wait_enter(L, loop);
  struct sl_store *store;
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, open_store);
  lua_settop(L, 3);
  store = new_store(L, loop, class);
  luaL_checkstack(L, 16, NULL);
  if (class->threaded) return open_threaded(L, task, store, &config);
  return open_inline(L, store, &config);
}

/* -- the module -- */

static void open_class(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg methods[] = {
      {"queue", open_queue},   {"put", put},       {"reserve", reserve},
      {"keep", keep},          {"ack", ack},       {"release", release},
      {"nack", nack},          {"bury", bury},     {"touch", touch},
      {"cancel", cancel},      {"kick", kick},     {"peek", peek},
      {"job", look_at},        {"pause", pause_queue},
      {"resume", resume},      {"purge", purge},   {"drain", drain},
      {"stats", stats},        {"queues", queues}, {"check", check},
      {"now", now},            {"close", close_store},
      {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", collect_box}, {NULL, NULL}};
  sl_class_new(L, &store_class, loop, methods, meta);
  lua_pop(L, 1);
}

static int push_module(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  return 1;
}

void sl_store_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"open", open_store}, {NULL, NULL}};
  struct sl_link *stores = lua_newuserdatauv(L, sizeof *stores, 0);
  sl_link_init(stores);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &stores_key);
  open_class(L, loop);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_newtable(L);
  sl_setfuncs(L, loop, functions);
  lua_pushcclosure(L, push_module, 1);
  lua_setfield(L, -2, "sluice.core.store");
  lua_pop(L, 1);
}

void sl_store_stop(lua_State *L, struct sl_loop *loop) {
  struct sl_link *stores;
  (void)loop;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &stores_key);
  stores = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (stores == NULL) return;
  for (struct sl_link *at = stores->next, *next; at != stores; at = next) {
    struct sl_store *store = sl_container(at, struct sl_store, link);
    next = at->next;
    if (store->thread != NULL) sl_store_thread_stop(store->thread);
  }
}
