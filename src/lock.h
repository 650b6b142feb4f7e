/*
** lock.h: a lock that a task owns.
**
** The one idea: a lock is handed over in the call that releases it, to the
** task that has waited longest, so that it is never free while somebody
** waits and nobody can slip in between.
**
** A task's locks are chained in the task, so that one that ends without
** releasing them is told of and they pass on. A condition uses the lock's
** own queue (sl_lock_queue).
*/
#ifndef SL_LOCK_H
#define SL_LOCK_H

#include "wait.h"

struct sl_lock {
  const struct sl_class *class;
  struct sl_loop *loop;
  struct sl_link waiters; /* empty while owner is NULL */
  struct sl_task *owner;  /* NULL: free */
  struct sl_lock *next;   /* in the owner's chain of locks */
  struct sl_lock **back;  /* what points at us there */
  bool collected;         /* its finaliser has run, it may vanish */
};

extern const struct sl_class sl_lock_class;

/* Sets Lock in the table on the top. */
void sl_lock_open(lua_State *L, struct sl_loop *loop);

/* Pushes a new lock. Throws: memory. */
struct sl_lock *sl_lock_new(lua_State *L, struct sl_loop *loop);

/* Makes the task the owner of a free lock. */
void sl_lock_take(struct sl_lock *lock, struct sl_task *task);

/* Passes the lock to the first waiter, or frees it. */
void sl_lock_pass(struct sl_lock *lock);

/* Parks or leaves parked: the task waits for the lock, to be woken with what
   task->woken says; at once if the lock is free. */
void sl_lock_queue(struct sl_lock *lock, struct sl_task *task);

/* The parts of acquire, for those who return something else than the lock:
   `again` starts over, `k` follows when the lock is had. */
int sl_lock_acquire_k(lua_State *L, struct sl_lock *lock,
                      uint64_t timeout_ns, lua_CFunction again,
                      lua_KFunction k);

/* Throws unless the running task owns the lock. */
void sl_lock_check_owner(lua_State *L, const struct sl_lock *lock,
                         const char *action);

/* Pushes what to tell of the n-th lock that a task holds at its end; returns
   false, nothing pushed, if there is none. */
bool sl_lock_push_complaint(lua_State *L, const struct sl_task *task, int n);

/* A guard is closed: releases, or throws if the lock was released by hand
   and no error is on its way (at index 2). */
void sl_lock_close_guard(lua_State *L, struct sl_lock *lock);

#endif
