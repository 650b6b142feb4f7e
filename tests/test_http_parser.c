/*
** test_http_parser.c: the events of whole requests: heads, bodies, pipelines,
** the end of a connection, memory. What is refused: test_http_refusals.c.
*/
#include "http_session.h"

static void expect(const char *data, const char *want) {
  session_expect(&default_limits, data, strlen(data), want, false);
}

static void get(void) {
  expect("GET /orders/7?all=1&x HTTP/1.1\r\nHost: a.example:80\r\n"
         "Accept: */*\r\n\r\n",
         "head GET /orders/7?all=1&x HTTP/1.1 host=a.example:80 length=0"
         " keep-alive\n"
         "  Host: a.example:80\n"
         "  Accept: */*\n"
         "message\nidle\n");
}

static void post_with_a_length(void) {
  expect("POST /order HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n"
         "{\"power_user\": true}",
         "head POST /order HTTP/1.1 host=h length=20 keep-alive\n"
         "  Host: h\n  Content-Length: 20\n"
         "body {\"power_user\": true}\nmessage\nidle\n");
}

static void post_in_chunks(void) {
  expect("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
         "5\r\nhello\r\n1;name=value\r\n,\r\n0007;a=\"b c\"\r\n world!\r\n"
         "0\r\n\r\n",
         "head POST / HTTP/1.1 host=h chunked keep-alive\n"
         "  Host: h\n  Transfer-Encoding: Chunked\n"
         "body hello, world!\nmessage\nidle\n");
}

static void chunks_with_a_trailer(void) {
  expect("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2\r\nok\r\n0\r\nDigest:  sha \r\nEmpty:\r\n\r\n"
         "GET /2 HTTP/1.1\r\nHost: i\r\n\r\n",
         "head POST / HTTP/1.1 host=h chunked keep-alive\n"
         "  Host: h\n  Transfer-Encoding: chunked\n"
         "body ok\n  Digest: sha\n  Empty: \nmessage\n"
         "head GET /2 HTTP/1.1 host=i length=0 keep-alive\n  Host: i\n"
         "message\nidle\n");
}

/* What a trailer says of framing changes nothing. */
static void a_trailer_frames_nothing(void) {
  expect("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"
         "GET /2 HTTP/1.1\r\nHost: i\r\n\r\n",
         "head POST / HTTP/1.1 host=h chunked keep-alive\n"
         "  Host: h\n  Transfer-Encoding: chunked\n"
         "  Content-Length: 9\n  Connection: close\nmessage\n"
         "head GET /2 HTTP/1.1 host=i length=0 keep-alive\n  Host: i\n"
         "message\nidle\n");
}

static void pipeline(void) {
  expect("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
         "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
         "\r\nPUT /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
         "1\r\nx\r\n0\r\n\r\n"
         "GET /4 HT",
         "head GET /1 HTTP/1.1 host=h length=0 keep-alive\n  Host: h\nmessage\n"
         "head POST /2 HTTP/1.1 host=h length=3 keep-alive\n  Host: h\n"
         "  Content-Length: 3\nbody abc\nmessage\n"
         "head PUT /3 HTTP/1.1 host=h chunked keep-alive\n  Host: h\n"
         "  Transfer-Encoding: chunked\nbody x\nmessage\n"
         "partial\n");
}

static void values_are_trimmed(void) {
  expect("GET / HTTP/1.1\r\nHost:h\r\nA:\t b \t\r\nB: \t \r\nC:\r\n"
         "D: x y:z\xff \r\n\r\n",
         "head GET / HTTP/1.1 host=h length=0 keep-alive\n  Host: h\n"
         "  A: b\n  B: \n  C: \n  D: x y:z\xff\nmessage\nidle\n");
}

static void empty_lines_before_a_request(void) {
  expect("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
         "head GET / HTTP/1.1 host=h length=0 keep-alive\n  Host: h\n"
         "message\nidle\n");
}

static void targets(void) {
  expect("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
         "head OPTIONS * HTTP/1.1 host=h length=0 keep-alive\n  Host: h\n"
         "message\nidle\n");
  expect("GET http://b.example:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n",
         "head GET /p?q HTTP/1.1 host=b.example:81 length=0 keep-alive\n"
         "  Host: h\nmessage\nidle\n");
  expect("GET HTTPS://b?q=/ HTTP/1.1\r\nHost: h\r\n\r\n",
         "head GET /?q=/ HTTP/1.1 host=b length=0 keep-alive\n"
         "  Host: h\nmessage\nidle\n");
  expect("GET http://[::1]:8080 HTTP/1.1\r\nHost: h\r\n\r\n",
         "head GET / HTTP/1.1 host=[::1]:8080 length=0 keep-alive\n"
         "  Host: h\nmessage\nidle\n");
  expect("GET //x/%2e? HTTP/1.1\r\nHost: h\r\n\r\n",
         "head GET //x/%2e HTTP/1.1 host=h length=0 keep-alive\n"
         "  Host: h\nmessage\nidle\n");
}

