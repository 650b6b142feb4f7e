/*
** pack.h: Lua values as bytes, to hand them to another Lua state.
**
** The one idea: what two states can share is only what has no identity: nil,
** booleans, numbers, strings, and tables of these as copies. A value is
** written with its kind and its size before it, so that reading it back
** needs no search and makes each table with room for what comes.
**
** A table is copied by its raw contents, keys too, without its metatable; one
** that stands in two places becomes two. The bytes are of this process only:
** they are neither portable nor checked. Owns nothing.
*/
#ifndef SL_PACK_H
#define SL_PACK_H

#include "bytes.h"
#include "lx.h"

enum { SL_PACK_DEPTH = 1000 }; /* tables within tables */

/* Appends the value at `index`. Leaves the stack as it was and returns true;
   or, if it holds what cannot be packed, pushes a text that names it and
   where it is, and returns false: `out` then ends in the middle of a value.
   Throws: memory. Calls no metamethod. */
bool sl_pack(lua_State *L, int index, struct sl_bytes *out);

/* Pushes the value at *at, which sl_pack wrote, and steps past it. Throws:
   memory. */
void sl_unpack(lua_State *L, const char **at);

#endif
