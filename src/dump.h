/*
** dump.h: the tree of tasks as text.
**
** Each task with its name, where it was created, what it waits for and who
** holds that, and its traceback, children below the task whose group they
** belong to. A deadlock shows it, SIGQUIT prints it, sluice.dump() returns
** it. Reads everything, changes nothing.
*/
#ifndef SL_DUMP_H
#define SL_DUMP_H

#include "wait.h"

/* Sets dump in the table on the top; hooks the deadlock's error. */
void sl_dump_open(lua_State *L, struct sl_loop *loop);

/* Pushes the dump. Throws: memory. */
void sl_dump_push(lua_State *L, struct sl_loop *loop);

#endif
