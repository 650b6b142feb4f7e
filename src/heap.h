/*
** heap.h: a stable min-heap.
**
** The one idea: an entry carries its key and the sequence number of its
** arrival, so that equal keys leave in the order they came, and the whole
** comparison touches only the heap's own memory. Four children a node: half
** the depth of a binary heap, and the four share a cache line or two.
**
** Every comparison of an operation is made before anything is changed, so
** that a comparison may fail by a long jump and the heap is as it was.
**
** Pure C. The memory is the caller's (sl_heap_rebase), so no operation here
** allocates; it never looks behind an entry's reference but for `tracked`.
*/
#ifndef SL_HEAP_H
#define SL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_HEAP_NONE UINT32_MAX

struct sl_heap_entry {
  uint64_t key;  /* smallest first; see sl_heap_number_key for numbers */
  uint64_t seq;  /* order of arrival among equal keys */
  union {
    uint32_t *pos; /* tracked: told where the entry is, NONE when it left */
    uint64_t value; /* else: the owner's, never looked at */
  } ref;
};

/* Whether a goes before b. May leave by a long jump. */
typedef bool sl_heap_less(void *ctx, const struct sl_heap_entry *a,
                          const struct sl_heap_entry *b);

struct sl_heap {
  struct sl_heap_entry *at; /* len entries, room for cap */
  uint32_t len;
  uint32_t cap;
  bool tracked;       /* entries refer to a position that we keep true */
  sl_heap_less *less; /* NULL: by (key, seq) */
  void *ctx;
};

void sl_heap_init(struct sl_heap *heap, bool tracked);

/* Gives the heap `memory` for `cap` entries, cap >= len; the entries are
   copied. The caller frees the old memory (heap->at before the call). */
void sl_heap_rebase(struct sl_heap *heap, struct sl_heap_entry *memory,
                    uint32_t cap);

/* Adds an entry; there must be room (len < cap). */
void sl_heap_push(struct sl_heap *heap, struct sl_heap_entry entry);

/* Takes the smallest entry; len > 0. */
struct sl_heap_entry sl_heap_pop(struct sl_heap *heap);

/* Takes the entry at `index` < len. */
struct sl_heap_entry sl_heap_remove(struct sl_heap *heap, uint32_t index);

/* Whether the heap's order holds everywhere (for tests). */
bool sl_heap_ordered(const struct sl_heap *heap);

/* A key that orders doubles as `<` does (not NaN; -0 equals 0), and back. */
uint64_t sl_heap_number_key(double number);
double sl_heap_key_number(uint64_t key);

#endif
