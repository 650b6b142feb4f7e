/*
** raw_sqlite.c: what SQLite itself takes, the yardstick of the engine
** sqlite:. Loops in C without any semantics: a row put or leased or deleted,
** so many in a commit; no counters, no lock but SQLite's, no waiting.
**
** The file is one that sluice has made (throughput.lua make), so the table and
** its indexes are the engine's; the pragmas are the engine's, too.
**
** usage: raw_sqlite FILE put|take JOBS PER_COMMIT BYTES
**        raw_sqlite FILE pace JOBS 1 BYTES
** Prints jobs a second, after a warm-up of a tenth; for pace the 99th
** percentile and the median in milliseconds of what a put takes, one each 5
** ms. A job is taken by a commit that leases it and one that deletes it.
*/
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QUEUE = 1, FIRST_ID = 1000000001, FILLING = 1000 };

static sqlite3 *db;
static sqlite3_int64 last_id = FIRST_ID;

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void fail(const char *what) {
  fprintf(stderr, "raw_sqlite: %s: %s\n", what, sqlite3_errmsg(db));
  exit(1);
}

static void run(const char *text) {
  if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) fail(text);
}

static sqlite3_stmt *prepare(const char *text) {
  sqlite3_stmt *statement;
  if (sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                         NULL) != SQLITE_OK)
    fail(text);
  return statement;
}

static void step(sqlite3_stmt *statement) {
  if (sqlite3_step(statement) != SQLITE_DONE) fail("step");
  sqlite3_reset(statement);
}

/* SQLite carries the log over at 1000 pages by itself, as the engine does. */
static void open_file(const char *path) {
  int chunk = 1 << 20;
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  if (sqlite3_open_v2(path, &db,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                      NULL) != SQLITE_OK)
    fail(path);
  sqlite3_file_control(db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
  run("PRAGMA mmap_size=0;PRAGMA cache_size=-16000;"
      "PRAGMA temp_store=MEMORY;PRAGMA cell_size_check=ON;"
      "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL");
}

static void put(int n, int per_commit, int bytes) {
  static sqlite3_stmt *insert, *begin, *commit;
  char *body = malloc((size_t)bytes + 1);
  if (body == NULL) fail("memory");
  memset(body, 'x', (size_t)bytes);
  if (insert == NULL) {
    insert = prepare(
        "INSERT INTO job(id,queue,state,priority,due,token,attempts,"
        "max_attempts,created,lease,owner,format,extra,crc,body)"
        "VALUES(?1,?2,0,0,0,0,0,25,?3,60000000000,0,0,0,0,?4)");
    begin = prepare("BEGIN IMMEDIATE");
    commit = prepare("COMMIT");
  }
  for (int done = 0; done < n; done += per_commit) {
    step(begin);
    for (int i = 0; i < per_commit; i++) {
      sqlite3_bind_int64(insert, 1, last_id++);
      sqlite3_bind_int(insert, 2, QUEUE);
      sqlite3_bind_int64(insert, 3, 1700000000000000000 + done);
      sqlite3_bind_blob(insert, 4, body, bytes, SQLITE_STATIC);
      step(insert);
    }
    step(commit);
  }
  free(body);
}

/* Leases so many in one commit, deletes them in another. */
static void take(int n, int per_commit) {
  sqlite3_stmt *begin = prepare("BEGIN IMMEDIATE");
  sqlite3_stmt *commit = prepare("COMMIT");
  sqlite3_stmt *lease = prepare(
      "UPDATE job SET state=2,due=?1+lease,token=token+1,"
      "attempts=attempts+1,owner=1 WHERE id IN(SELECT id FROM job WHERE "
      "queue=?2 AND state=0 ORDER BY priority,id LIMIT ?3) "
      "RETURNING id,token,priority,body");
  sqlite3_stmt *drop =
      prepare("DELETE FROM job WHERE id=?1 AND token=?2 AND state=2");
  sqlite3_int64 *ids = malloc((size_t)per_commit * sizeof *ids);
  if (ids == NULL) fail("memory");
  for (int done = 0; done < n; done += per_commit) {
    int found = 0;
    step(begin);
    sqlite3_bind_int64(lease, 1, 1700000000000000000);
    sqlite3_bind_int(lease, 2, QUEUE);
    sqlite3_bind_int(lease, 3, per_commit);
    while (sqlite3_step(lease) == SQLITE_ROW)
      ids[found++] = sqlite3_column_int64(lease, 0);
    sqlite3_reset(lease);
    step(commit);
    if (found != per_commit) fail("too few jobs");
    step(begin);
    for (int i = 0; i < found; i++) {
      sqlite3_bind_int64(drop, 1, ids[i]);
      sqlite3_bind_int(drop, 2, 1);
      step(drop);
    }
    step(commit);
  }
  sqlite3_finalize(begin);
  sqlite3_finalize(commit);
  sqlite3_finalize(lease);
  sqlite3_finalize(drop);
  free(ids);
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void pace(int n, int bytes) {
  double *took = malloc((size_t)n * sizeof *took);
  struct timespec pause = {0, 5000000};
  if (took == NULL) fail("memory");
  for (int i = 0; i < n; i++) {
    double start;
    nanosleep(&pause, NULL);
    start = now();
    put(1, 1, bytes);
    took[i] = (now() - start) * 1e3;
  }
  qsort(took, (size_t)n, sizeof *took, by_size);
  printf("%.3f %.3f\n", took[n * 99 / 100], took[n / 2]);
  free(took);
}

/* So many that they fill whole commits. */
static int whole(int n, int per_commit) {
  return n < per_commit ? per_commit : n - n % per_commit;
}

static void measure(int puts, int n, int per_commit, int bytes) {
  int warm = whole(n / 10, per_commit);
  double start;
  if (puts)
    put(warm, per_commit, bytes);
  else
    put(whole(n + warm + FILLING, FILLING), FILLING, bytes);
  if (!puts) take(warm, per_commit);
  start = now();
  if (puts)
    put(n, per_commit, bytes);
  else
    take(n, per_commit);
  printf("%.0f\n", n / (now() - start));
}

int main(int argc, char **argv) {
  int n, per_commit, bytes;
  if (argc < 6) return 2;
  per_commit = atoi(argv[4]);
  bytes = atoi(argv[5]);
  n = whole(atoi(argv[3]), per_commit);
  open_file(argv[1]);
  if (strcmp(argv[2], "pace") == 0)
    pace(n, bytes);
  else
    measure(strcmp(argv[2], "put") == 0, n, per_commit, bytes);
  return 0;
}
