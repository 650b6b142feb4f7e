/*
** pool.h: what keeps tasks alive, and the coroutines they borrow.
**
** The one idea: one table has a slot for each live task and for each
** coroutine, taken once and released once, so that nothing is pinned for
** each wait. Coroutines of tasks that have ended rest here for the next
** ones, a thousand at most: each cycle of the collector looks at them, and
** those of a crowd, used again, would lie scattered in memory.
**
** Owns the table, the stack of its free slots and the resting coroutines.
** Knows nothing of tasks. Releasing allocates nothing and cannot fail.
*/
#ifndef SL_POOL_H
#define SL_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "lx.h"

struct sl_coroutine {
  lua_State *co;
  uint32_t slot; /* that keeps it */
};

struct sl_pool {
  lua_State *L;    /* where run was called, during a run */
  int anchors;     /* index in L of the table */
  int anchors_ref; /* of the table, in the registry */
  uint32_t *free_slots; /* a stack with room for every slot */
  uint32_t nfree;
  uint32_t slots_cap;
  uint32_t nslots;            /* slots ever used */
  struct sl_coroutine *rest;  /* coroutines at rest */
  uint32_t nrest;
  uint32_t crowd; /* tasks alive at once, the most since the last one went */
};

/* Throws: memory. */
void sl_pool_open(lua_State *L, struct sl_pool *pool);
void sl_pool_free(lua_State *L, struct sl_pool *pool);

/* Pushes the table. */
void sl_pool_push_anchors(lua_State *L, const struct sl_pool *pool);

/* A free slot, which is not taken until sl_pool_take_slot. Throws: memory;
   runs no collection. */
uint32_t sl_pool_find_slot(lua_State *L, struct sl_pool *pool);
void sl_pool_take_slot(struct sl_pool *pool, uint32_t slot);
/* Frees a slot; during a run, from outside the tasks. */
void sl_pool_release_slot(struct sl_pool *pool, uint32_t slot);

/* A coroutine to run a task in. Returns false, the error on L's top, if there
   is no memory for one. */
bool sl_pool_borrow(struct sl_pool *pool, struct sl_coroutine *got);
/* Takes it back; not `reusable`: it is left to the collector. */
void sl_pool_return(struct sl_pool *pool, struct sl_coroutine coroutine,
                    bool reusable);

/* A task was made, has ended: there are `live` now. */
static inline void sl_pool_grew(struct sl_pool *pool, uint32_t live) {
  if (live > pool->crowd) pool->crowd = live;
}
void sl_pool_shrank(struct sl_pool *pool, uint32_t live);

#endif
