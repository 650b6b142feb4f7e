/*
** thread.c: see thread.h.
**
**            to_thread             on_work returned
**   (new) ────────────► IN FLIGHT ─────────────────► DONE
**
** A request belongs to its ticket, a userdata on the waiting task's stack,
** and, while it is in flight, to libuv; who leaves last frees it. Both leave
** in the loop's thread, so that nothing but the list of idle states needs a
** mutex.
*/
#include "thread.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "pack.h"

enum {
  MAX_IDLE = 16,     /* states kept for the next calls */
  MAX_GARBAGE_K = 512 /* a state that holds more is cleaned at once */
};

/* Per loop, in a userdata of the registry at the loop's address. */
struct pool {
  struct sl_loop *loop;
  struct sl_link in_flight; /* requests, by their links */
  bool nested;              /* this state is itself one of a pool */
  uv_mutex_t mutex;         /* of what follows */
  lua_State *idle[MAX_IDLE];
  int nidle;
};

enum outcome {
  NO_OUTCOME, /* never begun, or no memory even to say why */
  RETURNED,   /* back: its results */
  FAILED,     /* back: the error, its traceback or nil */
  REFUSED     /* back: a text that tells which result cannot be passed */
};

struct request {
  uv_work_t work;
  struct sl_link link;    /* in pool->in_flight until it is done */
  struct sl_link waiters; /* the task that waits for it, or none */
  struct pool *pool;
  struct sl_bytes code;      /* the function */
  struct sl_bytes arguments; /* package.path, package.cpath, arguments */
  struct sl_bytes back;      /* see enum outcome */
  int narguments;
  int nresults;
  enum outcome outcome;
  bool in_flight;
  bool held; /* by its ticket */
};

struct ticket {
  const struct sl_class *class;
  struct request *request; /* NULL: none, or it was given up */
};

static const struct sl_class ticket_class = {"sluice.ThreadCall",
                                             sizeof(struct ticket)};

/* Registry of a state of the pool: that it is one; the last traceback. */
static const char member_key, traceback_key;

/* -- requests -- */

/* The buffers change threads, which the state's own allocator may not. */
static void *allocate(void *ud, void *memory, size_t old_size, size_t size) {
  (void)ud, (void)old_size;
  if (size > 0) return realloc(memory, size);
  free(memory);
  return NULL;
}

static void free_request(struct request *request) {
  sl_bytes_fini(&request->code);
  sl_bytes_fini(&request->arguments);
  sl_bytes_fini(&request->back);
  free(request);
}

/* Pushes a ticket with a new request. Throws: memory. */
static struct request *new_request(lua_State *L, struct pool *pool) {
  struct ticket *ticket = sl_object_new(L, &ticket_class, 0);
  struct request *request = calloc(1, sizeof *request);
  if (request == NULL) luaL_error(L, "not enough memory");
  request->pool = pool;
  request->held = true;
  sl_link_init(&request->link);
  sl_link_init(&request->waiters);
  sl_bytes_init(&request->code, allocate, NULL);
  sl_bytes_init(&request->arguments, allocate, NULL);
  sl_bytes_init(&request->back, allocate, NULL);
  ticket->request = request;
  return request;
}

/* The ticket's request is wanted no more. */
static void give_up(struct ticket *ticket) {
  struct request *request = ticket->request;
  if (request == NULL) return;
  ticket->request = NULL;
  request->held = false;
  if (!request->in_flight) free_request(request);
}

static int collect_ticket(lua_State *L) {
  give_up(sl_check(L, 1, &ticket_class));
  return 0;
}

/* -- the states of the pool -- */

static int no_exit(lua_State *L) {
  return luaL_error(L, "'os.exit' cannot be called in a thread");
}

/* Opens a new state's libraries. */
static int open_state(lua_State *L) {
  luaL_openlibs(L);
  lua_pushboolean(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &member_key);
  lua_getglobal(L, "os");
  lua_pushcfunction(L, no_exit); /* the C function joins all threads */
  lua_setfield(L, -2, "exit");
  return 0;
}

static lua_State *new_state(void) {
  lua_State *L = luaL_newstate();
  if (L == NULL) return NULL;
  lua_pushcfunction(L, open_state);
  if (lua_pcall(L, 0, 0, 0) == LUA_OK) return L;
  lua_close(L);
  return NULL;
}

/* A state at rest, or a new one; NULL without memory. */
static lua_State *borrow_state(struct pool *pool) {
  lua_State *L = NULL;
  uv_mutex_lock(&pool->mutex);
  if (pool->nidle > 0) L = pool->idle[--pool->nidle];
  uv_mutex_unlock(&pool->mutex);
  return L != NULL ? L : new_state();
}

