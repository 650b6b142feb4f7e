/*
** test_http_response.c: heads, framing, dates, what a header may hold.
*/
#define _POSIX_C_SOURCE 200809L /* gmtime_r, to compare with */
#include "http_response.h"
#include "http_text.h"
#include "test.h"

static struct test_heap heap;
static struct sl_bytes out;

static void start(long fail_at) {
  heap = test_heap_new(fail_at);
  sl_bytes_init(&out, test_alloc, &heap);
}

static void finish(void) {
  sl_bytes_fini(&out);
  CHECK_EQ(heap.blocks, 0);
}

static void expect(struct sl_http_response response, const char *want,
                   enum sl_http_framing framing, bool keep_alive) {
  start(-1);
  CHECK(sl_http_write_head(&out, &response));
  CHECK_STR(out.data, out.len, want);
  CHECK_EQ(response.framing, framing);
  CHECK_EQ(response.keep_alive, keep_alive);
  CHECK_EQ(heap.calls, 1);
  finish();
}

#define RESPONSE (struct sl_http_response)

static void a_known_length(void) {
  expect(RESPONSE{.status = 200, .minor = 1, .keep_alive = true,
                  .known_length = true, .length = 12},
         "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", SL_HTTP_BY_LENGTH,
         true);
  expect(RESPONSE{.status = 200, .minor = 1, .keep_alive = true,
                  .known_length = true, .length = UINT64_MAX},
         "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
         SL_HTTP_BY_LENGTH, true);
  expect(RESPONSE{.status = 404, .minor = 1, .known_length = true},
         "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
         "Connection: close\r\n\r\n",
         SL_HTTP_BY_LENGTH, false);
}

static void an_unknown_length(void) {
  expect(RESPONSE{.status = 200, .minor = 1, .keep_alive = true},
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         SL_HTTP_BY_CHUNKS, true);
  expect(RESPONSE{.status = 200, .minor = 1},
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
         "Connection: close\r\n\r\n",
         SL_HTTP_BY_CHUNKS, false);
}

static void http_1_0(void) {
  expect(RESPONSE{.status = 200, .keep_alive = true, .known_length = true},
         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
         "Connection: keep-alive\r\n\r\n",
         SL_HTTP_BY_LENGTH, true);
  expect(RESPONSE{.status = 200, .keep_alive = true},
         "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", SL_HTTP_BY_CLOSE,
         false);
}

static void to_head(void) {
  expect(RESPONSE{.status = 200, .minor = 1, .keep_alive = true,
                  .to_head = true, .known_length = true, .length = 5},
         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", SL_HTTP_NO_BODY,
         true);
  expect(RESPONSE{.status = 200, .minor = 1, .keep_alive = true,
                  .to_head = true},
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         SL_HTTP_NO_BODY, true);
  expect(RESPONSE{.status = 200, .keep_alive = true, .to_head = true},
         "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n",
         SL_HTTP_NO_BODY, true);
}

static void statuses_without_body(void) {
  expect(RESPONSE{.status = 204, .minor = 1, .keep_alive = true,
                  .known_length = true, .length = 5},
         "HTTP/1.1 204 No Content\r\n\r\n", SL_HTTP_NO_BODY, true);
  expect(RESPONSE{.status = 304, .minor = 1},
         "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n",
         SL_HTTP_NO_BODY, false);
  expect(RESPONSE{.status = 103, .minor = 1},
         "HTTP/1.1 103 Early Hints\r\n\r\n", SL_HTTP_NO_BODY, false);
}

static void reasons(void) {
  expect(RESPONSE{.status = 299, .minor = 1, .keep_alive = true,
                  .known_length = true},
         "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", SL_HTTP_BY_LENGTH,
         true);
  expect(RESPONSE{.status = 999, .minor = 1, .keep_alive = true,
                  .known_length = true, .reason = "So, so", .reason_len = 6},
         "HTTP/1.1 999 So, so\r\nContent-Length: 0\r\n\r\n",
         SL_HTTP_BY_LENGTH, true);
  CHECK_STR(sl_http_reason(511), 31, "Network Authentication Required");
  CHECK_EQ(strlen(sl_http_reason(512)), 0);
  CHECK_EQ(strlen(sl_http_reason(-1)), 0);
  CHECK_EQ(strlen(sl_http_reason(0)), 0);
}

static void headers_and_date(void) {
  struct sl_http_date date = {0};
  sl_http_date_set(&date, 784111777);
  struct sl_http_header headers[] = {{"Content-Type", 12, "text/plain", 10},
                                     {"X-Empty", 7, NULL, 0},
                                     {"dATE", 4, "now", 3}};
  struct sl_http_response response = {
    .status = 200, .minor = 1, .keep_alive = true, .known_length = true,
    .headers = headers, .n_headers = 2, .date = &date};
  expect(response,
         "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
         "Content-Type: text/plain\r\nX-Empty: \r\nContent-Length: 0\r\n\r\n",
         SL_HTTP_BY_LENGTH, true);
  response.n_headers = 3;
  expect(response,
         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Empty: \r\n"
         "dATE: now\r\nContent-Length: 0\r\n\r\n",
         SL_HTTP_BY_LENGTH, true);
}

