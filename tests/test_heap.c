/*
** test_heap.c: order, stability, positions, and comparisons that throw.
*/
#include "heap.h"
#include "test.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>

enum { N = 2000 };

static struct sl_heap heap;
static void *memory;
static uint32_t positions[N];

/* A heap with room for `cap` entries, which tells positions if `tracked`. */
static void start(uint32_t cap, bool tracked) {
  sl_heap_init(&heap);
  memory = malloc(sl_heap_bytes(cap));
  sl_heap_rebase(&heap, memory, cap);
  heap.pos = tracked ? positions : NULL;
  for (int i = 0; i < N; i++) positions[i] = SL_HEAP_NONE;
}

static void finish(void) {
  CHECK(sl_heap_ordered(&heap));
  free(memory);
}

static void grow(uint32_t cap) {
  void *larger = malloc(sl_heap_bytes(cap));
  sl_heap_rebase(&heap, larger, cap);
  free(memory);
  memory = larger;
}

/* Whether every position is true. */
static void check_positions(void) {
  for (uint32_t i = 0; i < heap.len; i++)
    CHECK_EQ(positions[sl_heap_ref(&heap.at[i])], i);
}

/* Pops everything: by key, equal keys by reference, which is how they were
   pushed. */
static void drains_in_order(void) {
  struct sl_heap_entry last = {0, 0};
  for (bool first = true; heap.len > 0; first = false) {
    struct sl_heap_entry entry = sl_heap_pop(&heap);
    CHECK(first || last.key < entry.key ||
          (last.key == entry.key && sl_heap_ref(&last) < sl_heap_ref(&entry)));
    last = entry;
  }
}

static void pops_what_is_smallest(void) {
  start(8, false);
  const uint64_t keys[] = {5, 1, 9, 1, UINT64_MAX, 0, 3};
  for (uint32_t i = 0; i < 7; i++) sl_heap_push(&heap, keys[i], i);
  CHECK_EQ(heap.len, 7);
  CHECK_EQ(sl_heap_pop(&heap).key, 0);
  CHECK_EQ(heap.len, 6);
  drains_in_order();
  finish();
}

static void keeps_equal_keys_in_order(void) {
  start(N, false);
  for (uint32_t i = 0; i < N; i++) sl_heap_push(&heap, i % 3, i);
  drains_in_order();
  finish();
}

/* Every order of arrival of up to 7 keys from 4 values. */
static void orders_every_small_heap(void) {
  for (uint32_t n = 1; n <= 7; n++)
    for (uint32_t code = 0; code < 1u << 2 * n; code++) {
      start(n, false);
      for (uint32_t i = 0; i < n; i++)
        sl_heap_push(&heap, code >> 2 * i & 3, i);
      drains_in_order();
      finish();
    }
}

static void removes_from_every_place(void) {
  for (uint32_t n = 1; n <= 40; n++)
    for (uint32_t at = 0; at < n; at++) {
      start(n, true);
      for (uint32_t i = 0; i < n; i++) sl_heap_push(&heap, i * 7 % 11, i);
      uint32_t ref = sl_heap_ref(&heap.at[at]);
      struct sl_heap_entry gone = sl_heap_remove(&heap, at);
      CHECK_EQ(sl_heap_ref(&gone), ref);
      CHECK_EQ(heap.len, n - 1);
      CHECK(sl_heap_ordered(&heap));
      check_positions();
      drains_in_order();
      finish();
    }
}

