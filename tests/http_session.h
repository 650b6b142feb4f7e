/*
** http_session.h: runs bytes through a parser and writes down what it told.
**
** The log is text, one line a thing, and does not show where spans ended; so
** two ways to cut the same bytes must give the same log. Each piece is given
** in a block of its own size, so that ASan sees a byte read beyond it.
**
**   head POST /a?b=c HTTP/1.1 host=h length=5 keep-alive
**     Host: h
**   body hello
**   message
**   error 400
**
** and, at the end of the bytes, "idle", "partial" or "closed".
*/
#ifndef SL_HTTP_SESSION_H
#define SL_HTTP_SESSION_H

#include <stdarg.h>

#include "http_parser.h"
#include "test.h"

struct session {
  struct sl_http_parser parser;
  struct test_heap heap;
  struct test_heap log_heap;
  struct sl_bytes log;
  struct sl_bytes body;
  bool stream;
  bool failed;
};

static const struct sl_http_limits default_limits = SL_HTTP_DEFAULT_LIMITS;

static inline void session_open(struct session *s,
                                const struct sl_http_limits *limits,
                                bool stream, long fail_at) {
  s->heap = test_heap_new(fail_at);
  s->log_heap = test_heap_new(-1);
  s->stream = stream;
  s->failed = false;
  sl_bytes_init(&s->log, test_alloc, &s->log_heap);
  sl_bytes_init(&s->body, test_alloc, &s->log_heap);
  sl_http_init(&s->parser, limits, test_alloc, &s->heap);
}

static inline void session_say(struct session *s, const char *format, ...) {
  char line[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  sl_bytes_append(&s->log, line, (size_t)n);
}

static inline void session_span(struct session *s, const char *before,
                                struct sl_http_span span, const char *after) {
  session_say(s, "%s", before);
  if (span.len > 0)
    sl_bytes_append(&s->log, sl_http_at(&s->parser.head, span), span.len);
  session_say(s, "%s", after);
}

static inline void session_fields(struct session *s, uint32_t from,
                                  uint32_t to) {
  for (uint32_t i = from; i < to; i++) {
    session_span(s, "  ", s->parser.head.fields[i].name, ": ");
    session_span(s, "", s->parser.head.fields[i].value, "\n");
  }
}

static inline void session_head(struct session *s) {
  const struct sl_http_head *head = &s->parser.head;
  session_span(s, "head ", head->method, " ");
  session_span(s, "", head->path, "");
  if (head->query.len > 0) session_span(s, "?", head->query, "");
  session_span(s, head->minor ? " HTTP/1.1 host=" : " HTTP/1.0 host=",
               head->host, "");
  if (head->chunked) session_say(s, " chunked");
  else session_say(s, " length=%llu", (unsigned long long)head->content_length);
  session_say(s, "%s%s\n", head->keep_alive ? " keep-alive" : "",
              head->expect_continue ? " continue" : "");
  session_fields(s, 0, head->n_fields);
}

static inline void session_message(struct session *s) {
  const struct sl_http_head *head = &s->parser.head;
  const struct sl_bytes *body = s->stream ? &s->body : &s->parser.body;
  if (body->len > 0) {
    session_say(s, "body ");
    sl_bytes_append(&s->log, body->data, body->len);
    session_say(s, "\n");
  }
  session_fields(s, head->n_fields, head->count);
  session_say(s, "message\n");
  CHECK_EQ(s->parser.received, body->len);
  sl_bytes_clear(&s->body);
  bool keep = head->keep_alive;
  CHECK_EQ(sl_http_next(&s->parser), keep);
}

static inline void session_event(struct session *s, enum sl_http_event event) {
  switch (event) {
  case SL_HTTP_NEED_MORE: break;
  case SL_HTTP_HEAD:
    session_head(s);
    if (s->stream) sl_http_stream(&s->parser);
    break;
  case SL_HTTP_BODY:
    CHECK(s->stream && s->parser.span_len > 0);
    sl_bytes_append(&s->body, s->parser.span, s->parser.span_len);
    break;
  case SL_HTTP_MESSAGE: session_message(s); break;
  case SL_HTTP_ERROR:
    CHECK(s->parser.head.reason != NULL);
    if (!s->failed) session_say(s, "error %d\n", s->parser.head.status);
    s->failed = true;
    break;
  }
}

static inline void session_feed(struct session *s, const char *data,
                                size_t len) {
  char *piece = malloc(len > 0 ? len : 1);
  if (len > 0) memcpy(piece, data, len);
  size_t at = 0, used;
  enum sl_http_event event;
  do {
    event = sl_http_feed(&s->parser, piece + at, len - at, &used);
    at += used;
    if (at > len) abort();
    session_event(s, event);
  } while (event != SL_HTTP_NEED_MORE && event != SL_HTTP_ERROR);
  CHECK_EQ(at, len);
  free(piece);
}

static inline void session_end(struct session *s) {
  if (s->failed) return;
  if (sl_http_idle(&s->parser)) session_say(s, "idle\n");
  else if (s->parser.state == SL_HTTP_CLOSED) session_say(s, "closed\n");
  else session_say(s, "partial\n");
}

static inline void session_close(struct session *s) {
  sl_http_fini(&s->parser);
  sl_bytes_fini(&s->log);
  sl_bytes_fini(&s->body);
  CHECK_EQ(s->heap.blocks, 0);
  CHECK_EQ(s->heap.bytes, 0);
}

/* Runs data in pieces: cut > 0 in two, at cut; 0 in one; -1 in bytes; less,
   in pieces of random length from that seed. */
static inline void session_run(struct session *s, const char *data, size_t len,
                               long cut) {
  uint64_t seed = (uint64_t)-cut;
  for (size_t at = 0, n; at < len; at += n) {
    n = len - at;
    if (cut == -1) n = 1;
    if (cut > 0 && at == 0 && (size_t)cut < len) n = (size_t)cut;
    if (cut < -1) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      size_t some = (size_t)(seed >> 33) % 40 + 1;
      n = some < n ? some : n;
    }
    session_feed(s, data + at, n);
  }
  session_end(s);
}

/* Checks that data gives the log `want`, or a log that ends in want when
   `tail`, however it is cut in two, and byte by byte, collected and
   streamed. */
static inline void session_expect(const struct sl_http_limits *limits,
                                  const char *data, size_t len,
                                  const char *want, bool tail) {
  for (int stream = 0; stream < 2; stream++)
    for (long cut = -1; cut < (long)len; cut++) {
      struct session s;
      session_open(&s, limits, stream, -1);
      session_run(&s, data, len, cut);
      size_t skip = tail && s.log.len > strlen(want)
                      ? s.log.len - strlen(want) : 0;
      CHECK_STR(s.log.data + skip, s.log.len - skip, want);
      session_close(&s);
    }
}

#endif
