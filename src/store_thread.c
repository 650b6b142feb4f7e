/*
** store_thread.c: see store_thread.h.
*/
#if defined(__linux__)
#define _GNU_SOURCE /* ppoll */
#endif
#include "store_thread.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/eventfd.h>
#endif

static const int64_t AGAIN_NS = 100000000; /* after the lock was refused */
static const uint64_t STOP_NS = UINT64_C(3000000000);

/* What ties the loop to the thread; the loop's alone. */
struct tie {
  struct sl_handle handle; /* first */
  struct sl_store_thread *thread;
};

struct sl_store_thread {
  struct sl_store *store; /* the loop's side only, as the next three */
  struct tie *gate;       /* before the loop sleeps: hands over what is */
  struct sl_link posted;  /* here */
  bool gate_open;
  const struct sl_engine_class *class;
  struct sl_engine *engine; /* NULL: not open */
  struct sl_engine_config config;
  struct sl_engine_error error;
  uv_thread_t id;
  int wake_read, wake_write;
  int64_t again_ns; /* the thread's: not before this is the lock asked for */
  uv_mutex_t mutex; /* of what follows */
  uv_cond_t has_ended;
  struct tie *bell; /* NULL: the loop does not listen any more */
  struct sl_link pending;
  struct sl_link asleep;
  struct sl_link done;
  int refs; /* the loop's side and the thread */
  bool opened;
  bool sleeping; /* a post must write */
  bool busy;     /* the engine has what is in asleep */
  bool ending;   /* when nothing is pending */
  bool stopping; /* now */
  bool ended;
};

/* -- memory -- */

static void free_thread(struct sl_store_thread *thread) {
  uv_mutex_destroy(&thread->mutex);
  uv_cond_destroy(&thread->has_ended);
  close(thread->wake_read);
  if (thread->wake_write != thread->wake_read) close(thread->wake_write);
  free((void *)thread->config.path);
  free(thread);
}

static void unref(struct sl_store_thread *thread) {
  int left;
  uv_mutex_lock(&thread->mutex);
  left = --thread->refs;
  uv_mutex_unlock(&thread->mutex);
  if (left == 0) free_thread(thread);
}

/* -- waking the thread -- */

static int open_wake(struct sl_store_thread *thread) {
#if defined(__linux__)
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  thread->wake_read = thread->wake_write = fd;
  return fd < 0 ? uv_translate_sys_error(errno) : 0;
#else
  uv_file fds[2];
  int error = uv_pipe(fds, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE);
  thread->wake_read = fds[0];
  thread->wake_write = fds[1];
  return error;
#endif
}

/* That nothing can be written means that something is there. */
static void wake(struct sl_store_thread *thread) {
  uint64_t one = 1;
  ssize_t written = write(thread->wake_write, &one, sizeof one);
  (void)written;
}

static void clear_wake(struct sl_store_thread *thread) {
  char buffer[64]; /* of a pipe, more than are ever in it; see `sleeping` */
  ssize_t got = read(thread->wake_read, buffer, sizeof buffer);
  (void)got;
}

/* Sleeps until it is woken, the engine's descriptor speaks (which matters
   only to those who wait), or due_ns. */
static void doze(struct sl_store_thread *thread, int64_t due_ns,
                 bool listens) {
  const struct sl_engine_class *class = thread->class;
  struct pollfd fds[2] = {{thread->wake_read, POLLIN, 0},
                          {-1, POLLIN, 0}};
  int64_t left_ns = due_ns - (int64_t)uv_hrtime();
  if (listens && class->fd != NULL) fds[1].fd = class->fd(thread->engine);
  if (left_ns < 0) left_ns = 0;
#if defined(__linux__)
  struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
  ppoll(fds, 2, due_ns == INT64_MAX ? NULL : &left, NULL);
#else
  if (left_ns > INT64_C(3600000000000)) left_ns = INT64_C(3600000000000);
  poll(fds, 2, due_ns == INT64_MAX ? -1 : (int)((left_ns + 999999) / 1000000));
#endif
  if (fds[0].revents != 0) clear_wake(thread);
  if (fds[1].revents != 0) class->heard(thread->engine);
}

/* -- in the thread -- */

/* Tells the loop; the mutex is held. */
static void ring(struct sl_store_thread *thread) {
  if (thread->bell != NULL)
    uv_async_send(&thread->bell->handle.uv.async);
}

static bool is_ripe(struct sl_store_thread *thread, int64_t now_ns) {
  struct sl_link *asleep = &thread->asleep;
  if (now_ns < thread->again_ns) return false;
  for (struct sl_link *at = asleep->next; at != asleep; at = at->next)
    if (sl_call_of(at)->op.retry_ns <= now_ns) return true;
  return thread->class->ripe != NULL &&
         thread->class->ripe(thread->engine, asleep, now_ns);
}

