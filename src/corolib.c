/*
** corolib.c: see corolib.h.
*/
#include "corolib.h"

#include <lualib.h>

/* Whether `co` runs a task: its outermost function is ours. */
static bool runs_task(lua_State *co) {
  lua_Debug ar;
  int level = 0;
  bool ours;
  if (lua_status(co) != LUA_YIELD || !lua_checkstack(co, 1)) return false;
  while (lua_getstack(co, level + 1, &ar)) level++;
  if (!lua_getstack(co, level, &ar) || !lua_getinfo(co, "f", &ar))
    return false;
  ours = lua_tocfunction(co, -1) == sl_task_body;
  lua_pop(co, 1);
  return ours;
}

/* coroutine.close(co), but not of a task's: what the task waits at is kept
   by its stack, and it would not be told. */
static int close_coroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (co != NULL && co != L && runs_task(co))
    return luaL_error(L, "cannot close a task's coroutine: cancel the task");
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, LUA_MULTRET);
  return lua_gettop(L);
}

void sl_corolib_open(lua_State *L) {
  int top = lua_gettop(L);
  if (lua_getglobal(L, LUA_COLIBNAME) == LUA_TTABLE &&
      lua_getfield(L, -1, "close") == LUA_TFUNCTION) {
    lua_pushcclosure(L, close_coroutine, 1);
    lua_setfield(L, -2, "close");
  }
  lua_settop(L, top);
}
