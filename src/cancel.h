/*
** cancel.h: cancellations as Lua sees them, and how they reach a task.
**
** The one idea: that a task is cancelled is a state of its innermost scope;
** the error it raises is looked up when it is raised. Cancelling gives up
** the waits of parked tasks at once, so that no list ever holds a cancelled
** waiter; a task that was woken already keeps what it got, and meets the
** cancellation at its next checkpoint.
**
** Owns the errors for the usual reasons, so that cancelling for one of them
** allocates nothing and can be done from a deadline.
*/
#ifndef SL_CANCEL_H
#define SL_CANCEL_H

#include "task.h"

/* Why a scope is cancelled, if no script gave a reason. */
enum sl_reason {
  SL_NO_REASON,
  SL_FOR_TIMEOUT,
  SL_FOR_INTERRUPT,
  SL_FOR_SIBLING,
  SL_FOR_RUN_END,
  SL_FOR_CLIENT_GONE,
  SL_NREASONS
};

/* Makes the class and the errors; sets is_cancelled in the table on top. */
void sl_cancel_open(lua_State *L, struct sl_loop *loop);

/* Cancels a scope for one of the usual reasons. No Lua. */
void sl_cancel_scope(struct sl_scope *scope, enum sl_reason reason);

/* Cancels a scope for the reason at `index` of the stack (may be nil or
   none). Throws: memory, then nothing has changed. */
void sl_cancel_scope_because(lua_State *L, struct sl_scope *scope,
                             int index);

/* Pushes the error that the task's effective scope raises. */
void sl_cancel_push(lua_State *L, struct sl_task *task);

/* Whether the value at `index` is a cancellation. */
bool sl_cancel_test(lua_State *L, int index);

/* Whether the value at `index` is a cancellation of the task's own. */
bool sl_cancel_own(lua_State *L, struct sl_task *task, int index);

#endif
