/*
** test.h: what the C tests share: checks, cases, a failing allocator.
**
** A test is a program: main runs cases by RUN and returns test_report(). A
** check that does not hold is told with its place and fails its case, which
** goes on, so that one run shows every check that fails.
**
** test_alloc has the shape of lua_Alloc, counts what lives, and refuses the
** allocation number fail_at (from 0) and, with fail_all, each one after it.
*/
#ifndef SL_TEST_H
#define SL_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_tally {
  int passed;
  int failed;
  int broken; /* checks of the running case that did not hold */
};

static struct test_tally test_tally;

static inline void test_check(bool holds, const char *file, int line,
                              const char *what) {
  if (holds) return;
  test_tally.broken++;
  if (test_tally.broken <= 10) /* a loop may fail a million times */
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
}

static inline void test_equal(long long got, long long want, const char *file,
                              int line, const char *what) {
  if (got == want) return;
  test_check(false, file, line, what);
  if (test_tally.broken <= 10)
    fprintf(stderr, "  got %lld, expected %lld\n", got, want);
}

static inline void test_bytes(const char *got, size_t len, const char *want,
                              size_t want_len, const char *file, int line) {
  if (len == want_len && (len == 0 || memcmp(got, want, len) == 0)) return;
  test_check(false, file, line, "the bytes are equal");
  if (test_tally.broken <= 10)
    fprintf(stderr, "  got      \"%.*s\"\n  expected \"%.*s\"\n", (int)len, got,
            (int)want_len, want);
}

static inline void test_run(void (*test_case)(void), const char *name) {
  test_tally.broken = 0;
  test_case();
  bool ok = test_tally.broken == 0;
  printf("%s %s\n", ok ? "ok    " : "FAILED", name);
  fflush(stdout);
  if (ok) test_tally.passed++;
  else test_tally.failed++;
}

/* The last line, and what main returns. */
static inline int test_report(void) {
  printf("%d passed, %d failed\n", test_tally.passed, test_tally.failed);
  return test_tally.failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define CHECK(cond) test_check((cond), __FILE__, __LINE__, #cond)
#define CHECK_EQ(got, want)                                     \
  test_equal((long long)(got), (long long)(want), __FILE__, __LINE__, \
             #got " == " #want)
#define CHECK_BYTES(got, len, want, want_len) \
  test_bytes((got), (len), (want), (want_len), __FILE__, __LINE__)
#define CHECK_STR(got, len, want) CHECK_BYTES(got, len, want, strlen(want))
#define RUN(test_case, name) test_run(test_case, name)

struct test_heap {
  size_t blocks; /* alive */
  size_t bytes;  /* alive */
  long calls;    /* allocations asked for, frees not counted */
  long fail_at;  /* -1: never */
  bool fail_all;
};

static inline struct test_heap test_heap_new(long fail_at) {
  return (struct test_heap){0, 0, 0, fail_at, false};
}

static inline bool test_refuses(struct test_heap *heap) {
  long call = heap->calls++;
  if (heap->fail_at < 0) return false;
  return call == heap->fail_at || (heap->fail_all && call > heap->fail_at);
}

static inline void *test_alloc(void *ud, void *ptr, size_t osize,
                               size_t nsize) {
  struct test_heap *heap = ud;
  if (nsize > 0 && test_refuses(heap)) return NULL;
  if (ptr != NULL) heap->blocks--, heap->bytes -= osize;
  if (nsize == 0) {
    free(ptr);
    return NULL;
  }
  heap->blocks++, heap->bytes += nsize;
  return realloc(ptr, nsize);
}

#endif
