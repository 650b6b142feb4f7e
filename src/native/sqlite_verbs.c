/*
** sqlite_verbs.c: what operations do; see sqlite_engine.h. Each runs within
** the transaction of its batch; an error of SQLite in any ends the batch,
** which is then done again in parts (sqlite.c).
*/

#include "sqlite_crc.h"
#include "sqlite_engine.h"

enum {
  IN_ROW = 1024,  /* larger bodies have a table of their own */
  SWEEP_EACH = 64 /* puts with a unique key between two sweeps */
};

static const struct sl_text no_text = {NULL, 0};

/* The same on every machine, as the file is. */
static void write_number(unsigned char *to, int64_t number) {
  for (int i = 0; i < 8; i++)
    to[i] = (unsigned char)((uint64_t)number >> (8 * i));
}

uint32_t sl_lite_checksum(int64_t id, int format, struct sl_text body) {
  unsigned char whose[16];
  write_number(whose, id);
  write_number(whose + 8, format);
  return sl_crc32c(sl_crc32c(0, whose, sizeof whose), body.data, body.len);
}

static bool failed(const struct sl_engine *engine) {
  return engine->db.error != 0;
}

/* -- waiting -- */

/* The operation is tried again when something of its queue is due, at the
   latest: never early by a clock that counts what the store's does. */
static void wait_for_due(struct sl_engine *engine, struct sl_op *op) {
  const struct sl_lite_queue *queue = &engine->queues[op->queue];
  int64_t left_ns = queue->next_ns - engine->now_ns;
  op->status = SL_OP_WAITING;
  op->retry_ns = INT64_MAX;
  if (queue->next_ns == INT64_MAX) return;
  op->retry_ns = engine->host_ns + (left_ns > 0 ? left_ns : 0);
}

static bool is_drained(const struct sl_lite_queue *queue) {
  const int64_t *jobs = queue->stats.jobs;
  return jobs[SL_READY_JOB] + jobs[SL_DELAYED] + jobs[SL_LEASED] == 0;
}

/* -- queues -- */

static int64_t find_queue(struct sl_engine *engine, struct sl_text name) {
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_QUEUE_FIND);
  int64_t number = 0;
  sqlite3_bind_text(find, 1, name.data, (int)name.len, SQLITE_STATIC);
  if (!sl_lite_row(&engine->db, find)) return 0;
  number = sqlite3_column_int64(find, 0);
  sqlite3_reset(find);
  return number;
}

static int64_t add_queue(struct sl_engine *engine, struct sl_text name) {
  const struct sl_queue_settings *own = &sl_default_settings;
  sqlite3_stmt *add = sl_lite_get(&engine->db, SL_QUEUE_ADD);
  sqlite3_bind_text(add, 1, name.data, (int)name.len, SQLITE_STATIC);
  sqlite3_bind_int64(add, 2, own->maxsize);
  sqlite3_bind_int64(add, 3, own->lease_ns);
  sqlite3_bind_int64(add, 4, own->max_attempts);
  sl_lite_do(&engine->db, add);
  return sqlite3_last_insert_rowid(engine->db.db);
}

static void set(int64_t *own, int64_t given, bool *dirty) {
  if (given == SL_UNSET || given == *own) return;
  *own = given;
  *dirty = true;
}

static void open_queue(struct sl_engine *engine, struct sl_op *op) {
  struct sl_lite_queue *queue;
  int64_t number = find_queue(engine, op->text);
  if (number == 0 && !failed(engine)) number = add_queue(engine, op->text);
  if (failed(engine) || (queue = sl_lite_queue(engine, number)) == NULL)
    return;
  set(&queue->settings.maxsize, op->settings.maxsize, &queue->dirty);
  set(&queue->settings.lease_ns, op->settings.lease_ns, &queue->dirty);
  set(&queue->settings.max_attempts, op->settings.max_attempts,
      &queue->dirty);
  op->number = number;
}

/* -- put -- */

