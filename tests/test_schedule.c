/*
** test_schedule.c: choices by order of arrival, by a seed, and once more.
*/
#include "schedule.h"
#include "test.h"

enum { MANY = 1000 };

static struct sl_schedule schedule;

static void start(bool seeded, uint64_t seed) {
  sl_schedule_init(&schedule);
  sl_schedule_start(&schedule, seeded, seed);
}

static void finish(void) { sl_schedule_fini(&schedule); }

/* Makes MANY choices of 2 to 9 options; writes down what was taken. */
static void choose_many(uint32_t *taken) {
  for (uint32_t i = 0; i < MANY; i++)
    taken[i] = sl_schedule_choose(&schedule, 2 + i % 8);
}

static void takes_the_first_without_a_seed(void) {
  start(false, 0);
  for (uint32_t n = 1; n < 100; n++)
    CHECK_EQ(sl_schedule_choose(&schedule, n), 0);
  CHECK_EQ(schedule.len, 0);
  CHECK(schedule.log == NULL);
  finish();
}

static void stays_within_the_options(void) {
  start(true, 7);
  for (uint32_t i = 0; i < 10000; i++) {
    uint32_t options = 2 + i % 1000;
    CHECK(sl_schedule_choose(&schedule, options) < options);
  }
  finish();
}

static void does_not_draw_from_one_option(void) {
  start(true, 7);
  for (int i = 0; i < 10; i++)
    CHECK_EQ(sl_schedule_choose(&schedule, 1), 0);
  CHECK_EQ(schedule.len, 0);
  CHECK_EQ(schedule.met, 0);
  finish();
}

static void takes_each_option_about_as_often(void) {
  int counts[5] = {0};
  start(true, 3);
  for (int i = 0; i < 50000; i++)
    counts[sl_schedule_choose(&schedule, 5)]++;
  for (int i = 0; i < 5; i++) CHECK(counts[i] > 9500 && counts[i] < 10500);
  finish();
}

static void repeats_itself_by_its_seed(void) {
  uint32_t first[MANY], again[MANY];
  const uint64_t seeds[] = {0, 1, 42, UINT64_MAX, UINT64_MAX - 1};
  for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
    start(true, seeds[i]);
    choose_many(first);
    sl_schedule_start(&schedule, true, seeds[i]);
    choose_many(again);
    CHECK(memcmp(first, again, sizeof first) == 0);
    finish();
  }
}

static void differs_from_seed_to_seed(void) {
  uint32_t taken[50][MANY];
  for (uint64_t seed = 0; seed < 50; seed++) {
    start(true, seed);
    choose_many(taken[seed]);
    finish();
  }
  for (int a = 0; a < 50; a++)
    for (int b = 0; b < a; b++)
      CHECK(memcmp(taken[a], taken[b], 20 * sizeof taken[a][0]) != 0);
}

static void writes_down_what_was_taken(void) {
  uint32_t taken[MANY];
  start(true, 5);
  choose_many(taken);
  CHECK_EQ(schedule.len, MANY);
  for (uint32_t i = 0; i < MANY; i++) {
    CHECK_EQ(schedule.log[i].options, 2 + i % 8);
    CHECK_EQ(schedule.log[i].taken, taken[i]);
  }
  sl_schedule_start(&schedule, true, 6);
  CHECK_EQ(schedule.len, 0);
  finish();
}

static void meets_the_same_choices_in_a_replay(void) {
  uint32_t first[MANY], again[MANY];
  start(true, 9);
  choose_many(first);
  sl_schedule_replay(&schedule, true, 9);
  choose_many(again);
  CHECK(!schedule.diverged);
  CHECK_EQ(schedule.met, MANY);
  CHECK(memcmp(first, again, sizeof first) == 0);
  finish();
}

static void tells_a_replay_that_meets_others(void) {
  uint32_t taken[MANY];
  start(true, 9);
  choose_many(taken);
  sl_schedule_replay(&schedule, true, 9);
  sl_schedule_choose(&schedule, 3); /* was one of 2 */
  CHECK(schedule.diverged);
  sl_schedule_replay(&schedule, true, 9);
  CHECK(!schedule.diverged);
  choose_many(taken);
  sl_schedule_choose(&schedule, 2); /* one more than there were */
  CHECK(schedule.diverged);
  CHECK_EQ(schedule.len, MANY);
  finish();
}

int main(void) {
  RUN(takes_the_first_without_a_seed, "takes the first without a seed");
  RUN(stays_within_the_options, "stays within the options");
  RUN(does_not_draw_from_one_option, "does not draw from one option");
  RUN(takes_each_option_about_as_often, "takes each about as often");
  RUN(repeats_itself_by_its_seed, "repeats itself by its seed");
  RUN(differs_from_seed_to_seed, "differs from seed to seed");
  RUN(writes_down_what_was_taken, "writes down what was taken");
  RUN(meets_the_same_choices_in_a_replay, "meets the same in a replay");
  RUN(tells_a_replay_that_meets_others, "tells a replay that meets others");
  return test_report();
}
