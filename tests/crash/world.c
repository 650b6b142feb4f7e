/*
** world.c: the clock of the machine, the id of its start, and when SQLite
** commits; see shim.h.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

/* -- the clock -- */

/* How far it is ahead, in a file that others change. */
static int64_t ahead_ns(void) {
  static const volatile int64_t *shared;
  static bool known;
  const char *path = getenv("CRASH_CLOCK");
  if (!known && path != NULL) {
    int fd = CRASH_NEXT(open)(path, O_RDONLY | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED
                       : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) shared = map;
  }
  known = true;
  return shared != NULL ? *shared : 0;
}

/* The system is asked itself: a sanitizer's allocator asks for the time, when
   another function may not be looked up. */
int clock_gettime(clockid_t id, struct timespec *now) {
  int result = (int)syscall(SYS_clock_gettime, id, now);
  bool jumps = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ||
               (id == CLOCK_BOOTTIME && getenv("CRASH_JUMPS") != NULL);
  int64_t ns;
  if (result != 0 || !jumps) return result;
  ns = now->tv_sec * INT64_C(1000000000) + now->tv_nsec + ahead_ns();
  now->tv_sec = ns / INT64_C(1000000000);
  now->tv_nsec = ns % INT64_C(1000000000);
  return 0;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec exact;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *to) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (to != NULL) *to = exact.tv_sec;
  return exact.tv_sec;
}

/* -- the machine's start -- */

static const char *boot_of(const char *path) {
  const char *other = getenv("CRASH_BOOT");
  if (other == NULL) return path;
  return strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? other : path;
}

FILE *fopen(const char *path, const char *mode) {
  return CRASH_NEXT(fopen)(boot_of(path), mode);
}

FILE *fopen64(const char *path, const char *mode) {
  return CRASH_NEXT(fopen)(boot_of(path), mode);
}

/* -- SQLite -- */

struct sqlite3_stmt;
int sqlite3_step(struct sqlite3_stmt *statement);

static struct {
  int (*step)(struct sqlite3_stmt *);
  int (*reset)(struct sqlite3_stmt *);
  const char *(*sql)(struct sqlite3_stmt *);
} sqlite;

/* It was loaded by a module of Lua, for which it is not the next object. */
static void find_sqlite(void) {
  void *library = dlopen("libsqlite3.so.0", RTLD_LAZY | RTLD_NOLOAD);
  if (library == NULL) abort();
  sqlite.step = dlsym(library, "sqlite3_step");
  sqlite.reset = dlsym(library, "sqlite3_reset");
  sqlite.sql = dlsym(library, "sqlite3_sql");
}

/* COMMIT succeeds and nothing is done; the BEGIN that follows does it. */
int sqlite3_step(struct sqlite3_stmt *statement) {
  static __thread struct sqlite3_stmt *owed;
  const char *text;
  if (sqlite.step == NULL) find_sqlite();
  text = sqlite.sql(statement);
  if (getenv("CRASH_COMMIT") == NULL || text == NULL)
    return sqlite.step(statement);
  if (strcmp(text, "COMMIT") == 0) {
    owed = statement;
    return 101; /* SQLITE_DONE */
  }
  if (strncmp(text, "BEGIN", 5) == 0 && owed != NULL) {
    sqlite.step(owed);
    sqlite.reset(owed);
    owed = NULL;
  }
  return sqlite.step(statement);
}
