/*
** gumbo_arena.c: see gumbo_arena.h.
*/
#include "gumbo_arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <time.h>

#define ALIGN alignof(max_align_t)
#define BLOCK ((size_t)64 * 1024)
#define CALLS_PER_LOOK 256 /* reading the thread's time is a system call */

struct sl_arena_block {
  struct sl_arena_block *next;
  max_align_t memory[];
};

static uint64_t thread_time_ns(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) return 0;
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void sl_arena_open(struct sl_arena *arena, size_t room, uint64_t time_ns) {
  *arena = (struct sl_arena){
      .room = room, .deadline_ns = thread_time_ns() + time_ns};
}

void sl_arena_close(struct sl_arena *arena) {
  while (arena->blocks != NULL) {
    struct sl_arena_block *next = arena->blocks->next;
    free(arena->blocks);
    arena->blocks = next;
  }
  arena->at = arena->end = NULL;
}

static void check_time(struct sl_arena *arena) {
  if (++arena->calls < CALLS_PER_LOOK) return;
  arena->calls = 0;
  if (thread_time_ns() > arena->deadline_ns) longjmp(*arena->escape, 1);
}

/* A block with `size` bytes of memory, now the newest. */
static struct sl_arena_block *add_block(struct sl_arena *arena, size_t size) {
  size += sizeof(struct sl_arena_block);
  if (size > arena->room) longjmp(*arena->escape, 1);
  struct sl_arena_block *block = malloc(size);
  if (block == NULL) longjmp(*arena->escape, 1);
  arena->room -= size;
  block->next = arena->blocks;
  arena->blocks = block;
  return block;
}

void *sl_arena_alloc(struct sl_arena *arena, size_t size) {
  check_time(arena);
  size = (size + ALIGN - 1) / ALIGN * ALIGN;
  if (size > BLOCK / 4) return add_block(arena, size)->memory;
  if ((size_t)(arena->end - arena->at) < size) {
    struct sl_arena_block *block = add_block(arena, BLOCK);
    arena->at = (char *)block->memory;
    arena->end = arena->at + BLOCK;
  }
  char *memory = arena->at;
  arena->at += size;
  return memory;
}
