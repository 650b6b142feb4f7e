/*
** timeout.h: deadlines and shields for a block of code.
**
** The one idea: wait_for, timeout and shield run their code in the same
** task, inside a scope of its own. Nothing is handed between tasks, so no
** result is lost, and what the scope did not cancel is none of its business.
** A deadline is armed only when something inside really waits; a wait_for
** that need not wait costs no timer.
**
** Owns the pool of these scopes. A scope in use belongs to the C call that
** entered it, or to the guard of sluice.timeout, which names it by place and
** generation, so that a guard that outlives its scope is merely stale.
*/
#ifndef SL_TIMEOUT_H
#define SL_TIMEOUT_H

#include "wait.h"

/* Sets wait_for, timeout, shield and pcall in the table on the top. */
void sl_timeout_open(lua_State *L, struct sl_loop *loop);

#endif
