/*
** place.h: where tasks were created, for dumps and reports.
**
** The one idea: a task keeps a line and the number of a file's name; the
** names are kept once. The function that created a task is nearly always the
** one that created the last, so the name is seldom asked for.
**
** Owns the names.
*/
#ifndef SL_PLACE_H
#define SL_PLACE_H

#include "lx.h"

struct sl_places {
  char (*names)[LUA_IDSIZE];
  uint32_t n;
  const void *creator; /* the function that created a task last */
  uint32_t line;       /* where in it */
  uint16_t file;       /* whose number, from 1; 0: unknown */
};

struct sl_place {
  uint32_t line; /* 0: unknown */
  uint16_t file;
};

/* The place where the running C function was called. Does not throw. */
struct sl_place sl_place_here(lua_State *L, struct sl_places *places);

void sl_place_free(lua_State *L, struct sl_places *places);

/* The name of a place's file, NULL if it is unknown. */
static inline const char *sl_place_file(const struct sl_places *places,
                                        uint16_t file) {
  return file == 0 ? NULL : places->names[file - 1];
}

#endif
