/*
** test_http_fuzz.c: mutated requests from a fixed seed. Whatever the bytes:
** how they are cut and whether the body is streamed changes nothing, nothing
** leaks, and memory that fails is an error and no more.
**
** usage: test_http_fuzz [ROUNDS [SEED]]
*/
#include "http_session.h"

static uint64_t state;

/* A number below n. */
static size_t below(size_t n) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (size_t)((state >> 11) % n);
}

static const char *const corpus[] = {
  "GET /a/b?c=d&e HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n"
  "GET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "POST /order HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 20\r\n"
  "Expect: 100-continue\r\n\r\n{\"power_user\": true}GET / HTTP/1.1\r\n"
  "Host: [::1]\r\n\r\n",
  "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
  "5;a=\"b\";c\r\nhello\r\n00a\r\n0123456789\r\n0\r\nA: b\r\nC:\r\n\r\n"
  "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /",
  "OPTIONS * HTTP/1.1\r\nHost:\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
  "GET http://h:1?q HTTP/1.1\r\nHost: x\r\nX: y\t \r\n\r\n",
};

static const char *const pieces[] = {
  "\r\n", "\r", "\n", " ", "\t", ":", "0\r\n\r\n", "\r\n ", "chunked", ",",
  "gzip, ", "Transfer-Encoding: chunked\r\n", "Content-Length: 3\r\n", "#",
  "Host: b\r\n", "HTTP/1.0", "HTTP/2.0", "CONNECT ", "ffffffffffffffff", ";x=y",
  "\x80", "Connection: close\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "%",
};

enum { ROOM = 2048 };

static size_t insert(char *data, size_t len, size_t at, const char *piece,
                     size_t n) {
  if (len + n > ROOM) return len;
  memmove(data + at + n, data + at, len - at);
  memcpy(data + at, piece, n);
  return len + n;
}

static size_t mutate(char *data, size_t len) {
  size_t at = below(len), n = below(len - at) % 16;
  char copy[16];
  switch (below(6)) {
  case 0: data[at] = (char)below(256); return len;
  case 1: data[at] ^= (char)(1 << below(8)); return len;
  case 2: /* drop */
    if (n == len) return len;
    memmove(data + at, data + at + n, len - at - n);
    return len - n;
  case 3: /* double */
    memcpy(copy, data + at, n);
    return insert(data, len, at, copy, n);
  default: {
    const char *piece = pieces[below(sizeof pieces / sizeof *pieces)];
    return insert(data, len, at, piece, strlen(piece));
  }
  }
}

static size_t make(char *data) {
  const char *text = corpus[below(sizeof corpus / sizeof *corpus)];
  size_t len = strlen(text);
  memcpy(data, text, len);
  for (size_t n = below(5); n > 0 && len > 0; n--) len = mutate(data, len);
  return len;
}

/* Small limits half of the time, so that they are met. */
static struct sl_http_limits limits(void) {
  struct sl_http_limits some = SL_HTTP_DEFAULT_LIMITS;
  if (below(2)) return some;
  some.max_head = 60 + below(100);
  some.max_target = 1 + below(20);
  some.max_fields = (uint32_t)below(5);
  some.max_body = below(30);
  return some;
}

static void compare(const struct sl_http_limits *some, const char *data,
                    size_t len) {
  struct session whole, cut;
  session_open(&whole, some, false, -1);
  session_run(&whole, data, len, 0);
  session_open(&cut, some, below(2), -1);
  session_run(&cut, data, len, below(4) == 0 ? -1 : -2 - (long)below(1000000));
  CHECK_BYTES(cut.log.data, cut.log.len, whole.log.data, whole.log.len);
  session_close(&whole);
  session_close(&cut);
}

static void starve(const struct sl_http_limits *some, const char *data,
                   size_t len) {
  struct session s;
  session_open(&s, some, below(2), (long)below(6));
  s.heap.fail_all = below(2);
  session_run(&s, data, len, -2 - (long)below(1000000));
  session_close(&s);
}

static long rounds = 200000;
static uint64_t seed = 20111;

static void cuts_change_nothing(void) {
  static char data[ROOM];
  state = seed * 0x9e3779b97f4a7c15u + 1;
  for (long i = 0; i < rounds; i++) {
    uint64_t before = state;
    struct sl_http_limits some = limits();
    size_t len = make(data);
    compare(&some, data, len);
    if (below(8) == 0) starve(&some, data, len);
    if (test_tally.broken == 0) continue;
    fprintf(stderr, "round %ld, state %llu:\n%.*s\n", i,
            (unsigned long long)before, (int)len, data);
    return;
  }
}

int main(int argc, char **argv) {
  if (argc > 1) rounds = strtol(argv[1], NULL, 10);
  if (argc > 2) seed = strtoull(argv[2], NULL, 10);
  RUN(cuts_change_nothing, "cuts change nothing, whatever the bytes");
  return test_report();
}
