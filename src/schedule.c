/*
** schedule.c: see schedule.h. The generator is xorshift64* (Vigna, "An
** experimental exploration of Marsaglia's xorshift generators, scrambled",
** 2016): small, fast, and the same on every machine.
*/
#include "schedule.h"

#include <stdlib.h>
#include <string.h>

static uint64_t next(struct sl_schedule *schedule) {
  uint64_t x = schedule->state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  schedule->state = x;
  return x * UINT64_C(2685821657736338717);
}

void sl_schedule_init(struct sl_schedule *schedule) {
  memset(schedule, 0, sizeof *schedule);
}

void sl_schedule_fini(struct sl_schedule *schedule) {
  free(schedule->log);
  sl_schedule_init(schedule);
}

static void restart(struct sl_schedule *schedule, bool seeded,
                    uint64_t seed) {
  schedule->seeded = seeded;
  /* The golden ratio's bits keep small seeds from starting alike. */
  schedule->state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
  if (schedule->state == 0) schedule->state = 1;
  schedule->met = 0;
  schedule->diverged = false;
}

void sl_schedule_start(struct sl_schedule *schedule, bool seeded,
                       uint64_t seed) {
  restart(schedule, seeded, seed);
  schedule->len = 0;
  schedule->replay = 0;
}

void sl_schedule_replay(struct sl_schedule *schedule, bool seeded,
                        uint64_t seed) {
  restart(schedule, seeded, seed);
  schedule->replay = schedule->len;
}

static void record(struct sl_schedule *schedule, uint32_t options,
                   uint32_t taken) {
  if (schedule->len == schedule->cap) {
    size_t cap = schedule->cap ? schedule->cap * 2 : 64;
    struct sl_choice *log = realloc(schedule->log, cap * sizeof *log);
    if (log == NULL) return;
    schedule->log = log;
    schedule->cap = cap;
  }
  schedule->log[schedule->len].options = options;
  schedule->log[schedule->len].taken = taken;
  schedule->len++;
}

uint32_t sl_schedule_draw(struct sl_schedule *schedule, uint32_t options) {
  /* The high bits are the good ones; the bias of the product is below
     options / 2^32. */
  uint32_t taken =
      (uint32_t)(((next(schedule) >> 32) * (uint64_t)options) >> 32);
  if (schedule->met < schedule->replay) {
    const struct sl_choice *was = &schedule->log[schedule->met];
    if (was->options != options || was->taken != taken)
      schedule->diverged = true;
  } else if (schedule->replay > 0) {
    schedule->diverged = true;
  } else {
    record(schedule, options, taken);
  }
  schedule->met++;
  return taken;
}
