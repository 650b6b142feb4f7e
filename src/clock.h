/*
** clock.h: deadlines, real and virtual.
**
** The one idea: all deadlines are in one heap, ordered by the time they are
** due and, among equals, by the order they were armed; one timer of the
** kernel is set to the first of them, and only when the loop goes to sleep.
** An armed deadline has a slot, from where its place in the heap is known,
** so that disarming removes it and the heap never holds a stale one.
**
** Owns the heap and the timer. A deadline belongs to whoever embeds it.
** Arming never allocates: room is reserved when a deadline's owner is made.
*/
#ifndef SL_CLOCK_H
#define SL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "heap.h"
#include "loop.h"
#include "lx.h"

struct sl_deadline {
  uint32_t slot; /* SL_HEAP_NONE when not armed */
  void (*fire)(struct sl_deadline *deadline);
};

/* Opens and closes the loop's clock. Open throws: memory, descriptors. */
void sl_clock_open(lua_State *L, struct sl_loop *loop);
void sl_clock_free(lua_State *L, struct sl_loop *loop);

/* Makes room for one more deadline. Throws: memory. */
void sl_clock_reserve(lua_State *L, struct sl_loop *loop);
/* Gives the room of one deadline back. */
void sl_clock_release(struct sl_loop *loop);

static inline void sl_deadline_init(struct sl_deadline *deadline,
                                    void (*fire)(struct sl_deadline *)) {
  deadline->slot = SL_HEAP_NONE;
  deadline->fire = fire;
}

static inline bool sl_deadline_armed(const struct sl_deadline *deadline) {
  return deadline->slot != SL_HEAP_NONE;
}

/* Arms a deadline that is not armed. Does nothing at SL_NEVER. */
void sl_clock_arm(struct sl_loop *loop, struct sl_deadline *deadline,
                  uint64_t due_ns);
void sl_clock_remove(struct sl_loop *loop, struct sl_deadline *deadline);

static inline void sl_clock_disarm(struct sl_loop *loop,
                                   struct sl_deadline *deadline) {
  if (sl_deadline_armed(deadline)) sl_clock_remove(loop, deadline);
}

/* now + ns without overflow. */
static inline uint64_t sl_clock_after(uint64_t now_ns, uint64_t ns) {
  return ns >= SL_NEVER - now_ns ? SL_NEVER : now_ns + ns;
}

/* How many deadlines are armed. */
uint32_t sl_clock_count(const struct sl_loop *loop);

#endif
