/*
** raw_redis.c: what a Redis server takes from C, the yardstick of the engine
** redis:. hiredis sends the engine's own scripts and reads the replies, with
** no semantics about them: nothing waits, nothing is tried again, no lease
** is renewed, nothing is made of a reply.
**
** usage: raw_redis PORT put|take JOBS DEPTH BYTES DIRECTORY
** The scripts lie in DIRECTORY (throughput.lua scripts). Putting, so many calls
** with one job each are under way; taking, so many jobs are reserved by one
** call and acknowledged by the next. Prints jobs a second, after a warm-up of
** a tenth.
*/
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FILLING = 128, MOST = 1000, DIGITS = 24 };

#define KEY "{sluice:bench}"

static redisContext *server;
static const char *directory;
static char *body;
static size_t body_len;
static unsigned calls;

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void fail(const char *what) {
  fprintf(stderr, "raw_redis: %s: %s\n", what, server ? server->errstr : "");
  exit(1);
}

/* -- commands -- */

/* The words of a command; those that are computed lie in `numbers`. */
struct command {
  int n;
  const char *words[2 * MOST + 16];
  size_t lens[2 * MOST + 16];
  char numbers[2 * MOST + 16][DIGITS];
};

static void add_bytes(struct command *to, const char *word, size_t len) {
  to->words[to->n] = word;
  to->lens[to->n++] = len;
}

static void add(struct command *to, const char *word) {
  add_bytes(to, word, strlen(word));
}

static void add_number(struct command *to, const char *format,
                       long long number) {
  char *at = to->numbers[to->n];
  snprintf(at, DIGITS, format, number);
  add(to, at);
}

static void begin(struct command *to, const char *sha) {
  to->n = 0;
  add(to, "EVALSHA");
  add(to, sha);
  add(to, "1");
  add(to, KEY);
}

static void send_it(const struct command *command) {
  redisAppendCommandArgv(server, command->n, (const char **)command->words,
                         command->lens);
}

/* The next reply, which is no error; to be freed. */
static redisReply *receive(void) {
  void *reply = NULL;
  if (redisGetReply(server, &reply) != REDIS_OK) fail("reply");
  if (((redisReply *)reply)->type == REDIS_REPLY_ERROR)
    fail(((redisReply *)reply)->str);
  return reply;
}

/* Loads a script; returns its name at the server. */
static const char *load(const char *name) {
  char path[512], *text = malloc(1 << 16), *sha;
  redisReply *reply;
  FILE *file;
  size_t len;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  file = fopen(path, "rb");
  if (file == NULL || text == NULL) fail(path);
  len = fread(text, 1, 1 << 16, file);
  fclose(file);
  redisAppendCommand(server, "SCRIPT LOAD %b", text, len);
  reply = receive();
  sha = strdup(reply->str);
  freeReplyObject(reply);
  free(text);
  return sha;
}

static void make_queue(void) {
  struct command command;
  begin(&command, load("queue"));
  for (int i = 0; i < 3; i++) add(&command, "");
  send_it(&command);
  freeReplyObject(receive());
}

/* The first words of a call whose reply the server remembers: its number, and
   that of one whose reply is here. */
static void begin_call(struct command *to, const char *sha, int depth) {
  begin(to, sha);
  add(to, "0123456789abcdef01234567");
  add_number(to, "%lld", ++calls);
  if (calls > (unsigned)depth)
    add_number(to, "%lld", calls - (unsigned)depth);
  else
    add(to, "");
  add(to, "");
}

/* -- putting -- */

static void send_put(const char *sha, int depth) {
  static struct command command;
  begin_call(&command, sha, depth);
  add_bytes(&command, body, body_len);
  add(&command, "0");
  add(&command, "0");
  for (int i = 0; i < 6; i++) add(&command, "");
  send_it(&command);
}

static void put(int n, int depth) {
  static const char *sha;
  int sent = 0;
  if (sha == NULL) sha = load("put");
  for (; sent < depth && sent < n; sent++) send_put(sha, depth);
  for (int done = 0; done < n; done++) {
    freeReplyObject(receive());
    if (sent < n) {
      send_put(sha, depth);
      sent++;
    }
  }
}

/* -- taking -- */

static long long number_of(const redisReply *reply) {
  return reply->type == REDIS_REPLY_INTEGER ? reply->integer
                                            : atoll(reply->str);
}

/* Reserves up to `many`; the ids and tokens go to the acknowledgement. */
static int reserve(const char *sha, int many, struct command *ack) {
  struct command command;
  redisReply *reply, *jobs;
  begin_call(&command, sha, 1);
  add_number(&command, "%lld", many);
  send_it(&command);
  reply = receive();
  jobs = reply->element[3];
  for (size_t i = 0; i < jobs->elements; i++) {
    redisReply **record = jobs->element[i]->element;
    add_number(ack, "%016lld", number_of(record[11]));
    add_number(ack, "%lld", number_of(record[5]));
  }
  many = (int)jobs->elements;
  freeReplyObject(reply);
  return many;
}

static void take(int n, int many) {
  static const char *reserve_sha, *finish_sha;
  static struct command ack;
  if (reserve_sha == NULL) reserve_sha = load("reserve");
  if (finish_sha == NULL) finish_sha = load("finish");
  for (int done = 0; done < n; done += many) {
    begin(&ack, finish_sha);
    add(&ack, "ack");
    add(&ack, "");
    add(&ack, "");
    if (reserve(reserve_sha, many, &ack) != many) fail("too few jobs");
    send_it(&ack);
    freeReplyObject(receive());
  }
}

/* So many that they are whole calls. */
static int whole(int n, int many) {
  return n < many ? many : n - n % many;
}

int main(int argc, char **argv) {
  int n, warm, depth, puts;
  double start;
  if (argc < 7) return 2;
  puts = strcmp(argv[2], "put") == 0;
  depth = atoi(argv[4]);
  n = whole(atoi(argv[3]), depth);
  warm = whole(n / 10, depth);
  body_len = (size_t)atoi(argv[5]);
  body = malloc(body_len + 1);
  if (depth > MOST || body == NULL) return 2;
  memset(body, 'x', body_len);
  directory = argv[6];
  server = redisConnect("127.0.0.1", atoi(argv[1]));
  if (server == NULL || server->err) fail("connect");
  make_queue();
  put(puts ? warm : n + warm, puts ? depth : FILLING);
  if (!puts) take(warm, depth);
  start = now();
  if (puts)
    put(n, depth);
  else
    take(n, depth);
  printf("%.0f\n", n / (now() - start));
  redisFree(server);
  return 0;
}
