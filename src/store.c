/*
** store.c: see store.h. An engine that runs inline is driven here, one with
** a thread in store_thread.c; store_lua.c has what scripts call.
*/
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "store_thread.h"

enum {
  /* More calls, or more bytes of theirs, wait before they are copied. */
  MAX_IN_FLIGHT = 8192,
  MAX_SIZE = 64 << 20,
  MAX_SPARE = 1024
};

static const int64_t RETRY_NS = 1000000; /* without memory to settle */

/* -- calls -- */

static void free_call(struct sl_call *call) {
  sl_link_unlink(&call->link);
  sl_op_fini(&call->op);
  free(call);
}

struct sl_call *sl_call_new(lua_State *L, struct sl_store *store,
                            enum sl_verb verb) {
  struct sl_call *call;
  if (!sl_list_empty(&store->spare)) {
    call = sl_container(sl_list_pop(&store->spare), struct sl_call, link);
    store->nspare--;
    call->op.verb = verb;
  } else {
    call = malloc(sizeof *call);
    if (call == NULL) luaL_error(L, "not enough memory");
    sl_op_init(&call->op, verb);
    sl_link_init(&call->link);
    sl_link_init(&call->waiters);
  }
  sl_list_push(&store->loose, &call->link);
  call->store = store;
  call->timeout_ns = SL_NEVER;
  call->state = SL_CALL_IDLE;
  call->no_wait = call->withdrawn = call->orphan = false;
  return call;
}

void sl_call_return(struct sl_call *call) {
  struct sl_store *store = call->store;
  if (store->nspare == MAX_SPARE || store->closing) {
    free_call(call);
    return;
  }
  sl_op_reset(&call->op, call->op.verb);
  sl_link_unlink(&call->link);
  sl_list_push(&store->spare, &call->link);
  store->nspare++;
}

void sl_call_loosen(struct sl_call *call) {
  sl_link_unlink(&call->link);
  sl_list_push(&call->store->loose, &call->link);
}

void sl_store_pick_up(struct sl_store *store) {
  while (!sl_list_empty(&store->loose))
    sl_call_return(
        sl_container(store->loose.next, struct sl_call, link));
}

bool sl_store_has_room(const struct sl_store *store) {
  return store->places < MAX_IN_FLIGHT && store->size_in_flight < MAX_SIZE;
}

/* Whether somebody who was woken comes. If his run has ended, he does not,
   and nobody may wait for that: what has a place then ends. */
static bool is_admitting(const struct sl_store *store) {
  return store->admitting && store->places > 0;
}

bool sl_store_is_crowded(const struct sl_store *store) {
  return is_admitting(store) || !sl_list_empty(&store->crowd) ||
         !sl_store_has_room(store);
}

void sl_store_admit(struct sl_store *store) {
  if (is_admitting(store) || sl_list_empty(&store->crowd) ||
      !sl_store_has_room(store))
    return;
  store->admitting = true;
  sl_task_wake(sl_task_of(store->crowd.next), SL_WOKEN);
}

static void free_calls(struct sl_link *list) {
  while (!sl_list_empty(list))
    free_call(sl_container(list->next, struct sl_call, link));
}

void sl_store_free(struct sl_store *store) {
  if (store->boxed || !store->closed || store->in_flight > 0) return;
  free_calls(&store->calls);
  free_calls(&store->loose);
  free_calls(&store->spare);
  sl_link_unlink(&store->link);
  free(store);
}

/* What waits in the engine takes no place: its end may need one. */
static void take_place(struct sl_store *store, struct sl_call *call) {
  call->has_place = !sl_verb_waits(call->op.verb);
  if (!call->has_place) return;
  call->size = call->op.size;
  store->size_in_flight += call->size;
  store->places++;
}

static void leave_place(struct sl_store *store, struct sl_call *call) {
  if (!call->has_place) return;
  store->size_in_flight -= call->size;
  store->places--;
  sl_store_admit(store);
}

static void leave_flight(struct sl_store *store) {
  store->in_flight--;
  if (store->in_flight > 0) return;
  /* Who closes waits for the thread, also when no call is left. */
  if (store->thread != NULL && !store->closing)
    sl_store_thread_hold(store->thread, false);
  sl_store_free(store);
}

void sl_call_finish(struct sl_call *call) {
  struct sl_store *store = call->store;
  bool found = call->op.status != SL_OP_WAITING;
  call->state = SL_CALL_FINISHED;
  if (!sl_list_empty(&call->waiters))
    sl_task_wake(sl_task_of(call->waiters.next),
                 found ? SL_WOKEN : (enum sl_wake)call->why);
  leave_place(store, call);
  if (call->orphan) sl_call_return(call);
  leave_flight(store);
}

/* -- inline: the engine runs where it is called -- */

static int64_t first_retry(const struct sl_link *asleep) {
  int64_t first = INT64_MAX;
  for (struct sl_link *at = asleep->next; at != asleep; at = at->next) {
    int64_t retry_ns = sl_call_of(at)->op.retry_ns;
    if (retry_ns < first) first = retry_ns;
  }
  return first;
}

