/*
** prio.c: see prio.h.
**
** An entry's reference tells what it holds: the flags below, and the place in
** the table, where the item is at 2*place+1 and, if it is foreign, the
** priority at 2*place+2.
*/
#include "prio.h"

#include <math.h>
#include <string.h>

enum {
  IS_FLOAT = 1,  /* the key is of a float: pop returns one */
  IS_SELF = 2,   /* the item is the number of the key: no place */
  IS_FOREIGN = 4, /* Lua compares the priority */
  IS_MINUS = 8,   /* the key of 0 stands for -0.0 */
  PLACE_SHIFT = 4
};

enum { FIRST_CAP = 16, MAX_CAP = 1 << 27 };

#define MAX_EXACT 9007199254740992 /* 2^53: floats hold integers up to it */

void sl_prio_init(struct sl_prio *prio) {
  memset(prio, 0, sizeof *prio);
  sl_heap_init(&prio->heap);
}

void sl_prio_check_priority(lua_State *L, int index, int arg) {
  switch (lua_type(L, index)) {
    case LUA_TNUMBER:
      if (!lua_isinteger(L, index) && isnan(lua_tonumber(L, index)))
        luaL_argerror(L, arg, "priority is NaN");
      return;
    case LUA_TSTRING: return;
    default: break;
  }
  if (luaL_getmetafield(L, index, "__lt") == LUA_TNIL)
    luaL_argerror(L, arg,
                  lua_pushfstring(L,
                                  "a priority must be a number, a string or "
                                  "have __lt, got %s",
                                  luaL_typename(L, index)));
  lua_pop(L, 1);
}

void sl_prio_check_idle(lua_State *L, const struct sl_prio *prio) {
  if (sl_unlikely(prio->busy))
    luaL_error(L, "a comparison must not touch the queue it is made for");
}

/* -- memory -- */

static size_t block_size(uint32_t cap) {
  return cap * sizeof(uint32_t) + sl_heap_bytes(cap);
}

/* Fills the new table on the top with what the old one holds. */
static void fill_table(lua_State *L, int owner,
                       const struct sl_prio *prio) {
  if (!prio->has_table) return;
  lua_getiuservalue(L, owner, SL_PRIO_TABLE);
  for (lua_Integer i = 1; i <= 2 * (lua_Integer)prio->nplaces; i++) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -3, i);
  }
  lua_pop(L, 1);
}

static SL_COLD void grow(lua_State *L, int owner, struct sl_prio *prio,
                         bool table) {
  uint32_t old_cap = prio->heap.cap, cap = old_cap;
  bool had_table = prio->has_table;
  uint32_t *free_places;
  if (prio->heap.len == cap) cap = cap ? cap * 2 : FIRST_CAP;
  if (cap > MAX_CAP) luaL_error(L, "too many items");
  luaL_checkstack(L, 6, NULL);
  free_places = lua_newuserdatauv(L, block_size(cap), 0);
  if (table) lua_createtable(L, (int)(2 * cap), 0);
  /* Taking memory may have run finalisers, and they may have used the store:
     if it has grown meanwhile, what was taken is let go. */
  if (prio->heap.cap != old_cap || prio->has_table != had_table) {
    lua_pop(L, table ? 2 : 1);
    return;
  }
  /* Nothing throws from here on. */
  if (table) fill_table(L, owner, prio);
  if (prio->nfree > 0)
    memcpy(free_places, prio->free, prio->nfree * sizeof *free_places);
  sl_heap_rebase(&prio->heap, free_places + cap, cap);
  prio->free = free_places;
  if (table) lua_setiuservalue(L, owner, SL_PRIO_TABLE);
  lua_setiuservalue(L, owner, SL_PRIO_MEMORY);
  prio->has_table = table;
}

bool sl_prio_needs_table(lua_State *L, int item, int priority) {
  lua_Integer integer;
  if (item != priority || lua_type(L, item) != LUA_TNUMBER) return true;
  if (!lua_isinteger(L, item)) return false;
  integer = lua_tointeger(L, item);
  return integer > MAX_EXACT || integer < -MAX_EXACT;
}

void sl_prio_reserve(lua_State *L, int owner, struct sl_prio *prio,
                     bool table) {
  while (!sl_prio_has_room(prio, table))
    grow(L, owner, prio, prio->has_table || table);
}

/* -- comparing -- */

