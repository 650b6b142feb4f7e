/*
** store.h: the host of a job store's engine.
**
** The one idea: a call of a script becomes an operation (store_op.h), which
** the engine carries out with others in a batch; the task is parked until
** the batch is committed. An engine that blocks has a thread of its own
** (store_thread.h), one that does not is run where it is called.
**
**           post            the engine has it         run is over
**   IDLE ─────────► PENDING ───────────────► TAKEN ──────────────► FINISHED
**                      │                     │   ▲
**                      │            nothing  ▼   │ again
**                      │                    ASLEEP ── withdrawn ──► FINISHED
**                      └──────────── withdrawn ───────────────────► FINISHED
**
** A call belongs to its store, which has used ones again; its task returns
** it when it has had the results. An effect is never lost: a call that is
** TAKEN is waited for even by a task that was cancelled, and then it
** succeeds.
**
** Owns the parking, the bound on what is outstanding, and the table
** sluice.core.store. Knows nothing of what a queue is.
*/
#ifndef SL_STORE_H
#define SL_STORE_H

#include "store_engine.h"
#include "wait.h"

enum sl_call_state {
  SL_CALL_IDLE,
  SL_CALL_PENDING,
  SL_CALL_TAKEN,
  SL_CALL_ASLEEP,
  SL_CALL_FINISHED
};

struct sl_call {
  struct sl_op op; /* first */
  struct sl_link link;    /* among the store's calls, loose or spare ones */
  struct sl_link waiters; /* the task that waits for it, or none */
  struct sl_store *store;
  uint64_t timeout_ns;
  size_t size;       /* of its memory when it was posted */
  bool has_place;    /* it is one of the store's places */
  uint8_t state;     /* enum sl_call_state */
  bool no_wait;      /* what finds nothing is finished, TIMED_OUT */
  bool withdrawn;    /* TAKEN: if it finds nothing, it is finished */
  uint8_t why;       /* enum sl_wake: what it was withdrawn for */
  bool orphan;       /* nobody will take its results */
};

struct sl_store_thread;

struct sl_store {
  struct sl_link link; /* among the stores of the loop */
  struct sl_loop *loop;
  const struct sl_engine_class *engine_class;
  struct sl_store_thread *thread; /* NULL: inline */
  struct sl_engine *engine;       /* inline; NULL once closed */
  struct sl_link asleep;          /* inline: operations that found nothing */
  struct sl_deadline due;         /* inline: when to ask again */
  struct sl_link calls;  /* posted, and those whose results wait */
  struct sl_link loose;  /* being filled, or their results handed over */
  struct sl_link spare;  /* to be used again */
  uint32_t nspare;
  struct sl_link crowd;  /* tasks that wait for room */
  bool admitting;        /* one of them was woken and has not run yet */
  struct sl_link openers; /* the task that waits until it is open */
  struct sl_link closers; /* tasks that wait for it to be closed */
  uint32_t in_flight;    /* calls posted and not finished */
  uint32_t places;       /* of them, those that end by themselves */
  size_t size_in_flight; /* of the memory of these */
  bool running;          /* inline: the engine runs */
  bool closing;          /* no more calls */
  bool closed;           /* nothing is left but the memory */
  bool boxed;            /* a script has it */
  bool failed;           /* it could not be opened: error says why */
  struct sl_engine_error error;
};

static inline struct sl_call *sl_call_of(struct sl_link *link) {
  return sl_container(link, struct sl_call, op.link);
}

/* A store that is not open, or NULL. It is freed when it is not boxed. */
struct sl_store *sl_store_new(struct sl_loop *loop,
                              const struct sl_engine_class *class);

/* Frees it if nobody refers to it any more. */
void sl_store_free(struct sl_store *store);

/* No more calls; what was posted is still done; sl_store_ended tells. */
void sl_store_close(struct sl_store *store);

/* Whether one more call may be posted. */
bool sl_store_has_room(const struct sl_store *store);

/* Whether who calls now must wait for room, behind the others. */
bool sl_store_is_crowded(const struct sl_store *store);

/* If there is room, wakes who waits for it longest. One at a time: how much
   each takes is known when it has posted. Who is woken looks whether there
   still is room, and sees to the next, also if it posts nothing. */
void sl_store_admit(struct sl_store *store);

/* A new call. Throws: memory. */
struct sl_call *sl_call_new(lua_State *L, struct sl_store *store,
                            enum sl_verb verb);

/* The call is wanted no more; it is not with the engine. */
void sl_call_return(struct sl_call *call);

/* Its results are to be handed over, which may throw. */
void sl_call_loosen(struct sl_call *call);

/* Returns the calls that something thrown has left. Only where a task may
   wait: there no other call is being filled or handed over. */
void sl_store_pick_up(struct sl_store *store);

/* Has the engine carry it out; it may be FINISHED when this returns. */
void sl_call_post(struct sl_call *call);

/* Takes back a call that has had no effect. False: it may have one by now,
   and will be finished soon. */
bool sl_call_withdraw(struct sl_call *call, enum sl_wake why);

/* A call is over: wakes who waits for it, or returns it. No Lua. */
void sl_call_finish(struct sl_call *call);

/* The engine's thread has opened it, or failed to. No Lua. */
void sl_store_opened(struct sl_store *store);

/* The engine is closed, its thread has ended. No Lua. */
void sl_store_ended(struct sl_store *store);

/* -- store_call.c: between Lua and operations -- */

/* Fills an operation from the arguments at 1…: the store, then those of its
   method. Throws: memory, a wrong argument. */
void sl_call_fill(lua_State *L, struct sl_call *call);

/* Pushes what a finished operation came to. Throws: memory. */
int sl_call_push(lua_State *L, struct sl_call *call);

/* -- store_lua.c -- */

/* Opens sluice.core.store in the table on the top. */
void sl_store_open(lua_State *L, struct sl_loop *loop);

/* Ends the threads. Before sl_loop_close. */
void sl_store_stop(lua_State *L, struct sl_loop *loop);

#endif
