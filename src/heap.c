/*
** heap.c: see heap.h.
**
** A push first finds how far up the entry goes, a removal how far the hole
** goes down (the path), and only then are entries moved. The depth of a
** 4-ary heap of 2^32 entries is 16, so the path fits a small array.
*/
#include "heap.h"

#include <string.h>

enum { ARITY = 4, MAX_DEPTH = 20 };

static inline bool before(const struct sl_heap *heap,
                          const struct sl_heap_entry *a,
                          const struct sl_heap_entry *b) {
  if (heap->less != NULL) return heap->less(heap->ctx, a, b);
  if (a->key != b->key) return a->key < b->key;
  return a->seq < b->seq;
}

static inline void put(struct sl_heap *heap, uint32_t index,
                       const struct sl_heap_entry *entry) {
  heap->at[index] = *entry;
  if (heap->tracked) *entry->ref.pos = index;
}

void sl_heap_init(struct sl_heap *heap, bool tracked) {
  memset(heap, 0, sizeof *heap);
  heap->tracked = tracked;
}

void sl_heap_rebase(struct sl_heap *heap, struct sl_heap_entry *memory,
                    uint32_t cap) {
  if (heap->len > 0) memcpy(memory, heap->at, heap->len * sizeof *memory);
  heap->at = memory;
  heap->cap = cap;
}

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

void sl_heap_push(struct sl_heap *heap, struct sl_heap_entry entry) {
  uint32_t to = risen(heap, heap->len, &entry);
  heap->len++;
  raise(heap, heap->len - 1, to, &entry);
}

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

struct sl_heap_entry sl_heap_remove(struct sl_heap *heap, uint32_t index) {
  struct sl_heap_entry gone = heap->at[index];
  uint32_t last = heap->len - 1;
  if (index != last) {
    struct sl_heap_entry moved = heap->at[last];
    uint32_t to = risen(heap, index, &moved);
    if (to != index) {
      heap->len--;
      raise(heap, index, to, &moved);
    } else {
      uint32_t path[MAX_DEPTH];
      int depth = sink_path(heap, index, &moved, path);
      heap->len--;
      for (int i = 0; i < depth; i++) {
        put(heap, index, &heap->at[path[i]]);
        index = path[i];
      }
      put(heap, index, &moved);
    }
  } else {
    heap->len--;
  }
  if (heap->tracked) *gone.ref.pos = SL_HEAP_NONE;
  return gone;
}

struct sl_heap_entry sl_heap_pop(struct sl_heap *heap) {
  return sl_heap_remove(heap, 0);
}

bool sl_heap_ordered(const struct sl_heap *heap) {
  for (uint32_t i = 1; i < heap->len; i++)
    if (before(heap, &heap->at[i], &heap->at[(i - 1) / ARITY])) return false;
  return true;
}

/* Flips a double's bits so that they order as unsigned integers: negative
   numbers wholly, the others in the sign (Knuth-style order-preserving map;
   IEEE 754 orders magnitudes as integers). */
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
