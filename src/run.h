/*
** run.h: running a main function to its end.
**
** The one idea: a run is two drains of the ready ring: until main has ended,
** then, everything left being cancelled, until no task is left. A Runner is
** only the settings of runs: which clock, which seed; tasks and objects
** belong to the loop, of which a Lua state has one.
*/
#ifndef SL_RUN_H
#define SL_RUN_H

#include "wait.h"

/* Sets run, Runner, time, traceback, stats in the table on the top. */
void sl_run_open(lua_State *L, struct sl_loop *loop);

#endif
