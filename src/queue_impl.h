/*
** queue_impl.h: what the two halves of the queue share: queue.c, which
** moves items, and queue_info.c, which makes queues and looks at them.
*/
#ifndef SL_QUEUE_IMPL_H
#define SL_QUEUE_IMPL_H

#include "prio.h"
#include "ring.h"
#include "wait.h"

enum sl_discipline { SL_FIFO, SL_LIFO, SL_BY_PRIORITY, SL_NDISCIPLINES };

enum { SL_QUEUE_NUV = 2 }; /* the user values of either store */

struct sl_queue {
  const struct sl_class *class;
  struct sl_loop *loop;
  enum sl_discipline discipline;
  bool shut_down;
  uint64_t maxsize; /* UINT64_MAX: unbounded */
  uint64_t len;     /* items held */
  struct sl_link getters; /* tasks parked in get; then len is 0 */
  struct sl_link putters; /* tasks parked in put; then len is maxsize */
  struct sl_link joiners; /* tasks parked in join */
  uint64_t unfinished;    /* put and not marked done */
  uint64_t puts;          /* that took effect */
  uint64_t gets;
  uint64_t dropped;    /* by an immediate shutdown */
  uint64_t high_water; /* the most items it ever held */
  union {
    struct sl_ring ring;
    struct sl_prio prio;
  } store;
};

extern const struct sl_class sl_queue_classes[SL_NDISCIPLINES];
extern const luaL_Reg sl_queue_methods[];
extern const luaL_Reg sl_queue_iterator[];

SL_NORETURN void sl_queue_refuse(lua_State *L);

/* The queue at index 1, of any discipline; throws an argument error. */
static inline struct sl_queue *sl_queue_check(lua_State *L) {
  struct sl_queue *queue = lua_touserdata(L, 1);
  if (sl_likely(queue != NULL && lua_rawlen(L, 1) >= sizeof *queue &&
                (queue->class == &sl_queue_classes[SL_FIFO] ||
                 queue->class == &sl_queue_classes[SL_LIFO] ||
                 queue->class == &sl_queue_classes[SL_BY_PRIORITY])))
    return queue;
  sl_queue_refuse(L);
}

/* Takes the next item and pushes it (and its priority); len > 0. Returns
   LUA_OK, or a status of sl_prio_pop with its error pushed. */
int sl_queue_take(lua_State *L, struct sl_queue *queue);

#endif