static void the_end_of_a_connection(void) {
  expect("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
         "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
         "head GET / HTTP/1.1 host=h length=0\n  Host: h\n"
         "  Connection: close\nmessage\nclosed\n");
  expect("POST / HTTP/1.1\r\nHost: h\r\nConnection: x ,\tCLOSE\t\r\n"
         "Content-Length: 2\r\n\r\nokmore",
         "head POST / HTTP/1.1 host=h length=2\n  Host: h\n"
         "  Connection: x ,\tCLOSE\n  Content-Length: 2\n"
         "body ok\nmessage\nclosed\n");
  expect("GET / HTTP/1.0\r\n\r\nGET",
         "head GET / HTTP/1.0 host= length=0\nmessage\nclosed\n");
  expect("GET / HTTP/1.1\r\nHost: h\r\nConnection: closed, not-close\r\n\r\n",
         "head GET / HTTP/1.1 host=h length=0 keep-alive\n  Host: h\n"
         "  Connection: closed, not-close\nmessage\nidle\n");
}

static void http_1_0_kept_alive(void) {
  expect("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET",
         "head GET / HTTP/1.0 host= length=0 keep-alive\n"
         "  Connection: Keep-Alive\nmessage\npartial\n");
  expect("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\nGET",
         "head GET / HTTP/1.0 host= length=0\n"
         "  Connection: keep-alive, close\nmessage\nclosed\n");
}

/* llhttp pauses at these, and takes what follows for another protocol. */
static void upgrades_are_not_made(void) {
  expect("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
         "Upgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
         "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
         "head GET / HTTP/1.1 host=h length=0 keep-alive\n  Host: h\n"
         "  Connection: Upgrade, HTTP2-Settings\n  Upgrade: h2c\n"
         "  HTTP2-Settings: x\nmessage\n"
         "head GET /2 HTTP/1.1 host=h length=0 keep-alive\n  Host: h\n"
         "message\nidle\n");
  expect("POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
         "Upgrade: h2c\r\nContent-Length: 2\r\n\r\nok"
         "POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
         "Upgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
         "head POST / HTTP/1.1 host=h length=2 keep-alive\n  Host: h\n"
         "  Connection: upgrade\n  Upgrade: h2c\n  Content-Length: 2\n"
         "body ok\nmessage\n"
         "head POST / HTTP/1.1 host=h chunked keep-alive\n  Host: h\n"
         "  Connection: upgrade\n  Upgrade: h2c\n"
         "  Transfer-Encoding: chunked\nmessage\npartial\n");
}

static void expectations(void) {
  expect("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n"
         "Content-Length: 2\r\n\r\nok",
         "head POST / HTTP/1.1 host=h length=2 keep-alive continue\n"
         "  Host: h\n  Expect: 100-Continue\n  Content-Length: 2\n"
         "body ok\nmessage\nidle\n");
  expect("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
         "head GET / HTTP/1.1 host=h length=0 keep-alive\n"
         "  Host: h\n  Expect: 100-continue\nmessage\nidle\n");
  expect("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n"
         "\r\nx",
         "head POST / HTTP/1.0 host= length=1\n"
         "  Expect: 100-continue\n  Content-Length: 1\n"
         "body x\nmessage\nclosed\n");
}

static void fields_are_found(void) {
  struct session s;
  session_open(&s, &default_limits, false, -1);
  const char *text = "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-b: 2\r\n"
                     "X-a: 3\r\nX^A: 4\r\n\r\n";
  size_t used;
  const struct sl_http_head *head = &s.parser.head;
  CHECK_EQ(sl_http_feed(&s.parser, text, strlen(text), &used), SL_HTTP_HEAD);
  const struct sl_http_field *field = sl_http_find(head, "x-a", 3, NULL);
  CHECK(field != NULL && sl_http_span_is(head, field->value, "1"));
  field = sl_http_find(head, "x-a", 3, field);
  CHECK(field != NULL && sl_http_span_is(head, field->value, "3"));
  CHECK(sl_http_find(head, "x-a", 3, field) == NULL);
  CHECK(sl_http_find(head, "x", 1, NULL) == NULL);
  CHECK(sl_http_find(head, "x~a", 3, NULL) == NULL);
  session_close(&s);
}

/* HEAD comes as soon as the head is whole, without a byte of the body; a
   message is told again and uses nothing until the next is asked for. */
