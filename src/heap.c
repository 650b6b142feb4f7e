/*
** heap.c: see heap.h.
**
** A push first finds how far up the entry goes, a removal how far the hole
** goes down (the path), and only then are entries moved. The depth of a
** 4-ary heap of 2^32 entries is 16, so the path fits a small array.
*/
#include "heap.h"

#include <stdlib.h>
#include <string.h>

enum { ARITY = 4, MAX_DEPTH = 20, LINE = 64 };

/* (key, order) as one number: compared without a branch, which for random
   keys would be mispredicted half of the time. */
static inline bool natively_before(const struct sl_heap_entry *a,
                                   const struct sl_heap_entry *b) {
#if defined(__SIZEOF_INT128__)
  __extension__ typedef unsigned __int128 wide;
  return ((wide)a->key << 64 | a->order) < ((wide)b->key << 64 | b->order);
#else
  return a->key != b->key ? a->key < b->key : a->order < b->order;
#endif
}

static inline bool before(const struct sl_heap *heap,
                          const struct sl_heap_entry *a,
                          const struct sl_heap_entry *b) {
  if (heap->less != NULL) return heap->less(heap->ctx, a, b);
  return natively_before(a, b);
}

static inline void put(struct sl_heap *heap, uint32_t index,
                       const struct sl_heap_entry *entry) {
  heap->at[index] = *entry;
  if (heap->pos != NULL) heap->pos[sl_heap_ref(entry)] = index;
}

void sl_heap_init(struct sl_heap *heap) { memset(heap, 0, sizeof *heap); }

size_t sl_heap_bytes(uint32_t cap) {
  return cap * sizeof(struct sl_heap_entry) + LINE;
}

void sl_heap_rebase(struct sl_heap *heap, void *memory, uint32_t cap) {
  /* Entry 1, the first of a family of four, begins a line of the cache. */
  uintptr_t first = (uintptr_t)memory + sizeof(struct sl_heap_entry);
  size_t skip = (LINE - first % LINE) % LINE;
  struct sl_heap_entry *at = (void *)((char *)memory + skip);
  if (heap->len > 0) memcpy(at, heap->at, heap->len * sizeof *at);
  heap->at = at;
  heap->cap = cap;
}

/* -- arrivals -- */

static int by_order(const void *a, const void *b) {
  const struct sl_heap_entry *x = *(struct sl_heap_entry *const *)a;
  const struct sl_heap_entry *y = *(struct sl_heap_entry *const *)b;
  return x->order < y->order ? -1 : x->order > y->order;
}

/* The sequence numbers are used up: those in the heap become 0, 1, 2… in the
   order they have. Without memory for it equal keys are no longer in order;
   nothing else is lost. */
static void renumber(struct sl_heap *heap) {
  struct sl_heap_entry **entries = malloc(heap->len * sizeof *entries);
  if (entries == NULL) return;
  for (uint32_t i = 0; i < heap->len; i++) entries[i] = &heap->at[i];
  qsort(entries, heap->len, sizeof *entries, by_order);
  for (uint32_t i = 0; i < heap->len; i++)
    entries[i]->order = (uint64_t)i << 32 | sl_heap_ref(entries[i]);
  heap->arrivals = heap->len;
  free(entries);
}

/* -- rising -- */

/* Where an entry that may rise from `index` comes to rest. */
static uint32_t risen(const struct sl_heap *heap, uint32_t index,
                      const struct sl_heap_entry *entry) {
  while (index > 0) {
    uint32_t parent = (index - 1) / ARITY;
    if (!before(heap, entry, &heap->at[parent])) break;
    index = parent;
  }
  return index;
}

/* Moves the ancestors of `from` down until `to` is free, puts entry there. */
static void raise(struct sl_heap *heap, uint32_t from, uint32_t to,
                  const struct sl_heap_entry *entry) {
  while (from != to) {
    uint32_t parent = (from - 1) / ARITY;
    put(heap, from, &heap->at[parent]);
    from = parent;
  }
  put(heap, to, entry);
}

void sl_heap_restore(struct sl_heap *heap, struct sl_heap_entry entry) {
  uint32_t to = risen(heap, heap->len, &entry);
  heap->len++;
  raise(heap, heap->len - 1, to, &entry);
}

void sl_heap_push(struct sl_heap *heap, uint64_t key, uint32_t ref) {
  struct sl_heap_entry entry;
  if (heap->len == 0)
    heap->arrivals = 0;
  else if (heap->arrivals == UINT32_MAX)
    renumber(heap);
  entry.key = key;
  entry.order = (uint64_t)heap->arrivals << 32 | ref;
  sl_heap_restore(heap, entry);
  if (heap->arrivals < UINT32_MAX) heap->arrivals++;
}

