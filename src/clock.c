/*
** clock.c: see clock.h.
**
** Where there is timerfd, the timer is one, watched by uv_poll: libuv's own
** timers count whole milliseconds. Deadlines that are close together share a
** wake: a process that was just woken by the timer sleeps at least
** SPACING_NS, since each wake costs more than most tasks do in theirs. The
** timer is set anew before each sleep: left at an earlier time, it would wake
** an idle process twice as often.
*/
#include "clock.h"

#include <string.h>

#if defined(__linux__) && !defined(SL_NO_TIMERFD)
#include <sys/timerfd.h>
#include <unistd.h>
#define HAVE_TIMERFD 1
#else
#define HAVE_TIMERFD 0
#endif

enum { SPACING_NS = 250000, FIRST_CAP = 64, MAX_EQUAL = 64 };

struct sl_clock {
  struct sl_heap heap; /* an entry's reference is its deadline's slot */
  void *memory;        /* the heap's */
  struct sl_deadline **owners; /* of slots; as many as heap.cap */
  uint32_t free_slot;  /* the first of a chain through heap.pos */
  uint64_t fired_ns; /* when deadlines last fired */
  uint64_t armed_ns; /* what the timer is set to, SL_NEVER: not */
  uint32_t reserved; /* deadlines that may be armed at once */
#if HAVE_TIMERFD
  int fd;
  uv_poll_t timer;
#else
  uv_timer_t timer;
#endif
};

/* Sets the kernel's timer. */
#if HAVE_TIMERFD
static void on_due(uv_poll_t *timer, int status, int events) {
  (void)timer, (void)status, (void)events; /* it only ends the poll */
}

static bool open_timer(struct sl_loop *loop, struct sl_clock *clock) {
  clock->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (clock->fd < 0) return false;
  if (uv_poll_init(&loop->uv, &clock->timer, clock->fd) != 0) {
    close(clock->fd);
    return false;
  }
  return uv_poll_start(&clock->timer, UV_READABLE, on_due) == 0;
}

static void close_timer(struct sl_clock *clock) { close(clock->fd); }

static void set_timer(struct sl_loop *loop, uint64_t due_ns) {
  struct itimerspec when;
  memset(&when, 0, sizeof when);
  if (due_ns != SL_NEVER) {
    when.it_value.tv_sec = (time_t)(due_ns / 1000000000);
    when.it_value.tv_nsec = (long)(due_ns % 1000000000);
  }
  timerfd_settime(loop->clock->fd, TFD_TIMER_ABSTIME, &when, NULL);
}
#else
/* See sl_loop_stop_poll. It may have fired early, by less than a millisecond;
   then it is set once more. */
static void on_due(uv_timer_t *timer) {
  sl_loop_stop_poll((struct sl_loop *)timer->loop->data);
}

static bool open_timer(struct sl_loop *loop, struct sl_clock *clock) {
  return uv_timer_init(&loop->uv, &clock->timer) == 0;
}

static void close_timer(struct sl_clock *clock) { (void)clock; }

/* Rounded up to libuv's milliseconds. */
static void set_timer(struct sl_loop *loop, uint64_t due_ns) {
  if (due_ns == SL_NEVER) {
    uv_timer_stop(&loop->clock->timer);
    return;
  }
  uv_update_time(&loop->uv);
  uv_timer_start(&loop->clock->timer, on_due,
                 (due_ns - loop->now_ns + 999999) / 1000000, 0);
}
#endif

static uint64_t next_due_ns(struct sl_loop *loop) {
  const struct sl_heap *heap = &loop->clock->heap;
  return heap->len > 0 ? heap->at[0].key : SL_NEVER;
}

static void arm_timer(struct sl_loop *loop, uint64_t due_ns) {
  struct sl_clock *clock = loop->clock;
  uv_handle_t *timer = (uv_handle_t *)&clock->timer;
  if (due_ns == SL_NEVER) {
    if (clock->armed_ns == SL_NEVER) return;
    uv_unref(timer);
  } else {
    uint64_t spaced = clock->fired_ns + SPACING_NS;
    if (due_ns < spaced) due_ns = spaced;
    uv_ref(timer);
  }
  clock->armed_ns = due_ns;
  set_timer(loop, due_ns);
}

/* Takes one of the deadlines that are due first, by choice. */
static struct sl_heap_entry take_chosen(struct sl_loop *loop) {
  struct sl_heap *heap = &loop->clock->heap;
  struct sl_heap_entry equal[MAX_EQUAL], chosen;
  uint32_t n = 0, taken;
  do {
    equal[n++] = sl_heap_pop(heap);
  } while (n < MAX_EQUAL && heap->len > 0 &&
           heap->at[0].key == equal[0].key);
  taken = sl_schedule_choose(&loop->schedule, n);
  chosen = equal[taken];
  for (uint32_t i = 0; i < n; i++)
    if (i != taken) sl_heap_restore(heap, equal[i]);
  return chosen;
}

