/*
** condition.h: waiting, under a lock, for a state to change.
**
** The one idea: notify is the commit point. It moves waiters, in order, to
** the lock's own queue; from there they are woken holding the lock, and
** neither a deadline nor a cancellation can take the notification away. A
** waiter that gives up before goes the same way, so that wait always ends
** holding the lock.
*/
#ifndef SL_CONDITION_H
#define SL_CONDITION_H

#include "wait.h"

/* Sets Condition in the table on the top. */
void sl_condition_open(lua_State *L, struct sl_loop *loop);

#endif
