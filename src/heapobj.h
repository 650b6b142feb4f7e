/*
** heapobj.h: sluice.Heap, the priority heap by itself. Needs no task.
*/
#ifndef SL_HEAPOBJ_H
#define SL_HEAPOBJ_H

#include "prio.h"

/* Sets Heap in the table on the top. */
void sl_heapobj_open(lua_State *L, struct sl_loop *loop);

#endif
