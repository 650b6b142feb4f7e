/*
** loop.h: the event loop: what runs next, and when the kernel is asked.
**
** The one idea: libuv callbacks never touch Lua. A callback stores a C
** result and links a task on the ready ring; the ring is drained here,
** outside uv_run, one step a task. So errors never cross libuv's frames and
** uv_run is never entered twice.
**
** Owns the uv_loop_t, the ready ring, the clock's reading and the only call
** of uv_run. Does not know what a task is: upper rooms hang themselves in
** through sl_loop_hooks. Its memory is Lua's and has no finaliser, so that it
** outlives every object that points at it; sl_loop_close ends all handles.
*/
#ifndef SL_LOOP_H
#define SL_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "list.h"
#include "schedule.h"

#define SL_NEVER UINT64_MAX

enum {
  SL_BUDGET = 4096,   /* operations without a wait before a task must yield */
  SL_CLOCK_STEPS = 16, /* steps between two readings of the clock */
  SL_POLL_TICKS = 16   /* readings between two polls: 256 steps */
};

struct sl_loop;
struct sl_task;
struct sl_clock;
struct sl_tasks;

/* What uv_handle_t.data points at in the handles of upper rooms; the loop's
   and the clock's own have NULL there. */
struct sl_closer {
  uv_close_cb on_closed; /* frees what the handle is in */
};

struct sl_loop_hooks {
  /* Runs ready tasks, a step each, until there are none, *left is 0 or it
     is time to look at the clock (sl_loop_take tells). */
  void (*drain)(struct sl_loop *loop, const uint32_t *left);
  /* When the next deadline is due, SL_NEVER if there is none. */
  uint64_t (*next_due_ns)(struct sl_loop *loop);
  /* Makes the next blocking poll end at due_ns (SL_NEVER: not by itself). */
  void (*arm)(struct sl_loop *loop, uint64_t due_ns);
  /* Fires what is due at loop->now_ns. */
  void (*fire)(struct sl_loop *loop);
  /* Nothing can wake anybody: makes a task ready, or returns false. */
  bool (*stuck)(struct sl_loop *loop);
  /* Every task is blocked: may make one ready before time moves. */
  bool (*settled)(struct sl_loop *loop);
  /* A signal arrived (loop->signals was not 0). */
  void (*signalled)(struct sl_loop *loop);
};

struct sl_loop {
  struct sl_link ready; /* what runs next, first come first served */
  uint32_t nready;
  uint32_t budget;         /* operations left to the running task */
  struct sl_task *current; /* NULL outside a step */
  uint64_t now_ns;         /* the last reading; the time itself if virtual */
  bool virtual_time;
  uint32_t idle_grace_ms; /* virtual: how long handles may speak up */
  uint64_t *clock_kept_ns; /* where the virtual time is kept between runs */
  bool running;
  bool closed;
  uint32_t turn;          /* seeded: steps left of this turn's snapshot */
  uint32_t steps_to_tick; /* 0: look at the clock before the next step */
  uint32_t ticks_to_poll;
  uint64_t polled_ns; /* when the kernel was last asked */
  uint64_t slow_ns;   /* report a step longer than this, 0: never */
  uint64_t nticks;    /* polls, for stats */
  uint64_t nswitches; /* steps, for stats */
  uint64_t lag_ns;    /* how late the last deadline fired */
  uint32_t nremote;   /* requests in flight that end when a peer is willing:
                         connects, writes; not what runs in threads */
  struct sl_schedule schedule;
  struct sl_loop_hooks hooks;
  struct sl_clock *clock;
  struct sl_tasks *tasks;
  uv_async_t wake; /* ends a poll from a signal handler or a thread */
  atomic_uint signals; /* bits set by signal handlers */
  uv_loop_t uv;
};

/* Opens a loop in memory that outlives every finaliser. Returns false
   without descriptors. */
bool sl_loop_open(struct sl_loop *loop);

/* Closes every handle and runs until their close callbacks have run. */
void sl_loop_close(struct sl_loop *loop);

/* Runs steps until *left is 0. Returns false if it gave up, being stuck. */
bool sl_loop_run(struct sl_loop *loop, const uint32_t *left);

/* Reads the clock: nanoseconds, monotonic, or the virtual time. */
static inline uint64_t sl_loop_now(struct sl_loop *loop) {
  if (!loop->virtual_time) loop->now_ns = uv_hrtime();
  return loop->now_ns;
}

/* In a callback of a timer or a uv_prepare_t that made somebody ready: libuv
   (before 1.45) runs these before it polls, and would then poll for as long
   as the next timer, or for ever; stopped, it polls without waiting. */
static inline void sl_loop_stop_poll(struct sl_loop *loop) {
  uv_stop(&loop->uv);
}

/* Puts what `link` belongs to on the ready ring. Cannot fail. */
static inline void sl_loop_ready(struct sl_loop *loop,
                                 struct sl_link *link) {
  sl_list_push(&loop->ready, link);
  loop->nready++;
}

/* Takes a link that is on the ready ring off it. */
static inline void sl_loop_unready(struct sl_loop *loop,
                                   struct sl_link *link) {
  sl_link_unlink(link);
  loop->nready--;
}

struct sl_link *sl_loop_take_chosen(struct sl_loop *loop);

/* Takes the task that runs next off the ready ring; NULL when there is none
   or something else is due first. */
static inline struct sl_link *sl_loop_take(struct sl_loop *loop) {
  struct sl_link *link = loop->ready.next;
  if (link == &loop->ready || loop->steps_to_tick == 0) return NULL;
  if (__builtin_expect(loop->schedule.seeded, 0))
    return sl_loop_take_chosen(loop);
  loop->steps_to_tick--;
  loop->budget = SL_BUDGET;
  loop->nswitches++;
  sl_loop_unready(loop, link);
  return link;
}

#endif
