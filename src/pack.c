/*
** pack.c: see pack.h.
**
** A value is a tag and what the tag says: the eight bytes of a number; the
** length of a string and its bytes; of a table two counts, the values of its
** list (the keys 1, 2, 3… up to the first nil), then its other keys, each
** with its value.
*/
#include "pack.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum tag {
  TAG_NIL,
  TAG_FALSE,
  TAG_TRUE,
  TAG_INTEGER,
  TAG_FLOAT,
  TAG_STRING,
  TAG_TABLE
};

enum { PLACE_SIZE = 160, KEY_SIZE = 48 };

/* A table that is being packed. */
struct level {
  const void *table;
  int key;     /* where the key being packed is on the stack */
  bool in_key; /* it is the key that is being packed, not its value */
};

struct packer {
  lua_State *L;
  struct sl_bytes *out;
  int depth;
  struct level levels[SL_PACK_DEPTH]; /* outermost first */
};

/* -- what cannot be packed -- */

/* Writes how a script would index with the key at `index`. */
static int print_key(lua_State *L, int index, char *to, size_t size) {
  switch (lua_type(L, index)) {
    case LUA_TSTRING:
      return snprintf(to, size, ".%.32s", lua_tostring(L, index));
    case LUA_TNUMBER:
      if (lua_isinteger(L, index))
        return snprintf(to, size, "[" LUA_INTEGER_FMT "]",
                        (LUAI_UACINT)lua_tointeger(L, index));
      return snprintf(to, size, "[" LUA_NUMBER_FMT "]",
                      (LUAI_UACNUMBER)lua_tonumber(L, index));
    case LUA_TBOOLEAN:
      return snprintf(to, size, "[%s]",
                      lua_toboolean(L, index) ? "true" : "false");
    default:
      return snprintf(to, size, "[%s]", luaL_typename(L, index));
  }
}

/* Writes the way from the outermost table, as much of it as fits. */
static void print_place(const struct packer *packer, char *to) {
  size_t used = 0;
  to[0] = '\0';
  for (int i = 0; i < packer->depth; i++) {
    const struct level *level = &packer->levels[i];
    char key[KEY_SIZE];
    size_t len;
    if (level->in_key)
      snprintf(key, sizeof key, "[a key]");
    else
      print_key(packer->L, level->key, key, sizeof key);
    len = strlen(key);
    if (used + len + sizeof "..." > PLACE_SIZE) {
      memcpy(to + used, "...", sizeof "...");
      return;
    }
    memcpy(to + used, key, len + 1);
    used += len;
  }
}

/* What the value at `index` is called: its metatable's __name, or its
   type. Lua's threads are coroutines to everybody else. */
static const char *kind_of(lua_State *L, int index) {
  if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING)
    return lua_tostring(L, -1);
  if (lua_type(L, index) == LUA_TTHREAD) return "coroutine";
  return luaL_typename(L, index);
}

/* Pushes the text. Returns false. */
static bool refuse(const struct packer *packer, const char *what) {
  char place[PLACE_SIZE];
  print_place(packer, place);
  lua_pushfstring(packer->L, "cannot pass %s between Lua states%s%s", what,
                  packer->depth > 0 ? ", at value" : "", place);
  return false;
}

static bool refuse_type(const struct packer *packer, int index) {
  char what[KEY_SIZE];
  luaL_checkstack(packer->L, 4, NULL);
  snprintf(what, sizeof what, "a %.40s", kind_of(packer->L, index));
  return refuse(packer, what);
}

/* -- packing -- */

static void append(const struct packer *packer, const void *data, size_t n) {
  if (sl_likely(sl_bytes_append(packer->out, data, n))) return;
  lua_pushliteral(packer->L, "not enough memory");
  lua_error(packer->L);
}

static void append_tag(const struct packer *packer, enum tag tag) {
  char byte = (char)tag;
  append(packer, &byte, 1);
}

/* A tag and eight bytes. */
static void append_word(const struct packer *packer, enum tag tag,
                        const void *word) {
  char bytes[1 + 8];
  bytes[0] = (char)tag;
  memcpy(bytes + 1, word, 8);
  append(packer, bytes, sizeof bytes);
}

static void pack_number(const struct packer *packer, int index) {
  if (lua_isinteger(packer->L, index)) {
    lua_Integer integer = lua_tointeger(packer->L, index);
    append_word(packer, TAG_INTEGER, &integer);
  } else {
    lua_Number number = lua_tonumber(packer->L, index);
    append_word(packer, TAG_FLOAT, &number);
  }
}

static void pack_string(const struct packer *packer, int index) {
  size_t len;
  const char *string = lua_tolstring(packer->L, index, &len);
  uint64_t size = len;
  append_word(packer, TAG_STRING, &size);
  append(packer, string, len);
}

static bool pack_table(struct packer *packer, int index);