/* -- sinking -- */

/* The smallest child of `index` among `len` entries, or NONE. */
static inline uint32_t smallest_child(const struct sl_heap *heap,
                                      uint32_t index, uint32_t len) {
  uint64_t first = (uint64_t)index * ARITY + 1;
  uint32_t best, end;
  if (first >= len) return SL_HEAP_NONE;
  best = (uint32_t)first;
  end = first + ARITY < len ? (uint32_t)first + ARITY : len;
  for (uint32_t at = best + 1; at < end; at++)
    if (before(heap, &heap->at[at], &heap->at[best])) best = at;
  return best;
}

/* The way down from a hole at `index` that `entry` fills, with the last
   entry gone: path[0..return-1] are the entries that move up. */
static int sink_path(const struct sl_heap *heap, uint32_t index,
                     const struct sl_heap_entry *entry, uint32_t *path) {
  int depth = 0;
  uint32_t len = heap->len - 1;
  for (;;) {
    uint32_t child = smallest_child(heap, index, len);
    if (child == SL_HEAP_NONE || before(heap, entry, &heap->at[child]))
      return depth;
    path[depth++] = child;
    index = child;
  }
}

/* Fills the hole at `index` with `moved`, the last entry, which leaves its
   place; comparisons may throw before anything is changed. */
static void fill_hole(struct sl_heap *heap, uint32_t index,
                      const struct sl_heap_entry *moved) {
  uint32_t path[MAX_DEPTH];
  uint32_t to = risen(heap, index, moved);
  int depth = to == index ? sink_path(heap, index, moved, path) : 0;
  heap->len--;
  if (to != index) {
    raise(heap, index, to, moved);
    return;
  }
  for (int i = 0; i < depth; i++) {
    put(heap, index, &heap->at[path[i]]);
    index = path[i];
  }
  put(heap, index, moved);
}

struct sl_heap_entry sl_heap_remove(struct sl_heap *heap, uint32_t index) {
  struct sl_heap_entry gone = heap->at[index];
  uint32_t last = heap->len - 1;
  if (index != last) {
    struct sl_heap_entry moved = heap->at[last];
    fill_hole(heap, index, &moved);
  } else {
    heap->len--;
  }
  return gone;
}

/* The smallest of the four children that begin at `at`. */
static inline const struct sl_heap_entry *smallest_of_four(
    const struct sl_heap_entry *at) {
  const struct sl_heap_entry *a = at + natively_before(at + 1, at);
  const struct sl_heap_entry *b = at + 2 + natively_before(at + 3, at + 2);
  return natively_before(b, a) ? b : a;
}

/* As fill_hole at the root, when comparing cannot throw. The hole goes down
   to a leaf without a look at `moved`, which came from a leaf and seldom
   rises from there (Wegener, "Bottom-up heapsort", 1993). */
static void sink_natively(struct sl_heap *heap,
                          const struct sl_heap_entry *moved) {
  uint32_t index = 0, to, len = --heap->len;
  for (;;) {
    uint64_t first = (uint64_t)index * ARITY + 1;
    uint32_t child;
    if (first + ARITY <= len)
      child = (uint32_t)(smallest_of_four(&heap->at[first]) - heap->at);
    else
      child = smallest_child(heap, index, len);
    if (child == SL_HEAP_NONE) break;
    put(heap, index, &heap->at[child]);
    index = child;
  }
  to = risen(heap, index, moved);
  raise(heap, index, to, moved);
}

struct sl_heap_entry sl_heap_pop(struct sl_heap *heap) {
  struct sl_heap_entry gone, moved;
  if (heap->less != NULL || heap->len < 2) return sl_heap_remove(heap, 0);
  gone = heap->at[0];
  moved = heap->at[heap->len - 1];
  sink_natively(heap, &moved);
  return gone;
}

bool sl_heap_ordered(const struct sl_heap *heap) {
  for (uint32_t i = 1; i < heap->len; i++)
    if (before(heap, &heap->at[i], &heap->at[(i - 1) / ARITY])) return false;
  return true;
}

/* Flips a double's bits so that they order as unsigned integers: negative
   numbers wholly, the others in the sign; IEEE 754 orders magnitudes as
   integers. */
uint64_t sl_heap_number_key(double number) {
  uint64_t bits;
  number += 0.0; /* -0 becomes 0 */
  memcpy(&bits, &number, sizeof bits);
  return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

double sl_heap_key_number(uint64_t key) {
  double number;
  uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
  memcpy(&number, &bits, sizeof number);
  return number;
}
