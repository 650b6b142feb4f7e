/*
** test_store_memory.c: the engine `memory:`: random operations against a
** model that looks at every job each time, and its tables sound after each.
*/
#include "store_memory.h"
#include "test.h"

enum { STEPS = 20000, MAX_JOBS = 4000, SECOND = 1000000000 };

static const struct sl_engine_class *const engine_class = &sl_memory_engine;
static struct sl_engine *engine;
static int64_t now_ns;

/* -- memory that fails -- */

static long failing = -1; /* allocations until one fails; -1: none does */

#if defined(WRAPS_MALLOC)
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool refuses(void) { return failing >= 0 && failing-- == 0; }

void *__wrap_malloc(size_t size) {
  return refuses() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
  return refuses() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size) {
  return refuses() ? NULL : __real_realloc(memory, size);
}
#endif

/* -- operations -- */

static struct sl_op op;
static struct sl_link waiting;

static void begin(enum sl_verb verb) {
  sl_op_init(&op, verb);
  op.queue = 0;
}

/* Runs `op`; what would wait is finished. */
static void run(void) {
  struct sl_link ops;
  sl_link_init(&ops);
  sl_list_push(&ops, &op.link);
  engine_class->run(engine, &ops, &waiting, now_ns);
  sl_link_unlink(&op.link);
}

static void end(void) { sl_op_fini(&op); }

static void start(void) {
  struct sl_engine_config config = {NULL, false, 0};
  struct sl_engine_error error;
  sl_link_init(&waiting);
  now_ns = SECOND;
  engine = engine_class->open(&config, &error);
  begin(SL_OP_QUEUE);
  op.text = sl_op_copy(&op, "mail", 4);
  op.settings.maxsize = SL_UNSET;
  op.settings.lease_ns = 10 * (int64_t)SECOND;
  op.settings.max_attempts = 3;
  run();
  CHECK_EQ(op.status, SL_OP_DONE);
  CHECK_EQ(op.number, 0);
  end();
}

static void check_sound(void) {
  begin(SL_OP_CHECK);
  run();
  CHECK_EQ(op.status, SL_OP_DONE);
  end();
}

static void finish(void) {
  check_sound();
  engine_class->close(engine);
}

/* -- the model -- */

struct model_job {
  int64_t id, token, at_ns, ttl_ns, attempts;
  int priority;
  int state; /* SL_NSTATES: gone */
};

static struct model_job jobs[MAX_JOBS];
static int njobs;
static int64_t acks, expired, cancelled, retries;

static void model_gone(struct model_job *job) { job->state = SL_NSTATES; }

static void model_back(struct model_job *job, bool counts, int64_t at_ns) {
  if (counts && job->attempts >= 3) {
    job->state = SL_DEAD;
  } else if (job->ttl_ns <= now_ns) {
    model_gone(job);
    expired++;
  } else {
    job->state = at_ns > now_ns ? SL_DELAYED : SL_READY_JOB;
    job->at_ns = at_ns;
    retries += counts;
  }
}

static void model_settle(void) {
  for (int i = 0; i < njobs; i++) {
    struct model_job *job = &jobs[i];
    bool waits = job->state == SL_READY_JOB || job->state == SL_DELAYED;
    if (waits && job->ttl_ns <= now_ns) {
      model_gone(job);
      expired++;
    } else if (job->state == SL_LEASED && job->at_ns <= now_ns) {
      model_back(job, true, now_ns);
    } else if (job->state == SL_DELAYED && job->at_ns <= now_ns) {
      job->state = SL_READY_JOB;
    }
  }
}

static struct model_job *model_first(void) {
  struct model_job *best = NULL;
  for (int i = 0; i < njobs; i++)
    if (jobs[i].state == SL_READY_JOB &&
        (best == NULL || jobs[i].priority < best->priority))
      best = &jobs[i];
  return best;
}

static struct model_job *any_job(void) {
  return njobs > 0 ? &jobs[rand() % njobs] : NULL;
}

/* -- both together -- */

static void do_put(void) {
  struct model_job *job = &jobs[njobs];
  if (njobs == MAX_JOBS) return;
  begin(SL_OP_PUT);
  sl_op_make_jobs(&op, 1);
  job->priority = rand() % 3;
  op.jobs->body = sl_op_copy(&op, "body", 4);
  op.jobs->priority = job->priority;
  op.jobs->due_ns = rand() % 3 == 0 ? rand() % 5 * (int64_t)SECOND : 0;
  op.jobs->ttl_ns = rand() % 4 == 0 ? 7 * (int64_t)SECOND : SL_UNSET;
  op.jobs->lease_ns = SL_UNSET;
  op.jobs->max_attempts = SL_UNSET;
  job->at_ns = now_ns + op.jobs->due_ns;
  job->ttl_ns = op.jobs->ttl_ns == SL_UNSET ? INT64_MAX
                                            : now_ns + op.jobs->ttl_ns;
  job->state = op.jobs->due_ns > 0 ? SL_DELAYED : SL_READY_JOB;
  job->token = job->attempts = 0;
  run();
  CHECK_EQ(op.status, SL_OP_DONE);
  job->id = op.jobs->id;
  CHECK_EQ(job->id, SL_FIRST_ID + njobs);
  njobs++;
  end();
}

