/*
** test_http_refusals.c: what is refused, with which status, and every limit
** at its edge; each however the bytes are cut.
*/
#include "http_session.h"

static void refuse_data(const struct sl_http_limits *limits, const char *data,
                        size_t len, int status) {
  char want[32];
  snprintf(want, sizeof want, "error %d\n", status);
  session_expect(limits, data, len, want, true);
}

static void refuse(int status, const char *data) {
  int before = test_tally.broken;
  refuse_data(&default_limits, data, strlen(data), status);
  if (test_tally.broken > before) fprintf(stderr, "  of: %s\n", data);
}

static void accept(const char *data) {
  int before = test_tally.broken;
  session_expect(&default_limits, data, strlen(data), "message\nidle\n", true);
  if (test_tally.broken > before) fprintf(stderr, "  of: %s\n", data);
}

#define HOST "Host: h\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static void request_lines(void) {
  refuse(400, "GET  / HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET /  HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET / HTTP/1.1 \r\n" HOST "\r\n");
  refuse(400, " GET / HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET /a b HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET / HTTP/1.1\n" HOST "\r\n");
  refuse(400, "GET / HTTP/1.1\r" HOST "\r\n");
  refuse(400, "GET / http/1.1\r\n" HOST "\r\n");
  refuse(400, "GET / HTTP/11\r\n" HOST "\r\n");
  refuse(400, "GET / HTTP/1.10\r\n" HOST "\r\n");
  refuse(400, "GET / HTTP/1.x\r\n" HOST "\r\n");
  refuse(400, "GET / HTTP/x\r\n" HOST "\r\n");
  refuse(400, "GET / HTTP/2x\r\n" HOST "\r\n");
  refuse(400, "GET\r\n\r\n");
  refuse(400, "GET / \r\n\r\n");
}

