/*
** gumbo_arena.h: the memory of one parse, and how much of it and of time a
** parse may take.
**
** The one idea: gumbo asks for memory at every step, frees its tree by
** recursion and cannot be stopped. So it gets memory from an arena, which
** is thrown away as a whole and whose allocator, when the limits are passed,
** jumps out of the parse. A page can exceed any estimate: some are quadratic
** in time, some in memory.
**
** Owns its blocks. Never calls Lua. Nothing that is allocated in an arena may
** own anything else.
*/
#ifndef SL_GUMBO_ARENA_H
#define SL_GUMBO_ARENA_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

struct sl_arena_block;

struct sl_arena {
  struct sl_arena_block *blocks; /* the newest first */
  char *at, *end;                /* what is free in the newest */
  size_t room;                   /* bytes that blocks may still take */
  uint64_t deadline_ns;          /* of the thread's own time */
  unsigned calls;                /* since the time was looked at */
  jmp_buf *escape;               /* where to go beyond the limits */
};

/* An arena of zeros is one that was closed. */
void sl_arena_open(struct sl_arena *arena, size_t room, uint64_t time_ns);
void sl_arena_close(struct sl_arena *arena);

/* Memory for any type; jumps to arena->escape when there is none. */
void *sl_arena_alloc(struct sl_arena *arena, size_t size);

#endif
