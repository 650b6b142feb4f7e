/*
** store_memory.c: see store_memory.h.
**
** Times in here are the host's; what comes out has the offset added, which
** makes them times since 1970.
*/
#include "store_memory.h"

#include <stdlib.h>
#include <string.h>

#include "store_jobs.h"

struct sl_engine {
  struct sl_mem mem;
  int64_t offset_ns;
  int64_t now_ns; /* of the batch */
};

/* What a verb does: sets the operation's status. */
typedef void verb_function(struct sl_engine *engine, struct sl_op *op);

static int64_t after(const struct sl_engine *engine, int64_t ns) {
  return ns > INT64_MAX - engine->now_ns ? INT64_MAX : engine->now_ns + ns;
}

static struct sl_mem_queue *queue_of(struct sl_engine *engine,
                                     const struct sl_op *op) {
  return engine->mem.queues[op->queue];
}

static uint32_t count(const struct sl_mem_queue *queue,
                      enum sl_job_state state) {
  return queue->heaps[state].len;
}

/* -- what time does -- */

static void expire_ttl(struct sl_engine *engine, uint32_t row) {
  struct sl_mem *mem = &engine->mem;
  mem->queues[mem->jobs[row].queue]->stats.expired++;
  sl_mem_remove(mem, row, engine->now_ns);
}

/* A job that was leased comes back: ready, or delayed until at_ns; dead if
   its attempts are used up; gone if its ttl is over. False without memory,
   nothing changed. */
static bool come_back(struct sl_engine *engine, uint32_t row, bool counts,
                      int64_t at_ns) {
  struct sl_mem_job *job = &engine->mem.jobs[row];
  bool used_up = counts && job->max_attempts > 0 &&
                 job->attempts >= job->max_attempts;
  enum sl_job_state state = used_up                    ? SL_DEAD
                            : at_ns > engine->now_ns ? SL_DELAYED
                                                       : SL_READY_JOB;
  if (used_up) at_ns = engine->now_ns;
  if (!used_up && job->ttl_ns <= engine->now_ns) {
    expire_ttl(engine, row);
    return true;
  }
  if (!sl_mem_move(&engine->mem, row, state, at_ns)) return false;
  if (counts && !used_up)
    engine->mem.queues[job->queue]->stats.retries++;
  return true;
}

static bool is_due(const struct sl_engine *engine, uint32_t row) {
  return row != SL_NO_JOB && engine->mem.jobs[row].at_ns <= engine->now_ns;
}

/* Ends a lease whose time is over. False without memory, still leased. */
static bool end_lease(struct sl_engine *engine, uint32_t row) {
  static const char text[] = SL_LEASE_EXPIRED;
  struct sl_text error = {text, sizeof text - 1};
  sl_mem_set_error(&engine->mem, row, error);
  return come_back(engine, row, true, engine->now_ns);
}

/* Puts right what is due by now. Without memory some of it stays for later:
   nothing is lost by that. */
static void settle(struct sl_engine *engine, struct sl_mem_queue *queue) {
  struct sl_mem *mem = &engine->mem;
  uint32_t row;
  while ((row = sl_mem_first_mortal(queue)) != SL_NO_JOB &&
         mem->jobs[row].ttl_ns <= engine->now_ns)
    expire_ttl(engine, row);
  while (is_due(engine, row = sl_mem_first(queue, SL_LEASED)))
    if (!end_lease(engine, row)) return;
  while (is_due(engine, row = sl_mem_first(queue, SL_DELAYED)))
    if (!sl_mem_move(mem, row, SL_READY_JOB, 0)) return;
}

static int64_t due_of(const struct sl_engine *engine, uint32_t row) {
  return row != SL_NO_JOB ? engine->mem.jobs[row].at_ns : INT64_MAX;
}

/* The operation waits until something of its queue is due, at the latest. */
static void wait_for_due(struct sl_engine *engine, struct sl_op *op) {
  const struct sl_mem_queue *queue = queue_of(engine, op);
  int64_t delayed = due_of(engine, sl_mem_first(queue, SL_DELAYED));
  int64_t leased = due_of(engine, sl_mem_first(queue, SL_LEASED));
  uint32_t mortal = sl_mem_first_mortal(queue);
  int64_t first = delayed < leased ? delayed : leased;
  if (mortal != SL_NO_JOB && engine->mem.jobs[mortal].ttl_ns < first)
    first = engine->mem.jobs[mortal].ttl_ns;
  op->status = SL_OP_WAITING;
  op->retry_ns = first;
}