/* When the thread must look again by itself. */
static int64_t next_ns(struct sl_store_thread *thread) {
  struct sl_link *asleep = &thread->asleep;
  int64_t next = INT64_MAX;
  if (thread->class->wake_ns != NULL)
    next = thread->class->wake_ns(thread->engine);
  for (struct sl_link *at = asleep->next; at != asleep; at = at->next)
    if (sl_call_of(at)->op.retry_ns < next)
      next = sl_call_of(at)->op.retry_ns;
  return next > thread->again_ns ? next : thread->again_ns;
}

static bool any_writes(struct sl_store_thread *thread) {
  struct sl_link *pending = &thread->pending;
  for (struct sl_link *at = pending->next; at != pending; at = at->next)
    if (sl_verb_writes(sl_call_of(at)->op.verb)) return true;
  return false;
}

/* Moves to `ops` what is pending, as far as it may be done. */
static void take(struct sl_store_thread *thread, struct sl_link *ops,
                 bool writes) {
  struct sl_link *asleep = &thread->asleep;
  while (!sl_list_empty(&thread->pending)) {
    struct sl_call *call = sl_call_of(thread->pending.next);
    if (!writes && sl_verb_writes(call->op.verb)) break;
    sl_link_unlink(&call->op.link);
    sl_list_push(ops, &call->op.link);
    call->state = SL_CALL_TAKEN;
  }
  for (struct sl_link *at = asleep->next; at != asleep; at = at->next)
    sl_call_of(at)->state = SL_CALL_TAKEN;
  thread->busy = true;
}

/* Moves those who wait no longer to `ops`; the others sleep. */
static void sort_out(struct sl_store_thread *thread, struct sl_link *ops) {
  struct sl_link *asleep = &thread->asleep, *next;
  thread->busy = false;
  for (struct sl_link *at = asleep->next; at != asleep; at = next) {
    struct sl_call *call = sl_call_of(at);
    next = at->next;
    call->state = SL_CALL_ASLEEP;
    if (!call->withdrawn && !call->no_wait) continue;
    if (!call->withdrawn) call->op.status = SL_OP_TIMED_OUT;
    sl_link_unlink(at);
    sl_list_push(ops, at);
  }
}

/* Hands calls to the loop; the mutex is held. */
static void hand_back(struct sl_store_thread *thread, struct sl_link *ops) {
  if (sl_list_empty(ops)) return;
  while (!sl_list_empty(ops))
    sl_list_push(&thread->done, sl_list_pop(ops));
  ring(thread);
}

/* The engine could not begin. */
static void refuse_all(struct sl_store_thread *thread, const char *message) {
  struct sl_link ops;
  sl_link_init(&ops);
  uv_mutex_lock(&thread->mutex);
  take(thread, &ops, true);
  for (struct sl_link *at = ops.next; at != &ops; at = at->next)
    sl_op_fail(&sl_call_of(at)->op, SL_OP_UNAVAILABLE, message);
  sort_out(thread, &ops);
  hand_back(thread, &ops);
  uv_mutex_unlock(&thread->mutex);
  thread->again_ns = (int64_t)uv_hrtime() + AGAIN_NS;
}

/* One batch: begins when the engine has locked out the others. */
static void run_batch(struct sl_store_thread *thread, bool writes) {
  const struct sl_engine_class *class = thread->class;
  const char *message = NULL;
  struct sl_link ops;
  sl_link_init(&ops);
  if (class->enter != NULL &&
      !class->enter(thread->engine, writes, &message)) {
    refuse_all(thread, message);
    return;
  }
  uv_mutex_lock(&thread->mutex);
  take(thread, &ops, writes);
  uv_mutex_unlock(&thread->mutex);
  class->run(thread->engine, &ops, &thread->asleep, (int64_t)uv_hrtime());
  if (class->leave != NULL) class->leave(thread->engine);
  uv_mutex_lock(&thread->mutex);
  sort_out(thread, &ops);
  hand_back(thread, &ops);
  uv_mutex_unlock(&thread->mutex);
}

