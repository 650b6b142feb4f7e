/*
** store_call.c: between Lua and operations: arguments in, results out.
**
** Everything that an operation refers to is copied: a script may collect or
** change it while the engine works. What is thrown in here leaves the call
** to its store, which picks it up at the next one.
*/
#include <math.h>
#include <string.h>

#include "store.h"

static const char *const state_names[SL_NSTATES + 1] = {
    "ready", "delayed", "leased", "dead", NULL};

static SL_COLD void no_memory(lua_State *L) {
  luaL_error(L, "not enough memory");
}

/* -- in -- */

/* Seconds at `index` in nanoseconds, or `missing`. */
static int64_t duration(lua_State *L, int index, int64_t missing) {
  uint64_t ns;
  if (lua_isnoneornil(L, index)) return missing;
  ns = sl_check_seconds(L, index);
  return ns < INT64_MAX / 2 ? (int64_t)ns : INT64_MAX / 2;
}

static struct sl_text text_at(lua_State *L, struct sl_call *call,
                              int index) {
  struct sl_text text = {NULL, 0};
  size_t len;
  const char *data;
  if (lua_isnoneornil(L, index)) return text;
  data = luaL_checklstring(L, index, &len);
  text = sl_op_copy(&call->op, data, len);
  if (text.data == NULL) no_memory(L);
  return text;
}

/* Fields of the table on the top; each leaves the stack as it was. */

static int64_t duration_field(lua_State *L, const char *name,
                              int64_t missing) {
  int64_t ns;
  lua_getfield(L, -1, name);
  ns = duration(L, lua_gettop(L), missing);
  lua_pop(L, 1);
  return ns;
}

static int64_t integer_field(lua_State *L, const char *name,
                             int64_t missing) {
  int64_t number = missing;
  lua_getfield(L, -1, name);
  if (!lua_isnil(L, -1)) number = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return number;
}

static double number_field(lua_State *L, const char *name) {
  double number;
  lua_getfield(L, -1, name);
  number = luaL_optnumber(L, -1, 0);
  lua_pop(L, 1);
  return number;
}

static struct sl_text text_field(lua_State *L, struct sl_call *call,
                                 const char *name) {
  struct sl_text text;
  lua_getfield(L, -1, name);
  text = text_at(L, call, lua_gettop(L));
  lua_pop(L, 1);
  return text;
}

/* Makes room for as many jobs as the list at `index` has. */
static size_t make_jobs(lua_State *L, struct sl_call *call, int index) {
  size_t n;
  luaL_checktype(L, index, LUA_TTABLE);
  n = (size_t)lua_rawlen(L, index);
  if (!sl_op_make_jobs(&call->op, n)) no_memory(L);
  return n;
}

/* An entry that is a string is a body and nothing else. */
static void fill_entry(lua_State *L, struct sl_call *call,
                       struct sl_job *job) {
  if (lua_type(L, -1) == LUA_TSTRING) {
    job->body = text_at(L, call, lua_gettop(L));
    job->ttl_ns = job->lease_ns = job->max_attempts = SL_UNSET;
    return;
  }
  job->body = text_field(L, call, "body");
  job->unique = text_field(L, call, "unique");
  job->format = (uint8_t)integer_field(L, "format", 0);
  job->priority = number_field(L, "priority");
  job->due_ns = duration_field(L, "delay", 0);
  job->ttl_ns = duration_field(L, "ttl", SL_UNSET);
  job->lease_ns = duration_field(L, "lease", SL_UNSET);
  job->unique_ns = duration_field(L, "unique_for", 0);
  job->max_attempts = integer_field(L, "max_attempts", SL_UNSET);
  if (job->body.data == NULL) luaL_error(L, "an entry has no body");
}

static void fill_entries(lua_State *L, struct sl_call *call) {
  size_t n = make_jobs(L, call, 3);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, 3, (lua_Integer)i + 1);
    fill_entry(L, call, &call->op.jobs[i]);
    lua_pop(L, 1);
  }
}

/* The ids and tokens of a list of jobs. A job without a token was not
   reserved, so its lease is lost. */
static void fill_leases(lua_State *L, struct sl_call *call) {
  size_t n = make_jobs(L, call, 3);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, 3, (lua_Integer)i + 1);
    call->op.jobs[i].id = integer_field(L, "id", SL_UNSET);
    call->op.jobs[i].token = integer_field(L, "token", 0);
    lua_pop(L, 1);
  }
}