static void return_state(struct pool *pool, lua_State *L, bool usable) {
  if (usable) {
    uv_mutex_lock(&pool->mutex);
    usable = pool->nidle < MAX_IDLE;
    if (usable) pool->idle[pool->nidle++] = L;
    uv_mutex_unlock(&pool->mutex);
  }
  if (!usable) lua_close(L);
}

/* Makes a state as new, but for the modules that it has loaded. Throws what
   a finaliser raises, which is only a warning, so nothing. */
static void clean_state(lua_State *L) {
  lua_settop(L, 0);
  lua_sethook(L, NULL, 0, 0);
  lua_gc(L, LUA_GCRESTART);
  if (lua_gc(L, LUA_GCCOUNT) > MAX_GARBAGE_K) lua_gc(L, LUA_GCCOLLECT);
}

/* -- in the thread -- */

/* The message handler of the call. */
static int keep_traceback(lua_State *L) {
  luaL_traceback(L, L, NULL, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  lua_settop(L, 1);
  return 1;
}

/* Sets the field of `package` to the next value, a string or nil. */
static void set_path(lua_State *L, const char *name, const char **at) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_getsubtable(L, -1, LUA_LOADLIBNAME);
  sl_unpack(L, at);
  if (lua_isnil(L, -1))
    lua_pop(L, 1);
  else
    lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

/* Pushes a table for the function's globals, so that no call sees those that
   another has set; what it does not have is looked up in the state's. */
static void push_environment(lua_State *L) {
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, LUA_GNAME);
  lua_createtable(L, 0, 1);
  lua_pushglobaltable(L);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

/* Pushes the function. Its only upvalue, if any, is _ENV. */
static void push_function(lua_State *L, const struct request *request) {
  const struct sl_bytes *code = &request->code;
  if (luaL_loadbufferx(L, code->data, code->len, "to_thread", "b") != LUA_OK)
    lua_error(L);
  push_environment(L);
  if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1);
}

static void push_arguments(lua_State *L, struct request *request,
                           const char *at) {
  luaL_checkstack(L, request->narguments + 8, "too many arguments");
  for (int i = 0; i < request->narguments; i++) sl_unpack(L, &at);
  sl_bytes_fini(&request->code);
  sl_bytes_fini(&request->arguments);
}

/* Keeps the values from `first` up as what comes back. */
static void keep_results(lua_State *L, struct request *request, int first) {
  int n = lua_gettop(L) - first + 1;
  request->nresults = n;
  request->outcome = RETURNED;
  luaL_checkstack(L, 8, NULL);
  for (int i = 0; i < n; i++) {
    if (sl_pack(L, first + i, &request->back)) continue;
    lua_pushfstring(L, "bad result #%d of the function (%s)", i + 1,
                    lua_tostring(L, -1));
    sl_bytes_clear(&request->back);
    sl_pack(L, -1, &request->back);
    request->outcome = REFUSED;
    return;
  }
}

/* Keeps the error at the top, as text if it cannot be passed. */
static void keep_error(lua_State *L, struct request *request) {
  luaL_checkstack(L, 8, NULL);
  sl_bytes_clear(&request->back);
  if (!sl_pack(L, -1, &request->back)) {
    sl_bytes_clear(&request->back);
    lua_pop(L, 1);
    luaL_tolstring(L, -1, NULL);
    sl_pack(L, -1, &request->back);
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
  sl_pack(L, -1, &request->back);
  request->outcome = FAILED;
}

enum { HANDLER = 1, FUNCTION };

/* Runs the request at 1. Returns whether the state can be used again. */
static int run(lua_State *L) {
  struct request *request = lua_touserdata(L, 1);
  const char *at = request->arguments.data;
  int status;
  lua_pushcfunction(L, keep_traceback);
  lua_replace(L, HANDLER);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  set_path(L, "path", &at);
  set_path(L, "cpath", &at);
  push_function(L, request);
  push_arguments(L, request, at);
  status = lua_pcall(L, request->narguments, LUA_MULTRET, HANDLER);
  if (status == LUA_OK)
    keep_results(L, request, FUNCTION);
  else
    keep_error(L, request);
  lua_pushboolean(L, status != LUA_ERRMEM);
  return 1;
}

/* As `run`, of the request at 1 that could not be run, or whose outcome could
   not be kept, because of the error at 2. */
static int fail(lua_State *L) {
  keep_error(L, lua_touserdata(L, 1));
  lua_pushboolean(L, 0);
  return 1;
}

static void call_in_thread(struct request *request) {
  lua_State *L = borrow_state(request->pool);
  bool usable;
  if (L == NULL) return;
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, request);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    request->outcome = NO_OUTCOME;
    lua_pushcfunction(L, fail);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, request);
    lua_insert(L, -2);
    lua_pcall(L, 2, 1, 0);
  }
  usable = lua_type(L, -1) == LUA_TBOOLEAN && lua_toboolean(L, -1);
  if (usable) clean_state(L);
  return_state(request->pool, L, usable);
}

