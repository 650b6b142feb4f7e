/*
** net.h: connecting and listening.
**
** The one idea: a connection that arrives is accepted in libuv's callback,
** as long as there are not too many, and waits in the server's list for the
** task that gives it a box; beyond the limit it is left to the kernel until
** one ends. How many there are is counted by the handles that are open, not
** by what scripts do.
**
** Owns servers. What runs for each connection is decided in Lua.
*/
#ifndef SL_NET_H
#define SL_NET_H

#include "stream.h"

/* Makes the classes, and the module "sluice.core.net". */
void sl_net_open(lua_State *L, struct sl_loop *loop);

/* Makes the table on the top what require(name) returns, and pops it. */
void sl_net_preload(lua_State *L, const char *name);

#endif
