/*
** lx.c: see lx.h.
*/
#include "lx.h"

#include <math.h>
#include <string.h>

void sl_setfuncs(lua_State *L, struct sl_loop *loop, const luaL_Reg *list) {
  lua_pushlightuserdata(L, loop);
  luaL_setfuncs(L, list, 1);
}

void sl_class_new(lua_State *L, const struct sl_class *class,
                  struct sl_loop *loop, const luaL_Reg *methods,
                  const luaL_Reg *meta) {
  lua_newtable(L);
  lua_newtable(L);
  sl_setfuncs(L, loop, methods);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, class->name);
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  if (meta != NULL) sl_setfuncs(L, loop, meta);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, class);
}

void sl_class_push(lua_State *L, const struct sl_class *class) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, class);
}

void *sl_object_new(lua_State *L, const struct sl_class *class,
                    int nuvalue) {
  void *object = lua_newuserdatauv(L, class->size, nuvalue);
  memset(object, 0, class->size);
  *(const struct sl_class **)object = class;
  sl_class_push(L, class);
  lua_setmetatable(L, -2);
  return object;
}

/* As luaL_typeerror, which a file of ours cannot rely on before 5.4.0. */
void sl_type_error(lua_State *L, int arg, const char *expected) {
  luaL_typeerror(L, arg, expected);
  for (;;) continue; /* never reached: the call above throws */
}

uint64_t sl_seconds_ns(lua_Number seconds) {
  uint64_t ns;
  if (!(seconds < 9.2e9)) return UINT64_MAX;
  ns = (uint64_t)(seconds * 1e9);
  /* Never early, yet 1.1 must not become one nanosecond more than 1.1. */
  if ((lua_Number)ns / 1e9 < seconds) ns++;
  return ns;
}

lua_Number sl_ns_seconds(uint64_t ns) { return (lua_Number)ns / 1e9; }

uint64_t sl_check_seconds(lua_State *L, int arg) {
  lua_Number seconds;
  if (lua_isinteger(L, arg)) { /* without a division */
    lua_Integer whole = lua_tointeger(L, arg);
    if (sl_likely(whole >= 0 && whole < 9200000000))
      return (uint64_t)whole * 1000000000;
  }
  if (sl_unlikely(lua_type(L, arg) != LUA_TNUMBER))
    sl_type_error(L, arg, lua_typename(L, LUA_TNUMBER));
  seconds = lua_tonumber(L, arg);
  if (sl_unlikely(!(seconds >= 0)))
    luaL_argerror(L, arg, isnan(seconds) ? "duration is NaN"
                                         : "duration is negative");
  return sl_seconds_ns(seconds);
}

lua_Integer sl_check_count(lua_State *L, int arg) {
  int whole;
  lua_Integer count;
  if (lua_type(L, arg) != LUA_TNUMBER)
    sl_type_error(L, arg, lua_typename(L, LUA_TNUMBER));
  count = lua_tointegerx(L, arg, &whole);
  if (!whole)
    luaL_argerror(L, arg, "number has no integer representation");
  return count;
}

lua_Integer sl_opt_count(lua_State *L, int arg, lua_Integer fallback) {
  return lua_isnoneornil(L, arg) ? fallback : sl_check_count(L, arg);
}

void sl_check_callable(lua_State *L, int arg) {
  if (sl_likely(lua_type(L, arg) == LUA_TFUNCTION)) return;
  if (luaL_getmetafield(L, arg, "__call") == LUA_TNIL)
    sl_type_error(L, arg, lua_typename(L, LUA_TFUNCTION));
  lua_pop(L, 1);
}

int sl_fail(lua_State *L, const char *reason) {
  lua_pushnil(L);
  lua_pushstring(L, reason);
  return 2;
}

void *sl_realloc(lua_State *L, void *memory, size_t old_size,
                 size_t new_size) {
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  return alloc(ud, memory, memory ? old_size : 0, new_size);
}
