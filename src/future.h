/*
** future.h: a result that somebody else will set.
**
** The one idea: as a task's outcome, kept once for any number of awaiters,
** but set by hand, once: the bridge from callbacks of other libraries.
*/
#ifndef SL_FUTURE_H
#define SL_FUTURE_H

#include "wait.h"

/* Sets Future in the table on the top. */
void sl_future_open(lua_State *L, struct sl_loop *loop);

#endif