/* -- jobs out -- */

static int64_t told(const struct sl_engine *engine, int64_t time_ns) {
  return time_ns == INT64_MAX ? INT64_MAX : time_ns + engine->offset_ns;
}

static bool copy_out(struct sl_op *op, struct sl_text from,
                     struct sl_text *to) {
  if (from.data == NULL) return true;
  *to = sl_op_copy(op, from.data, from.len);
  return to->data != NULL;
}

/* Describes a job in the operation's own memory. False without memory. */
static bool describe(struct sl_engine *engine, struct sl_op *op,
                     uint32_t row, struct sl_job *to) {
  const struct sl_mem_job *job = &engine->mem.jobs[row];
  to->id = job->id;
  to->created_ns = told(engine, job->created_ns);
  to->due_ns = told(engine, job->at_ns);
  to->lease_ns = job->lease_ns;
  to->priority = job->priority;
  to->max_attempts = job->max_attempts;
  to->attempts = job->attempts;
  to->state = job->state;
  to->format = job->format;
  if (job->key != SL_NO_JOB &&
      !copy_out(op, engine->mem.keys[job->key].text, &to->unique))
    return false;
  return copy_out(op, job->body, &to->body) &&
         copy_out(op, job->error, &to->error);
}

/* -- verbs: putting -- */

static void open_queue(struct sl_engine *engine, struct sl_op *op) {
  const struct sl_queue_settings *given = &op->settings;
  uint32_t number, known = engine->mem.nqueues;
  struct sl_mem_queue *queue =
      sl_mem_queue(&engine->mem, op->text.data, &number);
  struct sl_queue_settings *own;
  if (queue == NULL) {
    op->status = SL_OP_NO_MEMORY;
    return;
  }
  own = &queue->settings;
  if (number == known) *own = sl_default_settings;
  if (given->maxsize != SL_UNSET) own->maxsize = given->maxsize;
  if (given->lease_ns != SL_UNSET) own->lease_ns = given->lease_ns;
  if (given->max_attempts != SL_UNSET)
    own->max_attempts = given->max_attempts;
  op->number = number;
}

/* Puts one job, or finds the one that has its unique key. */
static enum sl_op_status put_one(struct sl_engine *engine, struct sl_op *op,
                                 struct sl_job *job) {
  struct sl_mem_queue *queue = queue_of(engine, op);
  int64_t maxsize = queue->settings.maxsize;
  uint32_t key = SL_NO_JOB, row;
  if (job->unique.data != NULL)
    key = sl_mem_find_key(&engine->mem, (uint32_t)op->queue, job->unique,
                          engine->now_ns);
  if (key != SL_NO_JOB) {
    job->id = engine->mem.keys[key].id;
    job->found = true;
    return SL_OP_DONE;
  }
  if (maxsize > 0 &&
      count(queue, SL_READY_JOB) + count(queue, SL_DELAYED) >= maxsize)
    return SL_OP_FULL;
  row = sl_mem_add(&engine->mem, (uint32_t)op->queue, job, engine->now_ns);
  if (row == SL_NO_JOB) return SL_OP_NO_MEMORY;
  job->id = engine->mem.jobs[row].id;
  return SL_OP_DONE;
}

/* Takes back the first n jobs of an operation that failed. */
static void take_back(struct sl_engine *engine, struct sl_op *op, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint32_t row =
        sl_mem_find(&engine->mem, (uint32_t)op->queue, op->jobs[i].id);
    if (!op->jobs[i].found)
      sl_mem_remove(&engine->mem, row, INT64_MAX); /* its key, too */
  }
}

static void put(struct sl_engine *engine, struct sl_op *op) {
  int64_t added = 0;
  for (size_t i = 0; i < op->njobs; i++) {
    op->status = put_one(engine, op, &op->jobs[i]);
    if (op->status != SL_OP_DONE) {
      take_back(engine, op, i);
      return;
    }
    added += !op->jobs[i].found;
  }
  queue_of(engine, op)->stats.puts += added;
}

/* -- verbs: reserving -- */

