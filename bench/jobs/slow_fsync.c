/*
** slow_fsync.c: a slow disk, for LD_PRELOAD: fsync and fdatasync take
** SLOW_FSYNC_MS milliseconds (20) longer. Nothing else changes.
*/
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef int sync_function(int fd);

static void wait_for_the_disk(void) {
  const char *given = getenv("SLOW_FSYNC_MS");
  long ms = given != NULL ? atol(given) : 20;
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0) continue;
}

/* ISO C has no conversion of an object's address to a function's. */
static sync_function *next(const char *name) {
  void *at = dlsym(RTLD_NEXT, name);
  sync_function *function;
  *(void **)&function = at;
  return function;
}

int fsync(int fd) {
  wait_for_the_disk();
  return next("fsync")(fd);
}

int fdatasync(int fd) {
  wait_for_the_disk();
  return next("fdatasync")(fd);
}
