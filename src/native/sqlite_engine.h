/*
** sqlite_engine.h: the engine `sqlite:`: its state, and how jobs change.
**
** The one idea: a batch of operations is one transaction under the lock of
** writers, so what was read of a queue at its beginning (settings, counters)
** is true until its end: it is changed in memory and written once. Between
** batches it stays true unless another process committed, which SQLite's
** data_version tells.
**
** sqlite.c has the module and the batches, sqlite_verbs.c what operations
** do, sqlite_look.c those from outside, sqlite_jobs.c how a job changes its
** state, sqlite_leases.c whose leases are renewed and who has died,
** sqlite_check.c the check.
*/
#ifndef SL_SQLITE_ENGINE_H
#define SL_SQLITE_ENGINE_H

#include "../hash.h"
#include "../store_engine.h"
#include "sqlite_db.h"
#include "sqlite_files.h"

/* What is known of a queue. Its number is its place in the table. */
struct sl_lite_queue {
  bool known; /* what follows is true */
  bool dirty; /* it is to be written */
  struct sl_queue_settings settings;
  struct sl_store_stats stats;
  int64_t last_id; /* of its jobs */
  int64_t next_ns; /* nothing is due before that; INT64_MAX: never */
};

/* A lease that is renewed. */
struct sl_lite_kept {
  int64_t id;
  int64_t token;
  int64_t lease_ns;
  int64_t renew_ns; /* when, in the store's time */
};

struct sl_engine {
  struct sl_lite_db db;
  struct sl_lite_files files;
  struct sl_lite_queue *queues;
  int64_t nqueues;
  struct sl_lite_kept *kept;
  uint32_t nkept, kept_cap;
  struct sl_hash kept_by_id;
  int64_t renew_ns; /* the first of them; INT64_MAX: none */
  int64_t owner;
  int refused;       /* opening: errno of the owner's lock; 0: it has it */
  int64_t offset_ns; /* the store's time less that since the machine began */
  int64_t now_ns;    /* the store's time, in a batch */
  int64_t skew_ns;   /* the machine's clock less that, if somebody set it */
  int64_t host_ns;   /* the host's, in a batch */
  int64_t last_id;
  int64_t data_version;
  int64_t others;    /* processes that have the store open, less this one */
  int64_t idle_ns;   /* when the log is carried over, in the host's time */
  int64_t death_ns;  /* when somebody is to be dead, likewise */
  bool locked;
  bool late;    /* something was due, which could not be put right unlocked */
  bool news;    /* others have committed */
  bool awaited; /* operations wait for that */
  bool deaths;  /* somebody may have died */
  bool doubt;   /* a commit that failed may stand in the log */
  bool tell;    /* others may wait for what was done under the lock */
  bool full;    /* the disk is, until there is ballast again */
  bool cramped; /* and there is no room in the file: no puts */
};

static inline int64_t sl_lite_after(const struct sl_engine *engine,
                                    int64_t ns) {
  return ns > INT64_MAX - engine->now_ns ? INT64_MAX : engine->now_ns + ns;
}

/* The store's time. */
int64_t sl_lite_time(const struct sl_engine *engine);

/* -- sqlite_jobs.c -- */

/* The queue of that number, loaded; NULL after an error. */
struct sl_lite_queue *sl_lite_queue(struct sl_engine *engine,
                                    int64_t number);

/* Forgets what is known of the queues. */
void sl_lite_forget(struct sl_engine *engine);

/* Writes what has changed of queues. */
void sl_lite_save(struct sl_engine *engine);

/* What moving a job needs to know of it. */
struct sl_lite_row {
  int64_t id;
  int64_t queue;
  enum sl_job_state state;
  int64_t attempts;
  int64_t max_attempts;
  int64_t ttl_ns; /* INT64_MAX: none */
  int extra;
  struct sl_text key; /* valid until the statement is reset: copy it */
};

/* Takes a job out, with what it has elsewhere; does not count it. */
void sl_lite_drop(struct sl_engine *engine, const struct sl_lite_row *row);

/* Moves a job. An error text of NULL leaves what it has. */
void sl_lite_move(struct sl_engine *engine, struct sl_lite_row *row,
                  enum sl_job_state state, int64_t at_ns,
                  struct sl_text error);

/* A leased job comes back: READY, DELAYED until at_ns, DEAD if it counts and
   its attempts are used up, gone if its ttl is over. */
void sl_lite_come_back(struct sl_engine *engine, struct sl_lite_row *row,
                       bool counts, int64_t at_ns, struct sl_text error);

/* Puts right what is due by now in a queue, if the lock is held. */
void sl_lite_settle(struct sl_engine *engine, int64_t number);

/* Something of the queue is due at that time. */
void sl_lite_due(struct sl_engine *engine, int64_t number, int64_t at_ns);

/* Takes the time's ends off unique keys whose jobs are gone. */
void sl_lite_sweep_keys(struct sl_engine *engine);

/* -- sqlite_leases.c -- */

/* Renews leases until they are let go; false without memory. */
bool sl_lite_keep(struct sl_engine *engine, int64_t id, int64_t token,
                  int64_t lease_ns);
void sl_lite_let_go(struct sl_engine *engine, int64_t id);

/* Renews what is to be renewed by now. */
void sl_lite_renew(struct sl_engine *engine);

/* Becomes an owner of leases. */
void sl_lite_enrol(struct sl_engine *engine);

/* Gives up what is leased, and is no owner any more. */
void sl_lite_resign(struct sl_engine *engine);

/* Ends the leases of owners that have died. */
void sl_lite_rescue(struct sl_engine *engine);

/* -- sqlite_verbs.c -- */

/* Carries an operation out, within a transaction. */
void sl_lite_apply(struct sl_engine *engine, struct sl_op *op);

/* -- sqlite_look.c -- */

/* Copies a column, unless it is NULL. False: no memory. */
bool sl_lite_copy(struct sl_op *op, sqlite3_stmt *row, int column,
                  struct sl_text *to);

/* Describes the job of a row with the columns of enum sl_lite_column. The
   body of a damaged job is missing. False: no memory. */
bool sl_lite_describe(struct sl_engine *engine, struct sl_op *op,
                      sqlite3_stmt *row, struct sl_job *to);

void sl_lite_cancel(struct sl_engine *engine, struct sl_op *op);
void sl_lite_kick(struct sl_engine *engine, struct sl_op *op);
void sl_lite_purge(struct sl_engine *engine, struct sl_op *op);
void sl_lite_peek(struct sl_engine *engine, struct sl_op *op);
void sl_lite_look_at(struct sl_engine *engine, struct sl_op *op);
void sl_lite_list_queues(struct sl_engine *engine, struct sl_op *op);

/* -- sqlite.c -- */

/* Between batches: renews what is to be renewed by now. False: it cannot;
   db.error. */
bool sl_lite_breathe(struct sl_engine *engine);

/* -- sqlite_check.c -- */

/* Between batches. */
void sl_lite_check(struct sl_engine *engine, struct sl_op *op);

/* The checksum of a body. */
uint32_t sl_lite_checksum(int64_t id, int format, struct sl_text body);

#endif
