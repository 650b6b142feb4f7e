/*
** bytes.c: see bytes.h.
*/
#include "bytes.h"

#include <stdint.h>

enum { SMALLEST = 64 };

void sl_bytes_init(struct sl_bytes *bytes, sl_alloc *alloc, void *ud) {
  memset(bytes, 0, sizeof *bytes);
  bytes->alloc = alloc;
  bytes->ud = ud;
}

void sl_bytes_fini(struct sl_bytes *bytes) {
  if (bytes->cap > 0)
    bytes->alloc(bytes->ud, bytes->data - bytes->start, bytes->cap, 0);
  sl_bytes_init(bytes, bytes->alloc, bytes->ud);
}

void sl_bytes_trim(struct sl_bytes *bytes, size_t keep) {
  if (bytes->cap > keep) sl_bytes_fini(bytes);
}

/* Moves the bytes held to the begin of the block. */
static void slide(struct sl_bytes *bytes) {
  if (bytes->start == 0) return;
  char *block = bytes->data - bytes->start;
  memmove(block, bytes->data, bytes->len);
  bytes->data = block;
  bytes->start = 0;
}

/* At least need, and at least double, so that appending is linear. */
static size_t next_cap(size_t cap, size_t need) {
  size_t twice = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
  if (twice < SMALLEST) twice = SMALLEST;
  return twice > need ? twice : need;
}

bool sl_bytes_grow(struct sl_bytes *bytes, size_t n) {
  /* A slide moves len bytes. Paid by the bytes consumed since the last one,
     it keeps the cost of an append constant; a smaller gain would not. */
  if (bytes->start >= bytes->len && bytes->cap - bytes->len >= n) {
    slide(bytes);
    return true;
  }
  if (n > SIZE_MAX - bytes->len) return false;
  slide(bytes);
  size_t cap = next_cap(bytes->cap, bytes->len + n);
  char *block = bytes->alloc(bytes->ud, bytes->data, bytes->cap, cap);
  if (block == NULL) return false;
  bytes->data = block;
  bytes->cap = cap;
  return true;
}