/* Leases the first ready job. False without memory, nothing changed. */
static bool lease_one(struct sl_engine *engine, struct sl_op *op,
                      struct sl_job *to) {
  uint32_t row = sl_mem_first(queue_of(engine, op), SL_READY_JOB);
  struct sl_mem_job *job = &engine->mem.jobs[row];
  int64_t deadline = after(engine, job->lease_ns);
  if (!describe(engine, op, row, to) ||
      !sl_mem_move(&engine->mem, row, SL_LEASED, deadline))
    return false;
  to->state = SL_LEASED;
  to->due_ns = told(engine, deadline);
  to->attempts = ++job->attempts;
  to->token = ++job->token;
  return true;
}

static void reserve(struct sl_engine *engine, struct sl_op *op) {
  const struct sl_mem_queue *queue = queue_of(engine, op);
  int64_t n = count(queue, SL_READY_JOB);
  if (queue->stats.paused || n == 0) {
    wait_for_due(engine, op);
    return;
  }
  if (n > op->count) n = op->count;
  op->status = SL_OP_NO_MEMORY;
  if (!sl_op_make_jobs(op, (size_t)n)) return;
  for (op->njobs = 0; (int64_t)op->njobs < n; op->njobs++)
    if (!lease_one(engine, op, &op->jobs[op->njobs])) break;
  if (op->njobs > 0) op->status = SL_OP_DONE;
}

/* -- verbs: ending a lease -- */

/* The row of a job whose lease is still the caller's, or SL_NO_JOB. */
static uint32_t find_lease(struct sl_engine *engine, const struct sl_op *op,
                           struct sl_job *job) {
  uint32_t row = sl_mem_find(&engine->mem, (uint32_t)op->queue, job->id);
  if (row != SL_NO_JOB && engine->mem.jobs[row].state == SL_LEASED &&
      engine->mem.jobs[row].token == job->token)
    return row;
  return SL_NO_JOB;
}

static bool ack(struct sl_engine *engine, struct sl_op *op, uint32_t row,
                struct sl_job *job) {
  (void)job;
  sl_mem_remove(&engine->mem, row, engine->now_ns);
  queue_of(engine, op)->stats.acks++;
  return true;
}

static bool release(struct sl_engine *engine, struct sl_op *op, uint32_t row,
                    struct sl_job *job) {
  (void)job;
  engine->mem.jobs[row].attempts--;
  if (come_back(engine, row, false, after(engine, op->after_ns)))
    return true;
  engine->mem.jobs[row].attempts++;
  return false;
}

static bool nack(struct sl_engine *engine, struct sl_op *op, uint32_t row,
                 struct sl_job *job) {
  (void)job;
  if (op->text.data != NULL) sl_mem_set_error(&engine->mem, row, op->text);
  return come_back(engine, row, true, after(engine, op->after_ns));
}

static bool bury(struct sl_engine *engine, struct sl_op *op, uint32_t row,
                 struct sl_job *job) {
  (void)job;
  if (op->text.data != NULL) sl_mem_set_error(&engine->mem, row, op->text);
  return sl_mem_move(&engine->mem, row, SL_DEAD, engine->now_ns);
}

static bool touch(struct sl_engine *engine, struct sl_op *op, uint32_t row,
                  struct sl_job *job) {
  int64_t ns = op->after_ns;
  if (ns == SL_UNSET) ns = engine->mem.jobs[row].lease_ns;
  if (engine->mem.jobs[row].at_ns != INT64_MAX) /* else it is kept */
    sl_mem_extend(&engine->mem, row, after(engine, ns));
  job->due_ns = told(engine, after(engine, ns));
  return true;
}

/* The leases of kept jobs do not end: who keeps them is this process. */
static bool keep(struct sl_engine *engine, struct sl_op *op, uint32_t row,
                 struct sl_job *job) {
  (void)op, (void)job;
  sl_mem_extend(&engine->mem, row, INT64_MAX);
  return true;
}

static void each_lease(struct sl_engine *engine, struct sl_op *op) {
  static bool (*const verbs[SL_NVERBS])(struct sl_engine *, struct sl_op *,
                                        uint32_t, struct sl_job *) = {
      [SL_OP_ACK] = ack,     [SL_OP_RELEASE] = release,
      [SL_OP_NACK] = nack,   [SL_OP_BURY] = bury,
      [SL_OP_TOUCH] = touch, [SL_OP_KEEP] = keep};
  for (size_t i = 0; i < op->njobs; i++) {
    struct sl_job *job = &op->jobs[i];
    uint32_t row = find_lease(engine, op, job);
    job->lost = row == SL_NO_JOB;
    if (job->lost)
      op->status = SL_OP_LEASE_LOST;
    else if (!verbs[op->verb](engine, op, row, job))
      op->status = SL_OP_NO_MEMORY;
  }
}

