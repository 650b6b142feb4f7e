/*
** beanstalk.c: what beanstalkd takes from a client in C, with so many
** commands under way on one connection: jobs put, then reserved and deleted.
**
** usage: beanstalk PORT JOBS DEPTH BYTES
** Prints the jobs a second put, and the jobs a second reserved and deleted,
** after a warm-up of a tenth.
*/
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 18 };

static int server;
static char in[BUFFER], out[BUFFER], *body;
static size_t in_from, in_to, out_len, body_len;

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void fail(const char *what) {
  fprintf(stderr, "beanstalk: %s\n", what);
  exit(1);
}

/* -- bytes -- */

static void flush(void) {
  size_t done = 0;
  while (done < out_len) {
    ssize_t n = write(server, out + done, out_len - done);
    if (n <= 0) fail("write");
    done += (size_t)n;
  }
  out_len = 0;
}

static void send_bytes(const char *bytes, size_t len) {
  if (out_len + len > BUFFER) flush();
  memcpy(out + out_len, bytes, len);
  out_len += len;
}

static void send_text(const char *text) { send_bytes(text, strlen(text)); }

/* Has at least one byte more; what is to be sent goes first. */
static void fill(void) {
  ssize_t n;
  if (out_len > 0) flush();
  memmove(in, in + in_from, in_to - in_from);
  in_to -= in_from;
  in_from = 0;
  n = read(server, in + in_to, BUFFER - in_to);
  if (n <= 0) fail("the server is gone");
  in_to += (size_t)n;
}

/* The next line, which begins with `word`; valid until the next one. */
static const char *line(const char *word) {
  char *end;
  while ((end = memchr(in + in_from, '\n', in_to - in_from)) == NULL) fill();
  *end = '\0';
  if (strncmp(in + in_from, word, strlen(word)) != 0) fail(in + in_from);
  end = in + in_from;
  in_from += strlen(end) + 1;
  return end;
}

/* -- jobs -- */

static void send_put(void) {
  char head[64];
  snprintf(head, sizeof head, "put 0 0 60 %zu\r\n", body_len);
  send_text(head);
  send_bytes(body, body_len);
  send_text("\r\n");
}

static void put(int n, int depth) {
  int sent = 0;
  for (; sent < depth && sent < n; sent++) send_put();
  for (int done = 0; done < n; done++) {
    line("INSERTED");
    if (sent < n) {
      send_put();
      sent++;
    }
  }
}

/* Reserves so many, then deletes them. */
static void take_some(int many, unsigned long *ids) {
  char command[64];
  for (int i = 0; i < many; i++) send_text("reserve-with-timeout 0\r\n");
  for (int i = 0; i < many; i++) {
    ids[i] = strtoul(line("RESERVED") + sizeof "RESERVED", NULL, 10);
    line("x");
  }
  for (int i = 0; i < many; i++) {
    snprintf(command, sizeof command, "delete %lu\r\n", ids[i]);
    send_text(command);
  }
  for (int i = 0; i < many; i++) line("DELETED");
}

static void take(int n, int depth) {
  unsigned long *ids = malloc((size_t)depth * sizeof *ids);
  if (ids == NULL) fail("memory");
  for (int left = n; left > 0; left -= depth)
    take_some(left < depth ? left : depth, ids);
  free(ids);
}

static void open_connection(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)port)};
  int yes = 1;
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  server = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(server, (struct sockaddr *)&address, sizeof address) != 0)
    fail("connect");
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

int main(int argc, char **argv) {
  int n, depth;
  double start, middle;
  if (argc < 5) return 2;
  n = atoi(argv[2]);
  depth = atoi(argv[3]);
  body_len = (size_t)atoi(argv[4]);
  body = malloc(body_len + 1);
  if (body == NULL) fail("memory");
  memset(body, 'x', body_len);
  open_connection(atoi(argv[1]));
  put(n / 10, depth);
  take(n / 10, depth);
  start = now();
  put(n, depth);
  middle = now();
  take(n, depth);
  printf("%.0f %.0f\n", n / (middle - start), n / (now() - middle));
  return 0;
}
