/*
** place.c: see place.h.
*/
#include "place.h"

#include <string.h>

enum { MAX_NAMES = 4096 };

/* The number of a file's name, 0 if there is no room for it. */
static uint16_t number_of(lua_State *L, struct sl_places *places,
                          const char *name) {
  size_t size = sizeof *places->names;
  uint32_t n = places->n;
  void *grown;
  for (uint32_t i = n; i > 0; i--)
    if (strcmp(places->names[i - 1], name) == 0) return (uint16_t)i;
  if (n == MAX_NAMES) return 0;
  grown = sl_realloc(L, places->names, n * size, (n + 1) * size);
  if (grown == NULL) return 0;
  places->names = grown;
  memcpy(places->names[n], name, size);
  places->n = n + 1;
  return (uint16_t)(n + 1);
}

struct sl_place sl_place_here(lua_State *L, struct sl_places *places) {
  struct sl_place place = {0, 0};
  lua_Debug ar;
  const void *creator;
  if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "fl", &ar)) return place;
  creator = lua_topointer(L, -1);
  lua_pop(L, 1);
  if (ar.currentline <= 0) return place;
  place.line = (uint32_t)ar.currentline;
  /* Nearly always the function and line of the last time. That the address
     may by now be another function's, at the same line, is only a wrong
     file's name in a dump. */
  if (creator != places->creator || place.line != places->line) {
    lua_getinfo(L, "S", &ar);
    places->file = number_of(L, places, ar.short_src);
    places->creator = creator;
    places->line = place.line;
  }
  place.file = places->file;
  return place;
}

void sl_place_free(lua_State *L, struct sl_places *places) {
  sl_realloc(L, places->names, places->n * sizeof *places->names, 0);
  memset(places, 0, sizeof *places);
}