static void do_reserve(void) {
  struct model_job *want = model_first();
  begin(SL_OP_RESERVE);
  op.count = 1;
  run();
  CHECK_EQ(op.status, want != NULL ? SL_OP_DONE : SL_OP_WAITING);
  if (want != NULL) {
    CHECK_EQ(op.jobs->id, want->id);
    CHECK_BYTES(op.jobs->body.data, op.jobs->body.len, "body", 4);
    CHECK_EQ(op.jobs->attempts, ++want->attempts);
    CHECK_EQ(op.jobs->token, ++want->token);
    want->state = SL_LEASED;
    want->at_ns = now_ns + 10 * (int64_t)SECOND;
  }
  end();
}

static void model_end(struct model_job *job, enum sl_verb verb,
                      int64_t at_ns) {
  switch (verb) {
    case SL_OP_ACK:
      model_gone(job);
      acks++;
      break;
    case SL_OP_NACK: model_back(job, true, at_ns); break;
    case SL_OP_BURY: job->state = SL_DEAD; break;
    default:
      job->attempts--;
      model_back(job, false, at_ns);
  }
}

/* Ends a lease, which may have been lost. */
static void do_end(void) {
  static const enum sl_verb verbs[] = {SL_OP_ACK, SL_OP_NACK, SL_OP_BURY,
                                       SL_OP_RELEASE};
  struct model_job *job = any_job();
  enum sl_verb verb = verbs[rand() % 4];
  bool right = rand() % 8 > 0;
  if (job == NULL) return;
  begin(verb);
  sl_op_make_jobs(&op, 1);
  op.jobs->id = job->id;
  op.jobs->token = right ? job->token : job->token + 1;
  op.after_ns = rand() % 3 * (int64_t)SECOND;
  right = right && job->state == SL_LEASED;
  if (right) model_end(job, verb, now_ns + op.after_ns);
  run();
  CHECK_EQ(op.status, right ? SL_OP_DONE : SL_OP_LEASE_LOST);
  CHECK_EQ(op.jobs->lost, !right);
  end();
}

static void do_cancel(void) {
  struct model_job *job = any_job();
  enum sl_op_status want = SL_OP_DONE;
  if (job == NULL) return;
  begin(SL_OP_CANCEL);
  op.id = job->id;
  run();
  if (job->state == SL_NSTATES) {
    want = SL_OP_NOT_FOUND;
  } else if (job->state == SL_LEASED) {
    want = SL_OP_IS_LEASED;
  } else {
    model_gone(job);
    cancelled++;
  }
  CHECK_EQ(op.status, want);
  end();
}

static void do_kick(void) {
  struct model_job *job = any_job();
  if (job == NULL) return;
  begin(SL_OP_KICK);
  op.id = job->id;
  run();
  CHECK_EQ(op.number, job->state == SL_DEAD);
  if (job->state == SL_DEAD) {
    job->attempts = 0;
    model_back(job, false, now_ns);
  }
  end();
}

static void compare(void) {
  int64_t n[SL_NSTATES + 1] = {0};
  for (int i = 0; i < njobs; i++) n[jobs[i].state]++;
  begin(SL_OP_STATS);
  run();
  for (int state = 0; state < SL_NSTATES; state++)
    CHECK_EQ(op.stats.jobs[state], n[state]);
  CHECK_EQ(op.stats.puts, njobs);
  CHECK_EQ(op.stats.acks, acks);
  CHECK_EQ(op.stats.expired, expired);
  CHECK_EQ(op.stats.cancelled, cancelled);
  CHECK_EQ(op.stats.retries, retries);
  end();
}

static void follows_the_model(void) {
  static void (*const steps[])(void) = {do_put,     do_put, do_reserve,
                                        do_reserve, do_end, do_end,
                                        do_end,     do_cancel, do_kick};
  srand(3);
  start();
  njobs = 0;
  acks = expired = cancelled = retries = 0;
  for (int step = 0; step < STEPS; step++) {
    if (rand() % 4 == 0) now_ns += rand() % SECOND;
    model_settle();
    steps[(size_t)rand() % (sizeof steps / sizeof *steps)]();
    if (step % 50 == 0) {
      model_settle();
      compare();
      check_sound();
    }
  }
  finish();
}

/* -- single cases -- */

