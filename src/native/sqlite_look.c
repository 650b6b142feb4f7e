/*
** sqlite_look.c: jobs as they are told to scripts, and what is done to a
** queue from outside: peek, cancel, kick, purge; see sqlite_engine.h.
*/
#include <string.h>

#include "sqlite_engine.h"

static const struct sl_text no_text = {NULL, 0};

static bool failed(const struct sl_engine *engine) {
  return engine->db.error != 0;
}

/* -- jobs out -- */

bool sl_lite_copy(struct sl_op *op, sqlite3_stmt *row, int column,
                        struct sl_text *to) {
  int type = sqlite3_column_type(row, column);
  if (type == SQLITE_NULL) return true;
  *to = sl_op_copy(op, sqlite3_column_blob(row, column),
                   (size_t)sqlite3_column_bytes(row, column));
  return to->data != NULL;
}

static bool copy_large_body(struct sl_engine *engine, struct sl_op *op,
                            struct sl_job *to) {
  sqlite3_stmt *load = sl_lite_get(&engine->db, SL_BODY_LOAD);
  bool copied = true;
  sqlite3_bind_int64(load, 1, to->id);
  if (!sl_lite_row(&engine->db, load)) return true;
  copied = sl_lite_copy(op, load, 0, &to->body);
  sqlite3_reset(load);
  return copied;
}

/* Describes the job of a row with the columns of enum sl_lite_column. The
   body of a damaged job is missing. False: no memory. */
bool sl_lite_describe(struct sl_engine *engine, struct sl_op *op,
                     sqlite3_stmt *row, struct sl_job *to) {
  int extra = sqlite3_column_int(row, SL_COL_EXTRA);
  uint32_t crc = (uint32_t)sqlite3_column_int64(row, SL_COL_CRC);
  int format = sqlite3_column_int(row, SL_COL_FORMAT);
  bool copied;
  memset(to, 0, sizeof *to);
  to->id = sqlite3_column_int64(row, SL_COL_ID);
  to->state = (uint8_t)(sqlite3_column_int(row, SL_COL_STATE) & 3);
  to->priority = sqlite3_column_double(row, SL_COL_PRIORITY);
  to->due_ns = sqlite3_column_int64(row, SL_COL_DUE) + engine->skew_ns;
  to->token = sqlite3_column_int64(row, SL_COL_TOKEN);
  to->attempts = sqlite3_column_int64(row, SL_COL_ATTEMPTS);
  to->max_attempts = sqlite3_column_int64(row, SL_COL_MAX_ATTEMPTS);
  to->created_ns =
      sqlite3_column_int64(row, SL_COL_CREATED) + engine->skew_ns;
  to->lease_ns = sqlite3_column_int64(row, SL_COL_LEASE);
  to->format = (uint8_t)format;
  copied = sl_lite_copy(op, row, SL_COL_KEY, &to->unique) &&
           sl_lite_copy(op, row, SL_COL_ERROR, &to->error) &&
           ((extra & SL_EXTRA_BODY)
                ? copy_large_body(engine, op, to)
                : sl_lite_copy(op, row, SL_COL_BODY, &to->body));
  if (copied && sl_lite_checksum(to->id, format, to->body) != crc)
    to->body = no_text;
  return copied;
}

/* -- from outside -- */

/* Finds a job by its id. False: there is none. */
static bool find_job(struct sl_engine *engine, struct sl_op *op,
                     struct sl_lite_row *row) {
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_FIND);
  sqlite3_bind_int64(find, 1, op->id);
  sqlite3_bind_int64(find, 2, op->queue);
  if (!sl_lite_row(&engine->db, find)) return false;
  row->id = op->id;
  row->queue = op->queue;
  row->state = (enum sl_job_state)(sqlite3_column_int(find, SL_COL_STATE) & 3);
  row->attempts = sqlite3_column_int64(find, SL_COL_ATTEMPTS);
  row->max_attempts = 0;
  row->ttl_ns = sqlite3_column_type(find, SL_COL_TTL) == SQLITE_NULL
                    ? INT64_MAX
                    : sqlite3_column_int64(find, SL_COL_TTL);
  row->extra = sqlite3_column_int(find, SL_COL_EXTRA);
  row->key = no_text;
  if (!sl_lite_copy(op, find, SL_COL_KEY, &row->key))
    sl_lite_note(&engine->db, SQLITE_NOMEM);
  sqlite3_reset(find);
  return true;
}

void sl_lite_cancel(struct sl_engine *engine, struct sl_op *op) {
  struct sl_lite_row row;
  if (!find_job(engine, op, &row)) {
    op->status = SL_OP_NOT_FOUND;
  } else if (row.state == SL_LEASED) {
    op->status = SL_OP_IS_LEASED;
  } else {
    sl_lite_drop(engine, &row);
    engine->queues[op->queue].stats.cancelled++;
    engine->tell = true;
  }
}

