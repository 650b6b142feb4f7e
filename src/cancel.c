/*
** cancel.c: see cancel.h. A cancellation is a table { reason = … } with one
** metatable, so that `err.reason` needs no function.
*/
#include "cancel.h"

static const char errors_key; /* registry: the list of the usual errors */

static const char *const reasons[SL_NREASONS] = {
    NULL, "timeout", "interrupted", "another task failed", "main has ended",
    "client gone"};

/* Makes a cancellation of the reason on the top, which it replaces. */
static void make(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_insert(L, -2);
  lua_setfield(L, -2, "reason");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &errors_key);
  lua_rawgeti(L, -1, 0);
  lua_remove(L, -2);
  lua_setmetatable(L, -2);
}

static void deliver(struct sl_scope *scope) {
  struct sl_task *task = scope->task;
  if (task != NULL && task->scope == scope && task->state == SL_PARKED)
    sl_task_abandon(task, SL_WAS_CANCELLED);
}

void sl_cancel_scope(struct sl_scope *scope, enum sl_reason reason) {
  if (scope->cancelled) return;
  /* A reference that is not the registry's: the index of a usual error. */
  scope->error_ref = (int)reason;
  scope->owns_ref = false;
  sl_scope_cancel(scope, deliver);
}

static bool in_tree(const struct sl_scope *scope) {
  return scope->parent == NULL || sl_link_linked(&scope->link);
}

void sl_cancel_scope_because(lua_State *L, struct sl_scope *scope,
                             int index) {
  int ref;
  if (scope->cancelled) return;
  if (lua_isnoneornil(L, index)) {
    sl_cancel_scope(scope, SL_NO_REASON);
    return;
  }
  lua_pushvalue(L, index);
  make(L);
  ref = luaL_ref(L, LUA_REGISTRYINDEX);
  /* A finaliser may have been quicker, or have ended the scope. */
  if (scope->cancelled || !in_tree(scope)) {
    luaL_unref(L, LUA_REGISTRYINDEX, ref);
    return;
  }
  scope->error_ref = ref;
  scope->owns_ref = true;
  sl_scope_cancel(scope, deliver);
}

void sl_cancel_push(lua_State *L, struct sl_task *task) {
  const struct sl_scope *cause = sl_scope_cause(task->scope);
  if (cause->owns_ref) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, cause->error_ref);
  } else {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &errors_key);
    lua_rawgeti(L, -1, cause->error_ref + 1);
    lua_remove(L, -2);
  }
}

bool sl_cancel_test(lua_State *L, int index) {
  bool same;
  if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index))
    return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &errors_key);
  lua_rawgeti(L, -1, 0);
  same = lua_rawequal(L, -1, -3);
  lua_pop(L, 3);
  return same;
}

bool sl_cancel_own(lua_State *L, struct sl_task *task, int index) {
  return task->scope->effective && sl_cancel_test(L, index);
}

/* tostring(cancellation): "cancelled" or "cancelled: <reason>". */
static int error_tostring(lua_State *L) {
  if (lua_getfield(L, 1, "reason") == LUA_TNIL) {
    lua_pushliteral(L, "cancelled");
  } else {
    luaL_tolstring(L, -1, NULL);
    lua_pushfstring(L, "cancelled: %s", lua_tostring(L, -1));
  }
  return 1;
}

/* sluice.is_cancelled(value): whether it is the error that a cancellation
   raises. Never waits, never raises. */
static int is_cancelled(lua_State *L) {
  lua_settop(L, 1);
  lua_pushboolean(L, sl_cancel_test(L, 1));
  return 1;
}

void sl_cancel_open(lua_State *L, struct sl_loop *loop) {
  lua_pushcfunction(L, is_cancelled);
  lua_setfield(L, -2, "is_cancelled");
  lua_createtable(L, SL_NREASONS, 1);
  lua_newtable(L);
  lua_pushliteral(L, "sluice.Cancelled");
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_rawseti(L, -2, 0);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &errors_key);
  for (int i = 0; i < SL_NREASONS; i++) {
    lua_pushstring(L, reasons[i]);
    make(L);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pop(L, 1);
  loop->tasks->hooks.own_cancel = sl_cancel_own;
}