/* In a thread of libuv's; its Lua is not the loop's. */
static void on_work(uv_work_t *work) {
  call_in_thread(sl_container(work, struct request, work));
}

/* -- back in the loop's thread -- */

static void on_done(uv_work_t *work, int status) {
  struct request *request = sl_container(work, struct request, work);
  (void)status; /* cancelled: it has no outcome, and nobody waits */
  request->in_flight = false;
  sl_link_unlink(&request->link);
  if (!sl_list_empty(&request->waiters))
    sl_task_wake(sl_task_of(request->waiters.next), SL_WOKEN);
  if (!request->held) free_request(request);
}

/* A call that has not begun never will, as if it had not been made; one that
   has goes on without its waiter. */
static void abandon_call(struct sl_task *task, enum sl_wake why) {
  struct request *request = task->object;
  uv_cancel((uv_req_t *)&request->work);
  sl_task_wake(task, why);
}

static const struct sl_wait_kind thread_kind = {"to_thread", abandon_call,
                                                NULL, NULL};

/* Puts the thread's traceback (a string, or nil) at 3 before that of the
   waiting task, and raises the error at 2 with both. */
static int raise_error(lua_State *L) {
  static const char head[] = "stack traceback:";
  const char *own;
  luaL_traceback(L, L, NULL, 0);
  own = lua_tostring(L, -1);
  if (lua_type(L, 3) == LUA_TSTRING) {
    if (strncmp(own, head, sizeof head - 1) == 0) own += sizeof head - 1;
    lua_pushfstring(L, "%s\n\t(a thread, called from:)%s",
                    lua_tostring(L, 3), own);
  }
  sl_task_keep_traceback(L, sl_loop_of(L), 2, -1);
  lua_settop(L, 2);
  return sl_task_rethrow(L, sl_loop_of(L));
}

/* Pushes n values. Throws: memory; the ticket then still frees them. */
static void unpack(lua_State *L, const struct request *request, int n) {
  const char *at = request->back.data;
  luaL_checkstack(L, n + 8, "too many results");
  for (int i = 0; i < n; i++) sl_unpack(L, &at);
}

/* Returns or raises what the call of the ticket at 1 came to. */
static int deliver(lua_State *L, struct ticket *ticket) {
  struct request *request = ticket->request;
  int nresults = request->nresults;
  lua_settop(L, 1);
  switch (request->outcome) {
    case RETURNED:
      unpack(L, request, nresults);
      give_up(ticket);
      return nresults;
    case FAILED:
      unpack(L, request, 2);
      give_up(ticket);
      return raise_error(L);
    case REFUSED:
      unpack(L, request, 1);
      give_up(ticket);
      return luaL_error(L, "%s", lua_tostring(L, 2));
    default:
      give_up(ticket);
      lua_pushliteral(L, "not enough memory");
      return lua_error(L);
  }
}

static int k_to_thread(lua_State *L, int status, lua_KContext ctx) {
  struct sl_task *task = (struct sl_task *)ctx;
  struct ticket *ticket = lua_touserdata(L, 1);
  (void)status;
  if (task->woken != SL_WOKEN) give_up(ticket);
  sl_wait_outcome(L, task);
  return deliver(L, ticket);
}

/* -- to_thread -- */

/* Whether an upvalue of that name, its value at the top, is the globals'
   table. A function without names (string.dump's strip) is told by it. */
static bool is_environment(lua_State *L, const char *name) {
  bool same;
  if (strcmp(name, "_ENV") == 0) return true;
  if (name[0] != '(') return false;
  lua_pushglobaltable(L);
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 1);
  return same;
}

/* Pushes the names of the upvalues but _ENV of the function at 1. Returns how
   many there are. */
static int push_upvalues(lua_State *L) {
  const char *name;
  int n = 0;
  lua_pushliteral(L, "");
  for (int i = 1; (name = lua_getupvalue(L, 1, i)) != NULL; i++) {
    bool counts = !is_environment(L, name);
    lua_pop(L, 1);
    if (!counts) continue;
    lua_pushfstring(L, n++ == 0 ? "'%s'" : ", '%s'", name);
    lua_concat(L, 2);
  }
  return n;
}

/* Throws an argument error unless the function at 1 is self-contained. */
static void check_function(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  if (lua_iscfunction(L, 1))
    luaL_argerror(L, 1, "a C function cannot be passed to a thread");
  luaL_checkstack(L, 8, NULL);
  if (push_upvalues(L) > 0)
    luaL_argerror(L, 1,
                  lua_pushfstring(L,
                                  "the function has upvalues: %s; pass them "
                                  "as arguments",
                                  lua_tostring(L, -1)));
  lua_pop(L, 1);
}