/* Asks the engine again when something is due for those who wait. */
static void arm(struct sl_store *store) {
  int64_t due_ns = first_retry(&store->asleep);
  int64_t soon_ns = (int64_t)store->loop->now_ns + RETRY_NS;
  sl_clock_disarm(store->loop, &store->due);
  if (due_ns == INT64_MAX) return;
  if (due_ns <= (int64_t)store->loop->now_ns) due_ns = soon_ns;
  sl_clock_arm(store->loop, &store->due, (uint64_t)due_ns);
}

/* Runs a call's operation, or none, and those that wait. */
static void run_inline(struct sl_store *store, struct sl_call *call) {
  struct sl_link ops;
  sl_link_init(&ops);
  if (call != NULL) sl_list_push(&ops, &call->op.link);
  store->engine_class->run(store->engine, &ops, &store->asleep,
                           (int64_t)sl_loop_now(store->loop));
  if (call != NULL && call->op.status == SL_OP_WAITING) {
    call->state = SL_CALL_ASLEEP;
    if (call->no_wait) {
      sl_link_unlink(&call->op.link);
      sl_list_push(&ops, &call->op.link);
      call->op.status = SL_OP_TIMED_OUT;
    }
  }
  while (!sl_list_empty(&ops)) sl_call_finish(sl_call_of(sl_list_pop(&ops)));
  arm(store);
}

static void on_store_due(struct sl_deadline *deadline) {
  struct sl_store *store = sl_container(deadline, struct sl_store, due);
  run_inline(store, NULL);
}

/* Takes back a call that has had no effect. False: it may have one by now,
   and will be finished soon. */
bool sl_call_withdraw(struct sl_call *call, enum sl_wake why) {
  struct sl_store *store = call->store;
  if (store->thread != NULL)
    return sl_store_thread_withdraw(store->thread, call, why);
  sl_link_unlink(&call->op.link);
  call->why = (uint8_t)why;
  arm(store);
  return true;
}

void sl_call_post(struct sl_call *call) {
  struct sl_store *store = call->store;
  call->state = SL_CALL_PENDING;
  sl_link_unlink(&call->link);
  sl_list_push(&store->calls, &call->link);
  take_place(store, call);
  if (store->in_flight++ == 0 && store->thread != NULL)
    sl_store_thread_hold(store->thread, true);
  if (store->thread != NULL) {
    sl_store_thread_post(store->thread, call);
  } else {
    run_inline(store, call);
  }
}

/* -- closing -- */

void sl_store_opened(struct sl_store *store) {
  if (!store->failed) store->closing = false;
  sl_store_thread_hold(store->thread, false);
  while (!sl_list_empty(&store->openers))
    sl_task_wake(sl_task_of(store->openers.next), SL_WOKEN);
  if (!store->boxed) sl_store_close(store); /* nobody waited for it */
}

void sl_store_ended(struct sl_store *store) {
  store->closing = true;
  store->closed = true;
  store->engine = NULL;
  store->thread = NULL;
  sl_link_unlink(&store->link);
  while (!sl_list_empty(&store->closers))
    sl_task_wake(sl_task_of(store->closers.next), SL_WOKEN);
  sl_store_free(store);
}

static void close_inline(struct sl_store *store) {
  if (!store->loop->closed) {
    sl_clock_disarm(store->loop, &store->due);
    sl_clock_release(store->loop);
  }
  while (!sl_list_empty(&store->asleep)) {
    struct sl_call *call = sl_call_of(sl_list_pop(&store->asleep));
    call->op.status = SL_OP_CLOSED;
    sl_call_finish(call);
  }
  if (store->engine != NULL) store->engine_class->close(store->engine);
  sl_store_ended(store);
}

void sl_store_close(struct sl_store *store) {
  if (store->closing) return;
  store->closing = true;
  while (!sl_list_empty(&store->crowd))
    sl_task_wake(sl_task_of(store->crowd.next), SL_SHUT_DOWN);
  if (store->thread != NULL)
    sl_store_thread_end(store->thread);
  else
    close_inline(store);
}
/* -- opening -- */

struct sl_store *sl_store_new(struct sl_loop *loop,
                              const struct sl_engine_class *class) {
  struct sl_store *store = calloc(1, sizeof *store);
  if (store == NULL) return NULL;
  store->loop = loop;
  store->engine_class = class;
  store->boxed = true;
  store->closing = true;
  store->closed = true;
  sl_link_init(&store->asleep);
  sl_link_init(&store->calls);
  sl_link_init(&store->loose);
  sl_link_init(&store->spare);
  sl_link_init(&store->crowd);
  sl_link_init(&store->openers);
  sl_link_init(&store->closers);
  sl_link_init(&store->link);
  sl_deadline_init(&store->due, on_store_due);
  return store;
}