/* The job that has the key, or 0. */
static int64_t find_key(struct sl_engine *engine, int64_t queue,
                        struct sl_text key) {
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_KEY_FIND);
  int64_t id = 0;
  sqlite3_bind_int64(find, 1, queue);
  sqlite3_bind_blob(find, 2, key.data, (int)key.len, SQLITE_STATIC);
  if (!sl_lite_row(&engine->db, find)) return 0;
  if (sqlite3_column_int(find, 2) == 0 ||
      sqlite3_column_int64(find, 1) > engine->now_ns)
    id = sqlite3_column_int64(find, 0);
  sqlite3_reset(find);
  return id;
}

static void set_key(struct sl_engine *engine, int64_t queue,
                    const struct sl_job *job) {
  sqlite3_stmt *put = sl_lite_get(&engine->db, SL_KEY_SET);
  sqlite3_bind_int64(put, 1, queue);
  sqlite3_bind_blob(put, 2, job->unique.data, (int)job->unique.len,
                    SQLITE_STATIC);
  sqlite3_bind_int64(put, 3, job->id);
  sqlite3_bind_int64(put, 4, sl_lite_after(engine, job->unique_ns));
  sl_lite_do(&engine->db, put);
  if (job->id % SWEEP_EACH == 0) sl_lite_sweep_keys(engine);
}

static void put_body(struct sl_engine *engine, const struct sl_job *job) {
  sqlite3_stmt *put = sl_lite_get(&engine->db, SL_PUT_BODY);
  sqlite3_bind_int64(put, 1, job->id);
  sqlite3_bind_blob64(put, 2, job->body.data, job->body.len, SQLITE_STATIC);
  sl_lite_do(&engine->db, put);
}

static void bind_text(sqlite3_stmt *to, int at, struct sl_text text) {
  if (text.data != NULL)
    sqlite3_bind_blob64(to, at, text.data, text.len, SQLITE_STATIC);
  else
    sqlite3_bind_null(to, at);
}

/* Binds what the job says itself; returns what it has elsewhere. */
static int bind_job(sqlite3_stmt *put, const struct sl_job *job) {
  bool apart = job->body.len > IN_ROW;
  int extra = (job->unique.data != NULL ? SL_EXTRA_KEY : 0) |
              (apart ? SL_EXTRA_BODY : 0);
  sqlite3_bind_int64(put, 1, job->id);
  sqlite3_bind_double(put, 4, job->priority);
  sqlite3_bind_int(put, 10, job->format);
  sqlite3_bind_int(put, 11, extra);
  sqlite3_bind_int64(put, 12,
                     sl_lite_checksum(job->id, job->format, job->body));
  bind_text(put, 13, job->unique);
  bind_text(put, 14, apart ? no_text : job->body);
  return extra;
}

/* Adds a job, whose id it gets. */
static void add_job(struct sl_engine *engine, int64_t number,
                    struct sl_job *job) {
  sqlite3_stmt *put = sl_lite_get(&engine->db, SL_PUT);
  struct sl_lite_queue *queue = &engine->queues[number];
  const struct sl_queue_settings *own = &queue->settings;
  enum sl_job_state state = job->due_ns > 0 ? SL_DELAYED : SL_READY_JOB;
  int64_t due_ns = state == SL_DELAYED ? sl_lite_after(engine, job->due_ns) : 0;
  int64_t ttl_ns = sl_lite_after(engine, job->ttl_ns);
  int extra;
  job->id = queue->last_id = ++engine->last_id;
  extra = bind_job(put, job);
  sqlite3_bind_int64(put, 2, number);
  sqlite3_bind_int(put, 3, (int)state);
  sqlite3_bind_int64(put, 5, due_ns);
  sqlite3_bind_int64(put, 6, job->max_attempts == SL_UNSET
                                 ? own->max_attempts
                                 : job->max_attempts);
  sqlite3_bind_int64(put, 7, engine->now_ns);
  sqlite3_bind_null(put, 8);
  if (job->ttl_ns != SL_UNSET) sqlite3_bind_int64(put, 8, ttl_ns);
  sqlite3_bind_int64(put, 9, job->lease_ns == SL_UNSET ? own->lease_ns
                                                       : job->lease_ns);
  sl_lite_do(&engine->db, put);
  if (extra & SL_EXTRA_BODY) put_body(engine, job);
  if (extra & SL_EXTRA_KEY) set_key(engine, number, job);
  queue->stats.jobs[state]++;
  if (state == SL_DELAYED) sl_lite_due(engine, number, due_ns);
  if (job->ttl_ns != SL_UNSET) sl_lite_due(engine, number, ttl_ns);
}

