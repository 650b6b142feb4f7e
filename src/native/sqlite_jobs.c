/*
** sqlite_jobs.c: how a job changes its state, and what is counted; see
** sqlite_engine.h.
*/
#include <stdlib.h>
#include <string.h>

#include "sqlite_engine.h"

enum {
  MAX_ROWS = 10000, /* put right in one go; the rest in the next batch */
  MAX_SWEPT = 100,  /* keys, likewise */
  MAX_KEY = 1024,
  MAX_QUEUES = 1 << 20 /* a number beyond that is damaged */
};

static const struct sl_text no_text = {NULL, 0};

/* -- queues -- */

static bool grow(struct sl_engine *engine, int64_t number) {
  int64_t n = engine->nqueues;
  struct sl_lite_queue *queues;
  if (number < n) return true;
  while (n <= number) n = n == 0 ? 16 : n * 2;
  queues = realloc(engine->queues, (size_t)n * sizeof *queues);
  if (queues == NULL) return false;
  memset(queues + engine->nqueues, 0,
         (size_t)(n - engine->nqueues) * sizeof *queues);
  engine->queues = queues;
  engine->nqueues = n;
  return true;
}

static void load_columns(struct sl_lite_queue *queue, sqlite3_stmt *row) {
  struct sl_store_stats *stats = &queue->stats;
  int at = 0;
  queue->settings.maxsize = sqlite3_column_int64(row, at++);
  queue->settings.lease_ns = sqlite3_column_int64(row, at++);
  queue->settings.max_attempts = sqlite3_column_int64(row, at++);
  stats->paused = sqlite3_column_int(row, at++) != 0;
  for (int state = 0; state < SL_NSTATES; state++)
    stats->jobs[state] = sqlite3_column_int64(row, at++);
  stats->puts = sqlite3_column_int64(row, at++);
  stats->acks = sqlite3_column_int64(row, at++);
  stats->retries = sqlite3_column_int64(row, at++);
  stats->expired = sqlite3_column_int64(row, at++);
  stats->cancelled = sqlite3_column_int64(row, at++);
  queue->last_id = sqlite3_column_int64(row, at++);
}

/* Finds out when something of the queue is due next. */
static void find_next(struct sl_engine *engine, int64_t number) {
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_NEXT_DUE);
  struct sl_lite_queue *queue = &engine->queues[number];
  queue->next_ns = INT64_MAX;
  sqlite3_bind_int64(find, 1, number);
  if (!sl_lite_row(&engine->db, find)) return;
  for (int i = 0; i < 3; i++)
    if (sqlite3_column_type(find, i) != SQLITE_NULL)
      sl_lite_due(engine, number, sqlite3_column_int64(find, i));
  sqlite3_reset(find);
}

struct sl_lite_queue *sl_lite_queue(struct sl_engine *engine,
                                    int64_t number) {
  sqlite3_stmt *load;
  struct sl_lite_queue *queue;
  if (number < 1 || number > MAX_QUEUES) {
    sl_lite_note(&engine->db, SQLITE_CORRUPT);
    return NULL;
  }
  if (!grow(engine, number)) {
    sl_lite_note(&engine->db, SQLITE_NOMEM);
    return NULL;
  }
  queue = &engine->queues[number];
  if (queue->known) return queue;
  load = sl_lite_get(&engine->db, SL_QUEUE_LOAD);
  sqlite3_bind_int64(load, 1, number);
  if (!sl_lite_row(&engine->db, load)) {
    sl_lite_note(&engine->db, SQLITE_CORRUPT); /* it was there */
    return NULL;
  }
  load_columns(queue, load);
  sqlite3_reset(load);
  queue->known = true;
  queue->dirty = false;
  find_next(engine, number);
  return queue;
}

void sl_lite_forget(struct sl_engine *engine) {
  for (int64_t i = 0; i < engine->nqueues; i++)
    engine->queues[i].known = false;
}

static void save_queue(struct sl_engine *engine, int64_t number) {
  struct sl_lite_queue *queue = &engine->queues[number];
  const struct sl_store_stats *stats = &queue->stats;
  sqlite3_stmt *save = sl_lite_get(&engine->db, SL_QUEUE_SAVE);
  int at = 1;
  sqlite3_bind_int64(save, at++, number);
  sqlite3_bind_int64(save, at++, queue->settings.maxsize);
  sqlite3_bind_int64(save, at++, queue->settings.lease_ns);
  sqlite3_bind_int64(save, at++, queue->settings.max_attempts);
  sqlite3_bind_int(save, at++, stats->paused);
  for (int state = 0; state < SL_NSTATES; state++)
    sqlite3_bind_int64(save, at++, stats->jobs[state]);
  sqlite3_bind_int64(save, at++, stats->puts);
  sqlite3_bind_int64(save, at++, stats->acks);
  sqlite3_bind_int64(save, at++, stats->retries);
  sqlite3_bind_int64(save, at++, stats->expired);
  sqlite3_bind_int64(save, at++, stats->cancelled);
  sqlite3_bind_int64(save, at++, queue->last_id);
  sqlite3_bind_int64(save, at++, engine->now_ns);
  sl_lite_do(&engine->db, save);
  queue->dirty = false;
}