/* -- verbs: from outside -- */

static void cancel(struct sl_engine *engine, struct sl_op *op) {
  struct sl_mem *mem = &engine->mem;
  uint32_t row = sl_mem_find(mem, (uint32_t)op->queue, op->id);
  if (row == SL_NO_JOB) {
    op->status = SL_OP_NOT_FOUND;
  } else if (mem->jobs[row].state == SL_LEASED) {
    op->status = SL_OP_IS_LEASED;
  } else {
    sl_mem_remove(mem, row, engine->now_ns);
    queue_of(engine, op)->stats.cancelled++;
  }
}

static bool kick_one(struct sl_engine *engine, uint32_t row) {
  struct sl_mem_job *job = &engine->mem.jobs[row];
  int64_t attempts = job->attempts;
  if (job->ttl_ns <= engine->now_ns) {
    expire_ttl(engine, row);
    return true;
  }
  job->attempts = 0;
  if (sl_mem_move(&engine->mem, row, SL_READY_JOB, 0)) return true;
  job->attempts = attempts;
  return false;
}

static void kick(struct sl_engine *engine, struct sl_op *op) {
  struct sl_mem *mem = &engine->mem;
  uint32_t row;
  if (op->id != SL_UNSET) {
    row = sl_mem_find(mem, (uint32_t)op->queue, op->id);
    if (row != SL_NO_JOB && mem->jobs[row].state == SL_DEAD)
      op->number = kick_one(engine, row);
    return;
  }
  while (op->number < op->count &&
         (row = sl_mem_first(queue_of(engine, op), SL_DEAD)) != SL_NO_JOB &&
         kick_one(engine, row))
    op->number++;
}

static void purge(struct sl_engine *engine, struct sl_op *op) {
  struct sl_mem_queue *queue = queue_of(engine, op);
  uint32_t row;
  while ((row = sl_mem_first(queue, op->state)) != SL_NO_JOB) {
    sl_mem_remove(&engine->mem, row, engine->now_ns);
    op->number++;
  }
  queue->stats.cancelled += op->number;
}

static void pause_queue(struct sl_engine *engine, struct sl_op *op) {
  queue_of(engine, op)->stats.paused = op->verb == SL_OP_PAUSE;
}

/* -- verbs: looking -- */

/* The first n of a heap are found by taking them out and putting them
   back. */
static void peek(struct sl_engine *engine, struct sl_op *op) {
  struct sl_heap *heap = &queue_of(engine, op)->heaps[op->state];
  size_t n = heap->len < op->count ? heap->len : (size_t)op->count;
  struct sl_heap_entry *taken = sl_op_alloc(op, n * sizeof *taken);
  op->status = SL_OP_NO_MEMORY;
  if (taken == NULL || !sl_op_make_jobs(op, n)) return;
  for (size_t i = 0; i < n; i++) taken[i] = sl_heap_pop(heap);
  for (size_t i = 0; i < n; i++) sl_heap_restore(heap, taken[i]);
  for (size_t i = 0; i < n; i++)
    if (!describe(engine, op, sl_heap_ref(&taken[i]), &op->jobs[i])) return;
  op->status = SL_OP_DONE;
}

static void look_at(struct sl_engine *engine, struct sl_op *op) {
  uint32_t row = sl_mem_find(&engine->mem, (uint32_t)op->queue, op->id);
  op->status = SL_OP_NOT_FOUND;
  if (row == SL_NO_JOB) return;
  op->status = SL_OP_NO_MEMORY;
  if (!sl_op_make_jobs(op, 1)) return;
  if (describe(engine, op, row, op->jobs)) op->status = SL_OP_DONE;
}

static void drain(struct sl_engine *engine, struct sl_op *op) {
  const struct sl_mem_queue *queue = queue_of(engine, op);
  if (count(queue, SL_READY_JOB) > 0 || count(queue, SL_DELAYED) > 0 ||
      count(queue, SL_LEASED) > 0)
    wait_for_due(engine, op);
}