/* Puts one job, or finds the one that has its unique key. */
static enum sl_op_status put_one(struct sl_engine *engine, struct sl_op *op,
                                 struct sl_job *job) {
  struct sl_lite_queue *queue = &engine->queues[op->queue];
  const int64_t *jobs = queue->stats.jobs;
  int64_t maxsize = queue->settings.maxsize;
  int64_t id = 0;
  if (job->unique.data != NULL)
    id = find_key(engine, op->queue, job->unique);
  job->found = id != 0;
  if (job->found) {
    job->id = id;
    return SL_OP_DONE;
  }
  if (maxsize > 0 && jobs[SL_READY_JOB] + jobs[SL_DELAYED] >= maxsize)
    return SL_OP_FULL;
  add_job(engine, op->queue, job);
  queue->stats.puts++;
  return SL_OP_DONE;
}

/* Takes back what an operation has put that did not go on. */
static void undo(struct sl_engine *engine, struct sl_op *op,
                 const struct sl_lite_queue *before) {
  sl_lite_simply(&engine->db, SL_UNDO);
  engine->queues[op->queue] = *before;
}

static void put(struct sl_engine *engine, struct sl_op *op) {
  struct sl_lite_queue before = engine->queues[op->queue];
  bool save = op->njobs > 1 && before.settings.maxsize > 0;
  if (engine->full && engine->cramped) {
    sl_op_fail(op, SL_OP_DISK_FULL, NULL);
    return;
  }
  if (save) sl_lite_simply(&engine->db, SL_SAVE);
  for (size_t i = 0; i < op->njobs && op->status == SL_OP_DONE; i++)
    op->status = put_one(engine, op, &op->jobs[i]);
  if (save && op->status != SL_OP_DONE) undo(engine, op, &before);
  if (save) sl_lite_simply(&engine->db, SL_SAVED);
  if (op->status != SL_OP_DONE) return;
  engine->queues[op->queue].dirty = true;
  engine->tell = true;
}

/* -- reserve -- */

/* Nobody gets a job whose body is not what was put. */
static void bury_damaged(struct sl_engine *engine, struct sl_op *op,
                         const struct sl_job *job) {
  static const char text[] = "the body is damaged";
  struct sl_text error = {text, sizeof text - 1};
  struct sl_lite_row row = {job->id, op->queue, SL_LEASED, job->attempts - 1,
                            0, INT64_MAX, 0, no_text};
  sl_lite_move(engine, &row, SL_DEAD, engine->now_ns, error);
}

/* Describes the first n ready jobs; returns how many there were. */
static size_t look_ahead(struct sl_engine *engine, struct sl_op *op,
                         size_t n) {
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_PEEK_READY);
  size_t found = 0;
  sqlite3_bind_int64(find, 1, op->queue);
  sqlite3_bind_int64(find, 2, (int64_t)n);
  while (found < n && sl_lite_row(&engine->db, find))
    if (!sl_lite_describe(engine, op, find, &op->jobs[found++]))
      sl_lite_note(&engine->db, SQLITE_NOMEM);
  sqlite3_reset(find);
  return found;
}

/* Leases them. Two statements, one after the other: RETURNING would write
   each row to a table of its own and read it from there. */
static void lease(struct sl_engine *engine, struct sl_op *op, size_t n) {
  sqlite3_stmt *reserve = sl_lite_get(&engine->db, SL_RESERVE);
  struct sl_lite_queue *queue = &engine->queues[op->queue];
  sqlite3_bind_int64(reserve, 1, engine->now_ns);
  sqlite3_bind_int64(reserve, 2, engine->owner);
  sqlite3_bind_int64(reserve, 3, op->queue);
  sqlite3_bind_int64(reserve, 4, (int64_t)n);
  if (sl_lite_do(&engine->db, reserve) != (int)n)
    sl_lite_note(&engine->db, SQLITE_CORRUPT);
  queue->stats.jobs[SL_READY_JOB] -= (int64_t)n;
  queue->stats.jobs[SL_LEASED] += (int64_t)n;
  queue->dirty = true;
  for (size_t i = 0; i < n; i++) {
    struct sl_job *job = &op->jobs[i];
    job->state = SL_LEASED;
    job->due_ns = sl_lite_after(engine, job->lease_ns);
    sl_lite_due(engine, op->queue, job->due_ns);
    job->due_ns += engine->skew_ns;
    job->token++;
    job->attempts++;
  }
}

