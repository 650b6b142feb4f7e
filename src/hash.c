/*
** hash.c: see hash.h.
*/
#include "hash.h"

#include <stdlib.h>

enum { SMALLEST = 16 };

void sl_hash_init(struct sl_hash *table) {
  table->at = NULL;
  table->mask = 0;
  table->len = 0;
}

void sl_hash_fini(struct sl_hash *table) {
  free(table->at);
  sl_hash_init(table);
}

static void place(struct sl_hash *table, uint32_t hash, uint32_t ref) {
  uint32_t i = hash & table->mask;
  while (table->at[i].ref != SL_HASH_NONE) i = (i + 1) & table->mask;
  table->at[i].hash = hash;
  table->at[i].ref = ref;
}

static bool rebuild(struct sl_hash *table, uint64_t cap) {
  struct sl_hash old = *table;
  struct sl_hash_place *at = malloc(cap * sizeof *at);
  if (at == NULL) return false;
  for (uint64_t i = 0; i < cap; i++) at[i].ref = SL_HASH_NONE;
  table->at = at;
  table->mask = (uint32_t)(cap - 1);
  if (old.at != NULL)
    for (uint64_t i = 0; i <= old.mask; i++)
      if (old.at[i].ref != SL_HASH_NONE)
        place(table, old.at[i].hash, old.at[i].ref);
  free(old.at);
  return true;
}

/* At most three quarters of the places are used. */
bool sl_hash_reserve(struct sl_hash *table, uint32_t n) {
  uint64_t want = (uint64_t)table->len + n;
  uint64_t cap = table->at != NULL ? (uint64_t)table->mask + 1 : 0;
  if (want <= cap / 4 * 3) return true;
  if (cap < SMALLEST) cap = SMALLEST;
  while (want > cap / 4 * 3) cap *= 2;
  if (cap > UINT64_C(1) << 31) return false;
  return rebuild(table, cap);
}

uint32_t sl_hash_find(const struct sl_hash *table, uint32_t hash,
                      sl_hash_equal *equal, void *ctx, const void *key) {
  uint32_t i = hash & table->mask;
  if (table->at == NULL) return SL_HASH_NONE;
  for (; table->at[i].ref != SL_HASH_NONE; i = (i + 1) & table->mask)
    if (table->at[i].hash == hash && equal(ctx, table->at[i].ref, key))
      return table->at[i].ref;
  return SL_HASH_NONE;
}

void sl_hash_add(struct sl_hash *table, uint32_t hash, uint32_t ref) {
  place(table, hash, ref);
  table->len++;
}

/* Whether the place `home` lies in the ring behind `hole`, up to `at`. */
static bool stays(uint32_t home, uint32_t hole, uint32_t at) {
  if (hole <= at) return hole < home && home <= at;
  return hole < home || home <= at;
}

/* Moves back those after the hole that were pushed on by what was in it. */
static void close_hole(struct sl_hash *table, uint32_t hole) {
  uint32_t i = hole;
  for (;;) {
    i = (i + 1) & table->mask;
    if (table->at[i].ref == SL_HASH_NONE) break;
    if (stays(table->at[i].hash & table->mask, hole, i)) continue;
    table->at[hole] = table->at[i];
    hole = i;
  }
  table->at[hole].ref = SL_HASH_NONE;
}

void sl_hash_remove(struct sl_hash *table, uint32_t hash, uint32_t ref) {
  uint32_t i = hash & table->mask;
  while (table->at[i].ref != ref) i = (i + 1) & table->mask;
  close_hole(table, i);
  table->len--;
}

/* The finaliser of MurmurHash3. */
uint32_t sl_hash_number(uint64_t number) {
  number ^= number >> 33;
  number *= UINT64_C(0xff51afd7ed558ccd);
  number ^= number >> 33;
  number *= UINT64_C(0xc4ceb9fe1a85ec53);
  number ^= number >> 33;
  return (uint32_t)number;
}

/* FNV-1a, finished as a number: keys come from the program, whose quota is
   its own memory; nobody else chooses them without going through it. */
uint32_t sl_hash_bytes(const void *data, size_t len) {
  const unsigned char *bytes = data;
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < len; i++) {
    hash ^= bytes[i];
    hash *= UINT64_C(0x100000001b3);
  }
  return sl_hash_number(hash);
}
