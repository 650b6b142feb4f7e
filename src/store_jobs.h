/*
** store_jobs.h: jobs in memory: the tables of the engine `memory:`.
**
** The one idea: a job is a row of one array and is in exactly one of its
** queue's four heaps, that of its state: ready by priority, delayed by when
** it is due, leased by its deadline, dead by when it died; equals by id. So
** every change is a removal and a push, O(log n), and the lengths of the
** heaps are the statistics. A fifth heap has those with a ttl that it may
** end: the ready and the delayed.
**
** Owns the memory of jobs, keys and queues. Whatever may lack memory does so
** before it changes anything. Knows no operations (store_memory.c does) and
** reads no clock: times are those it is given.
**
** Pure C.
*/
#ifndef SL_STORE_JOBS_H
#define SL_STORE_JOBS_H

#include "hash.h"
#include "heap.h"
#include "store_op.h"

#define SL_NO_JOB UINT32_MAX

struct sl_mem_job {
  int64_t id; /* 0: the row is free */
  int64_t token;
  int64_t created_ns;
  int64_t at_ns;  /* DELAYED: due; LEASED: deadline, INT64_MAX if kept;
                     DEAD: when it died */
  int64_t ttl_ns; /* when it ends unless it is leased; INT64_MAX: never */
  int64_t lease_ns;
  int64_t max_attempts;
  int64_t attempts;
  double priority;
  struct sl_text body;
  struct sl_text error;
  uint32_t queue;
  uint32_t key; /* the row of its unique key, or SL_NO_JOB */
  uint8_t state;
  uint8_t format;
};

/* A unique key: taken while its job is there or until_ns has not come. */
struct sl_mem_key {
  struct sl_text text; /* data is NULL: the row is free */
  int64_t id;
  int64_t until_ns;
  uint32_t queue;
  uint32_t hash;
  bool there;
};

struct sl_mem_queue {
  char *name;
  struct sl_queue_settings settings;
  struct sl_store_stats stats; /* but for jobs[] */
  struct sl_heap heaps[SL_NSTATES];
  struct sl_heap mortal; /* ready or delayed, with a ttl, by its end */
  uint32_t nmortal;      /* jobs with a ttl, leased and dead ones, too */
};

struct sl_mem {
  struct sl_mem_queue **queues;
  uint32_t nqueues;
  struct sl_mem_job *jobs;
  uint32_t njobs, jobs_cap, free_job; /* a chain through `key` */
  uint32_t *pos;        /* of each job in the heap of its state */
  uint32_t *mortal_pos; /* of each job in `mortal`, or SL_HEAP_NONE */
  struct sl_mem_key *keys;
  uint32_t nkeys, keys_cap, free_key; /* a chain through `hash` */
  struct sl_hash by_id;
  struct sl_hash by_key;
  int64_t last_id;
};

void sl_mem_init(struct sl_mem *mem);
void sl_mem_fini(struct sl_mem *mem);

/* The queue of that name, made if new; NULL without memory. */
struct sl_mem_queue *sl_mem_queue(struct sl_mem *mem, const char *name,
                                  uint32_t *number);

/* The row of a job of that queue, or SL_NO_JOB. */
uint32_t sl_mem_find(const struct sl_mem *mem, uint32_t queue, int64_t id);

/* The row of a taken unique key, or SL_NO_JOB. One whose time is over and
   whose job is gone is dropped. */
uint32_t sl_mem_find_key(struct sl_mem *mem, uint32_t queue,
                         struct sl_text text, int64_t now_ns);

/* Adds a job, READY, or DELAYED if due_ns is later than now. Its texts are
   copied. SL_NO_JOB without memory. */
uint32_t sl_mem_add(struct sl_mem *mem, uint32_t queue,
                    const struct sl_job *job, int64_t now_ns);

/* Moves a job to a state. False without memory, nothing changed. */
bool sl_mem_move(struct sl_mem *mem, uint32_t row, enum sl_job_state state,
                 int64_t at_ns);

/* Takes a job out. Its unique key goes, too, unless its time lasts. */
void sl_mem_remove(struct sl_mem *mem, uint32_t row, int64_t now_ns);

/* Moves the deadline of a leased job. */
void sl_mem_extend(struct sl_mem *mem, uint32_t row, int64_t deadline_ns);

/* Replaces the error text, or leaves none without memory. */
void sl_mem_set_error(struct sl_mem *mem, uint32_t row, struct sl_text text);

/* The first job of a state, or SL_NO_JOB. */
uint32_t sl_mem_first(const struct sl_mem_queue *queue,
                      enum sl_job_state state);

/* The ready or delayed job whose ttl ends first, or SL_NO_JOB. */
uint32_t sl_mem_first_mortal(const struct sl_mem_queue *queue);

/* Whether all tables agree with each other. */
bool sl_mem_sound(const struct sl_mem *mem);

#endif