static void other_protocols(void) {
  refuse(400, "GET /\r\n");
  refuse(400, "GET /\n");
  refuse(400, "GET /\r\n\r\n");
  refuse(400, "GET /\r\n" HOST "\r\n");
  refuse(505, "GET / HTTP/0.9\r\n" HOST "\r\n");
  refuse(505, "GET / HTTP/1.2\r\n" HOST "\r\n");
  refuse(505, "GET / HTTP/2.0\r\n" HOST "\r\n");
  refuse(505, "GET / HTTP/3.7\r\n" HOST "\r\n");
  refuse(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  refuse(400, "OPTIONS / RTSP/1.0\r\n" HOST "\r\n");
  refuse(400, "DESCRIBE / RTSP/1.0\r\n" HOST "\r\n");
  refuse(400, "GET / RTSP/1.1\r\n" HOST "\r\n");
  refuse(400, "SOURCE / ICE/1.0\r\n" HOST "\r\n");
  refuse(400, "\x16\x03\x01\x02");
  refuse(400, "HTTP/1.1 200 OK\r\n\r\n");
}

static void methods(void) {
  refuse(501, "BREW /pot HTTP/1.1\r\n" HOST "\r\n");
  refuse(501, "GETX / HTTP/1.1\r\n" HOST "\r\n");
  refuse(501, "GE / HTTP/1.1\r\n" HOST "\r\n");
  refuse(501, "get / HTTP/1.1\r\n" HOST "\r\n");
  refuse(501, "\r\nZ / HTTP/1.1\r\n" HOST "\r\n");
  refuse(501, "DESCRIBE / HTTP/1.1\r\n" HOST "\r\n");
  refuse(501, "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n");
  refuse(501, "PRI * HTTP/1.1\r\n" HOST "\r\n");
  refuse(501, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
              "AAAAAAAAAAAAAAAAAAAAA");
  refuse(400, "nonsense\r\n\r\n");
  refuse(400, "{\"a\": 1}\r\n");
}

static void targets(void) {
  refuse(400, "GET /#x HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET /?a#x HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET x HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET ?x HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET * HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "OPTIONS *x HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET http:///x HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET http://?x HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET http://:80/ HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET http://me@h/ HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET http://h:x/ HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET /\x01 HTTP/1.1\r\n" HOST "\r\n");
  refuse(400, "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n");
}

static void hosts(void) {
  refuse(400, "GET / HTTP/1.1\r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\nHosts: h\r\n\r\n");
  refuse(400, GET "host: h\r\n\r\n");
  refuse(400, "GET / HTTP/1.0\r\n" HOST "HOST: i\r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\nHost: %zz\r\n\r\n");
  accept("GET / HTTP/1.1\r\nHost:\r\n\r\n");
  accept("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
}

static void fields(void) {
  refuse(400, GET "A: b\r\n c\r\n\r\n");
  refuse(400, GET "A: b\r\n\tc\r\n\r\n");
  refuse(400, GET "A:\r\n b\r\n\r\n");
  refuse(400, GET "A:\r\n \r\n\r\n");
  refuse(400, GET "A: b\r\n \r\n\r\n");
  refuse(400, "GET / HTTP/1.1\r\n " HOST "\r\n");
  refuse(400, "GET / HTTP/1.1\r\n\t" HOST "\r\n");
  refuse(400, GET ": b\r\n\r\n");
  refuse(400, GET "A : b\r\n\r\n");
  refuse(400, GET "A\t: b\r\n\r\n");
  refuse(400, GET "A B: c\r\n\r\n");
  refuse(400, GET "A\r\n\r\n");
  refuse(400, GET "\"A\": b\r\n\r\n");
  refuse(400, GET "A: b\nC: d\r\n\r\n");
  refuse(400, GET "A: b\rC: d\r\n\r\n");
  refuse(400, GET "A:\rC: d\r\n\r\n");
  refuse(400, GET "A:\nC: d\r\n\r\n");
  refuse(400, GET "A: b\r\n\n");
  refuse(400, GET "A: b\r\n\rX");
  refuse(400, GET "A: \x7f\r\n\r\n");
  refuse(400, GET "A: \x01\r\n\r\n");
  refuse(400, GET "Content-Length:\r\n 5\r\n\r\n");
  refuse(400, GET "Transfer-Encoding: chunked\r\n , x\r\n\r\n");
  refuse_data(&default_limits, GET "A: \0\r\n\r\n",
              sizeof(GET "A: \0\r\n\r\n") - 1, 400);
}

static void lengths(void) {
  refuse(400, POST "Content-Length: -1\r\n\r\n");
  refuse(400, POST "Content-Length: +1\r\n\r\n");
  refuse(400, POST "Content-Length: 0x1\r\n\r\n");
  refuse(400, POST "Content-Length: 1 1\r\n\r\n");
  refuse(400, POST "Content-Length: 1, 1\r\n\r\n");
  refuse(400, POST "Content-Length:\r\n\r\n");
  refuse(400, POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n");
  refuse(400, POST "Content-Length: 18446744073709551616\r\n\r\n");
  refuse(400, POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n");
  refuse(400, POST "Content-Length: 1e3\r\n\r\n");
  refuse(400, POST "Content-Length: \xb2\r\n\r\n");
  accept(POST "Content-Length: 002 \r\n\r\nok");
}

static void codings(void) {
  refuse(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
  refuse(501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n");
  refuse(501, POST "Transfer-Encoding: gzip\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: gzip\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: identity\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: chunked, gzip\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: chunked\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: chunked\r\n"
                   "Transfer-Encoding:\r\n\r\n");
  refuse(400, POST "Transfer-Encoding:\r\nContent-Length: 1\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: ,\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: ,chunked\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: chunked,\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: \x0b" "chunked\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: xchunked\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: chunked;a=b\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: chunked\t\r\n\r\n");
  refuse(400, POST "Transfer-Encoding: \"chunked\"\r\n\r\n");
  refuse(417, POST "Expect: a-reply\r\nContent-Length: 1\r\n\r\n");
}

static void chunks(void) {
  refuse(400, CHUNKED "x\r\n");
  refuse(400, CHUNKED "\r\n");
  refuse(400, CHUNKED "-1\r\n");
  refuse(400, CHUNKED "0x1\r\n");
  refuse(400, CHUNKED "1 \r\n");
  refuse(400, CHUNKED " 1\r\n");
  refuse(400, CHUNKED "1\nx");
  refuse(400, CHUNKED "1\rx");
  refuse(400, CHUNKED "1\r\nxy");
  refuse(400, CHUNKED "1\r\nx\ny");
  refuse(400, CHUNKED "1\r\nx\n0\r\n\r\n");
  refuse(400, CHUNKED "1;\r\n");
  refuse(400, CHUNKED "1;a\nb");
  refuse(400, CHUNKED "11111111111111111\r\n");
  refuse(413, CHUNKED "ffffffffffffffff\r\n");
  refuse(400, CHUNKED "0\r\nA: b\r\n c\r\n\r\n");
  refuse(400, CHUNKED "0\r\nA:\r\n b\r\n\r\n");
  refuse(400, CHUNKED "0\r\n: b\r\n\r\n");
  refuse(400, CHUNKED "0\r\nA: b\r\n\n");
  refuse(400, CHUNKED "0\r\n\n");
  refuse(400, CHUNKED "0\r\nA: b\n\r\n");
  refuse(400, CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n");
}

/* After a refusal nothing is a request, and the status stays. */
static void nothing_follows_a_refusal(void) {
  struct session s;
  session_open(&s, &default_limits, false, -1);
  const char *good = GET "\r\n";
  const char *refused = "GET /  HTTP/1.1\r\n" HOST "\r\n";
  session_feed(&s, refused, strlen(refused));
  size_t used;
  CHECK(s.failed);
  CHECK_EQ(sl_http_feed(&s.parser, good, strlen(good), &used), SL_HTTP_ERROR);
  CHECK_EQ(used, strlen(good));
  CHECK_EQ(s.parser.head.status, 400);
  CHECK(!sl_http_next(&s.parser));
  CHECK_EQ(sl_http_feed(&s.parser, good, strlen(good), &used),
           SL_HTTP_NEED_MORE);
  CHECK_EQ(used, strlen(good));
  session_close(&s);
}

/*
** Limits, small ones so that every cut can be tried; then the usual ones.
*/

static const struct sl_http_limits small = {64, 16, 3, 8};

static void small_accept(const char *data) {
  session_expect(&small, data, strlen(data), "message\nidle\n", true);
}

static void small_refuse(int status, const char *data) {
  refuse_data(&small, data, strlen(data), status);
}

/* Begin, as many of a byte as make `counted` bytes of begin and end, end. */
static const char *fill(const char *begin, size_t counted, char with,
                        const char *end) {
  static char data[256];
  char filling[128];
  int n = (int)(counted - strlen(begin) - strlen(end));
  memset(filling, with, sizeof filling);
  snprintf(data, sizeof data, "%s%.*s%s", begin, n, filling, end);
  return data;
}

/* The same behind a head, which does not count. */
static const char *fill_chunks(const char *begin, size_t counted, char with,
                               const char *end) {
  static char data[512];
  snprintf(data, sizeof data, CHUNKED "%s", fill(begin, counted, with, end));
  return data;
}

static void a_head_of_64_bytes(void) {
  small_accept(fill(GET "A: ", 64, 'x', "\r\n\r\n"));
  small_refuse(431, fill(GET "A: ", 65, 'x', "\r\n\r\n"));
  small_refuse(431, fill(GET "A: ", 64, 'x', ""));
  small_accept(fill("\r\n" GET "A: ", 64, 'x', "\r\n\r\n"));
  small_refuse(431, fill("\r\n" GET "A: ", 65, 'x', "\r\n\r\n"));
  small_refuse(431, fill("", 64, '\n', ""));
}

static void a_target_of_16_bytes(void) {
  small_accept("GET /23456789?123456 HTTP/1.1\r\n" HOST "\r\n");
  small_refuse(414, "GET /23456789?1234567 HTTP/1.1\r\n" HOST "\r\n");
  small_refuse(414, "GET /23456789?1234567");
  small_refuse(414, "GET /23456789?1234567\x01");
  small_refuse(400, "GET /23456789?12345\x01");
  small_refuse(400, "GET /23456789?123456\r\n\tx");
}

static void three_fields(void) {
  small_accept(GET "A: b\r\nC: d\r\n\r\n");
  small_refuse(431, GET "A: b\r\nC: d\r\nE: f\r\n\r\n");
  small_refuse(400, GET "A: b\r\nC: d\r\nE f\r\n\r\n");
}

static void a_body_of_8_bytes(void) {
  small_accept(POST "Content-Length: 8\r\n\r\n12345678");
  small_refuse(413, POST "Content-Length: 9\r\n\r\n");
  small_refuse(413, POST "Content-Length: 9999999999\r\n\r\n");
}

static void eight_bytes_in_chunks(void) {
  small_accept(CHUNKED "8\r\n12345678\r\n0\r\n\r\n");
  small_accept(CHUNKED "4\r\n1234\r\n4\r\n1234\r\n0\r\n\r\n");
  small_refuse(413, CHUNKED "9\r\n");
  small_refuse(413, CHUNKED "4\r\n1234\r\n5\r\n");
}

/* Of a chunk's framing 20 bytes are free: its line and the end of its data.
   So 84 for the first line, filled with zeros or with an extension. */
static void overhead_of_64_bytes(void) {
  small_accept(fill_chunks("", 86, '0', "\r\n\r\n"));
  small_refuse(413, fill_chunks("", 87, '0', "\r\n\r\n"));
  small_refuse(413, fill_chunks("", 85, '0', ""));
  small_accept(fill_chunks("0;", 86, 'x', "\r\n\r\n"));
  small_refuse(413, fill_chunks("0;", 87, 'x', "\r\n\r\n"));
  small_refuse(413, fill_chunks("0;", 85, 'x', ""));
  small_refuse(413, fill_chunks("0;", 86, 'x', "\x01"));
  small_refuse(400, fill_chunks("0;", 60, 'x', "\x01"));
}

/* It counts over all chunks: 20 of 40 bytes, then 64 - 20 of 64 bytes. */
static void overhead_of_all_chunks(void) {
  char begin[64];
  snprintf(begin, sizeof begin, "1;%.*s\r\nx\r\n0;", 36, "xxxxxxxxxxxxxxxxxx"
           "xxxxxxxxxxxxxxxxxxxxxxxxxxx");
  small_accept(fill_chunks(begin, 40 + 1 + 64 + 2, 'x', "\r\n\r\n"));
  small_refuse(413, fill_chunks(begin, 40 + 1 + 65 + 2, 'x', "\r\n\r\n"));
}

static void a_trailer_of_64_bytes(void) {
  small_accept(fill_chunks("0\r\nA: ", 3 + 64, 'x', "\r\n\r\n"));
  small_refuse(431, fill_chunks("0\r\nA: ", 3 + 65, 'x', "\r\n\r\n"));
  small_refuse(431, fill_chunks("0\r\nA: ", 3 + 64, 'x', ""));
  small_accept(CHUNKED "0\r\nA: b\r\n\r\n");
  small_refuse(431, CHUNKED "0\r\nA: b\r\nC: d\r\n\r\n");
}

/* head, target, fields and body, one byte or one field below and above. */
static size_t build(char *data, size_t fill, size_t target, int n_fields) {
  size_t len = (size_t)sprintf(data, "GET /");
  memset(data + len, 'a', target - 1);
  len += target - 1;
  len += (size_t)sprintf(data + len, " HTTP/1.1\r\n" HOST);
  for (int i = 1; i < n_fields; i++)
    len += (size_t)sprintf(data + len, "A: b\r\n");
  if (fill > 0) {
    len += (size_t)sprintf(data + len, "A: ");
    memset(data + len, 'a', fill - len - 4);
    len = fill - 4;
    len += (size_t)sprintf(data + len, "\r\n");
  }
  return len + (size_t)sprintf(data + len, "\r\n");
}

static void usual(size_t fill, size_t target, int n_fields, int status) {
  static char data[40000];
  struct session s;
  size_t len = build(data, fill, target, n_fields);
  for (long cut = -5; cut < 1; cut++) {
    session_open(&s, &default_limits, false, -1);
    session_run(&s, data, len, cut);
    CHECK_EQ(s.parser.head.status, status);
    CHECK_EQ(s.failed, status != 0);
    session_close(&s);
  }
}

static void usual_limits(void) {
  usual(16384, 1, 1, 0);
  usual(16385, 1, 1, 431);
  usual(0, 8192, 1, 0);
  usual(0, 8193, 1, 414);
  usual(0, 1, 100, 0);
  usual(0, 1, 101, 431);
  refuse(413, POST "Content-Length: 1048577\r\n\r\n");
  refuse(413, POST "Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n");
  refuse(413, POST "Content-Length: 18446744073709551615\r\n\r\n");
  refuse(413, CHUNKED "100001\r\n");
}

/* An offset is 32 bits; a limit without a bound is bounded by that. */
static void no_limits(void) {
  struct sl_http_limits none = {SIZE_MAX, SIZE_MAX, UINT32_MAX, UINT64_MAX};
  const char *data = POST "Content-Length: 18446744073709551615\r\n\r\nabc";
  session_expect(&none, data, strlen(data), "partial\n", true);
  data = CHUNKED "ffffffffffffffff\r\nabc";
  session_expect(&none, data, strlen(data), "partial\n", true);
  data = CHUNKED "3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n";
  session_expect(&none, data, strlen(data), "message\nidle\n", true);
  data = CHUNKED "3\r\nabc\r\nffffffffffffffff\r\n";
  refuse_data(&none, data, strlen(data), 413);
}

static void a_mebibyte(void) {
  static char body[1048576];
  struct session s;
  const char *head = POST "Content-Length: 1048576\r\n\r\n";
  session_open(&s, &default_limits, false, -1);
  session_feed(&s, head, strlen(head));
  for (size_t at = 0; at < sizeof body; at += 65536)
    session_feed(&s, body + at, 65536);
  CHECK(sl_http_idle(&s.parser) && !s.failed);
  head = CHUNKED "100000\r\n";
  session_feed(&s, head, strlen(head));
  session_feed(&s, body, sizeof body);
  session_feed(&s, "\r\n0\r\n\r\n", 7);
  CHECK(sl_http_idle(&s.parser) && !s.failed);
  session_close(&s);
}

int main(void) {
  RUN(request_lines, "request lines");
  RUN(other_protocols, "other protocols and versions");
  RUN(methods, "methods");
  RUN(targets, "targets");
  RUN(hosts, "hosts");
  RUN(fields, "fields: folded, nameless, badly ended");
  RUN(lengths, "lengths");
  RUN(codings, "transfer codings and expectations");
  RUN(chunks, "chunks and trailers");
  RUN(nothing_follows_a_refusal, "nothing follows a refusal");
  RUN(a_head_of_64_bytes, "the head's limit");
  RUN(a_target_of_16_bytes, "the target's limit");
  RUN(three_fields, "the fields' limit");
  RUN(a_body_of_8_bytes, "the body's limit");
  RUN(eight_bytes_in_chunks, "the body's limit in chunks");
  RUN(overhead_of_64_bytes, "the limit of a chunk's overhead");
  RUN(overhead_of_all_chunks, "the limit of all chunks' overhead");
  RUN(a_trailer_of_64_bytes, "the trailer's limit");
  RUN(usual_limits, "the usual limits");
  RUN(no_limits, "no limits");
  RUN(a_mebibyte, "a body of the usual limit");
  return test_report();
}
