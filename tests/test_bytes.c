/*
** test_bytes.c: appending, consuming, growth, and memory that is refused.
*/
#include "bytes.h"
#include "test.h"

#include <stdint.h>

static struct test_heap heap;
static struct sl_bytes bytes;

static void start(long fail_at) {
  heap = test_heap_new(fail_at);
  sl_bytes_init(&bytes, test_alloc, &heap);
}

static void finish(void) {
  sl_bytes_fini(&bytes);
  CHECK_EQ(heap.blocks, 0);
  CHECK_EQ(heap.bytes, 0);
}

static void append(const char *text) {
  CHECK(sl_bytes_append(&bytes, text, strlen(text)));
}

static void starts_empty(void) {
  start(-1);
  CHECK_EQ(bytes.len, 0);
  CHECK(sl_bytes_append(&bytes, NULL, 0));
  CHECK(sl_bytes_reserve(&bytes, 0));
  sl_bytes_clear(&bytes);
  sl_bytes_consume(&bytes, 0);
  CHECK_EQ(heap.calls, 0);
  finish();
}

static void holds_what_was_appended(void) {
  start(-1);
  append("hello");
  append(", ");
  append("world");
  CHECK_STR(bytes.data, bytes.len, "hello, world");
  CHECK(sl_bytes_append(&bytes, "a\0b", 3));
  CHECK_BYTES(bytes.data, bytes.len, "hello, worlda\0b", 15);
  finish();
}

static void consumes_from_the_front(void) {
  start(-1);
  append("one two three");
  sl_bytes_consume(&bytes, 4);
  CHECK_STR(bytes.data, bytes.len, "two three");
  append(" four");
  CHECK_STR(bytes.data, bytes.len, "two three four");
  sl_bytes_consume(&bytes, bytes.len);
  CHECK_EQ(bytes.len, 0);
  CHECK_EQ(bytes.start, 0);
  append("five");
  CHECK_STR(bytes.data, bytes.len, "five");
  finish();
}

static void clears_after_consuming(void) {
  start(-1);
  append("abcdef");
  sl_bytes_consume(&bytes, 3);
  sl_bytes_clear(&bytes);
  CHECK_EQ(bytes.start, 0);
  append("xyz");
  CHECK_STR(bytes.data, bytes.len, "xyz");
  finish();
}

static void keeps_its_block(void) {
  start(-1);
  for (int i = 0; i < 1000; i++) {
    append("a request of some bytes");
    sl_bytes_clear(&bytes);
  }
  CHECK_EQ(heap.calls, 1);
  finish();
}

/* A queue of constant size lives in a block of constant size. */
static void slides_instead_of_growing(void) {
  start(-1);
  append("0123456789");
  for (int i = 0; i < 10000; i++) {
    append("0123456789");
    sl_bytes_consume(&bytes, 10);
    CHECK_STR(bytes.data, bytes.len, "0123456789");
  }
  CHECK_EQ(heap.calls, 1);
  finish();
}

/* One byte out and one in, with a full block: must not slide each time. */
static void grows_when_a_slide_gains_little(void) {
  start(-1);
  CHECK(sl_bytes_reserve(&bytes, 4096));
  memset(bytes.data, 'x', 4096);
  bytes.len = 4096;
  sl_bytes_consume(&bytes, 1);
  append("yy");
  CHECK_EQ(bytes.cap, 8192);
  CHECK_EQ(bytes.len, 4097);
  CHECK_EQ(bytes.data[4094], 'x');
  CHECK_EQ(bytes.data[4095], 'y');
  finish();
}

static void grows_by_doubling(void) {
  start(-1);
  for (int i = 0; i < 1 << 20; i++) append("z");
  CHECK_EQ(bytes.len, 1 << 20);
  CHECK(heap.calls <= 15);
  CHECK(bytes.cap <= 2 << 20);
  finish();
}

static void trims_what_is_large(void) {
  start(-1);
  CHECK(sl_bytes_reserve(&bytes, 1000));
  sl_bytes_trim(&bytes, 1000);
  CHECK_EQ(heap.blocks, 1);
  sl_bytes_trim(&bytes, 999);
  CHECK_EQ(heap.blocks, 0);
  append("again");
  CHECK_STR(bytes.data, bytes.len, "again");
  finish();
}

static void refuses_a_size_that_overflows(void) {
  start(-1);
  append("abc");
  CHECK(!sl_bytes_reserve(&bytes, SIZE_MAX));
  CHECK(!sl_bytes_reserve(&bytes, SIZE_MAX - 2));
  CHECK_STR(bytes.data, bytes.len, "abc");
  CHECK_EQ(heap.calls, 1);
  finish();
}

static void is_unchanged_when_memory_fails(void) {
  for (long k = 0; k < 4; k++) {
    start(k);
    size_t want = 0;
    for (int i = 0; i < 500; i++) {
      size_t before = bytes.len;
      bool ok = sl_bytes_append(&bytes, "0123456789", 10);
      CHECK_EQ(bytes.len, ok ? before + 10 : before);
      want += ok ? 10 : 0;
      if (i % 7 == 6) sl_bytes_consume(&bytes, 10), want -= 10;
    }
    CHECK_EQ(bytes.len, want);
    for (size_t i = 0; i < bytes.len; i++)
      CHECK_EQ(bytes.data[i], '0' + (int)(i % 10));
    CHECK(heap.calls > k);
    finish();
  }
}

int main(void) {
  RUN(starts_empty, "an empty buffer allocates nothing");
  RUN(holds_what_was_appended, "holds what was appended, zeros too");
  RUN(consumes_from_the_front, "consumes from the front");
  RUN(clears_after_consuming, "clears after consuming");
  RUN(keeps_its_block, "keeps its block when it is cleared");
  RUN(slides_instead_of_growing, "slides when that is cheap");
  RUN(grows_when_a_slide_gains_little, "grows when a slide gains little");
  RUN(grows_by_doubling, "grows by doubling");
  RUN(trims_what_is_large, "gives a large block back");
  RUN(refuses_a_size_that_overflows, "refuses a size that overflows");
  RUN(is_unchanged_when_memory_fails, "is unchanged when memory fails");
  return test_report();
}
