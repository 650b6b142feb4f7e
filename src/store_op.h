/*
** store_op.h: operations on a job store, as its engines see them.
**
** The one idea: what a script asks of a store becomes a struct that refers
** to no Lua, so that it may be carried out in another thread, in a batch
** with others, and by an engine in another module. Jobs go in and come out
** as the same record; a verb uses the fields that it needs.
**
** An operation owns all memory that it refers to: blocks that are freed with
** it, whoever asked for them, the host or the engine.
**
** Pure C. Durations are nanoseconds; times are nanoseconds since 1970 on the
** engine's clock, which never jumps.
*/
#ifndef SL_STORE_OP_H
#define SL_STORE_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

/* Ids begin above any number of jobs that a script could mean. */
#define SL_FIRST_ID INT64_C(1000000001)

/* What is told of a job whose lease ended by itself, as its error. */
#define SL_LEASE_EXPIRED "the lease expired"

enum sl_verb {
  SL_OP_QUEUE, /* name in text; settings; number: the queue */
  SL_OP_PUT,
  SL_OP_RESERVE, /* up to count; may wait */
  SL_OP_KEEP,
  SL_OP_ACK,
  SL_OP_RELEASE, /* after_ns */
  SL_OP_NACK,    /* after_ns, text */
  SL_OP_BURY,    /* text */
  SL_OP_TOUCH,   /* after_ns, or SL_UNSET: each job's lease */
  SL_OP_CANCEL,  /* id */
  SL_OP_KICK,    /* up to count of them, or id; number */
  SL_OP_PEEK,    /* state, up to count */
  SL_OP_JOB,     /* id */
  SL_OP_PAUSE,
  SL_OP_RESUME,
  SL_OP_PURGE, /* state; number */
  SL_OP_DRAIN, /* may wait */
  SL_OP_STATS,
  SL_OP_QUEUES, /* the names as bodies */
  SL_OP_CHECK,
  SL_NVERBS
};

enum sl_job_state { SL_READY_JOB, SL_DELAYED, SL_LEASED, SL_DEAD, SL_NSTATES };

enum sl_op_status {
  SL_OP_DONE,
  SL_OP_WAITING, /* nothing there: it is to be tried again */
  SL_OP_TIMED_OUT,
  SL_OP_CLOSED,
  SL_OP_FULL,
  SL_OP_DISK_FULL,
  SL_OP_UNAVAILABLE, /* nothing happened */
  SL_OP_UNKNOWN,     /* it may have happened */
  SL_OP_NOT_FOUND,
  SL_OP_IS_LEASED,
  SL_OP_LEASE_LOST, /* of the jobs marked so; the others are done */
  SL_OP_DAMAGED,
  SL_OP_NO_MEMORY /* nothing happened */
};

/* A number that was not given. */
#define SL_UNSET INT64_C(-1)

struct sl_text {
  const char *data; /* NULL: none */
  size_t len;
};

struct sl_job {
  int64_t id;
  int64_t token;      /* 0: it was not reserved by this operation */
  int64_t created_ns;
  int64_t due_ns;     /* put: from now; DELAYED: due; LEASED: deadline */
  int64_t ttl_ns;     /* put: from now, SL_UNSET: none */
  int64_t lease_ns;   /* put: SL_UNSET: the queue's */
  int64_t unique_ns;  /* put: how long at least, from now */
  double priority;
  int64_t max_attempts; /* 0: no limit; put: SL_UNSET: the queue's */
  int64_t attempts;
  struct sl_text body;
  struct sl_text unique;
  struct sl_text error;
  uint8_t state; /* enum sl_job_state */
  uint8_t format; /* of the body: the script's business */
  bool found;    /* put: unique found it there */
  bool lost;     /* its lease was lost */
};

struct sl_store_stats {
  int64_t jobs[SL_NSTATES];
  int64_t puts;
  int64_t acks;
  int64_t retries;   /* came back by nack or by an expired lease */
  int64_t expired;   /* gone by their ttl */
  int64_t cancelled; /* cancelled or purged */
  bool paused;
};

struct sl_queue_settings {
  int64_t maxsize; /* 0: no limit. SL_UNSET in each: as it is */
  int64_t lease_ns;
  int64_t max_attempts;
};

/* Of a queue that is new. */
extern const struct sl_queue_settings sl_default_settings;

struct sl_op_block;

struct sl_op {
  struct sl_link link; /* in a batch, or among those that wait */
  struct sl_op_block *blocks;
  size_t size; /* of the blocks, in bytes */
  enum sl_verb verb;
  enum sl_op_status status;
  int64_t queue;
  int64_t id; /* SL_UNSET: none */
  int64_t count;
  int64_t after_ns;
  int64_t number; /* a result */
  int64_t retry_ns; /* WAITING: when, in the host's time; INT64_MAX: never
                       by itself */
  enum sl_job_state state;
  struct sl_text text;
  struct sl_queue_settings settings;
  struct sl_job *jobs; /* given, or found */
  size_t njobs;
  struct sl_store_stats stats;
  const char *message; /* what went wrong, in words, or NULL; lives as long
                          as the operation or the program */
};

void sl_op_init(struct sl_op *op, enum sl_verb verb);
void sl_op_fini(struct sl_op *op);

/* As fini and init, but a block of a usual size is kept. */
void sl_op_reset(struct sl_op *op, enum sl_verb verb);

/* `size` bytes that live as long as the operation; NULL without memory. */
void *sl_op_alloc(struct sl_op *op, size_t size);

/* The operation's own copy of a text; data is NULL without memory. An empty
   text has data. */
struct sl_text sl_op_copy(struct sl_op *op, const char *data, size_t len);

/* Makes room for n jobs, zeroed, and sets njobs. False without memory. */
bool sl_op_make_jobs(struct sl_op *op, size_t n);

/* Sets status and message, which is not copied. */
void sl_op_fail(struct sl_op *op, enum sl_op_status status,
                const char *message);

/* Whether the verb can change what is stored. */
bool sl_verb_writes(enum sl_verb verb);

/* Whether the verb may find nothing, and wait for other operations. */
bool sl_verb_waits(enum sl_verb verb);

#endif
