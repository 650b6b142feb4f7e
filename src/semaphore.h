/*
** semaphore.h: a number of permits.
**
** The one idea: a permit that is released while somebody waits goes to the
** first who waits, in the call, so that permits are conserved and a value
** above 0 means that nobody waits. A bounded one refuses to hold more than
** it began with.
*/
#ifndef SL_SEMAPHORE_H
#define SL_SEMAPHORE_H

#include "wait.h"

/* Sets Semaphore and BoundedSemaphore in the table on the top. */
void sl_semaphore_open(lua_State *L, struct sl_loop *loop);

#endif