/* Works or sleeps once. Returns false when it is to end. */
static bool step(struct sl_store_thread *thread) {
  bool due, writes, over, listens;
  int64_t next = 0;
  uv_mutex_lock(&thread->mutex);
  over = thread->stopping ||
         (thread->ending && sl_list_empty(&thread->pending));
  /* Calls that only look do not put off those asleep, or the engine. */
  writes = any_writes(thread) || is_ripe(thread, (int64_t)uv_hrtime());
  due = writes || !sl_list_empty(&thread->pending);
  thread->sleeping = !over && !due;
  listens = !sl_list_empty(&thread->asleep);
  if (thread->sleeping) next = next_ns(thread);
  uv_mutex_unlock(&thread->mutex);
  if (over) return false;
  if (due)
    run_batch(thread, writes);
  else
    doze(thread, next, listens);
  return true;
}

static void close_calls(struct sl_store_thread *thread,
                        struct sl_link *list) {
  for (struct sl_link *at = list->next; at != list; at = at->next)
    sl_op_fail(&sl_call_of(at)->op, SL_OP_CLOSED, NULL);
  hand_back(thread, list);
}

/* No more calls come: the loop's side has seen to that. */
static void finish(struct sl_store_thread *thread) {
  uv_mutex_lock(&thread->mutex);
  close_calls(thread, &thread->pending);
  close_calls(thread, &thread->asleep);
  thread->ended = true;
  ring(thread);
  uv_cond_signal(&thread->has_ended);
  uv_mutex_unlock(&thread->mutex);
  unref(thread);
}

/* Signals are for the loop's thread, whose poll they end. */
static void block_signals(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void thread_main(void *arg) {
  struct sl_store_thread *thread = arg;
  block_signals();
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "sluice-store");
#endif
  thread->engine = thread->class->open(&thread->config, &thread->error);
  uv_mutex_lock(&thread->mutex);
  thread->opened = true;
  ring(thread);
  uv_mutex_unlock(&thread->mutex);
  if (thread->engine != NULL) {
    while (step(thread)) continue;
    thread->class->close(thread->engine);
  }
  finish(thread);
}

/* -- in the loop's thread -- */

/* The thread is gone, or is left to itself. */
static void part(struct sl_store_thread *thread) {
  struct sl_store *store = thread->store;
  struct tie *bell;
  uv_mutex_lock(&thread->mutex);
  bell = thread->bell;
  thread->bell = NULL;
  uv_mutex_unlock(&thread->mutex);
  sl_handle_close(&bell->handle);
  sl_handle_close(&thread->gate->handle);
  unref(thread);
  sl_store_ended(store);
}

/* Tells the store what the thread has done. */
static void collect(struct sl_store_thread *thread) {
  struct sl_store *store = thread->store;
  struct sl_link done;
  bool opened, ended;
  sl_link_init(&done);
  uv_mutex_lock(&thread->mutex);
  while (!sl_list_empty(&thread->done))
    sl_list_push(&done, sl_list_pop(&thread->done));
  opened = thread->opened;
  thread->opened = false;
  ended = thread->ended;
  uv_mutex_unlock(&thread->mutex);
  if (opened) {
    store->failed = thread->engine == NULL;
    store->error = thread->error;
    sl_store_opened(store);
  }
  while (!sl_list_empty(&done)) sl_call_finish(sl_call_of(sl_list_pop(&done)));
  if (!ended) return;
  uv_thread_join(&thread->id);
  part(thread);
}

static void on_bell(uv_async_t *async) {
  collect(((struct tie *)sl_handle_of(async))->thread);
}

/* All at once, so that it is one batch. */
void sl_store_thread_flush(struct sl_store_thread *thread) {
  bool sleeping;
  uv_mutex_lock(&thread->mutex);
  while (!sl_list_empty(&thread->posted))
    sl_list_push(&thread->pending, sl_list_pop(&thread->posted));
  sleeping = thread->sleeping;
  thread->sleeping = false;
  uv_mutex_unlock(&thread->mutex);
  if (sleeping) wake(thread);
}

static void on_gate(uv_prepare_t *prepare) {
  struct sl_store_thread *thread =
      ((struct tie *)sl_handle_of(prepare))->thread;
  thread->gate_open = false;
  uv_prepare_stop(prepare);
  sl_store_thread_flush(thread);
}

static struct tie *new_tie(struct sl_store_thread *thread,
                           struct sl_memory memory) {
  struct sl_loop *loop = thread->store->loop;
  struct tie *tie = sl_handle_new(loop, memory, sizeof *tie);
  if (tie != NULL) tie->thread = thread;
  return tie;
}

