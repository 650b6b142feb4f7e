/*
** fault.c: what goes wrong at the n-th call; see shim.h. It is told on
** stderr, so that who goes through all n sees where there are no more.
*/
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

struct fault {
  char kind[8];
  long n;
  bool lasts;
  char what[8];
};

static const char *const kinds[] = {"write", "sync", "dir", "lock"};

static const struct fault *planned(void) {
  static struct fault fault;
  static bool known;
  const char *text = getenv("CRASH_FAULT");
  char lasts = ':';
  if (known || text == NULL) return known && fault.n > 0 ? &fault : NULL;
  known = true;
  if (sscanf(text, "%7[a-z]:%ld%c", fault.kind, &fault.n, &lasts) < 3 ||
      sscanf(strrchr(text, ':'), ":%7[A-Z]", fault.what) < 1)
    abort();
  fault.lasts = lasts == '+';
  return &fault;
}

void crash_die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static int carry_out(const char *what, bool *half) {
  if (strcmp(what, "EIO") == 0) return EIO;
  if (strcmp(what, "ENOSPC") == 0) return ENOSPC;
  if (strcmp(what, "KILL") == 0) crash_die();
  if (strcmp(what, "TEAR") == 0) {
    if (half == NULL) crash_die();
    *half = true;
  }
  /* To this thread: it goes no further, whichever thread would take it. */
  if (strcmp(what, "STOP") == 0) pthread_kill(pthread_self(), SIGSTOP);
  if (strcmp(what, "LIE") == 0) return CRASH_LIE;
  return 0;
}

int crash_fault(enum crash_kind kind, const char *name, bool *half) {
  static long calls;
  const struct fault *fault = planned();
  char line[160];
  int len;
  if (fault == NULL) return 0;
  if (strcmp(fault->kind, kinds[kind]) != 0 &&
      (strcmp(fault->kind, "any") != 0 || kind > CRASH_SYNC))
    return 0;
  calls++;
  if (calls != fault->n && !(fault->lasts && calls > fault->n)) return 0;
  len = snprintf(line, sizeof line, "crash: %s %ld of %s: %s\n", kinds[kind],
                 calls, *name != '\0' ? name : "the database", fault->what);
  if (calls == fault->n && CRASH_NEXT(write)(2, line, (size_t)len) < 0)
    abort();
  return carry_out(fault->what, half);
}