static void kick_one(struct sl_engine *engine, struct sl_lite_row *row) {
  row->attempts = 0;
  sl_lite_come_back(engine, row, false, 0, no_text);
}

static bool find_dead(struct sl_engine *engine, struct sl_op *op) {
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_FIRST_DEAD);
  sqlite3_bind_int64(find, 1, op->queue);
  if (!sl_lite_row(&engine->db, find)) return false;
  op->id = sqlite3_column_int64(find, 0);
  sqlite3_reset(find);
  return true;
}

void sl_lite_kick(struct sl_engine *engine, struct sl_op *op) {
  struct sl_lite_row row;
  op->number = 0;
  if (op->id != SL_UNSET) {
    if (!find_job(engine, op, &row) || row.state != SL_DEAD) return;
    kick_one(engine, &row);
    op->number = 1;
    return;
  }
  while (op->number < op->count && !failed(engine) &&
         find_dead(engine, op) && find_job(engine, op, &row)) {
    kick_one(engine, &row);
    op->number++;
  }
  op->id = SL_UNSET;
}

void sl_lite_purge(struct sl_engine *engine, struct sl_op *op) {
  struct sl_lite_queue *queue = &engine->queues[op->queue];
  const char *indexed =
      op->state == SL_READY_JOB ? "" : " AND " SL_LITE_TIMED;
  long long number = (long long)op->queue;
  char text[600];
  sqlite3_snprintf(
      (int)sizeof text, text,
      "UPDATE unique_key SET gone=1 WHERE queue=%lld AND job IN(SELECT id"
      " FROM job WHERE queue=%lld AND state=%d%s AND key IS NOT NULL);"
      "DELETE FROM body WHERE id IN(SELECT id FROM job WHERE queue=%lld"
      " AND state=%d%s AND extra>=2);"
      "DELETE FROM job WHERE queue=%lld AND state=%d%s",
      number, number, (int)op->state, indexed, number, (int)op->state,
      indexed, number, (int)op->state, indexed);
  op->number = queue->stats.jobs[op->state];
  if (op->number == 0 || !sl_lite_exec(&engine->db, text)) return;
  op->number = sqlite3_changes(engine->db.db);
  queue->stats.jobs[op->state] -= op->number;
  queue->stats.cancelled += op->number;
  queue->dirty = true;
  engine->tell = true;
}

/* -- looking -- */

/* A lease is proved by its token: who only looks has none. */
static void look_at_row(struct sl_engine *engine, struct sl_op *op,
                        sqlite3_stmt *row, struct sl_job *to) {
  if (!sl_lite_describe(engine, op, row, to))
    sl_lite_note(&engine->db, SQLITE_NOMEM);
  to->token = 0;
}

void sl_lite_peek(struct sl_engine *engine, struct sl_op *op) {
  int64_t n = engine->queues[op->queue].stats.jobs[op->state];
  sqlite3_stmt *find = sl_lite_get(
      &engine->db, (enum sl_lite_stmt)(SL_PEEK_READY + op->state));
  if (n > op->count) n = op->count;
  op->njobs = 0;
  if (n <= 0) return;
  if (!sl_op_make_jobs(op, (size_t)n)) {
    sl_lite_note(&engine->db, SQLITE_NOMEM);
    return;
  }
  op->njobs = 0;
  sqlite3_bind_int64(find, 1, op->queue);
  sqlite3_bind_int64(find, 2, n);
  while ((int64_t)op->njobs < n && sl_lite_row(&engine->db, find))
    look_at_row(engine, op, find, &op->jobs[op->njobs++]);
  sqlite3_reset(find);
}

void sl_lite_look_at(struct sl_engine *engine, struct sl_op *op) {
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_FIND);
  if (!sl_op_make_jobs(op, 1)) {
    sl_lite_note(&engine->db, SQLITE_NOMEM);
    return;
  }
  sqlite3_bind_int64(find, 1, op->id);
  sqlite3_bind_int64(find, 2, op->queue);
  op->status = SL_OP_NOT_FOUND;
  if (!sl_lite_row(&engine->db, find)) return;
  look_at_row(engine, op, find, op->jobs);
  sqlite3_reset(find);
  op->status = SL_OP_DONE;
}

void sl_lite_list_queues(struct sl_engine *engine, struct sl_op *op) {
  sqlite3_stmt *names = sl_lite_get(&engine->db, SL_QUEUE_NAMES);
  size_t n = (size_t)sl_lite_ask(&engine->db, "SELECT count(*) FROM queue", 0);
  if (!sl_op_make_jobs(op, n)) {
    sl_lite_note(&engine->db, SQLITE_NOMEM);
    return;
  }
  op->njobs = 0;
  while (op->njobs < n && sl_lite_row(&engine->db, names))
    if (!sl_lite_copy(op, names, 0, &op->jobs[op->njobs++].body))
      sl_lite_note(&engine->db, SQLITE_NOMEM);
  sqlite3_reset(names);
}
