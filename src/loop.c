/*
** loop.c: see loop.h.
**
** A turn is: results of I/O, then due deadlines, then the tasks that were
** ready when it began. While tasks stay ready the kernel is not asked each
** turn, which is what makes other loops slow, but every 256 steps or every
** millisecond, whichever comes first, and the clock is read every 16 steps.
*/
#include "loop.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  POLL_NS = 1000000,  /* while busy, ask the kernel at least this often */
  /* Virtual time: how long handles that are idle, and peers that hold up a
     connect or a write, may be silent before time moves. The kernel probes a
     full peer every 200 ms. */
  IDLE_GRACE_MS = 20,
  PEER_GRACE_MS = 250
};

/* Virtual time: how long there may be bytes that wake nobody. */
static const uint64_t MOST_NS = UINT64_C(1000000000);

static void on_wake(uv_async_t *async) {
  (void)async; /* that the poll ended is all it is for */
}

static bool open_wake(struct sl_loop *loop) {
  if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) {
    uv_loop_close(&loop->uv);
    return false;
  }
  uv_unref((uv_handle_t *)&loop->wake);
  return true;
}

/* A program may be started with no stdin, stdout or stderr. Then the next
   descriptor would get that number: libuv aborts when it closes such a one,
   and what is printed would go into a socket or a file of jobs. */
static void fill_standard_streams(void) {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

bool sl_loop_open(struct sl_loop *loop) {
  memset(loop, 0, sizeof *loop);
  loop->closed = true;
  fill_standard_streams();
  if (uv_loop_init(&loop->uv) != 0 || !open_wake(loop)) return false;
  loop->closed = false;
  loop->uv.data = loop;
  sl_link_init(&loop->ready);
  sl_schedule_init(&loop->schedule);
  loop->now_ns = uv_hrtime();
  loop->idle_grace_ms = IDLE_GRACE_MS;
  return true;
}

static void close_handle(uv_handle_t *handle, void *arg) {
  const struct sl_closer *closer = handle->data;
  (void)arg;
  if (uv_is_closing(handle)) return;
  uv_close(handle, closer != NULL ? closer->on_closed : NULL);
}

void sl_loop_close(struct sl_loop *loop) {
  if (loop->closed) return;
  loop->closed = true;
  uv_walk(&loop->uv, close_handle, NULL);
  while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) continue;
  uv_loop_close(&loop->uv);
  sl_schedule_fini(&loop->schedule);
}

/* Asks the kernel; what has arrived is on the ready ring afterwards. */
static void poll(struct sl_loop *loop, uv_run_mode mode) {
  loop->nticks++;
  uv_run(&loop->uv, mode);
  loop->ticks_to_poll = SL_POLL_TICKS;
  loop->polled_ns = sl_loop_now(loop);
  if (loop->signals != 0) loop->hooks.signalled(loop);
}

/* Between two steps, every SL_CLOCK_STEPS of them. */
static void tick(struct sl_loop *loop) {
  uint64_t now_ns = sl_loop_now(loop);
  bool due = loop->hooks.next_due_ns(loop) <= now_ns;
  loop->steps_to_tick = SL_CLOCK_STEPS;
  loop->ticks_to_poll--;
  /* I/O goes before a deadline of the same turn, hence the poll if due. */
  if (due || loop->ticks_to_poll == 0 ||
      now_ns - loop->polled_ns > POLL_NS)
    poll(loop, UV_RUN_NOWAIT);
  if (due) loop->hooks.fire(loop);
}

/* A timer of libuv whose only use is to end a poll. */
static void on_grace(uv_timer_t *timer) { uv_stop(timer->loop); }

static void on_grace_closed(uv_handle_t *handle) { free(handle); }