/* The deadline of an entry that has left the heap; its slot is free. */
static struct sl_deadline *release_slot(struct sl_clock *clock,
                                        const struct sl_heap_entry *entry) {
  uint32_t slot = sl_heap_ref(entry);
  struct sl_deadline *deadline = clock->owners[slot];
  deadline->slot = SL_HEAP_NONE;
  clock->heap.pos[slot] = clock->free_slot;
  clock->free_slot = slot;
  return deadline;
}

static void fire_due(struct sl_loop *loop) {
  struct sl_heap *heap = &loop->clock->heap;
  uint64_t now_ns = loop->now_ns;
  if (heap->len == 0 || heap->at[0].key > now_ns) return;
  loop->lag_ns = now_ns - heap->at[0].key;
  if (!loop->virtual_time) loop->clock->fired_ns = now_ns;
  while (heap->len > 0 && heap->at[0].key <= now_ns) {
    struct sl_heap_entry entry =
        loop->schedule.seeded ? take_chosen(loop) : sl_heap_pop(heap);
    struct sl_deadline *deadline = release_slot(loop->clock, &entry);
    deadline->fire(deadline);
  }
}

void sl_clock_open(lua_State *L, struct sl_loop *loop) {
  /* Memory that lua_close frees after the last finaliser. */
  struct sl_clock *clock = lua_newuserdatauv(L, sizeof *clock, 0);
  memset(clock, 0, sizeof *clock);
  luaL_ref(L, LUA_REGISTRYINDEX);
  if (!open_timer(loop, clock)) luaL_error(L, "cannot open the loop's timer");
  uv_unref((uv_handle_t *)&clock->timer);
  sl_heap_init(&clock->heap);
  clock->free_slot = SL_HEAP_NONE;
  clock->armed_ns = SL_NEVER;
  loop->clock = clock;
  loop->hooks.next_due_ns = next_due_ns;
  loop->hooks.arm = arm_timer;
  loop->hooks.fire = fire_due;
}

/* The heap's entries, the slots' owners and places, in one block. */
static size_t memory_size(uint32_t cap) {
  return sl_heap_bytes(cap) +
         cap * (sizeof(struct sl_deadline *) + sizeof(uint32_t));
}

void sl_clock_free(lua_State *L, struct sl_loop *loop) {
  struct sl_clock *clock = loop->clock;
  if (clock == NULL) return;
  close_timer(clock);
  sl_realloc(L, clock->memory, memory_size(clock->heap.cap), 0);
  clock->memory = NULL;
  sl_heap_init(&clock->heap);
}

/* Gives the clock a new block for `cap` deadlines; `owners` lies first. */
static void move_to(struct sl_clock *clock, void *memory, uint32_t cap) {
  uint32_t old_cap = clock->heap.cap;
  struct sl_deadline **owners = memory;
  uint32_t *pos = (void *)((char *)(owners + cap) + sl_heap_bytes(cap));
  if (old_cap > 0) {
    memcpy(owners, clock->owners, old_cap * sizeof *owners);
    memcpy(pos, clock->heap.pos, old_cap * sizeof *pos);
  }
  sl_heap_rebase(&clock->heap, owners + cap, cap);
  clock->owners = owners;
  clock->heap.pos = pos;
  clock->memory = memory;
  for (uint32_t slot = old_cap; slot < cap; slot++) {
    pos[slot] = clock->free_slot;
    clock->free_slot = slot;
  }
}

static SL_COLD void grow(lua_State *L, struct sl_clock *clock) {
  uint32_t old_cap = clock->heap.cap;
  uint32_t cap = old_cap ? old_cap + old_cap / 2 : FIRST_CAP;
  void *old = clock->memory;
  void *memory = sl_realloc(L, NULL, 0, memory_size(cap));
  if (memory == NULL) luaL_error(L, "not enough memory");
  move_to(clock, memory, cap);
  if (old != NULL) sl_realloc(L, old, memory_size(old_cap), 0);
}

void sl_clock_reserve(lua_State *L, struct sl_loop *loop) {
  struct sl_clock *clock = loop->clock;
  if (sl_unlikely(clock->reserved == clock->heap.cap)) grow(L, clock);
  clock->reserved++;
}

void sl_clock_release(struct sl_loop *loop) { loop->clock->reserved--; }

void sl_clock_arm(struct sl_loop *loop, struct sl_deadline *deadline,
                  uint64_t due_ns) {
  struct sl_clock *clock = loop->clock;
  uint32_t slot = clock->free_slot;
  if (due_ns == SL_NEVER) return;
  clock->free_slot = clock->heap.pos[slot];
  clock->owners[slot] = deadline;
  deadline->slot = slot;
  sl_heap_push(&clock->heap, due_ns, slot);
}

void sl_clock_remove(struct sl_loop *loop, struct sl_deadline *deadline) {
  struct sl_clock *clock = loop->clock;
  struct sl_heap_entry entry =
      sl_heap_remove(&clock->heap, clock->heap.pos[deadline->slot]);
  release_slot(clock, &entry);
}

uint32_t sl_clock_count(const struct sl_loop *loop) {
  return loop->clock->heap.len;
}
