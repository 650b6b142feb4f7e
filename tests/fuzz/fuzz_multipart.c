/*
** fuzz_multipart.c: forms in parts, as libFuzzer or replay.c feeds them.
**
** The first byte of an input says how the rest is cut ('1': into bytes), the
** second has flags; then comes a line, the Content-Type, and then the body.
** Whatever the bytes: cut so or whole, the parts are the same, no content
** holds a delimiter, limits are kept, nothing is left of the heap, and memory
** that is refused is an error and no more.
*/
#include "multipart.h"
#include "test.h"

enum { SMALL = 1, STARVE = 4 };

struct run {
  struct sl_multipart form;
  struct test_heap heap;
  struct test_heap log_heap;
  struct sl_bytes log;  /* what happened, in words */
  struct sl_bytes part; /* the content of the part in work */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct run *run, const char *s, size_t len) {
  if (len > 0) sl_bytes_append(&run->log, s, len);
}

static void put_text(struct run *run, char what,
                     struct sl_multipart_text text) {
  put(run, &what, 1);
  put(run, text.data != NULL ? "=" : "-", 1);
  put(run, text.data, text.len);
}

static bool holds(const struct sl_bytes *part, const char *s, size_t len) {
  for (size_t i = 0; i + len <= part->len; i++)
    if (memcmp(part->data + i, s, len) == 0) return true;
  return false;
}

static void end_part(struct run *run) {
  CHECK(!holds(&run->part, run->form.delimiter, run->form.delimiter_len));
  put(run, "content ", 8);
  put(run, run->part.data, run->part.len);
  sl_bytes_clear(&run->part);
}

static void note(struct run *run, enum sl_multipart_event event) {
  const struct sl_multipart *form = &run->form;
  switch (event) {
    case SL_MULTIPART_NEED_MORE: break;
    case SL_MULTIPART_PART:
      CHECK(form->parts <= form->limits.max_parts);
      CHECK(form->head.len <= form->limits.max_head);
      put_text(run, 'n', form->name);
      put_text(run, 'f', form->filename);
      put_text(run, 't', form->type);
      break;
    case SL_MULTIPART_DATA:
      CHECK(form->span_len > 0);
      sl_bytes_append(&run->part, form->span, form->span_len);
      break;
    case SL_MULTIPART_END: end_part(run); break;
    case SL_MULTIPART_DONE: put(run, "done", 4); break;
    case SL_MULTIPART_ERROR: put(run, form->error, strlen(form->error));
  }
}

/* In a block of its own size, so that a byte beyond is seen. */
static bool feed(struct run *run, const char *data, size_t len) {
  char *piece = malloc(len);
  size_t at = 0, used;
  enum sl_multipart_event event = SL_MULTIPART_NEED_MORE;
  memcpy(piece, data, len);
  while (at < len && event < SL_MULTIPART_DONE) {
    event = sl_multipart_feed(&run->form, piece + at, len - at, &used);
    CHECK(used <= len - at && (used > 0 || event == SL_MULTIPART_DATA));
    note(run, event);
    at += used;
    if (test_tally.broken > 0) break;
  }
  free(piece);
  return event < SL_MULTIPART_DONE;
}

static void run_form(struct run *run, struct sl_multipart_text boundary,
                     struct sl_multipart_limits limits, const char *data,
                     size_t len, unsigned how) {
  uint64_t seed = how;
  size_t n;
  run->log_heap = test_heap_new(-1);
  sl_bytes_init(&run->log, test_alloc, &run->log_heap);
  sl_bytes_init(&run->part, test_alloc, &run->log_heap);
  sl_multipart_init(&run->form, boundary, limits, test_alloc, &run->heap);
  for (size_t at = 0; at < len; at += n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    n = how == 0 ? len : how == '1' ? 1 : (size_t)(seed >> 33) % 40 + 1;
    if (n > len - at) n = len - at;
    if (!feed(run, data + at, n)) break;
  }
}

static void end_run(struct run *run) {
  sl_multipart_fini(&run->form);
  sl_bytes_fini(&run->log);
  sl_bytes_fini(&run->part);
  CHECK_EQ(run->heap.blocks, 0);
}

static void check_form(struct sl_multipart_text boundary, unsigned how,
                       unsigned flags, const char *data, size_t len) {
  static const struct sl_multipart_limits usual = {100, 8192}, few = {2, 80};
  struct sl_multipart_limits limits = flags & SMALL ? few : usual;
  struct run whole = {.heap = test_heap_new(-1)};
  struct run cut = {.heap = test_heap_new(-1)};
  struct run starved = {.heap = test_heap_new((long)(how % 4))};
  run_form(&whole, boundary, limits, data, len, 0);
  run_form(&cut, boundary, limits, data, len, how);
  CHECK_BYTES(cut.log.data, cut.log.len, whole.log.data, whole.log.len);
  end_run(&whole);
  end_run(&cut);
  if (!(flags & STARVE)) return;
  run_form(&starved, boundary, limits, data, len, how);
  end_run(&starved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data + 2, *line_end;
  struct sl_multipart_text boundary;
  if (size < 2 || (line_end = memchr(text, '\n', size - 2)) == NULL) return 0;
  size_t len = (size_t)(line_end - text);
  char *type = malloc(len > 0 ? len : 1);
  memcpy(type, text, len);
  if (sl_multipart_boundary(type, len, &boundary)) {
    CHECK(boundary.data >= type && boundary.data + boundary.len <= type + len);
    CHECK(boundary.len > 0 && boundary.len <= SL_MULTIPART_BOUNDARY);
    check_form(boundary, data[0], data[1], line_end + 1,
               size - 3 - len);
  }
  free(type);
  if (test_tally.broken > 0) abort();
  return 0;
}
