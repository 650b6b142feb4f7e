/*
** pool.c: see pool.h.
*/
#include "pool.h"

#include <string.h>

enum { MAX_REST = 1024, HUGE_CROWD = 500000 };

/* -- slots -- */

void sl_pool_push_anchors(lua_State *L, const struct sl_pool *pool) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, pool->anchors_ref);
}

uint32_t sl_pool_find_slot(lua_State *L, struct sl_pool *pool) {
  if (pool->nfree > 0) return pool->free_slots[pool->nfree - 1];
  if (pool->nslots == pool->slots_cap) {
    size_t size = sizeof *pool->free_slots;
    uint32_t cap = pool->slots_cap ? pool->slots_cap * 2 : 64;
    uint32_t *slots = sl_realloc(L, pool->free_slots,
                                 pool->slots_cap * size, cap * size);
    if (slots == NULL) luaL_error(L, "not enough memory");
    pool->free_slots = slots;
    pool->slots_cap = cap;
  }
  return pool->nslots + 1;
}

void sl_pool_take_slot(struct sl_pool *pool, uint32_t slot) {
  if (slot > pool->nslots)
    pool->nslots++;
  else
    pool->nfree--;
}

void sl_pool_release_slot(struct sl_pool *pool, uint32_t slot) {
  lua_pushnil(pool->L);
  lua_rawseti(pool->L, pool->anchors, (lua_Integer)slot);
  pool->free_slots[pool->nfree++] = slot;
}

/* -- coroutines -- */

static int new_coroutine(lua_State *L) {
  struct sl_pool *pool = lua_touserdata(L, 1);
  struct sl_coroutine *fresh = lua_touserdata(L, 2);
  fresh->co = lua_newthread(L); /* a collection may run: then find the slot */
  fresh->slot = sl_pool_find_slot(L, pool);
  sl_pool_push_anchors(L, pool);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)fresh->slot);
  sl_pool_take_slot(pool, fresh->slot);
  return 0;
}

bool sl_pool_borrow(struct sl_pool *pool, struct sl_coroutine *got) {
  lua_State *L = pool->L;
  if (sl_likely(pool->nrest > 0)) {
    *got = pool->rest[--pool->nrest];
    return true;
  }
  lua_pushcfunction(L, new_coroutine);
  lua_pushlightuserdata(L, pool);
  lua_pushlightuserdata(L, got);
  return lua_pcall(L, 2, 0, 0) == LUA_OK;
}

void sl_pool_return(struct sl_pool *pool, struct sl_coroutine coroutine,
                    bool reusable) {
  if (!reusable || pool->nrest == MAX_REST) {
    sl_pool_release_slot(pool, coroutine.slot);
    return;
  }
  /* What a script hung on it is not the next task's. */
  if (sl_unlikely(lua_gethook(coroutine.co) != NULL))
    lua_sethook(coroutine.co, NULL, 0, 0);
  pool->rest[pool->nrest++] = coroutine;
}

/* When nearly all of a huge crowd has ended, the collector is run: it is
   driven by allocations, and the next crowd's would take as much memory again
   before the last one's is given back. */
void sl_pool_shrank(struct sl_pool *pool, uint32_t live) {
  if (sl_likely(pool->crowd < HUGE_CROWD || live > pool->crowd / 64)) return;
  pool->crowd = 0;
  lua_gc(pool->L, LUA_GCCOLLECT);
}

void sl_pool_open(lua_State *L, struct sl_pool *pool) {
  pool->rest = sl_realloc(L, NULL, 0, MAX_REST * sizeof *pool->rest);
  if (pool->rest == NULL) luaL_error(L, "not enough memory");
  lua_newtable(L);
  pool->anchors_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void sl_pool_free(lua_State *L, struct sl_pool *pool) {
  sl_realloc(L, pool->free_slots,
             pool->slots_cap * sizeof *pool->free_slots, 0);
  if (pool->rest != NULL)
    sl_realloc(L, pool->rest, MAX_REST * sizeof *pool->rest, 0);
  pool->free_slots = NULL;
  pool->rest = NULL;
  pool->nslots = pool->slots_cap = pool->nfree = 0;
  pool->nrest = 0;
}