static void one_request_at_a_time(void) {
  struct session s;
  session_open(&s, &default_limits, false, -1);
  const char *text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n"
                     "okGET";
  size_t len = strlen(text), used;
  CHECK_EQ(sl_http_feed(&s.parser, text, len, &used), SL_HTTP_HEAD);
  CHECK_EQ(used, len - 5);
  CHECK_EQ(sl_http_feed(&s.parser, NULL, 0, &used), SL_HTTP_NEED_MORE);
  CHECK_EQ(sl_http_feed(&s.parser, "okGET", 5, &used), SL_HTTP_MESSAGE);
  CHECK_EQ(used, 2);
  CHECK_EQ(sl_http_feed(&s.parser, "GET", 3, &used), SL_HTTP_MESSAGE);
  CHECK_EQ(used, 0);
  CHECK_STR(s.parser.body.data, s.parser.body.len, "ok");
  CHECK(!sl_http_idle(&s.parser));
  CHECK(sl_http_next(&s.parser));
  CHECK(sl_http_idle(&s.parser));
  session_close(&s);
}

/* A request that is answered before it was read cannot be followed. */
static void next_before_the_end_closes(void) {
  struct session s;
  session_open(&s, &default_limits, false, -1);
  const char *text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n";
  size_t used;
  CHECK_EQ(sl_http_feed(&s.parser, text, strlen(text), &used), SL_HTTP_HEAD);
  CHECK(!sl_http_next(&s.parser));
  CHECK_EQ(sl_http_feed(&s.parser, "ok", 2, &used), SL_HTTP_NEED_MORE);
  CHECK_EQ(used, 2);
  session_close(&s);
}

static const char two[] =
  "POST /order HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: a\r\n"
  "Accept: */*\r\nContent-Type: application/json\r\nContent-Length: 20\r\n"
  "\r\n{\"power_user\": true}"
  "POST /order HTTP/1.1\r\nHost: localhost:8080\r\n"
  "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n";

static void steady_state_allocates_nothing(void) {
  struct session s;
  session_open(&s, &default_limits, false, -1);
  session_feed(&s, two, strlen(two));
  long calls = s.heap.calls;
  for (int i = 0; i < 100; i++) session_feed(&s, two, strlen(two));
  CHECK_EQ(s.heap.calls, calls);
  session_close(&s);
}

static void a_large_body_is_given_back(void) {
  struct session s;
  session_open(&s, &default_limits, false, -1);
  const char *head = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n"
                     "\r\n";
  static char body[200000];
  session_feed(&s, head, strlen(head));
  session_feed(&s, body, sizeof body);
  CHECK(sl_http_idle(&s.parser));
  CHECK(s.heap.bytes < 10000);
  session_close(&s);
}

/* How many allocations the request takes, byte by byte. */
static long count_allocations(const char *data) {
  struct session s;
  session_open(&s, &default_limits, false, -1);
  session_run(&s, data, strlen(data), -1);
  long calls = s.heap.calls;
  session_close(&s);
  return calls;
}

static void starve(const char *data) {
  long calls = count_allocations(data);
  CHECK(calls > 2);
  for (long k = 0; k < calls * 2; k++) {
    struct session s;
    session_open(&s, &default_limits, false, k / 2);
    s.heap.fail_all = k % 2 > 0;
    session_run(&s, data, strlen(data), -1);
    size_t skip = s.log.len > 10 ? s.log.len - 10 : 0;
    CHECK_STR(s.log.data + skip, s.log.len - skip, "error 503\n");
    session_close(&s);
  }
}

/* However memory fails, the request that needs it is refused with 503. */
static void memory_fails_at_every_step(void) {
  starve(two);
  starve(strstr(two + 1, "POST")); /* its body in chunks from the begin */
}

int main(void) {
  RUN(get, "a GET");
  RUN(post_with_a_length, "a POST with a length");
  RUN(post_in_chunks, "a POST in chunks with extensions");
  RUN(chunks_with_a_trailer, "chunks with a trailer");
  RUN(a_trailer_frames_nothing, "a trailer frames nothing");
  RUN(pipeline, "a pipeline");
  RUN(values_are_trimmed, "values are trimmed");
  RUN(empty_lines_before_a_request, "empty lines before a request");
  RUN(targets, "targets: path, asterisk, absolute");
  RUN(the_end_of_a_connection, "nothing is a request after the last");
  RUN(http_1_0_kept_alive, "HTTP/1.0 is kept alive when asked");
  RUN(upgrades_are_not_made, "an upgrade is an ordinary request");
  RUN(expectations, "100-continue, where a body follows");
  RUN(fields_are_found, "fields are found whatever their case");
  RUN(one_request_at_a_time, "one request at a time");
  RUN(next_before_the_end_closes, "next before the end closes");
  RUN(steady_state_allocates_nothing, "a steady state allocates nothing");
  RUN(a_large_body_is_given_back, "a large body's memory is given back");
  RUN(memory_fails_at_every_step, "memory fails at every step");
  return test_report();
}
