/*
** connect.h: making a connection.
**
** The one idea: the stream is made with its box before it is connected, and
** handed out only when it is; a task that gives up waiting closes it.
*/
#ifndef SL_CONNECT_H
#define SL_CONNECT_H

#include "stream.h"

/* Sets `connect` and `connect_unix` in the table on the top. */
void sl_connect_open(lua_State *L, struct sl_loop *loop);

#endif
