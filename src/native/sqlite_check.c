/*
** sqlite_check.c: whether what is stored is whole: SQLite's own check of the
** file, each body against its checksum, each counter against a count, each
** unique key against its job. Reads one snapshot, without the lock.
*/
#include <stdio.h>
#include <string.h>

#include "sqlite_engine.h"

/* The first that is wrong is told. */
static void damaged(struct sl_op *op, const char *text) {
  if (op->status != SL_OP_DONE) return;
  sl_op_fail(op, SL_OP_DAMAGED, sl_op_copy(op, text, strlen(text)).data);
}

/* Runs a text; its first column, if there is a row, tells what is wrong. */
static void ask(struct sl_engine *engine, struct sl_op *op,
                const char *text) {
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(engine->db.db, text, -1, &statement, NULL);
  if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
    const char *told = (const char *)sqlite3_column_text(statement, 0);
    if (told != NULL && strcmp(told, "ok") != 0) damaged(op, told);
  }
  if (sqlite3_finalize(statement) != SQLITE_OK)
    damaged(op, sqlite3_errmsg(engine->db.db));
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

static void check_bodies(struct sl_engine *engine, struct sl_op *op) {
  sqlite3_stmt *statement;
  char text[80];
  if (sqlite3_prepare_v2(engine->db.db, bodies, -1, &statement, NULL) ==
      SQLITE_OK)
    while (sqlite3_step(statement) == SQLITE_ROW) {
      int64_t id = sqlite3_column_int64(statement, 0);
      struct sl_text body = {sqlite3_column_blob(statement, 3),
                             (size_t)sqlite3_column_bytes(statement, 3)};
      if (sl_lite_checksum(id, sqlite3_column_int(statement, 2), body) ==
          (uint32_t)sqlite3_column_int64(statement, 1))
        continue;
      snprintf(text, sizeof text, "the body of job %lld is damaged",
               (long long)id);
      damaged(op, text);
    }
  if (sqlite3_finalize(statement) != SQLITE_OK)
    damaged(op, sqlite3_errmsg(engine->db.db));
}

void sl_lite_check(struct sl_engine *engine, struct sl_op *op) {
  ask(engine, op, "PRAGMA integrity_check(1)");
  ask(engine, op, counters);
  ask(engine, op, strays);
  ask(engine, op, ids);
  ask(engine, op, keys);
  check_bodies(engine, op);
}
