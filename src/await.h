/*
** await.h: the Task as Lua sees it, and waiting for many.
**
** The one idea: an awaiter parks in the task's own list and reads the
** outcome from the task afterwards, so that results are kept once for any
** number of awaiters. Whoever waits for many tasks (gather, wait,
** as_completed) watches each by a node of one block, and takes them in the
** order they ended.
**
** Owns nothing but the blocks of watches.
*/
#ifndef SL_AWAIT_H
#define SL_AWAIT_H

#include "wait.h"

/* Sets create_task, current_task, all_tasks, call_soon… in the table on the
   top, and `watch`, which the Lua layer builds gather and wait on. */
void sl_await_open(lua_State *L, struct sl_loop *loop);

#endif