/* Keeps those of the first n whose bodies are sound. */
static void take_sound(struct sl_engine *engine, struct sl_op *op, size_t n) {
  op->njobs = 0;
  for (size_t i = 0; i < n; i++) {
    if (op->jobs[i].body.data == NULL)
      bury_damaged(engine, op, &op->jobs[i]);
    else
      op->jobs[op->njobs++] = op->jobs[i];
  }
}

static void reserve(struct sl_engine *engine, struct sl_op *op) {
  const struct sl_lite_queue *queue = &engine->queues[op->queue];
  op->njobs = 0;
  while (op->njobs == 0 && !failed(engine)) {
    int64_t n = queue->stats.jobs[SL_READY_JOB];
    size_t found;
    if (queue->stats.paused || n <= 0) {
      wait_for_due(engine, op);
      return;
    }
    if (n > op->count) n = op->count;
    if (!sl_op_make_jobs(op, (size_t)n)) {
      sl_lite_note(&engine->db, SQLITE_NOMEM);
      return;
    }
    found = look_ahead(engine, op, (size_t)n);
    if (found == 0) sl_lite_note(&engine->db, SQLITE_CORRUPT); /* counted */
    lease(engine, op, found);
    take_sound(engine, op, found);
  }
}

/* -- ending a lease -- */

/* The most common: nothing to know of the job. */
static bool ack_plain(struct sl_engine *engine, struct sl_op *op,
                      const struct sl_job *job) {
  sqlite3_stmt *ack = sl_lite_get(&engine->db, SL_ACK);
  sqlite3_bind_int64(ack, 1, job->id);
  sqlite3_bind_int64(ack, 2, op->queue);
  sqlite3_bind_int64(ack, 3, job->token);
  if (sl_lite_do(&engine->db, ack) == 0) return false;
  engine->queues[op->queue].stats.jobs[SL_LEASED]--;
  engine->queues[op->queue].stats.acks++;
  engine->queues[op->queue].dirty = true;
  return true;
}

/* A leased job: its row, the duration of its lease; `key` is the row's. */
static bool find_lease(struct sl_engine *engine, struct sl_op *op,
                       struct sl_job *job, struct sl_lite_row *row) {
  sqlite3_stmt *find = sl_lite_get(&engine->db, SL_LEASE_FIND);
  sqlite3_bind_int64(find, 1, job->id);
  sqlite3_bind_int64(find, 2, op->queue);
  sqlite3_bind_int64(find, 3, job->token);
  if (!sl_lite_row(&engine->db, find)) return false;
  row->id = job->id;
  row->queue = op->queue;
  row->state = SL_LEASED;
  row->attempts = sqlite3_column_int64(find, 0);
  row->max_attempts = sqlite3_column_int64(find, 1);
  row->ttl_ns = sqlite3_column_type(find, 2) == SQLITE_NULL
                    ? INT64_MAX
                    : sqlite3_column_int64(find, 2);
  job->lease_ns = sqlite3_column_int64(find, 3);
  row->extra = sqlite3_column_int(find, 4);
  row->key = no_text;
  if (!sl_lite_copy(op, find, 5, &row->key))
    sl_lite_note(&engine->db, SQLITE_NOMEM);
  sqlite3_reset(find);
  return true;
}

static void touch(struct sl_engine *engine, struct sl_op *op,
                  struct sl_job *job) {
  sqlite3_stmt *extend = sl_lite_get(&engine->db, SL_EXTEND);
  int64_t ns = op->after_ns == SL_UNSET ? job->lease_ns : op->after_ns;
  job->due_ns = sl_lite_after(engine, ns);
  sqlite3_bind_int64(extend, 1, job->id);
  sqlite3_bind_int64(extend, 2, job->due_ns);
  sl_lite_do(&engine->db, extend);
  sl_lite_due(engine, op->queue, job->due_ns);
  job->due_ns += engine->skew_ns;
}

