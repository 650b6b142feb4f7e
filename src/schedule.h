/*
** schedule.h: the choices of the scheduler, made in one place.
**
** The one idea: wherever the loop could go one way or another (which ready
** task runs next, which of two equal deadlines fires first) it asks
** sl_schedule_choose. Without a seed the answer is always the first, so that
** everything is first come, first served. With a seed the answer is drawn
** and written down, so that a failure can name its schedule and a second run
** can check that it meets the same choices.
**
** Pure C. Owns the log of choices. A log that cannot grow is given up, never
** an error: the seed alone repeats a run.
*/
#ifndef SL_SCHEDULE_H
#define SL_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_choice {
  uint32_t options; /* how many there were, at least 2 */
  uint32_t taken;   /* which one, from 0 */
};

struct sl_schedule {
  bool seeded;   /* false: always the first */
  uint64_t state; /* of the generator; never 0 when seeded */
  struct sl_choice *log;
  size_t len;
  size_t cap;
  size_t replay;  /* entries of log to be followed, 0: none */
  size_t met;     /* choices met so far */
  bool diverged;  /* a choice met was not the one in the log */
};

void sl_schedule_init(struct sl_schedule *schedule);
void sl_schedule_fini(struct sl_schedule *schedule);

/* Starts a new sequence of choices: by `seed`, or first come first served. */
void sl_schedule_start(struct sl_schedule *schedule, bool seeded,
                       uint64_t seed);

/* Starts again with the choices of the log, which are checked. */
void sl_schedule_replay(struct sl_schedule *schedule, bool seeded,
                        uint64_t seed);

uint32_t sl_schedule_draw(struct sl_schedule *schedule, uint32_t options);

/* One of 0..options-1; options > 0. */
static inline uint32_t sl_schedule_choose(struct sl_schedule *schedule,
                                          uint32_t options) {
  if (!schedule->seeded || options < 2) return 0;
  return sl_schedule_draw(schedule, options);
}

#endif