static void fill_settings(lua_State *L, struct sl_call *call) {
  struct sl_queue_settings *settings = &call->op.settings;
  call->op.text = text_at(L, call, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_pushvalue(L, 3);
  settings->maxsize = integer_field(L, "maxsize", SL_UNSET);
  settings->lease_ns = duration_field(L, "lease", SL_UNSET);
  settings->max_attempts = integer_field(L, "max_attempts", SL_UNSET);
  lua_pop(L, 1);
}

static enum sl_job_state check_state(lua_State *L, int index) {
  return (enum sl_job_state)luaL_checkoption(L, index, NULL, state_names);
}

static void fill_timeout(lua_State *L, struct sl_call *call, int index) {
  call->timeout_ns = sl_opt_timeout(L, index);
  call->no_wait = call->timeout_ns == 0;
}

static void fill_by_verb(lua_State *L, struct sl_call *call) {
  struct sl_op *op = &call->op;
  switch (op->verb) {
    case SL_OP_PUT: fill_entries(L, call); break;
    case SL_OP_RESERVE:
      op->count = luaL_checkinteger(L, 3);
      fill_timeout(L, call, 4);
      break;
    case SL_OP_NACK: op->text = text_at(L, call, 5); /* fall through */
    case SL_OP_RELEASE:
      op->after_ns = duration(L, 4, 0);
      fill_leases(L, call);
      break;
    case SL_OP_TOUCH: op->after_ns = duration(L, 4, SL_UNSET);
      fill_leases(L, call);
      break;
    case SL_OP_BURY: op->text = text_at(L, call, 4); /* fall through */
    case SL_OP_ACK:
    case SL_OP_KEEP: fill_leases(L, call); break;
    case SL_OP_CANCEL:
    case SL_OP_JOB: op->id = luaL_checkinteger(L, 3); break;
    case SL_OP_KICK:
      op->count = luaL_optinteger(L, 3, 0);
      op->id = luaL_optinteger(L, 4, SL_UNSET);
      break;
    case SL_OP_PEEK: op->count = luaL_checkinteger(L, 4); /* fall through */
    case SL_OP_PURGE: op->state = check_state(L, 3); break;
    case SL_OP_DRAIN: fill_timeout(L, call, 3); break;
    default: break;
  }
}

void sl_call_fill(lua_State *L, struct sl_call *call) {
  struct sl_op *op = &call->op;
  if (op->verb == SL_OP_QUEUE) {
    fill_settings(L, call);
  } else if (op->verb != SL_OP_QUEUES && op->verb != SL_OP_CHECK) {
    op->queue = luaL_checkinteger(L, 2);
    fill_by_verb(L, call);
  }
}

/* -- out -- */

static const char *const reasons[] = {
    [SL_OP_TIMED_OUT] = "timeout",       [SL_OP_CLOSED] = "closed",
    [SL_OP_FULL] = "full",               [SL_OP_DISK_FULL] = "disk_full",
    [SL_OP_UNAVAILABLE] = "unavailable", [SL_OP_UNKNOWN] = "unknown",
    [SL_OP_NOT_FOUND] = "not_found",     [SL_OP_IS_LEASED] = "leased",
    [SL_OP_LEASE_LOST] = "lease_lost",   [SL_OP_DAMAGED] = "damaged"};

static void set_time(lua_State *L, const char *name, int64_t ns) {
  lua_pushnumber(L, ns == INT64_MAX ? HUGE_VAL : (lua_Number)ns / 1e9);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t number) {
  lua_pushinteger(L, number);
  lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, struct sl_text text) {
  if (text.data == NULL) return;
  lua_pushlstring(L, text.data, text.len);
  lua_setfield(L, -2, name);
}

/* A priority comes out as it went in: 1, not 1.0. */
static void set_priority(lua_State *L, double priority) {
  bool fits = priority >= -0x1p63 && priority < 0x1p63;
  if (fits && (double)(lua_Integer)priority == priority)
    lua_pushinteger(L, (lua_Integer)priority);
  else
    lua_pushnumber(L, priority);
  lua_setfield(L, -2, "priority");
}

static void push_job(lua_State *L, const struct sl_job *job) {
  lua_createtable(L, 0, 14);
  set_integer(L, "id", job->id);
  set_text(L, "body", job->body);
  set_integer(L, "attempts", job->attempts);
  set_integer(L, "max_attempts", job->max_attempts);
  set_priority(L, job->priority);
  set_time(L, "created", job->created_ns);
  set_time(L, "lease", job->lease_ns);
  if (job->token != 0) set_integer(L, "token", job->token);
  if (job->format != 0) set_integer(L, "format", job->format);
  if (job->state == SL_LEASED) set_time(L, "deadline", job->due_ns);
  if (job->state == SL_DELAYED) set_time(L, "due", job->due_ns);
  lua_pushstring(L, state_names[job->state]);
  lua_setfield(L, -2, "state");
  set_text(L, "error", job->error);
  set_text(L, "unique", job->unique);
}

static int push_jobs(lua_State *L, const struct sl_op *op) {
  lua_createtable(L, (int)op->njobs, 0);
  for (size_t i = 0; i < op->njobs; i++) {
    push_job(L, &op->jobs[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* ids, and the set of those that were found there already, or nil */
static int push_ids(lua_State *L, const struct sl_op *op) {
  size_t found = 0;
  lua_createtable(L, (int)op->njobs, 0);
  for (size_t i = 0; i < op->njobs; i++) {
    lua_pushinteger(L, op->jobs[i].id);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
    found += op->jobs[i].found;
  }
  if (found == 0) return 1;
  lua_createtable(L, 0, (int)found);
  for (size_t i = 0; i < op->njobs; i++) {
    if (!op->jobs[i].found) continue;
    lua_pushboolean(L, 1);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 2;
}

static int push_names(lua_State *L, const struct sl_op *op) {
  lua_createtable(L, (int)op->njobs, 0);
  for (size_t i = 0; i < op->njobs; i++) {
    lua_pushlstring(L, op->jobs[i].body.data, op->jobs[i].body.len);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int push_stats(lua_State *L, const struct sl_store_stats *stats) {
  lua_createtable(L, 0, 10);
  for (int state = 0; state < SL_NSTATES; state++)
    set_integer(L, state_names[state], stats->jobs[state]);
  set_integer(L, "puts", stats->puts);
  set_integer(L, "acks", stats->acks);
  set_integer(L, "retries", stats->retries);
  set_integer(L, "expired", stats->expired);
  set_integer(L, "cancelled", stats->cancelled);
  lua_pushboolean(L, stats->paused);
  lua_setfield(L, -2, "paused");
  return 1;
}

/* nil, "lease_lost", the indexes of the jobs whose lease was lost */
static int push_lost(lua_State *L, const struct sl_op *op) {
  lua_Integer n = 0;
  lua_pushnil(L);
  lua_pushliteral(L, "lease_lost");
  lua_newtable(L);
  for (size_t i = 0; i < op->njobs; i++) {
    if (!op->jobs[i].lost) continue;
    lua_pushinteger(L, (lua_Integer)i + 1);
    lua_rawseti(L, -2, ++n);
  }
  return 3;
}

static int push_failure(lua_State *L, const struct sl_op *op) {
  if (op->status == SL_OP_LEASE_LOST) return push_lost(L, op);
  sl_fail(L, reasons[op->status]);
  if (op->message == NULL) return 2;
  lua_pushstring(L, op->message);
  return 3;
}

static int push_touched(lua_State *L, const struct sl_op *op) {
  lua_pushboolean(L, 1);
  if (op->njobs == 0) return 1;
  lua_pushnumber(L, (lua_Number)op->jobs[op->njobs - 1].due_ns / 1e9);
  return 2;
}

int sl_call_push(lua_State *L, struct sl_call *call) {
  const struct sl_op *op = &call->op;
  if (op->status != SL_OP_DONE) return push_failure(L, op);
  switch (op->verb) {
    case SL_OP_QUEUE:
    case SL_OP_KICK:
    case SL_OP_PURGE: lua_pushinteger(L, op->number); return 1;
    case SL_OP_PUT: return push_ids(L, op);
    case SL_OP_RESERVE:
    case SL_OP_PEEK: return push_jobs(L, op);
    case SL_OP_JOB: push_job(L, op->jobs); return 1;
    case SL_OP_TOUCH: return push_touched(L, op);
    case SL_OP_STATS: return push_stats(L, &op->stats);
    case SL_OP_QUEUES: return push_names(L, op);
    default: lua_pushboolean(L, 1); return 1;
  }
}
