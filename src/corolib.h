/*
** corolib.h: coroutine.close, but not of a task's coroutine.
**
** What a parked task waits at is kept alive by its stack, and is not told
** when a script closes the coroutine under it. So the library's `close` is
** replaced by one that refuses this. (coroutine.resume needs no such guard:
** the task's own continuation refuses.)
*/
#ifndef SL_COROLIB_H
#define SL_COROLIB_H

#include "task.h"

/* Replaces coroutine.close, if the state has it. */
void sl_corolib_open(lua_State *L);

#endif