static void check_date(time_t now) {
  struct sl_http_date date = {0};
  struct tm tm;
  char want[64];
  sl_http_date_set(&date, now);
  CHECK(gmtime_r(&now, &tm) != NULL);
  strftime(want, sizeof want, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
  CHECK_STR(date.line, SL_HTTP_DATE_LEN, want);
  CHECK_EQ(strlen(date.line), SL_HTTP_DATE_LEN);
}

static void dates(void) {
  check_date(0);
  check_date(-1);
  check_date(951782399); /* around the leap day of 2000 */
  check_date(951782400);
  check_date(951868800);
  for (int64_t at = -2208988800; at < 16725225600; at += 86399 * 3)
    check_date((time_t)at);
  struct sl_http_date date = {0};
  sl_http_date_set(&date, 5);
  date.line[6] = 'x';
  sl_http_date_set(&date, 5);
  CHECK_EQ(date.line[6], 'x'); /* formatted once a second */
  sl_http_date_set(&date, 6);
  CHECK_EQ(date.line[6], 'T');
}

static enum sl_http_check check(const char *name, const char *value) {
  struct sl_http_header header = {name, strlen(name), value, strlen(value)};
  return sl_http_check_header(&header);
}

static void what_a_header_may_hold(void) {
  CHECK_EQ(check("X-A", "some \t text \xc3\xa9"), SL_HTTP_HEADER_OK);
  CHECK_EQ(check("X-A", ""), SL_HTTP_HEADER_OK);
  CHECK_EQ(check("", "x"), SL_HTTP_BAD_NAME);
  CHECK_EQ(check("a b", "x"), SL_HTTP_BAD_NAME);
  CHECK_EQ(check("a:", "x"), SL_HTTP_BAD_NAME);
  CHECK_EQ(check("a\r\nb", "x"), SL_HTTP_BAD_NAME);
  CHECK_EQ(check("a", "x\r\ny: z"), SL_HTTP_BAD_VALUE);
  CHECK_EQ(check("a", "x\ny"), SL_HTTP_BAD_VALUE);
  CHECK_EQ(check("a", "x\x7f"), SL_HTTP_BAD_VALUE);
  struct sl_http_header zero = {"a", 1, "x\0y", 3};
  CHECK_EQ(sl_http_check_header(&zero), SL_HTTP_BAD_VALUE);
  CHECK_EQ(check("Content-length", "1"), SL_HTTP_OURS);
  CHECK_EQ(check("CONNECTION", "close"), SL_HTTP_OURS);
  CHECK_EQ(check("transfer-encoding", "x"), SL_HTTP_OURS);
  CHECK_EQ(check("content-lengths", "x"), SL_HTTP_HEADER_OK);
}

static void chunks(void) {
  start(-1);
  char zeros[300] = {0};
  CHECK(sl_http_write_chunk(&out, "hello", 5));
  CHECK(sl_http_write_chunk(&out, NULL, 0));
  CHECK(sl_http_write_last_chunk(&out));
  CHECK_STR(out.data, out.len, "5\r\nhello\r\n0\r\n\r\n");
  sl_bytes_clear(&out);
  CHECK(sl_http_write_chunk(&out, zeros, 300));
  CHECK_EQ(out.len, 3 + 2 + 300 + 2);
  CHECK_STR(out.data, 5, "12c\r\n");
  CHECK(!sl_http_write_chunk(&out, zeros, SIZE_MAX));
  finish();
}

static void refusals(void) {
  start(-1);
  CHECK(sl_http_write_refusal(&out, 431, false, NULL));
  CHECK_STR(out.data, out.len,
            "HTTP/1.1 431 Request Header Fields Too Large\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 36\r\nConnection: close\r\n\r\n"
            "431 Request Header Fields Too Large\n");
  sl_bytes_clear(&out);
  CHECK(sl_http_write_refusal(&out, 400, true, NULL));
  CHECK_STR(out.data, out.len,
            "HTTP/1.1 400 Bad Request\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 16\r\nConnection: close\r\n\r\n");
  finish();
}

/* What is measured is enough, whatever room the buffer had. */
static void heads_fit_what_is_measured(void) {
  struct sl_http_date date = {0};
  sl_http_date_set(&date, 1);
  struct sl_http_header header = {"A", 1, "b", 1};
  for (size_t have = 0; have < 400; have++)
    for (int minor = 0; minor < 2; minor++) {
      struct sl_http_response response = {
        .status = 200, .minor = (uint8_t)minor, .keep_alive = true,
        .known_length = true, .length = UINT64_MAX, .headers = &header,
        .n_headers = 1, .date = &date};
      start(-1);
      CHECK(sl_bytes_reserve(&out, have));
      CHECK(sl_http_write_head(&out, &response));
      CHECK(out.len <= out.cap);
      finish();
    }
}

static void memory_fails(void) {
  for (long k = 0; k < 3; k++) {
    struct sl_http_response response = {.status = 200, .minor = 1};
    start(k);
    size_t before = 0;
    for (int i = 0; i < 20; i++) {
      bool ok = i % 3 == 0   ? sl_http_write_refusal(&out, 400, false, NULL)
                : i % 3 == 1 ? sl_http_write_chunk(&out, "hello", 5)
                             : sl_http_write_head(&out, &response);
      CHECK_EQ(out.len > before, ok);
      CHECK(ok || out.len == before);
      before = out.len;
    }
    finish();
  }
}

int main(void) {
  RUN(a_known_length, "a known length");
  RUN(an_unknown_length, "an unknown length: chunks");
  RUN(http_1_0, "HTTP/1.0: keep-alive is said, no chunks");
  RUN(to_head, "to HEAD: the head that GET would get");
  RUN(statuses_without_body, "statuses without a body");
  RUN(reasons, "reasons");
  RUN(headers_and_date, "headers and date");
  RUN(dates, "dates are those of gmtime");
  RUN(what_a_header_may_hold, "what a header may hold");
  RUN(chunks, "chunks");
  RUN(refusals, "refusals");
  RUN(heads_fit_what_is_measured, "heads fit what is measured");
  RUN(memory_fails, "memory fails");
  return test_report();
}
