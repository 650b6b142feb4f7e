/*
** prio.h: a store of Lua values by priority, stable.
**
** The one idea: a number is a priority that C can compare, so it lies in the
** heap's entry itself; a string, a table with __lt, an integer that no float
** can hold, lie in a table beside the item and are compared by Lua's `<`,
** under a protected call in which nothing can yield and the store refuses to
** be touched. Every comparison is made before anything is changed.
**
** The memory belongs to the userdata that owns the store, as its user
** values. What allocates is sl_prio_reserve, before anything is changed.
*/
#ifndef SL_PRIO_H
#define SL_PRIO_H

#include "heap.h"
#include "lx.h"

enum { SL_PRIO_MEMORY = 1, SL_PRIO_TABLE, SL_PRIO_NUV }; /* user values */

struct sl_prio {
  struct sl_heap heap;
  uint32_t *free;     /* places of the table that are free, a stack */
  uint32_t nfree;
  uint32_t nplaces;   /* places ever used */
  uint32_t nforeign;  /* entries whose priority Lua must compare */
  bool has_table;     /* there is a table, of 2 * heap.cap places */
  bool busy;          /* a comparison is running */
};

void sl_prio_init(struct sl_prio *prio);

/* Throws an argument error for `arg` unless the value at `index` can be a
   priority: a number but NaN, a string, a value with __lt. */
void sl_prio_check_priority(lua_State *L, int index, int arg);

/* Throws if called from within a comparison of this store. */
void sl_prio_check_idle(lua_State *L, const struct sl_prio *prio);

/* Whether the entry of an item and its priority needs the table: only a
   number that is its own priority does not. */
bool sl_prio_needs_table(lua_State *L, int item, int priority);

/* Whether an entry, which needs a table or not, can be pushed without
   reserving. */
static inline bool sl_prio_has_room(const struct sl_prio *prio,
                                    bool table) {
  return prio->heap.len < prio->heap.cap && (prio->has_table || !table);
}

/* Makes room for one more entry. Throws: memory. */
void sl_prio_reserve(lua_State *L, int owner, struct sl_prio *prio,
                     bool table);

/* Adds the item at `item` with the priority at `priority` (may be the same
   index: the item is its own), for which there is room. Returns LUA_OK, or
   leaves an error on the top and changes nothing; SL_PRIO_ORDER if it is
   ours, a message that lacks the place. */
enum { SL_PRIO_ORDER = 100 };
int sl_prio_push(lua_State *L, int owner, struct sl_prio *prio, int item,
                 int priority);

/* Takes the smallest and pushes item and priority; len > 0. Returns as
   above. */
int sl_prio_pop(lua_State *L, int owner, struct sl_prio *prio);

/* Takes some entry without a comparison and pushes item and priority; len >
   0. For when comparisons fail. */
void sl_prio_take_any(lua_State *L, int owner, struct sl_prio *prio);

/* Pushes item and priority of the smallest; len > 0. */
void sl_prio_peek(lua_State *L, int owner, const struct sl_prio *prio);

/* Raises what push or pop left on the top, at the caller's line if it is
   ours. */
int sl_prio_raise(lua_State *L, int status);

#endif
