/*
** barrier.h: n tasks that wait for each other.
**
** The one idea: the last to arrive trips the barrier in its own call: the
** others are unlinked and given their index, from the order of arrival, and
** the next generation begins at once with nobody waiting. Who times out or
** is cancelled leaves, and the barrier does not break.
*/
#ifndef SL_BARRIER_H
#define SL_BARRIER_H

#include "wait.h"

/* Sets Barrier in the table on the top. */
void sl_barrier_open(lua_State *L, struct sl_loop *loop);

#endif
