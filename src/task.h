/*
** task.h: tasks: coroutines that the loop runs.
**
** The one idea: a task is one userdata. It carries its function and
** arguments until its first step, so that a hundred thousand new tasks are
** not a hundred thousand coroutines; it borrows a coroutine while it lives;
** and it keeps its results, or its error and traceback, in the same user
** values afterwards, for any number of awaiters.
**
** Owns the tasks' outcomes and the only call of lua_resume. How a task sleeps
** is not known here (wait.h), nor what a cancellation looks like (cancel.h).
*/
#ifndef SL_TASK_H
#define SL_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "list.h"
#include "loop.h"
#include "lx.h"
#include "place.h"
#include "pool.h"
#include "scope.h"

/*
**            step            sl_wait_park
**   NEW ────────► RUNNING ◄──────────────► PARKED
**    │              │  ▲                     │
**    │ withdrawn    │  └──────── READY ◄─────┘ sl_task_wake
**    ▼              ▼
**   ENDED ◄──── body ended
**
** NEW and READY tasks are on the ready ring (a NEW one that waits for its
** time, of call_later, is linked nowhere); PARKED ones in the list of what
** they wait for, by the same link, so that nobody is ever in both.
*/
enum sl_task_state { SL_NEW, SL_READY, SL_RUNNING, SL_PARKED, SL_ENDED };

/* How a task ended. */
enum sl_task_end { SL_RETURNED, SL_FAILED, SL_CANCELLED };

/* What a wait came to, fixed in the waker's call. */
enum sl_wake {
  SL_WOKEN, /* it got what it waited for */
  SL_TIMED_OUT,
  SL_SHUT_DOWN,
  SL_BROKEN,
  SL_REFUSED, /* an error, whose value was left on the waiter's stack */
  /* from here on the wait raises */
  SL_WAS_CANCELLED,
  SL_DEADLOCKED,
  SL_NOT_WOKEN /* parked: whoever sees it was resumed by hand */
};

struct sl_task;
struct sl_group;
struct sl_lock;
struct sl_limit;

/* What a task can wait for. */
struct sl_wait_kind {
  const char *what; /* for the dump: "Queue:get" */
  /* Gives a parked wait up: unlink, undo, wake with `why` (or, if it cannot
     be given up, go on). NULL: sl_task_wake. */
  void (*abandon)(struct sl_task *task, enum sl_wake why);
  /* Who alone can wake this waiter, or NULL. NULL: nobody in particular. */
  struct sl_task *(*holder)(struct sl_task *waiter);
  /* Whether `task` is among those who all must end first. NULL: no. */
  bool (*includes)(struct sl_task *waiter, struct sl_task *task);
};

/* Somebody who wants to know when a task ends, besides its awaiters. */
struct sl_watch {
  struct sl_link link; /* in task->watches; unlinked once it ended */
  void (*ended)(struct sl_watch *watch);
};

struct sl_task {
  /* What each step and each wait touches comes first, close together. */
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_link link;    /* in the ready ring, or where it waits */
  struct sl_coroutine coroutine; /* none before its first step, after its
                                    end */
  const struct sl_wait_kind *kind; /* what it waits for, while parked */
  void *object;           /* the thing it waits at, or NULL */
  struct sl_deadline deadline; /* of the wait */
  struct sl_scope *scope; /* innermost; &root if none was entered */
  uint32_t unarmed;       /* scopes with a deadline that is not yet armed */
  uint8_t state;          /* enum sl_task_state */
  uint8_t woken;          /* enum sl_wake */
  uint8_t end;            /* enum sl_task_end */
  bool reported;          /* its error has an owner: a group, on_error */
  struct sl_scope root;   /* what task:cancel() cancels */
  struct sl_link awaiters; /* tasks parked in await, by their links */
  struct sl_link watches; /* who else wants to know of its end */
  struct sl_group *group; /* that its children belong to; NULL: the run */
  struct sl_group *owner; /* that it is a child of; NULL: the run */
  struct sl_lock *held;   /* the locks it holds, a chain */
  uint32_t id;
  uint32_t slot;    /* in the table of anchors, 0: none */
  uint32_t nvalues; /* arguments before its start, results after its end */
  struct sl_place place; /* where it was created */
  uint16_t nuv;     /* user values */
  uint16_t raises;  /* cancellations raised so far, saturating */
  bool withdrawn;   /* NEW: it is to end without having run */
  bool named;       /* a script gave it a name */
  bool stashed;     /* its user values hold an error it met, not its own */
};

/* What upper rooms do at the turns of a task's life. */
struct sl_task_hooks {
  /* Its group is left without its body having ended: dropped, closed by
     hand. No Lua. */
  void (*orphan)(struct sl_scope *scope);
  /* Leaves the scopes that the body left open. No Lua. */
  void (*unwind)(struct sl_task *task, struct sl_scope *down_to);
  /* The body has ended, its outcome is kept; in its coroutine. May throw. */
  void (*ending)(lua_State *L, struct sl_task *task, int self);
  /* The locks it still holds pass on. No Lua. */
  void (*drop_locks)(struct sl_task *task);
  /* After its end, awaiters woken: for its group. No Lua. */
  void (*child_ended)(struct sl_task *task);
  /* Arms the deadlines of the task's scopes that are not armed. No Lua. */
  void (*arm_scopes)(struct sl_task *task);
  /* Pushes the error of a deadlock that the task is told of. May throw. */
  void (*push_deadlock)(lua_State *L, struct sl_task *task);
  /* The step is over in which main met the checkpoint probed for. No Lua. */
  void (*probe)(struct sl_task *task);
  /* A step took ns, longer than loop->slow_ns. Does not throw. */
  void (*slow)(struct sl_loop *loop, struct sl_task *task, uint64_t ns);
  /* Whether the value at the top is a cancellation of the task's own. */
  bool (*own_cancel)(lua_State *L, struct sl_task *task, int index);
};

