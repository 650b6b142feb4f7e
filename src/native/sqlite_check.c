/*
** sqlite_check.c: whether what is stored is whole: SQLite's own check of the
** file, each body against its checksum, each counter against a count, each
** unique key against its job.
**
** It may take long, so it reads one snapshot over a connection of its own,
** without the lock: leases are renewed meanwhile.
*/
#include <stdio.h>
#include <string.h>

#include "sqlite_engine.h"

enum { STEPS = 10000 }; /* of SQLite's machine between two looks: under 1 ms */

struct check {
  struct sl_engine *engine;
  struct sl_op *op;
  struct sl_lite_db db;
};

/* The first that is wrong is told. */
static void fail(struct check *check, enum sl_op_status status,
                 const char *text) {
  struct sl_op *op = check->op;
  if (op->status != SL_OP_DONE) return;
  sl_op_fail(op, status, sl_op_copy(op, text, strlen(text)).data);
}

/* Returns whether the check is to end: leases cannot be renewed. */
static int on_progress(void *arg) {
  struct check *check = arg;
  if (sl_lite_breathe(check->engine)) return 0;
  fail(check, SL_OP_UNAVAILABLE, sqlite3_errstr(check->engine->db.error));
  return 1;
}

static void finish(struct check *check, sqlite3_stmt *statement) {
  if (sqlite3_finalize(statement) != SQLITE_OK)
    fail(check, SL_OP_DAMAGED, sqlite3_errmsg(check->db.db));
}

/* Runs a text; its first column, if there is a row, tells what is wrong. */
static void ask(struct check *check, const char *text) {
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(check->db.db, text, -1, &statement, NULL);
  if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
    const char *told = (const char *)sqlite3_column_text(statement, 0);
    if (told != NULL && strcmp(told, "ok") != 0)
      fail(check, SL_OP_DAMAGED, told);
  }
  finish(check, statement);
}

/* How many jobs of a queue there are in a state. */
#define THERE(state) \
  "(SELECT count(*) FROM job WHERE queue=queue.id AND state=" state ")"
#define TIMED_THERE(state) THERE(state " AND " SL_LITE_TIMED)

static const char counters[] =
    "SELECT format('queue %s: %d %s jobs are counted, %d are there',name,"
    "counted,state,there)FROM(SELECT name,"
    "ready counted,'ready' state," THERE("0") "there FROM queue UNION ALL "
    "SELECT name,delayed,'delayed'," TIMED_THERE("1") "FROM queue UNION ALL "
    "SELECT name,leased,'leased'," TIMED_THERE("2") "FROM queue UNION ALL "
    "SELECT name,dead,'dead'," TIMED_THERE("3") "FROM queue)"
    "WHERE counted<>there";

static const char strays[] =
    "SELECT format('job %d is of no queue or in no state',id) FROM job"
    " WHERE queue NOT IN(SELECT id FROM queue) OR state NOT IN(0,1,2,3)";

static const char ids[] =
    "SELECT format('job %d is later than the last id',max(id)) FROM job"
    " HAVING max(id)>(SELECT max(last_id) FROM queue)";

static const char keys[] =
    "SELECT format('job %d has no unique key any more',id) FROM job"
    " WHERE key IS NOT NULL AND NOT EXISTS(SELECT 1 FROM unique_key u"
    " WHERE u.queue=job.queue AND u.key=job.key AND u.job=job.id)";

static const char bodies[] =
    "SELECT job.id,crc,format,CASE WHEN extra&2 THEN data ELSE body END"
    " FROM job LEFT JOIN body ON body.id=job.id AND extra&2";

static void check_body(struct check *check, sqlite3_stmt *row) {
  char text[80];
  int64_t id = sqlite3_column_int64(row, 0);
  struct sl_text body = {sqlite3_column_blob(row, 3),
                         (size_t)sqlite3_column_bytes(row, 3)};
  if (sl_lite_checksum(id, sqlite3_column_int(row, 2), body) ==
      (uint32_t)sqlite3_column_int64(row, 1))
    return;
  snprintf(text, sizeof text, "the body of job %lld is damaged",
           (long long)id);
  fail(check, SL_OP_DAMAGED, text);
}

/* Few steps, perhaps many bytes. */
static void check_bodies(struct check *check) {
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(check->db.db, bodies, -1, &statement, NULL);
  while (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW &&
         on_progress(check) == 0)
    check_body(check, statement);
  finish(check, statement);
}

void sl_lite_check(struct sl_engine *engine, struct sl_op *op) {
  static const char *const texts[] = {"PRAGMA integrity_check(1)", counters,
                                      strays, ids, keys};
  struct check check = {engine, op, {0}};
  struct sl_engine_error error;
  if (!sl_lite_db_open(&check.db, sl_lite_db_path(&engine->db), false,
                       &error)) {
    bool whole = strcmp(error.code, "EILSEQ") != 0 &&
                 strcmp(error.code, "EFTYPE") != 0;
    fail(&check, whole ? SL_OP_UNAVAILABLE : SL_OP_DAMAGED, error.message);
    return;
  }
  sqlite3_progress_handler(check.db.db, STEPS, on_progress, &check);
  sl_lite_exec(&check.db, "BEGIN");
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (op->status == SL_OP_DONE) ask(&check, texts[i]);
  if (op->status == SL_OP_DONE) check_bodies(&check);
  sl_lite_db_close(&check.db);
}
