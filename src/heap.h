/*
** heap.h: a stable min-heap.
**
** The one idea: an entry is sixteen bytes: its key, the sequence number of
** its arrival, so that equal keys leave in the order they came, and a
** reference of the owner's. The comparison touches the heap's own memory
** only. Four children a node: half the depth of a binary heap, and the four
** lie in one line of the cache.
**
** With a comparison of the owner's (less), every call of it is made before
** anything is changed, so that it may leave by a long jump and the heap is
** as it was.
**
** Pure C. The memory is the owner's (sl_heap_rebase); only a renumbering,
** once in four thousand million pushes, takes some for a moment.
*/
#ifndef SL_HEAP_H
#define SL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_HEAP_NONE UINT32_MAX

struct sl_heap_entry {
  uint64_t key;   /* smallest first; see sl_heap_number_key for numbers */
  uint64_t order; /* arrival in the high half, the reference in the low */
};

/* Whether a goes before b. May leave by a long jump. */
typedef bool sl_heap_less(void *ctx, const struct sl_heap_entry *a,
                          const struct sl_heap_entry *b);

struct sl_heap {
  struct sl_heap_entry *at; /* len entries, room for cap */
  uint32_t len;
  uint32_t cap;
  uint32_t arrivals; /* the sequence number of the next entry */
  uint32_t *pos;     /* where the entry of each reference is; NULL: untold */
  sl_heap_less *less; /* NULL: by key and arrival */
  void *ctx;
};

static inline uint32_t sl_heap_ref(const struct sl_heap_entry *entry) {
  return (uint32_t)entry->order;
}

/* Whether a came before b. */
static inline bool sl_heap_came_before(const struct sl_heap_entry *a,
                                       const struct sl_heap_entry *b) {
  return a->order < b->order;
}

void sl_heap_init(struct sl_heap *heap);

/* How many bytes `cap` entries take, with what alignment needs. */
size_t sl_heap_bytes(uint32_t cap);

/* Gives the heap memory of sl_heap_bytes(cap) bytes, cap >= len; the entries
   are copied. The old memory is the caller's again. */
void sl_heap_rebase(struct sl_heap *heap, void *memory, uint32_t cap);

/* Adds an entry; there must be room (len < cap). */
void sl_heap_push(struct sl_heap *heap, uint64_t key, uint32_t ref);

/* Takes the smallest entry; len > 0. */
struct sl_heap_entry sl_heap_pop(struct sl_heap *heap);

/* Takes the entry at `index` < len. */
struct sl_heap_entry sl_heap_remove(struct sl_heap *heap, uint32_t index);

/* Puts back an entry that was taken, with its arrival; there is room. */
void sl_heap_restore(struct sl_heap *heap, struct sl_heap_entry entry);

/* Whether the heap's order holds everywhere (for tests). */
bool sl_heap_ordered(const struct sl_heap *heap);

/* A key that orders doubles as `<` does (not NaN; -0 equals 0), and back. */
uint64_t sl_heap_number_key(double number);
double sl_heap_key_number(uint64_t key);

#endif