static void put_n(int n, const char *unique, int64_t unique_ns) {
  begin(SL_OP_PUT);
  sl_op_make_jobs(&op, (size_t)n);
  for (int i = 0; i < n; i++) {
    op.jobs[i].body = sl_op_copy(&op, "x", 1);
    op.jobs[i].ttl_ns = op.jobs[i].lease_ns = SL_UNSET;
    op.jobs[i].max_attempts = SL_UNSET;
    op.jobs[i].unique_ns = unique_ns;
    if (unique != NULL)
      op.jobs[i].unique = sl_op_copy(&op, unique, strlen(unique));
  }
  run();
}

static void tells_when_to_ask_again(void) {
  start();
  begin(SL_OP_PUT);
  sl_op_make_jobs(&op, 1);
  op.jobs->body = sl_op_copy(&op, "x", 1);
  op.jobs->due_ns = 5 * (int64_t)SECOND;
  op.jobs->ttl_ns = op.jobs->lease_ns = op.jobs->max_attempts = SL_UNSET;
  run();
  end();
  begin(SL_OP_RESERVE);
  op.count = 1;
  run();
  CHECK_EQ(op.status, SL_OP_WAITING);
  CHECK_EQ(op.retry_ns, now_ns + 5 * (int64_t)SECOND);
  end();
  finish();
}

static void takes_back_what_does_not_fit(void) {
  start();
  begin(SL_OP_QUEUE);
  op.text = sl_op_copy(&op, "mail", 4);
  op.settings.maxsize = 3;
  op.settings.lease_ns = op.settings.max_attempts = SL_UNSET;
  run();
  end();
  put_n(4, NULL, 0);
  CHECK_EQ(op.status, SL_OP_FULL);
  end();
  put_n(3, NULL, 0);
  CHECK_EQ(op.status, SL_OP_DONE);
  end();
  finish();
}

/* A thousand keys whose jobs are gone and whose time is over leave no more
   than the table had. */
static void forgets_stale_keys(void) {
  char key[32];
  start();
  for (int i = 0; i < 5000; i++) {
    snprintf(key, sizeof key, "key %d", i);
    put_n(1, key, SECOND / 100);
    CHECK(!op.jobs->found);
    op.id = op.jobs->id;
    op.verb = SL_OP_CANCEL;
    run();
    CHECK_EQ(op.status, SL_OP_DONE);
    end();
    now_ns += SECOND / 10;
  }
  put_n(1, "key 4999", 0);
  CHECK(!op.jobs->found);
  end();
  finish();
}

#if defined(WRAPS_MALLOC)
static int64_t jobs_held(void) {
  int64_t n = 0;
  begin(SL_OP_STATS);
  run();
  for (int state = 0; state < SL_NSTATES; state++) n += op.stats.jobs[state];
  end();
  return n;
}

/* Fills an operation, which needs memory of its own, and fails the k-th
   allocation of its run. Returns whether there was one. */
static bool run_failing(long k) {
  failing = k;
  run();
  if (failing >= 0) {
    failing = -1;
    return false;
  }
  return true;
}

static void make_put(void) {
  begin(SL_OP_PUT);
  sl_op_make_jobs(&op, 20);
  for (int i = 0; i < 20; i++) {
    op.jobs[i].body = sl_op_copy(&op, "x", 1);
    op.jobs[i].unique = sl_op_copy(&op, (char *)&i, sizeof i);
    op.jobs[i].due_ns = i % 3;
    op.jobs[i].ttl_ns = i % 2 ? SL_UNSET : 3600 * (int64_t)SECOND;
    op.jobs[i].lease_ns = op.jobs[i].max_attempts = SL_UNSET;
  }
}

/* A put is whole or nothing; jobs are never lost, whatever fails. */
static void survives_without_memory(void) {
  static const enum sl_verb verbs[] = {SL_OP_RESERVE, SL_OP_PEEK};
  for (long k = 0;; k++) {
    bool failed;
    start();
    make_put();
    failed = run_failing(k);
    CHECK_EQ(op.status, failed ? SL_OP_NO_MEMORY : SL_OP_DONE);
    end();
    CHECK_EQ(jobs_held(), failed ? 0 : 20);
    now_ns += SECOND; /* the delayed are to become ready */
    for (size_t i = 0; i < 2; i++) {
      begin(verbs[i]);
      op.count = 30;
      op.state = SL_LEASED;
      run_failing(k);
      end();
      check_sound();
      CHECK_EQ(jobs_held(), failed ? 0 : 20);
    }
    finish();
    if (!failed && k > 200) break;
  }
}
#endif

int main(void) {
#if defined(WRAPS_MALLOC)
  RUN(survives_without_memory, "loses nothing without memory");
#endif
  RUN(follows_the_model, "does what a model does, 20,000 times");
  RUN(tells_when_to_ask_again, "tells when to ask again");
  RUN(takes_back_what_does_not_fit, "puts all or none");
  RUN(forgets_stale_keys, "forgets unique keys whose time is over");
  return test_report();
}