struct comparison {
  lua_State *L;
  struct sl_prio *prio;
  int table; /* its index in L */
  uint64_t key; /* of a push */
  uint32_t ref;
  struct sl_heap_entry popped;
  bool unordered; /* the error is ours */
};

static lua_Integer place_of(const struct sl_heap_entry *entry) {
  return (lua_Integer)(sl_heap_ref(entry) >> PLACE_SHIFT);
}

static void push_number(lua_State *L, const struct sl_heap_entry *entry) {
  lua_Number number = sl_heap_key_number(entry->key);
  if (sl_heap_ref(entry) & IS_MINUS) number = -0.0;
  if (sl_heap_ref(entry) & IS_FLOAT)
    lua_pushnumber(L, number);
  else
    lua_pushinteger(L, (lua_Integer)number);
}

static void push_priority(lua_State *L, int table,
                          const struct sl_heap_entry *entry) {
  if (sl_heap_ref(entry) & IS_FOREIGN)
    lua_rawgeti(L, table, 2 * place_of(entry) + 2);
  else
    push_number(L, entry);
}

/* Whether Lua knows how to order the two values on the top. */
static bool comparable(lua_State *L) {
  int a = lua_type(L, -2), b = lua_type(L, -1);
  if (a == b && (a == LUA_TNUMBER || a == LUA_TSTRING)) return true;
  if (luaL_getmetafield(L, -2, "__lt") != LUA_TNIL ||
      luaL_getmetafield(L, -1, "__lt") != LUA_TNIL) {
    lua_pop(L, 1);
    return true;
  }
  return false;
}

/* a < b in Lua. Throws. */
static bool less_in_lua(struct comparison *with,
                        const struct sl_heap_entry *a,
                        const struct sl_heap_entry *b) {
  lua_State *L = with->L;
  bool less;
  push_priority(L, with->table, a);
  push_priority(L, with->table, b);
  if (!comparable(L)) {
    with->unordered = true;
    luaL_error(L, "attempt to compare %s with %s", luaL_typename(L, -2),
               luaL_typename(L, -1));
  }
  less = lua_compare(L, -2, -1, LUA_OPLT);
  lua_pop(L, 2);
  return less;
}

/* One comparison decides: of equals, the one that came first. */
static bool foreign_less(void *ctx, const struct sl_heap_entry *a,
                         const struct sl_heap_entry *b) {
  if (sl_heap_came_before(a, b)) return !less_in_lua(ctx, b, a);
  return less_in_lua(ctx, a, b);
}

static int compare_push(lua_State *L) {
  struct comparison *with = lua_touserdata(L, 1);
  with->L = L;
  with->table = 2;
  sl_heap_push(&with->prio->heap, with->key, with->ref);
  return 0;
}

static int compare_pop(lua_State *L) {
  struct comparison *with = lua_touserdata(L, 1);
  with->L = L;
  with->table = 2;
  with->popped = sl_heap_pop(&with->prio->heap);
  return 0;
}

/* Runs `operation` on the heap, comparing by Lua. */
static SL_COLD int run_in_lua(lua_State *L, int owner,
                              struct comparison *with,
                              lua_CFunction operation) {
  struct sl_prio *prio = with->prio;
  int status;
  prio->heap.less = foreign_less;
  prio->heap.ctx = with;
  prio->busy = true;
  with->unordered = false;
  lua_pushcfunction(L, operation);
  lua_pushlightuserdata(L, with);
  lua_getiuservalue(L, owner, SL_PRIO_TABLE);
  status = lua_pcall(L, 2, 0, 0);
  prio->busy = false;
  prio->heap.less = NULL;
  return status != LUA_OK && with->unordered ? SL_PRIO_ORDER : status;
}

int sl_prio_raise(lua_State *L, int status) {
  if (status == SL_PRIO_ORDER)
    return luaL_error(L, "%s", lua_tostring(L, -1));
  return lua_error(L);
}

/* -- entries -- */