/* Pushes, pops and removals from the middle against a plain array. */
static void agrees_with_an_array(void) {
  static uint64_t keys[N];
  static bool in[N];
  uint32_t next = 0;
  start(N, true);
  srand(5);
  memset(in, 0, sizeof in);
  while (next < N) {
    if (heap.len == 0 || rand() % 100 < 55) {
      keys[next] = (uint64_t)(rand() % 50);
      in[next] = true;
      sl_heap_push(&heap, keys[next], next);
      next++;
    } else {
      uint32_t index = rand() % 2 ? 0 : (uint32_t)rand() % heap.len;
      struct sl_heap_entry gone =
        index == 0 ? sl_heap_pop(&heap) : sl_heap_remove(&heap, index);
      uint32_t ref = sl_heap_ref(&gone);
      CHECK(in[ref] && gone.key == keys[ref]);
      in[ref] = false;
      for (uint32_t i = 0; index == 0 && i < next; i++)
        CHECK(!in[i] || keys[i] > gone.key || (keys[i] == gone.key && i > ref));
    }
    CHECK(sl_heap_ordered(&heap));
    check_positions();
  }
  drains_in_order();
  finish();
}

static void restores_an_entry_to_its_turn(void) {
  start(16, true);
  for (uint32_t i = 0; i < 10; i++) sl_heap_push(&heap, 4, i);
  struct sl_heap_entry taken[3];
  for (int i = 0; i < 3; i++) taken[i] = sl_heap_pop(&heap);
  sl_heap_push(&heap, 4, 10);
  sl_heap_restore(&heap, taken[2]);
  sl_heap_restore(&heap, taken[0]);
  sl_heap_restore(&heap, taken[1]);
  check_positions();
  for (uint32_t i = 0; i < 11; i++) {
    struct sl_heap_entry entry = sl_heap_pop(&heap);
    CHECK_EQ(sl_heap_ref(&entry), i);
  }
  finish();
}

static void keeps_its_entries_when_it_grows(void) {
  start(1, true);
  for (uint32_t i = 0; i < 500; i++) {
    if (heap.len == heap.cap) grow(heap.cap + 1 + heap.cap / 3);
    sl_heap_push(&heap, i * 31 % 17, i);
  }
  check_positions();
  drains_in_order();
  finish();
}

static void fits_memory_at_any_address(void) {
  for (size_t skip = 0; skip < 64; skip += 8) {
    size_t size = sl_heap_bytes(5);
    char *block = malloc(size + skip);
    sl_heap_init(&heap);
    sl_heap_rebase(&heap, block + skip, 5);
    for (uint32_t i = 0; i < 5; i++) sl_heap_push(&heap, 5 - i, i);
    CHECK((char *)heap.at >= block + skip);
    CHECK((char *)(heap.at + 5) <= block + skip + size);
    CHECK_EQ(sl_heap_pop(&heap).key, 1);
    free(block);
  }
}

/* The sequence numbers run out in the middle of a heap of equal keys. */
static void stays_stable_when_arrivals_run_out(void) {
  start(N, true);
  sl_heap_push(&heap, 1, 0);
  heap.arrivals = UINT32_MAX - 100;
  for (uint32_t i = 1; i < 300; i++) sl_heap_push(&heap, i % 2, i);
  CHECK(heap.arrivals < 1000);
  check_positions();
  drains_in_order();
  finish();
}

static void starts_arrivals_anew_when_empty(void) {
  start(4, false);
  sl_heap_push(&heap, 1, 0);
  heap.arrivals = UINT32_MAX;
  sl_heap_pop(&heap);
  sl_heap_push(&heap, 1, 1);
  sl_heap_push(&heap, 1, 2);
  CHECK_EQ(heap.arrivals, 2);
  drains_in_order();
  finish();
}

/* -- comparisons of the owner's -- */

static jmp_buf thrown;
static int left; /* comparisons until one throws, negative: never */

static bool less_or_throw(void *ctx, const struct sl_heap_entry *a,
                          const struct sl_heap_entry *b) {
  (void)ctx;
  if (left == 0) longjmp(thrown, 1);
  left--;
  if (a->key != b->key) return a->key < b->key;
  return sl_heap_came_before(a, b);
}

enum operation { PUSH, POP, REMOVE };

