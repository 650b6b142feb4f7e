/*
** watch.h: waiting for many tasks at once.
**
** The one idea: one block has a node for each task; when a task ends its
** node moves to the block's list of ended ones, and whoever waits takes them
** in that order. gather, wait and as_completed are loops over this, in Lua.
**
** Owns its nodes, which leave the tasks' lists when the block is closed or
** collected.
*/
#ifndef SL_WATCH_H
#define SL_WATCH_H

#include "wait.h"

/* Sets `watch` in the table on the top. */
void sl_watch_open(lua_State *L, struct sl_loop *loop);

#endif