/* Packs the value at `index`, which is absolute. */
static bool pack_value(struct packer *packer, int index) {
  switch (lua_type(packer->L, index)) {
    case LUA_TNIL: append_tag(packer, TAG_NIL); return true;
    case LUA_TBOOLEAN:
      append_tag(packer,
                 lua_toboolean(packer->L, index) ? TAG_TRUE : TAG_FALSE);
      return true;
    case LUA_TNUMBER: pack_number(packer, index); return true;
    case LUA_TSTRING: pack_string(packer, index); return true;
    case LUA_TTABLE: return pack_table(packer, index);
    default: return refuse_type(packer, index);
  }
}

static struct level *innermost(struct packer *packer) {
  return &packer->levels[packer->depth - 1];
}

/* Packs the values of the keys 1, 2, 3… up to the first nil. Not up to
   #table, which may be any border: a sparse table has them far away. */
static bool pack_list(struct packer *packer, int index, uint64_t *n) {
  lua_State *L = packer->L;
  int key = innermost(packer)->key;
  for (lua_Integer i = 1;; i++) {
    lua_pushinteger(L, i);
    if (lua_rawgeti(L, index, i) == LUA_TNIL) break;
    if (!pack_value(packer, key + 1)) return false;
    lua_pop(L, 2);
    *n = (uint64_t)i;
  }
  lua_pop(L, 2);
  return true;
}

/* Packs what keys pack_list left, each with its value. */
static bool pack_fields(struct packer *packer, int index, uint64_t nlist,
                        uint64_t *n) {
  lua_State *L = packer->L;
  int key = innermost(packer)->key;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    bool listed = lua_isinteger(L, key) &&
                  (lua_Unsigned)lua_tointeger(L, key) - 1 < nlist;
    if (!listed) {
      innermost(packer)->in_key = true;
      if (!pack_value(packer, key)) return false;
      innermost(packer)->in_key = false;
      if (!pack_value(packer, key + 1)) return false;
      ++*n;
    }
    lua_pop(L, 1);
  }
  return true;
}

static bool contains_itself(const struct packer *packer, const void *table) {
  for (int i = 0; i < packer->depth; i++)
    if (packer->levels[i].table == table) return true;
  return false;
}

/* Packs a table; the counts are filled in when they are known. */
static bool pack_table(struct packer *packer, int index) {
  const void *table = lua_topointer(packer->L, index);
  uint64_t counts[2] = {0, 0};
  size_t at;
  luaL_checkstack(packer->L, 6, NULL);
  if (contains_itself(packer, table))
    return refuse(packer, "a table that contains itself");
  if (packer->depth == SL_PACK_DEPTH)
    return refuse(packer, "tables nested more than 1000 deep");
  append_tag(packer, TAG_TABLE);
  at = packer->out->len;
  append(packer, counts, sizeof counts);
  packer->levels[packer->depth++] =
      (struct level){table, lua_gettop(packer->L) + 1, false};
  if (!pack_list(packer, index, &counts[0]) ||
      !pack_fields(packer, index, counts[0], &counts[1]))
    return false;
  packer->depth--;
  memcpy(packer->out->data + at, counts, sizeof counts);
  return true;
}

bool sl_pack(lua_State *L, int index, struct sl_bytes *out) {
  struct packer packer;
  int top = lua_gettop(L);
  packer.L = L;
  packer.out = out;
  packer.depth = 0;
  if (sl_likely(pack_value(&packer, lua_absindex(L, index)))) return true;
  lua_insert(L, top + 1);
  lua_settop(L, top + 1);
  return false;
}

/* -- unpacking -- */

static void take(const char **at, void *to, size_t n) {
  memcpy(to, *at, n);
  *at += n;
}

static void unpack_string(lua_State *L, const char **at) {
  uint64_t len;
  take(at, &len, sizeof len);
  lua_pushlstring(L, *at, (size_t)len);
  *at += len;
}

/* A count as a hint of size. */
static int hint(uint64_t n) { return n > INT_MAX ? INT_MAX : (int)n; }

static void unpack_table(lua_State *L, const char **at) {
  uint64_t counts[2];
  take(at, counts, sizeof counts);
  luaL_checkstack(L, 6, NULL);
  lua_createtable(L, hint(counts[0]), hint(counts[1]));
  for (uint64_t i = 1; i <= counts[0]; i++) {
    sl_unpack(L, at);
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  for (uint64_t i = 0; i < counts[1]; i++) {
    sl_unpack(L, at);
    sl_unpack(L, at);
    lua_rawset(L, -3);
  }
}

void sl_unpack(lua_State *L, const char **at) {
  lua_Integer integer;
  lua_Number number;
  switch ((enum tag) * (*at)++) {
    case TAG_NIL: lua_pushnil(L); break;
    case TAG_FALSE: lua_pushboolean(L, 0); break;
    case TAG_TRUE: lua_pushboolean(L, 1); break;
    case TAG_INTEGER:
      take(at, &integer, sizeof integer);
      lua_pushinteger(L, integer);
      break;
    case TAG_FLOAT:
      take(at, &number, sizeof number);
      lua_pushnumber(L, number);
      break;
    case TAG_STRING: unpack_string(L, at); break;
    case TAG_TABLE: unpack_table(L, at); break;
  }
}