void sl_lite_save(struct sl_engine *engine) {
  for (int64_t i = 0; i < engine->nqueues; i++)
    if (engine->queues[i].known && engine->queues[i].dirty)
      save_queue(engine, i);
}

void sl_lite_due(struct sl_engine *engine, int64_t number, int64_t at_ns) {
  struct sl_lite_queue *queue = &engine->queues[number];
  if (at_ns < queue->next_ns) queue->next_ns = at_ns;
}

/* -- jobs -- */

static void drop_body(struct sl_engine *engine, int64_t id) {
  sqlite3_stmt *drop = sl_lite_get(&engine->db, SL_BODY_DROP);
  sqlite3_bind_int64(drop, 1, id);
  sl_lite_do(&engine->db, drop);
}

/* A key goes with its job, or stays for the rest of its time. */
static void leave_key(struct sl_engine *engine, int64_t queue,
                      struct sl_text key) {
  sqlite3_stmt *drop = sl_lite_get(&engine->db, SL_KEY_DROP);
  sqlite3_stmt *leave = sl_lite_get(&engine->db, SL_KEY_LEAVE);
  sqlite3_bind_int64(drop, 1, queue);
  sqlite3_bind_blob(drop, 2, key.data, (int)key.len, SQLITE_TRANSIENT);
  sqlite3_bind_int64(drop, 3, engine->now_ns);
  if (sl_lite_do(&engine->db, drop) > 0) return;
  sqlite3_bind_int64(leave, 1, queue);
  sqlite3_bind_blob(leave, 2, key.data, (int)key.len, SQLITE_TRANSIENT);
  sl_lite_do(&engine->db, leave);
}

void sl_lite_drop(struct sl_engine *engine, const struct sl_lite_row *row) {
  sqlite3_stmt *drop = sl_lite_get(&engine->db, SL_DROP);
  struct sl_lite_queue *queue = sl_lite_queue(engine, row->queue);
  if (queue == NULL) return;
  if (row->extra & SL_EXTRA_KEY) leave_key(engine, row->queue, row->key);
  if (row->extra & SL_EXTRA_BODY) drop_body(engine, row->id);
  sqlite3_bind_int64(drop, 1, row->id);
  queue->stats.jobs[row->state] -= sl_lite_do(&engine->db, drop);
  queue->dirty = true;
}

void sl_lite_move(struct sl_engine *engine, struct sl_lite_row *row,
                  enum sl_job_state state, int64_t at_ns,
                  struct sl_text error) {
  sqlite3_stmt *move = sl_lite_get(&engine->db, SL_MOVE);
  struct sl_lite_queue *queue = sl_lite_queue(engine, row->queue);
  if (queue == NULL) return;
  sqlite3_bind_int64(move, 1, row->id);
  sqlite3_bind_int(move, 2, (int)state);
  sqlite3_bind_int64(move, 3, state == SL_READY_JOB ? 0 : at_ns);
  sqlite3_bind_int64(move, 4, row->attempts);
  if (error.data != NULL)
    sqlite3_bind_text(move, 5, error.data, (int)error.len, SQLITE_STATIC);
  else
    sqlite3_bind_null(move, 5);
  if (sl_lite_do(&engine->db, move) == 0) return;
  queue->stats.jobs[row->state]--;
  queue->stats.jobs[state]++;
  queue->dirty = true;
  row->state = state;
  if (state != SL_DEAD) engine->tell = true;
  if (state == SL_DELAYED) sl_lite_due(engine, row->queue, at_ns);
  if (row->ttl_ns != INT64_MAX && state != SL_DEAD)
    sl_lite_due(engine, row->queue, row->ttl_ns);
}

void sl_lite_come_back(struct sl_engine *engine, struct sl_lite_row *row,
                       bool counts, int64_t at_ns, struct sl_text error) {
  struct sl_lite_queue *queue = sl_lite_queue(engine, row->queue);
  bool used_up = counts && row->max_attempts > 0 &&
                 row->attempts >= row->max_attempts;
  if (queue == NULL) return;
  if (used_up) {
    sl_lite_move(engine, row, SL_DEAD, engine->now_ns, error);
  } else if (row->ttl_ns <= engine->now_ns) {
    sl_lite_drop(engine, row);
    queue->stats.expired++;
  } else {
    sl_lite_move(engine, row,
                 at_ns > engine->now_ns ? SL_DELAYED : SL_READY_JOB, at_ns,
                 error);
    queue->stats.retries += counts;
  }
}

/* -- what time does -- */