/* The loop's handles. Returns 0, or an error of libuv. */
static int open_ties(struct sl_store_thread *thread,
                     struct sl_memory memory) {
  uv_loop_t *uv = &thread->store->loop->uv;
  struct tie *gate = new_tie(thread, memory);
  struct tie *bell = gate != NULL ? new_tie(thread, memory) : NULL;
  int error = UV_ENOMEM;
  if (bell != NULL)
    error = uv_async_init(uv, &bell->handle.uv.async, on_bell);
  if (error < 0) {
    if (bell != NULL) sl_handle_free(&bell->handle);
    if (gate != NULL) sl_handle_free(&gate->handle);
    return error;
  }
  uv_prepare_init(uv, &gate->handle.uv.prepare); /* which cannot fail */
  sl_handle_opened(&bell->handle);
  sl_handle_opened(&gate->handle);
  uv_unref(&gate->handle.uv.any);
  thread->bell = bell;
  thread->gate = gate;
  return 0;
}

/* A thread that is not started, or NULL: an error of libuv. */
static struct sl_store_thread *new_thread(
    struct sl_store *store, const struct sl_engine_config *config,
    int *error) {
  struct sl_store_thread *thread = calloc(1, sizeof *thread);
  *error = UV_ENOMEM;
  if (thread == NULL) return NULL;
  thread->store = store;
  thread->class = store->engine_class;
  thread->config = *config;
  thread->config.path = strdup(config->path != NULL ? config->path : "");
  thread->refs = 1;
  sl_link_init(&thread->posted);
  sl_link_init(&thread->pending);
  sl_link_init(&thread->asleep);
  sl_link_init(&thread->done);
  if (thread->config.path != NULL && uv_mutex_init(&thread->mutex) == 0) {
    if (uv_cond_init(&thread->has_ended) == 0) {
      *error = open_wake(thread);
      if (*error == 0) return thread;
      uv_cond_destroy(&thread->has_ended);
    }
    uv_mutex_destroy(&thread->mutex);
  }
  free((void *)thread->config.path);
  free(thread);
  return NULL;
}

int sl_store_thread_start(struct sl_store *store, struct sl_memory memory,
                          const struct sl_engine_config *config) {
  int error;
  struct sl_store_thread *thread = new_thread(store, config, &error);
  if (thread == NULL) return error;
  error = open_ties(thread, memory);
  if (error == 0) {
    thread->refs = 2;
    error = uv_thread_create(&thread->id, thread_main, thread);
    if (error == 0) {
      store->thread = thread;
      return 0;
    }
    sl_handle_close(&thread->bell->handle);
    sl_handle_close(&thread->gate->handle);
  }
  free_thread(thread);
  return error;
}

void sl_store_thread_post(struct sl_store_thread *thread,
                          struct sl_call *call) {
  sl_list_push(&thread->posted, &call->op.link);
  if (thread->gate_open) return;
  thread->gate_open = true;
  uv_prepare_start(&thread->gate->handle.uv.prepare, on_gate);
}

bool sl_store_thread_withdraw(struct sl_store_thread *thread,
                              struct sl_call *call, enum sl_wake why) {
  bool gone;
  uv_mutex_lock(&thread->mutex);
  gone = call->state == SL_CALL_PENDING ||
         (call->state == SL_CALL_ASLEEP && !thread->busy);
  if (!call->withdrawn) call->why = (uint8_t)why;
  call->withdrawn = true;
  if (gone) sl_link_unlink(&call->op.link);
  uv_mutex_unlock(&thread->mutex);
  return gone;
}

void sl_store_thread_hold(struct sl_store_thread *thread, bool held) {
  uv_handle_t *handle;
  if (thread->bell == NULL) return; /* which only this side sets */
  handle = &thread->bell->handle.uv.any;
  if (held)
    uv_ref(handle);
  else
    uv_unref(handle);
}

int64_t sl_store_thread_now(struct sl_store_thread *thread) {
  return thread->class->now(thread->engine, (int64_t)uv_hrtime());
}

void sl_store_thread_end(struct sl_store_thread *thread) {
  sl_store_thread_flush(thread);
  uv_mutex_lock(&thread->mutex);
  thread->ending = true;
  uv_mutex_unlock(&thread->mutex);
  wake(thread);
  sl_store_thread_hold(thread, true); /* until it has ended */
}

void sl_store_thread_stop(struct sl_store_thread *thread) {
  uint64_t until_ns = uv_hrtime() + STOP_NS;
  bool ended;
  sl_store_thread_flush(thread);
  uv_mutex_lock(&thread->mutex);
  thread->stopping = true;
  uv_mutex_unlock(&thread->mutex);
  wake(thread);
  uv_mutex_lock(&thread->mutex);
  while (!thread->ended && uv_hrtime() < until_ns)
    uv_cond_timedwait(&thread->has_ended, &thread->mutex,
                      until_ns - uv_hrtime());
  ended = thread->ended;
  uv_mutex_unlock(&thread->mutex);
  if (ended)
    collect(thread);
  else
    part(thread);
}
