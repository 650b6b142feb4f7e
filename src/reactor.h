/*
** reactor.h: the loop's side of an engine (engine.h): descriptors, a timer,
** and tasks that wait at slots.
**
** The one idea: a callback of libuv calls the engine, which may wake slots,
** which makes tasks ready; no Lua in between. A kept descriptor that the
** engine wants nothing of stays in the kernel's set, unreferenced, until it
** stirs: most requests on a pooled connection then need no system call but
** the poll itself, and an idle connection keeps no loop alive.
**
** Owns a uv_timer_t and a uv_poll_t per descriptor. Does not own the
** descriptors, nor the engine: either side may end first, and tells.
*/
#ifndef SL_REACTOR_H
#define SL_REACTOR_H

#include "engine.h"
#include "handle.h"
#include "wait.h"

/* Makes the class, and the module "sluice.core.reactor". */
void sl_reactor_open(lua_State *L, struct sl_loop *loop);

#endif
