/*
** testing.h: what sluice.testing needs of the loop: to wait until all others
** are blocked, to cancel main at a checkpoint, to follow a schedule again.
*/
#ifndef SL_TESTING_H
#define SL_TESTING_H

#include "wait.h"

/* Sets `testing`, a table of functions, in the table on the top. */
void sl_testing_open(lua_State *L, struct sl_loop *loop);

#endif
