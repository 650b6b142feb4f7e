/*
** wait.h: how a task sleeps.
**
** The one idea: a blocking call checks that it may wait (enter), raises a
** pending cancellation (pause), tries, and if it must, parks: its task goes
** into the list of what it waits for and yields. Whoever wakes it transfers
** the thing in the same call and fixes the result; the continuation only
** hands it to Lua. A parked waiter is woken exactly once.
**
** Every blocking function has this form:
**
**   static int thing_get(lua_State *L) {
**     struct thing *thing = sl_check(L, 1, &thing_class);
**     uint64_t timeout_ns = sl_opt_timeout(L, 2);
**     struct sl_task *task = sl_wait_enter(L, thing->loop);
**     if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, thing_get);
**     if (free) return take(L, thing);
**     if (timeout_ns == 0) return sl_fail(L, "timeout");
**     return sl_wait_park_k(L, task, &thing->waiters, &get_kind, thing,
**                           timeout_ns, k_get);
**   }
**
** Owns the only call of lua_yieldk. Parking allocates nothing.
*/
#ifndef SL_WAIT_H
#define SL_WAIT_H

#include "cancel.h"
#include "task.h"

void sl_wait_open(lua_State *L, struct sl_loop *loop);

/* Raises why the running code may not wait here. */
SL_NORETURN void sl_wait_refuse(lua_State *L, struct sl_loop *loop);

/* Counts a checkpoint of main, for testing.cancel_everywhere. */
void sl_wait_probe(struct sl_task *task);

/* The running task, which may wait here; else throws, nothing changed. */
static inline struct sl_task *sl_wait_enter(lua_State *L,
                                            struct sl_loop *loop) {
  struct sl_task *task = loop->current;
  if (sl_unlikely(task == NULL || task->coroutine.co != L ||
                  !lua_isyieldable(L)))
    sl_wait_refuse(L, loop);
  if (sl_unlikely(loop->tasks->probing)) sl_wait_probe(task);
  return task;
}

/* Whether the task must yield first: it is cancelled, or has done so many
   operations without waiting that it is the others' turn. */
static inline bool sl_wait_must_pause(struct sl_task *task) {
  return sl_unlikely(task->scope->effective) ||
         sl_unlikely(--task->loop->budget == 0);
}

/* Yields once; then raises a cancellation, or starts `again` over, which
   finds its arguments as they were. Nothing may have been pushed. */
int sl_wait_pause_k(lua_State *L, struct sl_task *task,
                    lua_CFunction again);

/* Yields once: every other ready task runs; then goes on in `k`. */
int sl_wait_yield_k(lua_State *L, struct sl_task *task, lua_KFunction k);

/* Parks the task in `list` (NULL: in none, only its deadline wakes it) and
   yields. `k` runs when it was woken, its ctx is the task. `object` is what
   it waits at, for the dump and the search for deadlocks. A waker may leave
   two values on the stack: who parks in a continuation, above results of a
   call, sees to the room. */
int sl_wait_park_k(lua_State *L, struct sl_task *task, struct sl_link *list,
                   const struct sl_wait_kind *kind, void *object,
                   uint64_t timeout_ns, lua_KFunction k);

/* Arms what deadlines of enclosing scopes are not armed yet. */
void sl_wait_arm_scopes(struct sl_task *task);

/* Raises what a wait ended with: a cancellation or a deadlock; or that the
   coroutine was resumed by hand. */
SL_NORETURN void sl_wait_raise(lua_State *L, struct sl_task *task);

/* In a continuation: what the wait came to. Throws if it was cancelled. */
static inline enum sl_wake sl_wait_outcome(lua_State *L,
                                           struct sl_task *task) {
  if (sl_unlikely(task->woken >= SL_WAS_CANCELLED ||
                  task->state != SL_RUNNING))
    sl_wait_raise(L, task);
  return (enum sl_wake)task->woken;
}

/* Whether no deadline ends what the task waits for, or is about to. */
bool sl_wait_for_ever(const struct sl_task *task);

/* Whether `from` is `task`, or waits for ever, by way of others, for it. */
bool sl_wait_reaches(struct sl_task *from, struct sl_task *task);

/* Throws if parking `task` for `target` (a task that alone can wake it)
   would close a circle of tasks that wait for each other for ever. */
void sl_wait_check_cycle(lua_State *L, struct sl_task *task,
                         struct sl_task *target, uint64_t timeout_ns);

#endif
