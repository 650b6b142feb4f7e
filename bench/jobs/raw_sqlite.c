/*
** raw_sqlite.c: what SQLite itself takes: a loop in C that puts jobs, and
** one that reserves and deletes them, so many in a commit, with a table and
** an index that a queue cannot do without and nothing else. The yardstick of
** the engine sqlite:.
**
** usage: raw_sqlite FILE JOBS PER_COMMIT BYTES [NORMAL]
** Prints one line a loop: name, per commit, jobs a second.
*/
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static sqlite3 *db;

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(db));
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

static void open_file(const char *path, int durable) {
  if (sqlite3_open(path, &db) != SQLITE_OK) fail(path);
  run("PRAGMA journal_mode=WAL;PRAGMA cache_size=-16000");
  run(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
  run("CREATE TABLE job(id INTEGER PRIMARY KEY AUTOINCREMENT,"
      "state INTEGER NOT NULL,priority REAL NOT NULL,due INTEGER NOT NULL,"
      "token INTEGER NOT NULL,body BLOB NOT NULL);"
      "CREATE INDEX ready ON job(priority) WHERE state=0;"
      "CREATE INDEX leased ON job(due) WHERE state=2");
}

static void put_all(int n, int per_commit, int bytes) {
  sqlite3_stmt *put = prepare("INSERT INTO job(state,priority,due,token,body)"
                              "VALUES(0,0,0,0,?1)");
  char *body = malloc((size_t)bytes + 1);
  memset(body, 'x', (size_t)bytes);
  for (int done = 0; done < n; done += per_commit) {
    run("BEGIN IMMEDIATE");
    for (int i = 0; i < per_commit; i++) {
      sqlite3_bind_blob(put, 1, body, bytes, SQLITE_STATIC);
      step(put);
    }
    run("COMMIT");
  }
  free(body);
}

/* Leases so many in one commit, deletes them in another. */
static void take_all(int n, int per_commit) {
  sqlite3_stmt *lease = prepare(
      "UPDATE job SET state=2,token=token+1,due=?1 WHERE id IN(SELECT id FROM "
      "job WHERE state=0 ORDER BY priority,id LIMIT ?2)"
      " RETURNING id,token,priority,body");
  sqlite3_stmt *drop =
      prepare("DELETE FROM job WHERE id=?1 AND token=?2 AND state=2");
  sqlite3_int64 *ids = malloc((size_t)per_commit * sizeof *ids);
  for (int done = 0; done < n; done += per_commit) {
    int found = 0;
    run("BEGIN IMMEDIATE");
    sqlite3_bind_int64(lease, 1, time(NULL) + 60);
    sqlite3_bind_int(lease, 2, per_commit);
    while (sqlite3_step(lease) == SQLITE_ROW)
      ids[found++] = sqlite3_column_int64(lease, 0);
    sqlite3_reset(lease);
    run("COMMIT");
    if (found != per_commit) fail("too few");
    run("BEGIN IMMEDIATE");
    for (int i = 0; i < found; i++) {
      sqlite3_bind_int64(drop, 1, ids[i]);
      sqlite3_bind_int64(drop, 2, 1);
      step(drop);
    }
    run("COMMIT");
  }
  free(ids);
}

int main(int argc, char **argv) {
  int n = argc > 2 ? atoi(argv[2]) : 10000;
  int per_commit = argc > 3 ? atoi(argv[3]) : 100;
  int bytes = argc > 4 ? atoi(argv[4]) : 200;
  double start;
  if (argc < 2) return 2;
  n -= n % per_commit;
  open_file(argv[1], argc <= 5);
  start = now();
  put_all(n, per_commit, bytes);
  printf("put %d %.0f\n", per_commit, n / (now() - start));
  start = now();
  take_all(n, per_commit);
  printf("take %d %.0f\n", per_commit, n / (now() - start));
  return 0;
}