/* Throws at comparison `n`. Returns whether the operation got that far. */
static bool throws_at(enum operation operation, int n) {
  left = n;
  if (setjmp(thrown) != 0) return true;
  switch (operation) {
    case PUSH: sl_heap_push(&heap, 0, 999); break;
    case POP: sl_heap_pop(&heap); break;
    case REMOVE: sl_heap_remove(&heap, 1); break;
  }
  return false;
}

static void is_unchanged_when_a_comparison_throws(void) {
  static struct sl_heap_entry was[100];
  for (enum operation operation = PUSH; operation <= REMOVE; operation++) {
    volatile int n = 0;
    start(101, true);
    heap.less = less_or_throw;
    left = -1;
    for (uint32_t i = 0; i < 100; i++) sl_heap_push(&heap, i * 13 % 29, i);
    memcpy(was, heap.at, sizeof was);
    while (throws_at(operation, n)) {
      CHECK_EQ(heap.len, 100);
      CHECK(memcmp(was, heap.at, sizeof was) == 0);
      CHECK_EQ(heap.arrivals, 100);
      check_positions();
      n++;
    }
    CHECK(n > 1);
    left = -1;
    check_positions();
    finish();
  }
}

static bool senseless(void *ctx, const struct sl_heap_entry *a,
                      const struct sl_heap_entry *b) {
  (void)ctx, (void)a, (void)b;
  return rand() % 2;
}

static void loses_nothing_when_comparisons_make_no_sense(void) {
  static bool seen[N];
  memset(seen, 0, sizeof seen);
  start(N, true);
  heap.less = senseless;
  srand(8);
  for (uint32_t i = 0; i < N; i++) sl_heap_push(&heap, i, i);
  for (uint32_t n = N; n > 0; n--) {
    struct sl_heap_entry gone = rand() % 2
      ? sl_heap_pop(&heap) : sl_heap_remove(&heap, (uint32_t)rand() % n);
    CHECK(!seen[sl_heap_ref(&gone)]);
    seen[sl_heap_ref(&gone)] = true;
    check_positions();
  }
  free(memory);
}

/* -- keys of numbers -- */

static void orders_numbers_as_they_compare(void) {
  const double numbers[] = {-INFINITY, -DBL_MAX, -1e300, -2, -1, -DBL_MIN,
                            -4.9e-324, 0, 4.9e-324, DBL_MIN, 0.5, 1,
                            1.0000000000000002, 9007199254740991.0,
                            9007199254740992.0, 1e300, DBL_MAX, INFINITY};
  const int n = sizeof numbers / sizeof *numbers;
  for (int i = 0; i < n; i++) {
    CHECK(sl_heap_key_number(sl_heap_number_key(numbers[i])) == numbers[i]);
    for (int j = 0; j < n; j++)
      CHECK((sl_heap_number_key(numbers[i]) < sl_heap_number_key(numbers[j]))
            == (numbers[i] < numbers[j]));
  }
  CHECK(sl_heap_number_key(-0.0) == sl_heap_number_key(0.0));
}

int main(void) {
  RUN(pops_what_is_smallest, "pops what is smallest");
  RUN(keeps_equal_keys_in_order, "keeps equal keys in order");
  RUN(orders_every_small_heap, "orders every small heap");
  RUN(removes_from_every_place, "removes from every place");
  RUN(agrees_with_an_array, "agrees with an array under random operations");
  RUN(restores_an_entry_to_its_turn, "restores an entry to its turn");
  RUN(keeps_its_entries_when_it_grows, "keeps its entries when it grows");
  RUN(fits_memory_at_any_address, "fits memory at any address");
  RUN(stays_stable_when_arrivals_run_out, "is stable when arrivals run out");
  RUN(starts_arrivals_anew_when_empty, "starts arrivals anew when empty");
  RUN(is_unchanged_when_a_comparison_throws,
      "is unchanged when a comparison throws");
  RUN(loses_nothing_when_comparisons_make_no_sense,
      "loses nothing when comparisons make no sense");
  RUN(orders_numbers_as_they_compare, "orders numbers as they compare");
  return test_report();
}
