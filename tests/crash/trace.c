/*
** trace.c: which descriptors are of the watched files, and the trace of what
** is done to them; see shim.h.
**
** A record: kind (1 byte), name with its length (1 byte), offset (8 bytes),
** data with its length (4 bytes), little-endian; images.lua reads it. It is
** appended by one write, so that several processes, and a script that notes
** what it was promised, can share a trace. The record of a change is written
** after the change, that of a sync after the sync: what the trace says to be
** safe is safe.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim.h"

enum { MOST_FILES = 4096, LONGEST_NAME = 64 };

static char names[MOST_FILES][LONGEST_NAME];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void *crash_next(const char *name) { return dlsym(RTLD_NEXT, name); }

const char *crash_name(const char *path) {
  const char *prefix = getenv("CRASH_FILES");
  const char *slash = prefix != NULL ? strrchr(prefix, '/') : NULL;
  if (slash == NULL) return NULL;
  if (strncmp(path, prefix, strlen(prefix)) == 0)
    return path + strlen(prefix);
  if (strlen(path) == (size_t)(slash - prefix) &&
      strncmp(path, prefix, strlen(path)) == 0)
    return "/";
  return NULL;
}

/* The name is kept with a byte before it that says whether there is one. */
void crash_opened(int fd, const char *path) {
  const char *name = crash_name(path);
  if (fd < 0 || fd >= MOST_FILES) return;
  names[fd][0] = '\0';
  if (name == NULL || strlen(name) > LONGEST_NAME - 2) return;
  names[fd][0] = '=';
  strcpy(names[fd] + 1, name);
}

void crash_closed(int fd) {
  if (fd >= 0 && fd < MOST_FILES) names[fd][0] = '\0';
}

const char *crash_file(int fd) {
  if (fd < 0 || fd >= MOST_FILES || names[fd][0] == '\0') return NULL;
  return names[fd] + 1;
}

void crash_begin(void) { pthread_mutex_lock(&mutex); }
void crash_done(void) { pthread_mutex_unlock(&mutex); }

static int trace_file(void) {
  static int fd = -2;
  const char *path = getenv("CRASH_TRACE");
  if (fd != -2) return fd;
  fd = path == NULL ? -1
                    : CRASH_NEXT(open)(path, O_WRONLY | O_APPEND | O_CREAT |
                                                 O_CLOEXEC, 0600);
  return fd;
}

void crash_trace(char kind, const char *name, uint64_t offset,
                 const void *data, size_t len) {
  char head[2 + LONGEST_NAME + 12];
  uint32_t data_len = (uint32_t)len;
  size_t name_len = strlen(name);
  struct iovec parts[2] = {{head, name_len + 14}, {(void *)data, len}};
  if (trace_file() < 0 || name_len >= LONGEST_NAME) return;
  head[0] = kind;
  head[1] = (char)name_len;
  memcpy(head + 2, name, name_len);
  memcpy(head + 2 + name_len, &offset, 8);
  memcpy(head + 10 + name_len, &data_len, 4);
  if (writev(trace_file(), parts, 2) < 0) abort();
}
