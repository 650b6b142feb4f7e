/*
** test_hash.c: the hash table against an array that knows what is in it.
*/
#include "hash.h"
#include "test.h"

enum { N = 600, STEPS = 60000 };

static uint64_t keys[N];
static bool there[N];
static struct sl_hash table;
static uint32_t (*hash_of)(uint64_t key);

static bool has_key(void *ctx, uint32_t ref, const void *key) {
  (void)ctx;
  return keys[ref] == *(const uint64_t *)key;
}

/* A hash that puts many keys in one place. */
static uint32_t poor_hash(uint64_t key) { return (uint32_t)(key % 7) * 1000; }

static uint32_t find(uint32_t ref) {
  return sl_hash_find(&table, hash_of(keys[ref]), has_key, NULL, &keys[ref]);
}

static void check_all(void) {
  uint32_t n = 0;
  for (uint32_t ref = 0; ref < N; ref++) {
    CHECK_EQ(find(ref), there[ref] ? ref : SL_HASH_NONE);
    n += there[ref];
  }
  CHECK_EQ(table.len, n);
}

static void change(uint32_t ref) {
  if (there[ref]) {
    sl_hash_remove(&table, hash_of(keys[ref]), ref);
  } else {
    CHECK(sl_hash_reserve(&table, 1));
    sl_hash_add(&table, hash_of(keys[ref]), ref);
  }
  there[ref] = !there[ref];
}

static void run(uint32_t (*hash)(uint64_t)) {
  srand(1);
  hash_of = hash;
  sl_hash_init(&table);
  memset(there, 0, sizeof there);
  for (uint32_t ref = 0; ref < N; ref++) keys[ref] = ref * 1000003u;
  check_all();
  for (int step = 0; step < STEPS; step++) {
    change((uint32_t)rand() % N);
    if (step % 1000 == 0) check_all();
  }
  check_all();
  sl_hash_fini(&table);
}

static void follows_an_array(void) { run(sl_hash_number); }

static void survives_a_poor_hash(void) { run(poor_hash); }

static void hashes_bytes(void) {
  CHECK(sl_hash_bytes("a", 1) != sl_hash_bytes("b", 1));
  CHECK_EQ(sl_hash_bytes("abc", 2), sl_hash_bytes("abd", 2));
  CHECK_EQ(sl_hash_bytes(NULL, 0), sl_hash_bytes("", 0));
}

int main(void) {
  RUN(follows_an_array, "finds what an array has");
  RUN(survives_a_poor_hash, "finds it with a hash that collides");
  RUN(hashes_bytes, "hashes bytes");
  return test_report();
}
