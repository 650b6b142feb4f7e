/*
** shim.c: the calls that are stood between; see shim.h.
**
** Each is the C library's own, of the same name, for everything but the
** watched files. Both names of a call are here where there are two (open64):
** on a 64-bit system they are the same.
*/
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"

/* -- opening and closing -- */

static int open_any(const char *path, int flags, mode_t mode) {
  const char *name = crash_name(path);
  bool new = name != NULL && (flags & O_CREAT) && access(path, F_OK) != 0;
  int fd;
  if (name == NULL) {
    fd = CRASH_NEXT(open)(path, flags, mode);
    crash_closed(fd);
    return fd;
  }
  crash_begin();
  fd = CRASH_NEXT(open)(path, flags, mode);
  crash_opened(fd, path);
  if (fd >= 0 && new) crash_trace('C', name, 0, NULL, 0);
  if (fd >= 0 && (flags & O_TRUNC)) crash_trace('T', name, 0, NULL, 0);
  crash_done();
  return fd;
}

#define OPEN(name)                          \
  int name(const char *path, int flags, ...) { \
    mode_t mode = 0;                        \
    if (flags & (O_CREAT | O_TMPFILE)) {    \
      va_list args;                         \
      va_start(args, flags);                \
      mode = va_arg(args, mode_t);          \
      va_end(args);                         \
    }                                       \
    return open_any(path, flags, mode);     \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  crash_closed(fd);
  return CRASH_NEXT(close)(fd);
}

int unlink(const char *path) {
  const char *name = crash_name(path);
  int result;
  if (name == NULL) return CRASH_NEXT(unlink)(path);
  crash_begin();
  result = CRASH_NEXT(unlink)(path);
  if (result == 0) crash_trace('U', name, 0, NULL, 0);
  crash_done();
  return result;
}

int rename(const char *from, const char *to) {
  const char *name = crash_name(from), *new = crash_name(to);
  int result;
  if (name == NULL || new == NULL) return CRASH_NEXT(rename)(from, to);
  crash_begin();
  result = CRASH_NEXT(rename)(from, to);
  if (result == 0) crash_trace('R', name, 0, new, strlen(new));
  crash_done();
  return result;
}

/* -- writing -- */

/* At `at`; at the descriptor's own place if that is negative. */
static ssize_t write_any(int fd, const void *data, size_t len, off_t at) {
  const char *name = crash_file(fd);
  bool half = false, own = at < 0;
  ssize_t done = -1;
  int error;
  if (name == NULL)
    return own ? CRASH_NEXT(write)(fd, data, len)
               : CRASH_NEXT(pwrite)(fd, data, len, at);
  crash_begin();
  error = crash_fault(CRASH_WRITE, name, &half);
  if (half) len /= 2;
  if (error == 0)
    done = own ? CRASH_NEXT(write)(fd, data, len)
               : CRASH_NEXT(pwrite)(fd, data, len, at);
  if (error == 0) error = errno;
  if (own && done > 0) at = lseek(fd, 0, SEEK_CUR) - done;
  if (done > 0) crash_trace('W', name, (uint64_t)at, data, (size_t)done);
  if (half) crash_die();
  crash_done();
  errno = error;
  return done;
}

ssize_t write(int fd, const void *data, size_t len) {
  return write_any(fd, data, len, -1);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
  return write_any(fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t at) {
  return write_any(fd, data, len, at);
}

static int size_any(int fd, off_t size) {
  const char *name = crash_file(fd);
  int result = -1, error;
  if (name == NULL) return CRASH_NEXT(ftruncate)(fd, size);
  crash_begin();
  error = crash_fault(CRASH_WRITE, name, NULL);
  if (error == 0) {
    result = CRASH_NEXT(ftruncate)(fd, size);
    error = errno;
  }
  if (result == 0) crash_trace('T', name, (uint64_t)size, NULL, 0);
  crash_done();
  errno = error;
  return result;
}

int ftruncate(int fd, off_t size) { return size_any(fd, size); }
int ftruncate64(int fd, off_t size) { return size_any(fd, size); }

int truncate(const char *path, off_t size) {
  const char *name = crash_name(path);
  int result;
  if (name == NULL) return CRASH_NEXT(truncate)(path, size);
  crash_begin();
  result = CRASH_NEXT(truncate)(path, size);
  if (result == 0) crash_trace('T', name, (uint64_t)size, NULL, 0);
  crash_done();
  return result;
}

/* Returns an errno, as posix_fallocate does. */
static int allocate_any(int fd, off_t at, off_t len) {
  const char *name = crash_file(fd);
  uint64_t end = (uint64_t)(at + len);
  int error;
  if (name == NULL) return CRASH_NEXT(posix_fallocate)(fd, at, len);
  crash_begin();
  error = crash_fault(CRASH_WRITE, name, NULL);
  if (error == 0) error = CRASH_NEXT(posix_fallocate)(fd, at, len);
  if (error == 0) crash_trace('A', name, end, NULL, 0);
  crash_done();
  return error;
}

int posix_fallocate(int fd, off_t at, off_t len) {
  return allocate_any(fd, at, len);
}

int posix_fallocate64(int fd, off_t at, off_t len) {
  return allocate_any(fd, at, len);
}

/* -- syncing -- */

static int sync_any(int fd, int (*sync)(int)) {
  const char *name = crash_file(fd), *how = getenv("CRASH_SYNC");
  int result = -1, error;
  bool directory = name != NULL && *name == '/';
  if (name == NULL) return sync(fd);
  if (how != NULL && strcmp(how, "off") == 0) return 0;
  if (how != NULL) usleep((useconds_t)atoi(how) * 1000);
  crash_begin();
  error = crash_fault(directory ? CRASH_DIR : CRASH_SYNC, name, NULL);
  if (error == 0) {
    result = sync(fd);
    error = errno;
  }
  if (result == 0)
    crash_trace(directory ? 'D' : 'S', name, 0, NULL, 0);
  else if (!directory)
    crash_trace('E', name, 0, NULL, 0);
  crash_done();
  errno = error;
  return error == CRASH_LIE ? 0 : result;
}

int fsync(int fd) { return sync_any(fd, CRASH_NEXT(fsync)); }
int fdatasync(int fd) { return sync_any(fd, CRASH_NEXT(fdatasync)); }

/* -- locks -- */

int flock(int fd, int operation) {
  const char *name = crash_file(fd), *how = getenv("CRASH_FLOCK");
  int result;
  if (name == NULL) return CRASH_NEXT(flock)(fd, operation);
  if (how != NULL && strcmp(how, "off") == 0) return 0;
  result = CRASH_NEXT(flock)(fd, operation);
  if (result == 0 && (operation & LOCK_EX))
    crash_fault(CRASH_LOCK, name, NULL);
  return result;
}

static int control(int fd, int command, void *arg) {
  const char *how = getenv("CRASH_LIVES");
  if (command == F_OFD_GETLK && how != NULL && crash_file(fd) != NULL)
    return 0; /* l_type stays F_WRLCK: somebody has it */
  return CRASH_NEXT(fcntl)(fd, command, arg);
}

#define FCNTL(name)                     \
  int name(int fd, int command, ...) {  \
    void *arg;                          \
    va_list args;                       \
    va_start(args, command);            \
    arg = va_arg(args, void *);         \
    va_end(args);                       \
    return control(fd, command, arg);   \
  }
FCNTL(fcntl)
FCNTL(fcntl64)