static int write_code(lua_State *L, const void *data, size_t size,
                      void *ud) {
  (void)L;
  return !sl_bytes_append(ud, data, size);
}

/* Packs a field of `package`; nil unless it is a string. */
static void pack_path(lua_State *L, const char *name,
                      struct request *request) {
  int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_getsubtable(L, -1, LUA_LOADLIBNAME);
  if (lua_getfield(L, -1, name) != LUA_TSTRING) lua_pushnil(L);
  sl_pack(L, -1, &request->arguments);
  lua_settop(L, top);
}

/* Packs the function at 2 and the arguments above it. Throws: memory; an
   argument that cannot be passed. */
static void pack_call(lua_State *L, struct request *request) {
  request->narguments = lua_gettop(L) - 2;
  luaL_checkstack(L, 8, NULL);
  pack_path(L, "path", request);
  pack_path(L, "cpath", request);
  for (int i = 1; i <= request->narguments; i++)
    if (!sl_pack(L, i + 2, &request->arguments))
      luaL_argerror(L, i + 1, lua_tostring(L, -1));
  lua_settop(L, 2);
  if (lua_dump(L, write_code, &request->code, 0) != 0)
    luaL_error(L, "not enough memory");
}

/* Hands a request to libuv. Cannot fail: its queue is a linked list. */
static void start(struct request *request) {
  request->in_flight = true;
  sl_list_push(&request->pool->in_flight, &request->link);
  uv_queue_work(&request->pool->loop->uv, &request->work, on_work, on_done);
}

/* sluice.to_thread(fn, ...): runs fn(...) in another Lua state, in a thread,
   while the loop goes on. fn has no upvalues but _ENV; its globals are its
   own, and those of a new state. Arguments and results are nil, booleans,
   numbers, strings and tables of them, which are copied. Returns fn's
   results; raises its error, and what cannot be passed. Waits. When the
   waiter is cancelled, a call that has begun goes on by itself. */
static int to_thread(lua_State *L) {
  struct pool *pool = lua_touserdata(L, lua_upvalueindex(2));
  struct sl_task *task;
  struct request *request;
  check_function(L);
  if (pool->nested)
    luaL_error(L, "'to_thread' cannot be called inside a thread: the threads "
                  "could all wait for one another");
  task = sl_wait_enter(L, pool->loop);
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, to_thread);
  request = new_request(L, pool);
  lua_insert(L, 1);
  pack_call(L, request);
  lua_settop(L, 1);
  luaL_checkstack(L, 16, NULL); /* nothing throws once it has started */
  /* A finaliser may have cancelled the task: then it never gets beyond. */
  if (task->scope->effective) return sl_wait_pause_k(L, task, to_thread);
  start(request);
  return sl_wait_park_k(L, task, &request->waiters, &thread_kind, request,
                        SL_NEVER, k_to_thread);
}

/* -- opening and closing -- */

/* Pushes a new pool. Throws: memory. */
static struct pool *new_pool(lua_State *L, struct sl_loop *loop) {
  struct pool *pool = lua_newuserdatauv(L, sizeof *pool, 0);
  memset(pool, 0, sizeof *pool);
  pool->loop = loop;
  sl_link_init(&pool->in_flight);
  pool->nested =
      lua_rawgetp(L, LUA_REGISTRYINDEX, &member_key) != LUA_TNIL;
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, loop);
  if (uv_mutex_init(&pool->mutex) == 0) return pool;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, loop);
  luaL_error(L, "cannot make a mutex");
  return NULL;
}

void sl_thread_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", collect_ticket}, {NULL, NULL}};
  lua_pushlightuserdata(L, loop);
  new_pool(L, loop);
  lua_pushcclosure(L, to_thread, 2);
  lua_setfield(L, -2, "to_thread");
  sl_class_new(L, &ticket_class, loop, none, meta);
  lua_pop(L, 1);
}

/* The loop's pool, or NULL if it was not opened. */
static struct pool *find_pool(lua_State *L, struct sl_loop *loop) {
  struct pool *pool;
  lua_rawgetp(L, LUA_REGISTRYINDEX, loop);
  pool = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return pool;
}

void sl_thread_stop(lua_State *L, struct sl_loop *loop) {
  struct pool *pool = find_pool(L, loop);
  struct sl_link *link;
  if (pool == NULL) return;
  for (link = pool->in_flight.next; link != &pool->in_flight;
       link = link->next) {
    struct request *request = sl_container(link, struct request, link);
    uv_cancel((uv_req_t *)&request->work);
  }
}

void sl_thread_free(lua_State *L, struct sl_loop *loop) {
  struct pool *pool = find_pool(L, loop);
  if (pool == NULL) return;
  while (pool->nidle > 0) lua_close(pool->idle[--pool->nidle]);
  uv_mutex_destroy(&pool->mutex);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, loop);
}
