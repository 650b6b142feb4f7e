/*
** heapobj.c: see heapobj.h.
*/
#include "heapobj.h"

struct heap {
  const struct sl_class *class;
  struct sl_prio prio;
};

static const struct sl_class heap_class = {"sluice.Heap",
                                           sizeof(struct heap)};

enum { OWNER = 1, ITEM, PRIORITY };

static struct heap *check_heap(lua_State *L) {
  return sl_check(L, OWNER, &heap_class);
}

/* heap:push(item [, priority]): adds an item; left out, the item is its own
   priority. Raises, nothing changed: nil; NaN; priorities that do not
   compare. */
static int push(lua_State *L) {
  struct heap *heap = check_heap(L);
  int priority = lua_isnoneornil(L, PRIORITY) ? ITEM : PRIORITY;
  int status;
  if (lua_isnoneornil(L, ITEM))
    luaL_argerror(L, ITEM, "nil cannot be an item");
  sl_prio_check_idle(L, &heap->prio);
  sl_prio_check_priority(L, priority, priority);
  sl_prio_reserve(L, OWNER, &heap->prio,
                  sl_prio_needs_table(L, ITEM, priority));
  status = sl_prio_push(L, OWNER, &heap->prio, ITEM, priority);
  return status == LUA_OK ? 0 : sl_prio_raise(L, status);
}

/* heap:pop(): takes the item of the lowest priority, of equals the first
   that was pushed. Returns item and priority, or nil. */
static int pop(lua_State *L) {
  struct heap *heap = check_heap(L);
  int status;
  sl_prio_check_idle(L, &heap->prio);
  if (heap->prio.heap.len == 0) {
    lua_pushnil(L);
    return 1;
  }
  status = sl_prio_pop(L, OWNER, &heap->prio);
  return status == LUA_OK ? 2 : sl_prio_raise(L, status);
}

/* heap:peek(): what pop would return; takes nothing. */
static int peek(lua_State *L) {
  struct heap *heap = check_heap(L);
  if (heap->prio.heap.len == 0) {
    lua_pushnil(L);
    return 1;
  }
  sl_prio_peek(L, OWNER, &heap->prio);
  return 2;
}

static int length(lua_State *L) {
  lua_pushinteger(L, check_heap(L)->prio.heap.len);
  return 1;
}

static int heap_tostring(lua_State *L) {
  int n = (int)check_heap(L)->prio.heap.len;
  lua_pushfstring(L, "sluice.Heap (%d item%s)", n, n == 1 ? "" : "s");
  return 1;
}

/* sluice.Heap(): an empty heap. */
static int new_heap(lua_State *L) {
  struct heap *heap = sl_object_new(L, &heap_class, SL_PRIO_NUV - 1);
  sl_prio_init(&heap->prio);
  return 1;
}

void sl_heapobj_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {{"Heap", new_heap}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"push", push}, {"pop", pop}, {"peek", peek}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__len", length}, {"__tostring", heap_tostring}, {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  sl_class_new(L, &heap_class, loop, methods, meta);
  lua_pop(L, 1);
}
