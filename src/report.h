/*
** report.h: errors that nobody awaits, and other things worth telling.
**
** The one idea: an error is told at once, when its task ends and nobody is
** there to be told: to sluice.on_error's function, else to stderr, with the
** traceback that was taken where it was raised. Nothing here stops the loop.
*/
#ifndef SL_REPORT_H
#define SL_REPORT_H

#include "wait.h"

/* Sets on_error in the table on the top. */
void sl_report_open(lua_State *L, struct sl_loop *loop);

/* Tells of an error: the task's userdata at `self`, the error and the
   traceback (or nil) on the top, which are popped. Throws: memory. */
void sl_report(lua_State *L, struct sl_task *task, int self);

#endif
