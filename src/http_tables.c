/*
** http_tables.c: tables that a script asks for: of headers, of a query, of
** cookies.
**
** The one idea: a request keeps its head as one string, and the tables are
** made from it only when somebody looks, which most handlers never do. The
** head was read and found valid before, so that here it is only cut up.
*/
#include "http_conn.h"
#include "http_text.h"

#include <ctype.h>
#include <string.h>

/* -- headers -- */

/* Pushes the name in small letters. */
static void push_lower(lua_State *L, const char *s, size_t len) {
  luaL_Buffer buffer;
  char *to = luaL_buffinitsize(L, &buffer, len);
  for (size_t i = 0; i < len; i++)
    to[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 'a' - 'A') : s[i];
  luaL_pushresultsize(&buffer, len);
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Pushes name and value of a line; false if it is no field. */
static bool push_field(lua_State *L, const char *line, const char *end) {
  const char *colon = memchr(line, ':', (size_t)(end - line)), *value;
  if (colon == NULL) return false;
  value = colon + 1;
  while (value < end && is_blank(*value)) value++;
  while (value < end && is_blank(end[-1])) end--;
  push_lower(L, line, (size_t)(colon - line));
  lua_pushlstring(L, value, (size_t)(end - value));
  return true;
}

/* Sets the name and value on the top in `table`. A name that is there twice
   is one field, says RFC 9110, its values joined in order. */
static void set_field(lua_State *L, int table) {
  lua_pushvalue(L, -2);
  if (lua_rawget(L, table) == LUA_TNIL) {
    lua_pop(L, 1);
  } else {
    bool cookie = strcmp(lua_tostring(L, -3), "cookie") == 0;
    lua_insert(L, -2);
    lua_pushstring(L, cookie ? "; " : ", ");
    lua_insert(L, -2);
    lua_concat(L, 3);
  }
  lua_rawset(L, table);
}

/* headers(head): a table of the fields, their names in small letters. */
static int headers(lua_State *L) {
  size_t len;
  const char *at = luaL_checklstring(L, 1, &len), *end = at + len;
  bool first = true; /* of the lines that are not empty: the request's */
  lua_settop(L, 1);
  lua_newtable(L);
  while (at < end) {
    const char *lf = memchr(at, '\n', (size_t)(end - at)), *stop;
    if (lf == NULL) break;
    stop = lf > at && lf[-1] == '\r' ? lf - 1 : lf;
    if (stop > at && !first && push_field(L, at, stop)) set_field(L, 2);
    if (stop > at) first = false;
    at = lf + 1;
  }
  return 1;
}

/* -- queries and forms -- */

/* Pushes the text decoded; what is no escape stays as it is. */
static void push_decoded(lua_State *L, const char *s, size_t len) {
  luaL_Buffer buffer;
  size_t out;
  char *to = luaL_buffinitsize(L, &buffer, len);
  sl_http_decode(s, len, true, to, &out);
  luaL_pushresultsize(&buffer, out);
}

/* The stack of pairs and cookies. */
enum { PAIRS = 2, LISTS = 3 };

/* Appends the value on the top to the list of its name, which lies below the
   first value of that name. Pops the three. */
static void repeat_pair(lua_State *L) {
  if (lua_isnil(L, LISTS)) {
    lua_newtable(L);
    lua_replace(L, LISTS);
  }
  lua_pushvalue(L, -3);
  if (lua_rawget(L, LISTS) == LUA_TNIL) { /* name, first, value, nil */
    lua_pop(L, 1);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -4);
    lua_pushvalue(L, -2);
    lua_rawset(L, LISTS);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 3);
}

/* Adds the name and value on the top. Of equal names the first counts; all
   their values are in the lists. */
static void add_pair(lua_State *L) {
  lua_pushvalue(L, -2);
  if (lua_rawget(L, PAIRS) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_rawset(L, PAIRS);
  } else {
    lua_insert(L, -2);
    repeat_pair(L);
  }
}

/* pairs(s, most): a table of the pairs of a query or form, and nil or a table
   of lists: of all values of each name that is repeated. nil if there are
   more than `most`. */
static int decode_pairs(lua_State *L) {
  size_t len;
  const char *at = luaL_checklstring(L, 1, &len), *end = at + len;
  lua_Integer left = luaL_optinteger(L, 2, LUA_MAXINTEGER);
  struct sl_http_pair pair;
  lua_settop(L, 1);
  lua_newtable(L);
  lua_pushnil(L);
  while (sl_http_next_pair(&at, end, &pair)) {
    if (left-- <= 0) return 0;
    push_decoded(L, pair.name, pair.name_len);
    push_decoded(L, pair.value, pair.value_len);
    add_pair(L);
  }
  return 2;
}

/* cookies(s): as pairs, of a Cookie field. */
static int cookies(lua_State *L) {
  size_t len;
  const char *at = luaL_checklstring(L, 1, &len), *end = at + len;
  struct sl_http_pair pair;
  lua_settop(L, 1);
  lua_newtable(L);
  lua_pushnil(L);
  while (sl_http_next_cookie(&at, end, &pair)) {
    lua_pushlstring(L, pair.name, pair.name_len);
    lua_pushlstring(L, pair.value, pair.value_len);
    add_pair(L);
  }
  return 2;
}

/* decode(s): percent-encoding undone; nil if an escape is none. */
static int decode(lua_State *L) {
  size_t len, out;
  const char *s = luaL_checklstring(L, 1, &len);
  luaL_Buffer buffer;
  char *to = luaL_buffinitsize(L, &buffer, len);
  bool valid = sl_http_decode(s, len, false, to, &out);
  luaL_pushresultsize(&buffer, out);
  if (!valid) lua_pushnil(L);
  return 1;
}

/* -- checks -- */

/* check_header(name, value): nil, or what is wrong with it; and whether it
   is the server's to set. */
static int check_header(lua_State *L) {
  struct sl_http_header header;
  header.name = luaL_checklstring(L, 1, &header.name_len);
  header.value = luaL_checklstring(L, 2, &header.value_len);
  switch (sl_http_check_header(&header)) {
    case SL_HTTP_BAD_NAME: lua_pushliteral(L, "invalid name"); break;
    case SL_HTTP_BAD_VALUE: lua_pushliteral(L, "invalid value"); break;
    case SL_HTTP_OURS:
      lua_pushnil(L);
      lua_pushboolean(L, 1);
      return 2;
    default: lua_pushnil(L);
  }
  return 1;
}

/* reason(status): its usual words, or "". */
static int reason(lua_State *L) {
  lua_pushstring(L, sl_http_reason((int)luaL_checkinteger(L, 1)));
  return 1;
}

const luaL_Reg sl_http_functions[] = {{"headers", headers},
                                      {"pairs", decode_pairs},
                                      {"cookies", cookies},
                                      {"Form", sl_http_form_new},
                                      {"Spool", sl_http_spool_new},
                                      {"open_file", sl_http_file_open},
                                      {"system_error", sl_http_system_error},
                                      {"decode", decode},
                                      {"check_header", check_header},
                                      {"reason", reason},
                                      {NULL, NULL}};