/* The job's key, copied, so that its statement can be reset. */
static void take_key(struct sl_lite_row *row, sqlite3_stmt *from, int column,
                     char *buffer) {
  int len = sqlite3_column_bytes(from, column);
  row->key = no_text;
  if (!(row->extra & SL_EXTRA_KEY) || len > MAX_KEY) return;
  if (len > 0)
    memcpy(buffer, sqlite3_column_blob(from, column), (size_t)len);
  row->key.data = buffer;
  row->key.len = (size_t)len;
}

static int64_t ttl_of(sqlite3_stmt *from, int column) {
  if (sqlite3_column_type(from, column) == SQLITE_NULL) return INT64_MAX;
  return sqlite3_column_int64(from, column);
}

/* Ends one job whose ttl is over. False: there is none. */
static bool end_mortal(struct sl_engine *engine, int64_t number) {
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_FIRST_MORTAL);
  struct sl_lite_row row = {0, number, SL_READY_JOB, 0, 0, 0, 0, no_text};
  char key[MAX_KEY];
  sqlite3_bind_int64(find, 1, number);
  sqlite3_bind_int64(find, 2, engine->now_ns);
  if (!sl_lite_row(&engine->db, find)) return false;
  row.id = sqlite3_column_int64(find, 0);
  row.state = (enum sl_job_state)(sqlite3_column_int(find, 1) & 3);
  row.extra = sqlite3_column_int(find, 2);
  take_key(&row, find, 3, key);
  sqlite3_reset(find);
  sl_lite_drop(engine, &row);
  engine->queues[number].stats.expired++;
  return true;
}

/* Ends one lease whose time is over. False: there is none. */
static bool end_lease(struct sl_engine *engine, int64_t number) {
  static const char text[] = SL_LEASE_EXPIRED;
  struct sl_text error = {text, sizeof text - 1};
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_FIRST_EXPIRED);
  struct sl_lite_row row = {0, number, SL_LEASED, 0, 0, 0, 0, no_text};
  char key[MAX_KEY];
  sqlite3_bind_int64(find, 1, number);
  sqlite3_bind_int64(find, 2, engine->now_ns);
  if (!sl_lite_row(&engine->db, find)) return false;
  row.id = sqlite3_column_int64(find, 0);
  row.attempts = sqlite3_column_int64(find, 1);
  row.max_attempts = sqlite3_column_int64(find, 2);
  row.ttl_ns = ttl_of(find, 3);
  row.extra = sqlite3_column_int(find, 4);
  take_key(&row, find, 5, key);
  sqlite3_reset(find);
  sl_lite_come_back(engine, &row, true, engine->now_ns, error);
  return true;
}

/* Makes what was delayed ready. Returns how many. */
static int promote(struct sl_engine *engine, int64_t number) {
  sqlite3_stmt *update = sl_lite_get(&engine->db, SL_PROMOTE);
  struct sl_lite_queue *queue = &engine->queues[number];
  int n;
  sqlite3_bind_int64(update, 1, number);
  sqlite3_bind_int64(update, 2, engine->now_ns);
  sqlite3_bind_int(update, 3, MAX_ROWS);
  n = sl_lite_do(&engine->db, update);
  queue->stats.jobs[SL_DELAYED] -= n;
  queue->stats.jobs[SL_READY_JOB] += n;
  queue->dirty = queue->dirty || n > 0;
  return n;
}

void sl_lite_settle(struct sl_engine *engine, int64_t number) {
  struct sl_lite_queue *queue = sl_lite_queue(engine, number);
  int left = MAX_ROWS;
  if (queue == NULL || queue->next_ns > engine->now_ns) return;
  engine->late = !engine->locked;
  if (engine->late) return;
  while (left > 0 && engine->db.error == 0 && end_mortal(engine, number))
    left--;
  while (left > 0 && engine->db.error == 0 && end_lease(engine, number))
    left--;
  left -= promote(engine, number);
  engine->tell = true;
  find_next(engine, number);
}

/* Ends one key whose job is gone and whose time is over. */
static bool end_key(struct sl_engine *engine) {
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_FIRST_KEY);
  sqlite3_stmt *drop = sl_lite_get(&engine->db, SL_KEY_DROP);
  sqlite3_bind_int64(find, 1, engine->now_ns);
  if (!sl_lite_row(&engine->db, find)) return false;
  sqlite3_bind_int64(drop, 1, sqlite3_column_int64(find, 0));
  sqlite3_bind_blob(drop, 2, sqlite3_column_blob(find, 1),
                    sqlite3_column_bytes(find, 1), SQLITE_TRANSIENT);
  sqlite3_bind_int64(drop, 3, engine->now_ns);
  sqlite3_reset(find);
  return sl_lite_do(&engine->db, drop) > 0;
}

void sl_lite_sweep_keys(struct sl_engine *engine) {
  for (int n = 0; n < MAX_SWEPT && end_key(engine);) n++;
}
