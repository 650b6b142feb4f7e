/*
** fuzz_parser.c: the rooms that are pure C, as libFuzzer or replay.c feeds
** them: the parser of requests, and the small grammars of http_text.
**
** The first byte of an input says how the rest is cut ('1': into bytes), the
** second has flags. Whatever the bytes: cut so or whole, streamed or
** collected, the log of events is the same (http_session.h), nothing is left
** of the heap, and memory that is refused is an error and no more.
*/
#include "http_session.h"
#include "http_text.h"

/* -- what a head that is let through must be, found out in another way -- */

/* How many fields have that name; *field becomes the last of them. */
static unsigned count(const struct sl_http_head *head, const char *name,
                      const struct sl_http_field **field) {
  unsigned n = 0;
  const struct sl_http_field *at = NULL;
  while ((at = sl_http_find(head, name, strlen(name), at)) != NULL)
    n++, *field = at;
  return n;
}

/* One body, whose length is told in one way only. */
static void check_framing(const struct sl_http_head *head) {
  const struct sl_http_field *coding = NULL, *length = NULL;
  unsigned codings = count(head, "Transfer-Encoding", &coding);
  unsigned lengths = count(head, "Content-Length", &length);
  CHECK(codings + lengths <= 1);
  CHECK_EQ(head->chunked, codings == 1);
  if (codings == 1) {
    CHECK(head->minor == 1 && coding->value.len == 7);
    CHECK(sl_http_equal(sl_http_at(head, coding->value), "chunked", 7));
  }
  if (lengths == 1) {
    const char *value = sl_http_at(head, length->value);
    CHECK_EQ(strspn(value, "0123456789"), length->value.len);
    CHECK_EQ(strtoull(value, NULL, 10), head->content_length);
  }
}

/* Each line ends in CRLF, and there is one for each field. */
static void check_lines(const struct sl_http_head *head) {
  const char *raw = head->raw.data, *at = raw, *end = raw + head->raw.len;
  unsigned lines = 0;
  while (at < end && (*at == '\r' || *at == '\n')) at++;
  CHECK(at == sl_http_at(head, head->method));
  for (const char *lf; at < end; at = lf + 1, lines++) {
    lf = memchr(at, '\n', (size_t)(end - at));
    if (lf == NULL || lf == at || lf[-1] != '\r') abort();
    CHECK(memchr(at, '\r', (size_t)(lf - at)) == lf - 1);
    CHECK(lines == 0 || (*at != ' ' && *at != '\t' && *at != ':'));
  }
  CHECK_EQ(lines, head->n_fields + 2);
}

static void check_head(const struct sl_http_head *head) {
  const struct sl_http_field *host = NULL;
  unsigned hosts = count(head, "Host", &host);
  char first = *sl_http_at(head, head->path);
  CHECK(hosts == 1 || (hosts == 0 && head->minor == 0));
  CHECK(sl_http_valid_name(sl_http_at(head, head->method), head->method.len));
  CHECK(head->path.len > 0 && (first == '/' || first == '*'));
  CHECK(memchr(sl_http_at(head, head->path), '?', head->path.len) == NULL);
  CHECK(memchr(sl_http_at(head, head->target), '#', head->target.len) == NULL);
  for (uint32_t i = 0; i < head->n_fields; i++) {
    const struct sl_http_field *field = &head->fields[i];
    CHECK(sl_http_valid_name(sl_http_at(head, field->name), field->name.len));
    CHECK(sl_http_valid_text(sl_http_at(head, field->value),
                             field->value.len));
  }
  check_framing(head);
  check_lines(head);
}

static void check_heads(const struct sl_http_limits *limits,
                        const char *data, size_t len) {
  struct session s;
  size_t used;
  enum sl_http_event event;
  session_open(&s, limits, false, -1);
  do {
    event = sl_http_feed(&s.parser, data, len, &used);
    data += used;
    len -= used;
    if (event == SL_HTTP_HEAD) check_head(&s.parser.head);
    if (event == SL_HTTP_MESSAGE) sl_http_next(&s.parser);
  } while (event != SL_HTTP_NEED_MORE && event != SL_HTTP_ERROR);
  session_close(&s);
}

/* -- the rest -- */

enum { SMALL = 1, STREAM = 2, STARVE = 4 };

static const struct sl_http_limits small_limits = {160, 24, 4, 40};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_cuts(const struct sl_http_limits *limits, unsigned how,
                       unsigned flags, const char *data, size_t len) {
  struct session whole, cut;
  session_open(&whole, limits, false, -1);
  session_run(&whole, data, len, 0);
  session_open(&cut, limits, (flags & STREAM) != 0, -1);
  session_run(&cut, data, len, how == '1' ? -1 : -2 - (long)how);
  CHECK_BYTES(cut.log.data, cut.log.len, whole.log.data, whole.log.len);
  session_close(&whole);
  session_close(&cut);
}

static void starve(const struct sl_http_limits *limits, unsigned how,
                   unsigned flags, const char *data, size_t len) {
  struct session s;
  session_open(&s, limits, (flags & STREAM) != 0, (long)(how % 8));
  s.heap.fail_all = (how & 8) != 0;
  session_run(&s, data, len, -2 - (long)how);
  session_close(&s);
}

/* In a block of its own size, so that a byte beyond is seen. */
static void check_decode(const char *data, size_t len, bool plus) {
  char *copy = malloc(len > 0 ? len : 1);
  size_t out, again;
  memcpy(copy, data, len);
  bool valid = sl_http_decode(copy, len, plus, copy, &out);
  CHECK(out <= len);
  if (valid && memchr(data, '%', len) == NULL) CHECK_EQ(out, len);
  sl_http_decode(copy, out, false, copy, &again);
  CHECK(again <= out);
  free(copy);
}

static void check_lists(const char *data, size_t len) {
  const char *at = data, *end = data + len, *element;
  struct sl_http_pair pair;
  size_t n;
  while (sl_http_next_element(&at, end, &element, &n)) {
    CHECK(n > 0 && element >= data && element + n <= end && at <= end);
    CHECK(memchr(element, ',', n) == NULL);
  }
  at = data;
  while (sl_http_next_pair(&at, end, &pair)) {
    CHECK(pair.name >= data && pair.name + pair.name_len <= end);
    CHECK(pair.value >= data && pair.value + pair.value_len <= end);
    CHECK(memchr(pair.value, '&', pair.value_len) == NULL);
  }
}

static void check_text(const uint8_t *data, size_t size) {
  char *text = malloc(size > 0 ? size : 1);
  memcpy(text, data, size);
  check_decode(text, size, false);
  check_decode(text, size, true);
  check_lists(text, size);
  if (sl_http_valid_host(text, size))
    CHECK(sl_http_valid_text(text, size) && memchr(text, ' ', size) == NULL);
  if (sl_http_valid_name(text, size)) CHECK(memchr(text, ':', size) == NULL);
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  unsigned how = data[0], flags = data[1];
  const char *text = (const char *)data + 2;
  struct sl_http_limits usual = SL_HTTP_DEFAULT_LIMITS;
  struct sl_http_limits limits = flags & SMALL ? small_limits : usual;
  check_heads(&limits, text, size - 2);
  check_cuts(&limits, how, flags, text, size - 2);
  if (flags & STARVE) starve(&limits, how, flags, text, size - 2);
  check_text(data + 2, size - 2);
  if (test_tally.broken > 0) abort();
  return 0;
}
