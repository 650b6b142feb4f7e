/*
** bytes.h: a growable buffer of bytes.
**
** The one idea: bytes are appended at the end and may be consumed from the
** front, and neither moves the bytes between: the front only advances, and
** the buffer slides back when that costs no more than was consumed. A buffer
** that is cleared keeps its memory, so that a steady state allocates nothing.
**
** Owns one block of memory, from an allocator of the shape of lua_Alloc, so
** that a test can count the blocks and make the k-th allocation fail. A call
** that cannot get memory returns false and leaves the buffer as it was.
**
** Pure C. Never adds a terminating zero.
*/
#ifndef SL_BYTES_H
#define SL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* As lua_Alloc: nsize 0 frees and cannot fail, else NULL is failure. */
typedef void *sl_alloc(void *ud, void *ptr, size_t osize, size_t nsize);

struct sl_bytes {
  char *data;   /* the first byte held; NULL as long as there is no block */
  size_t len;   /* bytes held */
  size_t start; /* bytes consumed; the block begins at data - start */
  size_t cap;   /* bytes of the block; start + len <= cap */
  sl_alloc *alloc;
  void *ud;
};

/* Makes an empty buffer. Allocates nothing. */
void sl_bytes_init(struct sl_bytes *bytes, sl_alloc *alloc, void *ud);
/* Frees the block. The buffer is then empty and can be used again. */
void sl_bytes_fini(struct sl_bytes *bytes);

/* Frees the block if it is larger than `keep`. The buffer must be empty. */
void sl_bytes_trim(struct sl_bytes *bytes, size_t keep);

/* The slow half of sl_bytes_reserve. */
bool sl_bytes_grow(struct sl_bytes *bytes, size_t n);

/* Makes room for n bytes at data + len. False: no memory. */
static inline bool sl_bytes_reserve(struct sl_bytes *bytes, size_t n) {
  if (bytes->cap - bytes->start - bytes->len >= n) return true;
  return sl_bytes_grow(bytes, n);
}

/* Appends n bytes, which must not lie in this buffer. False: no memory. */
static inline bool sl_bytes_append(struct sl_bytes *bytes, const void *data,
                                   size_t n) {
  if (n == 0) return true; /* data may be NULL, which memcpy does not take */
  if (!sl_bytes_reserve(bytes, n)) return false;
  memcpy(bytes->data + bytes->len, data, n);
  bytes->len += n;
  return true;
}

/* Empties the buffer and keeps its block. */
static inline void sl_bytes_clear(struct sl_bytes *bytes) {
  if (bytes->start > 0) bytes->data -= bytes->start;
  bytes->start = 0;
  bytes->len = 0;
}

/* Drops the first n bytes, n <= len. */
static inline void sl_bytes_consume(struct sl_bytes *bytes, size_t n) {
  if (n == bytes->len) {
    sl_bytes_clear(bytes);
    return;
  }
  bytes->data += n;
  bytes->start += n;
  bytes->len -= n;
}

#endif
