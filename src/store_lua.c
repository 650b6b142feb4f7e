/*
** store_lua.c: an engine as an object of Lua, for the modules of
** sluice.jobs: its methods park the task until the engine has done what they
** ask for. sluice.core.store.open makes one.
**
** Each method is the same function with another verb: enter, make a call,
** fill it, post it, park; the continuation pushes what the call came to.
*/
#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "store.h"
#include "store_memory.h"
#include "store_thread.h"

enum { NARGUMENTS = 5 };

struct store_box {
  const struct sl_class *class;
  struct sl_store *store;
};

static const struct sl_class store_class = {"sluice.Store",
                                            sizeof(struct store_box)};

/* Registry: the list of the stores that are not closed. */
static const char stores_key;

static lua_CFunction const methods_by_verb[SL_NVERBS];

/* -- waiting -- */

/* A call with an effect, or about to have one, is waited for. */
static void abandon_call(struct sl_task *task, enum sl_wake why) {
  struct sl_call *call = task->object;
  if (sl_call_withdraw(call, why)) {
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

/* Returns what the call came to. If that throws, it is the store's; one that
   failed for want of memory gives back its own at once. */
static int deliver(lua_State *L, struct sl_call *call) {
  int n;
  if (call->op.status == SL_OP_NO_MEMORY) {
    sl_call_return(call);
    return luaL_error(L, "not enough memory");
  }
  sl_call_loosen(call);
  luaL_checkstack(L, 16, NULL);
  n = sl_call_push(L, call);
  sl_call_return(call);
  return n;
}

static int k_call(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct sl_call *call = task->object;
  (void)status;
  if (task->woken != SL_WOKEN && task->state == SL_RUNNING && call != NULL)
    sl_call_return(call);
  if (sl_wait_outcome(L, task) == SL_TIMED_OUT) return sl_fail(L, "timeout");
  return deliver(L, call);
}

static int start_k(lua_State *L, struct sl_store *store,
                   struct sl_task *task, enum sl_verb verb) {
  struct sl_call *call;
  uint64_t timeout_ns;
  sl_store_pick_up(store);
  call = sl_call_new(L, store, verb);
  sl_call_fill(L, call);
  luaL_checkstack(L, 16, NULL); /* nothing throws once it is posted */
  if (task->scope->effective || store->closing) {
    /* A finaliser cancelled the task, or closed the store. */
    sl_call_return(call);
    lua_settop(L, NARGUMENTS);
    return sl_wait_pause_k(L, task, methods_by_verb[verb]);
  }
  /* What is not to wait is tried all the same, which may take a while. */
  timeout_ns = call->no_wait ? SL_NEVER : call->timeout_ns;
  sl_call_post(call);
  if (call->state == SL_CALL_FINISHED) return deliver(L, call);
  return sl_wait_park_k(L, task, &call->waiters, &call_kinds[verb], call,
                        timeout_ns, k_call);
}

static struct sl_store *check_store(lua_State *L) {
  struct store_box *box = sl_check(L, 1, &store_class);
  return box->store;
}

static int k_crowd(lua_State *L, int status, lua_KContext ctx);

/* Waits for room, in front of `next`. The verb is above the arguments. */
static int await_room_k(lua_State *L, struct sl_store *store,
                        struct sl_task *task, struct sl_link *next) {
  return sl_wait_park_k(L, task, next, &crowd_kind, store, SL_NEVER, k_crowd);
}

/* There may be room, or the store was closed. The next is woken at once, as
   this one may raise; it runs when this one has posted. */
static int k_crowd(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct sl_store *store = check_store(L);
  enum sl_verb verb = (enum sl_verb)lua_tointeger(L, NARGUMENTS + 1);
  (void)status;
  if (task->woken == SL_WOKEN) {
    store->admitting = false;
    sl_store_admit(store);
  }
  if (sl_wait_outcome(L, task) == SL_SHUT_DOWN || store->closing)
    return sl_fail(L, "closed");
  if (!sl_store_has_room(store) && !task->scope->effective) {
    lua_settop(L, NARGUMENTS + 1);
    return await_room_k(L, store, task, store->crowd.next);
  }
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
  if (!sl_store_is_crowded(store)) return start_k(L, store, task, verb);
  lua_pushinteger(L, (lua_Integer)verb);
  return await_room_k(L, store, task, &store->crowd);
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
  call = sl_call_new(L, store, SL_OP_KEEP);
  sl_call_fill(L, call);
  if (store->closing) {
    sl_call_return(call);
    return 0;
  }
  call->orphan = true;
  sl_call_post(call);
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
  if (store != NULL) sl_store_close(store);
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
  sl_store_close(store);
  store->boxed = false;
  sl_store_free(store);
  return 0;
}

/* -- open -- */

/* Pushes a box with a new store that is closed. Throws: memory. */
static struct sl_store *push_store(lua_State *L, struct sl_loop *loop,
                                   const struct sl_engine_class *class) {
  struct store_box *box = sl_object_new(L, &store_class, 0);
  struct sl_link *stores;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &stores_key);
  stores = lua_touserdata(L, -1);
  lua_pop(L, 1);
  box->store = sl_store_new(loop, class);
  if (box->store == NULL) luaL_error(L, "not enough memory");
  sl_list_push(stores, &box->store->link);
  return box->store;
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
  store = push_store(L, loop, class);
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
