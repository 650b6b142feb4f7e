/*
** signal.h: signals, from the handler to a task.
**
** The one idea: a handler only notes the signal's number in the loop and
** ends the poll; what follows from it happens between two steps. SIGINT
** cancels main, SIGQUIT prints the dump, and a task may wait for others by a
** listener. A second SIGINT or SIGTERM ends the process in the handler
** itself, so that it works when a script computes for ever.
**
** Owns the process's handlers while a run lasts; one run at a time in a
** process has them, the first that asks.
*/
#ifndef SL_SIGNAL_H
#define SL_SIGNAL_H

#include "wait.h"

/* Sets `Signal` in the table on the top. */
void sl_signal_open(lua_State *L, struct sl_loop *loop);

/* Installs and restores the handlers around a run. */
void sl_signal_start(struct sl_loop *loop);
void sl_signal_stop(struct sl_loop *loop);

#endif