/* Sets key and flags of an entry for the priority at `priority`. */
static void set_key(lua_State *L, int priority, bool self,
                    struct comparison *with) {
  lua_Number number;
  with->key = 0;
  with->ref = IS_FOREIGN;
  if (lua_type(L, priority) != LUA_TNUMBER) return;
  if (lua_isinteger(L, priority)) {
    lua_Integer integer = lua_tointeger(L, priority);
    if (integer > MAX_EXACT || integer < -MAX_EXACT) return;
    number = (lua_Number)integer;
    with->ref = 0;
  } else {
    number = lua_tonumber(L, priority);
    with->ref = IS_FLOAT | (number == 0 && signbit(number) ? IS_MINUS : 0);
  }
  if (self) with->ref |= IS_SELF;
  with->key = sl_heap_number_key(number);
}

/* Puts item and priority into the table; returns the place. */
static uint32_t store(lua_State *L, int owner, struct sl_prio *prio,
                      int item, int priority, bool foreign) {
  uint32_t place =
      prio->nfree > 0 ? prio->free[--prio->nfree] : prio->nplaces++;
  lua_getiuservalue(L, owner, SL_PRIO_TABLE);
  lua_pushvalue(L, item);
  lua_rawseti(L, -2, 2 * (lua_Integer)place + 1);
  if (foreign) {
    lua_pushvalue(L, priority);
    lua_rawseti(L, -2, 2 * (lua_Integer)place + 2);
  }
  lua_pop(L, 1);
  return place;
}

static void clear_place(lua_State *L, int owner, struct sl_prio *prio,
                        uint32_t ref) {
  lua_Integer place = ref >> PLACE_SHIFT;
  lua_getiuservalue(L, owner, SL_PRIO_TABLE);
  lua_pushnil(L);
  lua_rawseti(L, -2, 2 * place + 1);
  if (ref & IS_FOREIGN) {
    lua_pushnil(L);
    lua_rawseti(L, -2, 2 * place + 2);
  }
  lua_pop(L, 1);
  prio->free[prio->nfree++] = (uint32_t)place;
}

int sl_prio_push(lua_State *L, int owner, struct sl_prio *prio, int item,
                 int priority) {
  struct comparison with;
  bool foreign;
  int status = LUA_OK;
  set_key(L, priority, item == priority, &with);
  foreign = with.ref & IS_FOREIGN;
  if (!(with.ref & IS_SELF))
    with.ref |= store(L, owner, prio, item, priority, foreign)
                << PLACE_SHIFT;
  if (sl_likely(!foreign && prio->nforeign == 0)) {
    sl_heap_push(&prio->heap, with.key, with.ref);
  } else {
    with.prio = prio;
    status = run_in_lua(L, owner, &with, compare_push);
    if (status == LUA_OK)
      prio->nforeign += foreign;
    else if (!(with.ref & IS_SELF))
      clear_place(L, owner, prio, with.ref);
  }
  return status;
}

static void push_entry(lua_State *L, int owner,
                       const struct sl_heap_entry *entry) {
  if (sl_heap_ref(entry) & IS_SELF) {
    push_number(L, entry);
    lua_pushvalue(L, -1);
    return;
  }
  lua_getiuservalue(L, owner, SL_PRIO_TABLE);
  lua_rawgeti(L, -1, 2 * place_of(entry) + 1);
  push_priority(L, lua_absindex(L, -2), entry);
  lua_remove(L, -3);
}

/* Pushes what an entry held that has left the heap. */
static void hand_out(lua_State *L, int owner, struct sl_prio *prio,
                     const struct sl_heap_entry *entry) {
  uint32_t ref = sl_heap_ref(entry);
  push_entry(L, owner, entry);
  if (!(ref & IS_SELF)) clear_place(L, owner, prio, ref);
  if (ref & IS_FOREIGN) prio->nforeign--;
}

int sl_prio_pop(lua_State *L, int owner, struct sl_prio *prio) {
  struct comparison with;
  if (sl_likely(prio->nforeign == 0)) {
    with.popped = sl_heap_pop(&prio->heap);
  } else {
    int status;
    with.prio = prio;
    status = run_in_lua(L, owner, &with, compare_pop);
    if (status != LUA_OK) return status;
  }
  hand_out(L, owner, prio, &with.popped);
  return LUA_OK;
}

void sl_prio_take_any(lua_State *L, int owner, struct sl_prio *prio) {
  struct sl_heap_entry entry =
      sl_heap_remove(&prio->heap, prio->heap.len - 1);
  hand_out(L, owner, prio, &entry);
}

void sl_prio_peek(lua_State *L, int owner, const struct sl_prio *prio) {
  push_entry(L, owner, &prio->heap.at[0]);
}