static void tell_stats(struct sl_engine *engine, struct sl_op *op) {
  const struct sl_mem_queue *queue = queue_of(engine, op);
  op->stats = queue->stats;
  for (int state = 0; state < SL_NSTATES; state++)
    op->stats.jobs[state] = count(queue, (enum sl_job_state)state);
}

static void list_queues(struct sl_engine *engine, struct sl_op *op) {
  const struct sl_mem *mem = &engine->mem;
  op->status = SL_OP_NO_MEMORY;
  if (!sl_op_make_jobs(op, mem->nqueues)) return;
  for (uint32_t i = 0; i < mem->nqueues; i++) {
    struct sl_text name = {mem->queues[i]->name,
                           strlen(mem->queues[i]->name)};
    if (!copy_out(op, name, &op->jobs[i].body)) return;
  }
  op->status = SL_OP_DONE;
}

static void check(struct sl_engine *engine, struct sl_op *op) {
  if (!sl_mem_sound(&engine->mem))
    sl_op_fail(op, SL_OP_DAMAGED, "the tables do not agree");
}

/* -- batches -- */

static verb_function *const verbs[SL_NVERBS] = {
    [SL_OP_QUEUE] = open_queue,   [SL_OP_PUT] = put,
    [SL_OP_RESERVE] = reserve,    [SL_OP_KEEP] = each_lease,
    [SL_OP_ACK] = each_lease,     [SL_OP_RELEASE] = each_lease,
    [SL_OP_NACK] = each_lease,    [SL_OP_BURY] = each_lease,
    [SL_OP_TOUCH] = each_lease,   [SL_OP_CANCEL] = cancel,
    [SL_OP_KICK] = kick,          [SL_OP_PEEK] = peek,
    [SL_OP_JOB] = look_at,        [SL_OP_PAUSE] = pause_queue,
    [SL_OP_RESUME] = pause_queue, [SL_OP_PURGE] = purge,
    [SL_OP_DRAIN] = drain,        [SL_OP_STATS] = tell_stats,
    [SL_OP_QUEUES] = list_queues, [SL_OP_CHECK] = check};

static bool names_queue(const struct sl_op *op) {
  return op->verb != SL_OP_QUEUE && op->verb != SL_OP_QUEUES &&
         op->verb != SL_OP_CHECK;
}

static void apply(struct sl_engine *engine, struct sl_op *op) {
  op->status = SL_OP_DONE;
  if (names_queue(op)) settle(engine, queue_of(engine, op));
  verbs[op->verb](engine, op);
}

static struct sl_op *op_of(struct sl_link *link) {
  return sl_container(link, struct sl_op, link);
}

/* Applies those of `from`; puts what must wait in `waiting`, what is
   finished in `done`. */
static void apply_all(struct sl_engine *engine, struct sl_link *from,
                      struct sl_link *waiting, struct sl_link *done) {
  while (!sl_list_empty(from)) {
    struct sl_op *op = op_of(sl_list_pop(from));
    apply(engine, op);
    sl_list_push(op->status == SL_OP_WAITING ? waiting : done, &op->link);
  }
}

static void run(struct sl_engine *engine, struct sl_link *ops,
                struct sl_link *waiting, int64_t now_ns) {
  struct sl_link again, done;
  engine->now_ns = now_ns;
  sl_link_init(&again);
  sl_link_init(&done);
  apply_all(engine, ops, waiting, &done);
  while (!sl_list_empty(waiting)) sl_list_push(&again, sl_list_pop(waiting));
  apply_all(engine, &again, waiting, &done);
  while (!sl_list_empty(&done)) sl_list_push(ops, sl_list_pop(&done));
}

static struct sl_engine *open_engine(const struct sl_engine_config *config,
                                     struct sl_engine_error *error) {
  struct sl_engine *engine = calloc(1, sizeof *engine);
  if (engine == NULL) {
    strcpy(error->code, "ENOMEM");
    strcpy(error->message, "not enough memory");
    return NULL;
  }
  engine->offset_ns = config->offset_ns;
  sl_mem_init(&engine->mem);
  return engine;
}

static void close_engine(struct sl_engine *engine) {
  sl_mem_fini(&engine->mem);
  free(engine);
}

static int64_t now(struct sl_engine *engine, int64_t now_ns) {
  return now_ns + engine->offset_ns;
}

const struct sl_engine_class sl_memory_engine = {
    .version = SL_ENGINE_VERSION,
    .name = "memory",
    .open = open_engine,
    .close = close_engine,
    .run = run,
    .now = now};