struct sl_tasks {
  lua_State *L;      /* where run was called; from here tasks are resumed */
  int class_ref;     /* of the metatable of tasks, in the registry */
  struct sl_pool pool; /* what keeps tasks, and their coroutines */
  uint32_t live;     /* tasks that have not ended */
  uint32_t main_left; /* 1 until main has ended */
  uint32_t next_id;
  bool walked;       /* a dump walks the tree: no task may leave it */
  uint32_t futile;    /* times that all were told of a deadlock */
  struct sl_task *main;
  struct sl_scope root; /* of the run; parent of every task's */
  struct sl_link settlers; /* tasks parked until all others are blocked */
  struct sl_task_hooks hooks;
  struct sl_places places; /* where tasks were created */
  struct sl_limit *free_limits; /* scopes with a deadline, at rest */
  lua_CFunction rethrower; /* the function that raised an error once more */
  uint64_t probe_count; /* checkpoints that main met; see testing */
  uint64_t probe_at;    /* cancel main at this one, 0: not */
  bool probing;
  bool probe_parked; /* cancel it when it has parked there, not before */
  bool probe_fire;   /* it has */
};

extern const struct sl_class sl_task_class;

void sl_tasks_open(lua_State *L, struct sl_loop *loop);
void sl_tasks_free(lua_State *L, struct sl_loop *loop);

/* Creates a task of the function at `first` and the arguments above it in
   L; leaves the task above them. `ready`: it starts at the creator's next
   checkpoint; else somebody must start it (sl_task_launch). One userdata is
   allocated. Throws: memory, then nothing has changed. */
struct sl_task *sl_task_new(lua_State *L, struct sl_loop *loop, int first,
                            struct sl_group *group, struct sl_scope *parent,
                            bool ready);

/* Puts a NEW task that is linked nowhere on the ready ring. */
void sl_task_launch(struct sl_task *task);

/* A NEW task will end without having run. */
void sl_task_withdraw(struct sl_task *task);

/* Withdraws the scheduled calls that are not due yet. */
void sl_task_withdraw_scheduled(struct sl_loop *loop);

/* Ends the tasks that cannot be ended by raising in them: they swallow every
   cancellation and everything they wait for is lost. */
void sl_task_drop_all(struct sl_loop *loop);

/* Pushes the userdata of a live task. */
void sl_task_push(lua_State *L, const struct sl_task *task);

/* Pushes a task's name. `self` is where its userdata is, 0 if it lives. */
const char *sl_task_push_name(lua_State *L, const struct sl_task *task,
                              int self);
/* Sets the name of the task at index 1 to the string at index `name`. */
void sl_task_set_name(lua_State *L, struct sl_task *task, int name);

/* Keeps a traceback (at `trace`, may be nil) with the running task, for the
   error at `err` that is about to be raised in it. */
void sl_task_keep_traceback(lua_State *L, struct sl_loop *loop, int err,
                            int trace);

/* Raises the error on the top once more: the traceback kept stays. */
int sl_task_rethrow(lua_State *L, struct sl_loop *loop);

/* Pushes the results of the ended task at `index`, throws its error. Returns
   how many. */
int sl_task_push_outcome(lua_State *L, struct sl_task *task, int index);
/* As above, the error is pushed instead; returns 1. */
int sl_task_push_values(lua_State *L, struct sl_task *task, int index);

/* What each task's coroutine runs. */
int sl_task_body(lua_State *L);

/* The message handler of every protected call under which a task's code
   runs: keeps the traceback of the first raise with the task. Push with
   lua_pushcfunction. */
int sl_task_traceback(lua_State *L);

/* Calls fn for each live task, parents before children, with its userdata
   on the top of L. fn may wake tasks, not end them. */
void sl_task_each(struct sl_loop *loop,
                  void (*fn)(struct sl_task *task, void *arg), void *arg,
                  lua_State *L);

static inline struct sl_task *sl_task_of(struct sl_link *link) {
  return sl_container(link, struct sl_task, link);
}

/* Wakes a parked task: the wait came to `woken`. It is unlinked, its
   deadline is disarmed, and it is on the ready ring; cannot fail. */
static inline void sl_task_wake(struct sl_task *task, enum sl_wake woken) {
  sl_link_unlink(&task->link);
  sl_clock_disarm(task->loop, &task->deadline);
  task->woken = (uint8_t)woken;
  task->state = SL_READY;
  sl_loop_ready(task->loop, &task->link);
}

/* Gives up the wait of a parked task because of `why`. */
static inline void sl_task_abandon(struct sl_task *task, enum sl_wake why) {
  if (task->kind->abandon != NULL)
    task->kind->abandon(task, why);
  else
    sl_task_wake(task, why);
}

#endif
