/*
** ring.h: a double-ended store of Lua values.
**
** The one idea: numbers and booleans are kept in C, where Lua's tables need
** not be asked; everything else in a table at the same place of the ring.
** Both belong to the userdata that owns the ring, as its user values, so
** that they need no finaliser and count as Lua's memory.
**
** What allocates is sl_ring_reserve alone, before anything is changed.
*/
#ifndef SL_RING_H
#define SL_RING_H

#include "lx.h"

enum { SL_RING_CELLS = 1, SL_RING_TABLE, SL_RING_NUV }; /* user values */

struct sl_cell {
  union {
    lua_Integer integer;
    lua_Number number;
  } as;
  int kind; /* enum cell_kind */
};

struct sl_ring {
  struct sl_cell *at;
  uint32_t head; /* where the first value is */
  uint32_t len;
  uint32_t cap;   /* a power of 2, or 0 */
  bool has_table; /* there is a table for other values, of cap places */
};

/* Makes room for one more value, of any kind if `any`, else for one like the
   value at `value`. `owner` is the index of the userdata. Throws: memory. */
void sl_ring_reserve(lua_State *L, int owner, struct sl_ring *ring,
                     bool any);

/* Whether a value at `value` can be pushed without reserving. */
bool sl_ring_has_room(lua_State *L, const struct sl_ring *ring, int value);

/* Appends the value at `value`, for which there is room. */
void sl_ring_push(lua_State *L, int owner, struct sl_ring *ring, int value);

/* Takes the first or the last value and pushes it; len > 0. */
void sl_ring_shift(lua_State *L, int owner, struct sl_ring *ring);
void sl_ring_pop(lua_State *L, int owner, struct sl_ring *ring);

#endif
