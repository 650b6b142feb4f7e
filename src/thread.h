/*
** thread.h: sluice.to_thread: functions that run in other Lua states, on the
** threads of libuv's pool, while the loop goes on.
**
** The one idea: a call is a request in C's memory that neither side's Lua
** refers to: the function as bytecode and its arguments as bytes go there,
** results or an error come back as bytes. The thread touches only its own
** state, the loop's thread only its own, and the request changes hands
** twice, by libuv.
**
** Owns the requests in flight and the states at rest: a state is made when
** a call finds none, and kept for the next. Never stops a call that has
** begun: a waiter that is cancelled leaves, and the request frees itself.
*/
#ifndef SL_THREAD_H
#define SL_THREAD_H

#include "wait.h"

void sl_thread_open(lua_State *L, struct sl_loop *loop);

/* Gives up the calls that have not begun. Before sl_loop_close, which waits
   for the others. */
void sl_thread_stop(lua_State *L, struct sl_loop *loop);

/* Closes the states at rest. After sl_loop_close: nothing is in flight. */
void sl_thread_free(lua_State *L, struct sl_loop *loop);

#endif