static void end_lease(struct sl_engine *engine, struct sl_op *op,
                      struct sl_lite_row *row) {
  int64_t at_ns = sl_lite_after(engine, op->after_ns);
  switch (op->verb) {
    case SL_OP_ACK:
      sl_lite_drop(engine, row);
      engine->queues[op->queue].stats.acks++;
      break;
    case SL_OP_RELEASE:
      row->attempts--;
      sl_lite_come_back(engine, row, false, at_ns, no_text);
      break;
    case SL_OP_NACK:
      sl_lite_come_back(engine, row, true, at_ns, op->text);
      break;
    default:
      sl_lite_move(engine, row, SL_DEAD, engine->now_ns, op->text);
  }
}

static void each_lease(struct sl_engine *engine, struct sl_op *op) {
  for (size_t i = 0; i < op->njobs && !failed(engine); i++) {
    struct sl_job *job = &op->jobs[i];
    struct sl_lite_row row;
    job->lost = false;
    if (op->verb == SL_OP_ACK && ack_plain(engine, op, job)) continue;
    job->lost = !find_lease(engine, op, job, &row);
    if (job->lost)
      op->status = SL_OP_LEASE_LOST;
    else if (op->verb == SL_OP_TOUCH)
      touch(engine, op, job);
    else if (op->verb != SL_OP_KEEP)
      end_lease(engine, op, &row);
    else if (!sl_lite_keep(engine, job->id, job->token, job->lease_ns))
      sl_lite_note(&engine->db, SQLITE_NOMEM);
  }
  if (is_drained(&engine->queues[op->queue])) engine->tell = true;
}

/* -- the rest -- */

static void pause_queue(struct sl_engine *engine, struct sl_op *op) {
  struct sl_lite_queue *queue = &engine->queues[op->queue];
  queue->stats.paused = op->verb == SL_OP_PAUSE;
  queue->dirty = true;
  engine->tell = true;
}

static void drain(struct sl_engine *engine, struct sl_op *op) {
  if (!is_drained(&engine->queues[op->queue])) wait_for_due(engine, op);
}

/* When the batch is over, which it would hold up. */
static void check_later(struct sl_engine *engine, struct sl_op *op) {
  (void)engine, (void)op;
}

static void tell_stats(struct sl_engine *engine, struct sl_op *op) {
  op->stats = engine->queues[op->queue].stats;
}

/* -- operations -- */

static void (*const verbs[SL_NVERBS])(struct sl_engine *, struct sl_op *) = {
    [SL_OP_QUEUE] = open_queue,   [SL_OP_PUT] = put,
    [SL_OP_RESERVE] = reserve,    [SL_OP_KEEP] = each_lease,
    [SL_OP_ACK] = each_lease,     [SL_OP_RELEASE] = each_lease,
    [SL_OP_NACK] = each_lease,    [SL_OP_BURY] = each_lease,
    [SL_OP_TOUCH] = each_lease,   [SL_OP_CANCEL] = sl_lite_cancel,
    [SL_OP_KICK] = sl_lite_kick,          [SL_OP_PEEK] = sl_lite_peek,
    [SL_OP_JOB] = sl_lite_look_at,        [SL_OP_PAUSE] = pause_queue,
    [SL_OP_RESUME] = pause_queue, [SL_OP_PURGE] = sl_lite_purge,
    [SL_OP_DRAIN] = drain,        [SL_OP_STATS] = tell_stats,
    [SL_OP_QUEUES] = sl_lite_list_queues, [SL_OP_CHECK] = check_later};

static bool names_queue(const struct sl_op *op) {
  return op->verb != SL_OP_QUEUE && op->verb != SL_OP_QUEUES &&
         op->verb != SL_OP_CHECK;
}

void sl_lite_apply(struct sl_engine *engine, struct sl_op *op) {
  op->status = SL_OP_DONE;
  op->message = NULL;
  if (names_queue(op)) {
    if (sl_lite_queue(engine, op->queue) == NULL) return;
    sl_lite_settle(engine, op->queue);
  }
  if (!failed(engine)) verbs[op->verb](engine, op);
}
