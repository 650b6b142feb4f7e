/*
** event.h: something that happens once, until it is cleared.
**
** The one idea: set wakes everybody who is parked, in order, and their waits
** have succeeded then: a clear in the same turn un-wakes nobody.
*/
#ifndef SL_EVENT_H
#define SL_EVENT_H

#include "wait.h"

/* Sets Event in the table on the top. */
void sl_event_open(lua_State *L, struct sl_loop *loop);

#endif
