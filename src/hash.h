/*
** hash.h: a hash table from whatever the owner has to references of his.
**
** The one idea: a place holds the hash and a 32-bit reference; what a key
** is, only the owner's comparison knows. Open addressing, linear probing;
** removal moves the followers back, so that there are no tombstones and the
** table never has to be rebuilt but to grow.
**
** Pure C. Owns its places; sl_hash_reserve may fail, nothing else does.
*/
#ifndef SL_HASH_H
#define SL_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_HASH_NONE UINT32_MAX

struct sl_hash_place {
  uint32_t hash;
  uint32_t ref; /* SL_HASH_NONE: empty */
};

/* Whether what `ref` refers to has the key. */
typedef bool sl_hash_equal(void *ctx, uint32_t ref, const void *key);

struct sl_hash {
  struct sl_hash_place *at; /* mask + 1 places, or NULL */
  uint32_t mask;
  uint32_t len;
};

void sl_hash_init(struct sl_hash *table);
void sl_hash_fini(struct sl_hash *table);

/* Makes room for n more. False without memory. */
bool sl_hash_reserve(struct sl_hash *table, uint32_t n);

/* The reference with that key, or SL_HASH_NONE. */
uint32_t sl_hash_find(const struct sl_hash *table, uint32_t hash,
                      sl_hash_equal *equal, void *ctx, const void *key);

/* Adds a reference; there is room. */
void sl_hash_add(struct sl_hash *table, uint32_t hash, uint32_t ref);

/* Takes a reference that is there out. */
void sl_hash_remove(struct sl_hash *table, uint32_t hash, uint32_t ref);

/* Hashes: of a number, of bytes. */
uint32_t sl_hash_number(uint64_t number);
uint32_t sl_hash_bytes(const void *data, size_t len);

#endif