/* Polls until somebody is ready, or nothing has happened for grace_ms. */
static void poll_briefly(struct sl_loop *loop, uint64_t grace_ms) {
  uv_timer_t *timer = malloc(sizeof *timer);
  uint64_t until_ns = uv_hrtime() + MOST_NS;
  if (timer == NULL) {
    poll(loop, UV_RUN_NOWAIT);
    return;
  }
  uv_timer_init(&loop->uv, timer);
  do {
    uv_update_time(&loop->uv);
    uv_timer_start(timer, on_grace, grace_ms, 0);
    poll(loop, UV_RUN_ONCE);
  } while (loop->nready == 0 && uv_is_active((uv_handle_t *)timer) &&
           uv_hrtime() < until_ns);
  uv_close((uv_handle_t *)timer, on_grace_closed);
  poll(loop, UV_RUN_NOWAIT);
}

/* Virtual time, nobody ready: what runs in threads is awaited in real time;
   peers that hold up a connect or a write, and handles that merely listen,
   get a moment to speak up; then time jumps to the next deadline. */
static void idle_virtually(struct sl_loop *loop, uint64_t due_ns) {
  loop->hooks.arm(loop, SL_NEVER); /* left by a run in real time */
  poll(loop, UV_RUN_NOWAIT);
  if (loop->nready > 0) return;
  if (uv_loop_alive(&loop->uv)) {
    unsigned in_flight = loop->uv.active_reqs.count;
    if (in_flight > loop->nremote || due_ns == SL_NEVER) {
      poll(loop, UV_RUN_ONCE);
      return;
    }
    poll_briefly(loop, in_flight > 0 ? PEER_GRACE_MS : loop->idle_grace_ms);
    if (loop->nready > 0) return;
  }
  if (due_ns > loop->now_ns) loop->now_ns = due_ns;
  loop->hooks.fire(loop);
}

static void idle_really(struct sl_loop *loop, uint64_t due_ns) {
  if (due_ns <= sl_loop_now(loop)) {
    poll(loop, UV_RUN_NOWAIT);
  } else {
    if (due_ns != SL_NEVER) loop->hooks.arm(loop, due_ns);
    poll(loop, UV_RUN_ONCE);
  }
  if (due_ns <= loop->now_ns) loop->hooks.fire(loop);
}

/* Nobody is ready. Returns false if nothing can ever wake anybody. */
static bool idle(struct sl_loop *loop) {
  uint64_t due_ns;
  if (loop->signals != 0) {
    loop->hooks.signalled(loop);
    if (loop->nready > 0) return true;
  }
  if (loop->hooks.settled(loop)) return true;
  due_ns = loop->hooks.next_due_ns(loop);
  if (due_ns == SL_NEVER) {
    loop->hooks.arm(loop, SL_NEVER); /* an idle timer is nobody's waker */
    if (!uv_loop_alive(&loop->uv)) return loop->hooks.stuck(loop);
  }
  if (loop->virtual_time)
    idle_virtually(loop, due_ns);
  else
    idle_really(loop, due_ns);
  return true;
}

/* As sl_loop_take, drawn from those that were ready when the turn began:
   what becomes ready meanwhile waits for the next turn. */
struct sl_link *sl_loop_take_chosen(struct sl_loop *loop) {
  struct sl_link *link = loop->ready.next;
  uint32_t skip;
  if (loop->turn > loop->nready) loop->turn = loop->nready;
  if (loop->turn == 0) loop->turn = loop->nready;
  skip = sl_schedule_choose(&loop->schedule, loop->turn);
  while (skip-- > 0) link = link->next;
  loop->turn--;
  loop->steps_to_tick--;
  loop->budget = SL_BUDGET;
  loop->nswitches++;
  sl_loop_unready(loop, link);
  return link;
}

bool sl_loop_run(struct sl_loop *loop, const uint32_t *left) {
  loop->turn = 0;
  loop->steps_to_tick = SL_CLOCK_STEPS;
  loop->ticks_to_poll = SL_POLL_TICKS;
  loop->polled_ns = sl_loop_now(loop);
  while (*left != 0) {
    if (loop->nready == 0 && !idle(loop)) return false;
    loop->hooks.drain(loop, left);
    if (loop->steps_to_tick == 0) tick(loop);
  }
  return true;
}
