/*
** ring.c: see ring.h.
*/
#include "ring.h"

#include <string.h>

enum cell_kind { INTEGER, NUMBER, BOOLEAN, OTHER };

enum { FIRST_CAP = 16, MAX_CAP = 1 << 30 };

static inline uint32_t place(const struct sl_ring *ring, uint32_t index) {
  return (ring->head + index) & (ring->cap - 1);
}

/* Fills the new table on the top with the values of the old, in order. */
static void fill_table(lua_State *L, int owner,
                       const struct sl_ring *ring) {
  if (!ring->has_table) return;
  lua_getiuservalue(L, owner, SL_RING_TABLE);
  for (uint32_t i = 0; i < ring->len; i++) {
    lua_rawgeti(L, -1, (lua_Integer)place(ring, i) + 1);
    lua_rawseti(L, -3, (lua_Integer)i + 1);
  }
  lua_pop(L, 1);
}

static SL_COLD void grow(lua_State *L, int owner, struct sl_ring *ring,
                         bool table) {
  uint32_t old_cap = ring->cap, cap = old_cap;
  bool had_table = ring->has_table;
  struct sl_cell *cells;
  if (ring->len == cap) cap = cap ? cap * 2 : FIRST_CAP;
  if (cap > MAX_CAP) luaL_error(L, "too many items");
  luaL_checkstack(L, 6, NULL);
  cells = lua_newuserdatauv(L, cap * sizeof *cells, 0);
  if (table) lua_createtable(L, (int)cap, 0);
  /* Taking memory may have run finalisers, and they may have used the ring:
     if it has grown meanwhile, what was taken is let go. */
  if (ring->cap != old_cap || ring->has_table != had_table) {
    lua_pop(L, table ? 2 : 1);
    return;
  }
  /* Nothing throws from here on. */
  if (table) fill_table(L, owner, ring);
  for (uint32_t i = 0; i < ring->len; i++)
    cells[i] = ring->at[place(ring, i)];
  if (table) lua_setiuservalue(L, owner, SL_RING_TABLE);
  lua_setiuservalue(L, owner, SL_RING_CELLS);
  ring->at = cells;
  ring->cap = cap;
  ring->head = 0;
  ring->has_table = table;
}

void sl_ring_reserve(lua_State *L, int owner, struct sl_ring *ring,
                     bool any) {
  while (!(ring->len < ring->cap && (ring->has_table || !any)))
    grow(L, owner, ring, ring->has_table || any);
}

static inline bool is_plain(int type) {
  return type == LUA_TNUMBER || type == LUA_TBOOLEAN;
}

bool sl_ring_has_room(lua_State *L, const struct sl_ring *ring, int value) {
  return ring->len < ring->cap &&
         (ring->has_table || is_plain(lua_type(L, value)));
}

void sl_ring_push(lua_State *L, int owner, struct sl_ring *ring,
                  int value) {
  uint32_t at = place(ring, ring->len);
  struct sl_cell *cell = &ring->at[at];
  switch (lua_type(L, value)) {
    case LUA_TNUMBER:
      if (lua_isinteger(L, value)) {
        cell->kind = INTEGER;
        cell->as.integer = lua_tointeger(L, value);
      } else {
        cell->kind = NUMBER;
        cell->as.number = lua_tonumber(L, value);
      }
      break;
    case LUA_TBOOLEAN:
      cell->kind = BOOLEAN;
      cell->as.integer = lua_toboolean(L, value);
      break;
    default:
      cell->kind = OTHER;
      value = lua_absindex(L, value);
      lua_getiuservalue(L, owner, SL_RING_TABLE);
      lua_pushvalue(L, value);
      lua_rawseti(L, -2, (lua_Integer)at + 1);
      lua_pop(L, 1);
  }
  ring->len++;
}

static void take(lua_State *L, int owner, struct sl_ring *ring,
                 uint32_t at) {
  const struct sl_cell *cell = &ring->at[at];
  ring->len--;
  switch (cell->kind) {
    case INTEGER: lua_pushinteger(L, cell->as.integer); break;
    case NUMBER: lua_pushnumber(L, cell->as.number); break;
    case BOOLEAN: lua_pushboolean(L, cell->as.integer != 0); break;
    default:
      lua_getiuservalue(L, owner, SL_RING_TABLE);
      lua_rawgeti(L, -1, (lua_Integer)at + 1);
      lua_pushnil(L);
      lua_rawseti(L, -3, (lua_Integer)at + 1);
      lua_remove(L, -2);
  }
}

void sl_ring_shift(lua_State *L, int owner, struct sl_ring *ring) {
  uint32_t at = ring->head;
  ring->head = (ring->head + 1) & (ring->cap - 1);
  take(L, owner, ring, at);
}

void sl_ring_pop(lua_State *L, int owner, struct sl_ring *ring) {
  take(L, owner, ring, place(ring, ring->len - 1));
}
