/*
** queue.h: queues: first in first out, last in first out, by priority.
**
** The one idea: one put and one get over three disciplines. An item goes
** straight from the putter to a getter that waits, by moving it from stack
** to stack in the put itself; a putter that waits keeps its item on its own
** stack, from where the get that makes room moves it in.
**
** Invariants: getters wait => empty; putters wait => full; items in = out +
** held + dropped; unfinished = puts that took effect - task_done - dropped.
** put and get allocate nothing but when the store grows.
*/
#ifndef SL_QUEUE_H
#define SL_QUEUE_H

#include "wait.h"

/* Sets Queue, LifoQueue and PriorityQueue in the table on the top. */
void sl_queue_open(lua_State *L, struct sl_loop *loop);

#endif
