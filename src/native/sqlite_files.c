/*
** sqlite_files.c: see sqlite_files.h.
*/
#if defined(__linux__)
#define _GNU_SOURCE /* locks of open file descriptions */
#endif
#include "sqlite_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/inotify.h>
#endif

enum { BALLAST = 4 << 20 };

static const off_t OWNERS = (off_t)1 << 40; /* byte of owner 0 */

/* -- errors -- */

static const struct {
  int number;
  const char *name;
} errno_names[] = {{EACCES, "EACCES"}, {EISDIR, "EISDIR"},
                   {EMFILE, "EMFILE"}, {ENFILE, "ENFILE"},
                   {ENOENT, "ENOENT"}, {ENOMEM, "ENOMEM"},
                   {ENOSPC, "ENOSPC"}, {ENOTDIR, "ENOTDIR"},
                   {EPERM, "EPERM"},   {EROFS, "EROFS"},
                   {ELOOP, "ELOOP"},   {ENAMETOOLONG, "ENAMETOOLONG"},
                   {EDQUOT, "ENOSPC"},     {ENOLCK, "ENOLCK"}};

void sl_lite_fail_errno(struct sl_engine_error *error, const char *what,
                        int number) {
  const char *name = "EIO";
  for (size_t i = 0; i < sizeof errno_names / sizeof *errno_names; i++)
    if (errno_names[i].number == number) name = errno_names[i].name;
  snprintf(error->code, sizeof error->code, "%s", name);
  snprintf(error->message, sizeof error->message, "%s: %s", what,
           strerror(number));
}

/* -- opening -- */

static char *beside(const char *path, const char *suffix) {
  size_t len = strlen(path);
  char *name = malloc(len + strlen(suffix) + 1);
  if (name == NULL) return NULL;
  memcpy(name, path, len);
  strcpy(name + len, suffix);
  return name;
}

/* Opens a file beside the database, with the database's mode, so that who
   may use that may use this. */
static int open_beside(const char *path, const char *suffix,
                       struct sl_engine_error *error) {
  char *name = beside(path, suffix);
  struct stat database;
  int fd = -1;
  errno = ENOMEM;
  if (name != NULL) fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0)
    sl_lite_fail_errno(error, name != NULL ? name : path, errno);
  else if (stat(path, &database) == 0 &&
           fchmod(fd, database.st_mode & 0777) != 0)
    errno = 0; /* another user's: he has seen to it */
  free(name);
  return fd;
}

/* An error that says nothing of the disk (some file systems sync no
   directories) is none. */
bool sl_lite_sync_directory(const char *path, struct sl_engine_error *error) {
  const char *slash = strrchr(path, '/');
  char *name = slash == NULL ? strdup(".") : strdup(path);
  bool failed;
  int fd;
  if (name == NULL) return true;
  if (slash != NULL) name[slash - path + (slash == path)] = '\0';
  fd = open(name, O_RDONLY | O_CLOEXEC);
  failed = fd >= 0 && fsync(fd) != 0 && errno == EIO;
  if (failed) sl_lite_fail_errno(error, name, EIO);
  if (fd >= 0) close(fd);
  free(name);
  return !failed;
}

/* Watches the notify file: modified by a commit, closed by a death. A user
   has a limited number of watches. */
static int open_watch(const char *path) {
#if defined(__linux__)
  char *name = beside(path, "-notify");
  int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd >= 0 &&
      (name == NULL ||
       inotify_add_watch(fd, name, IN_MODIFY | IN_CLOSE_WRITE) < 0)) {
    close(fd);
    fd = -1;
  }
  free(name);
  return fd;
#else
  (void)path;
  return -1;
#endif
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

void sl_lite_files_close(struct sl_lite_files *files) {
  close_fd(&files->watch);
  close_fd(&files->notify);
  close_fd(&files->lock);
  free(files->ballast_path);
  files->ballast_path = NULL;
}

bool sl_lite_files_open(struct sl_lite_files *files, const char *path,
                        struct sl_engine_error *error) {
  memset(files, 0, sizeof *files);
  files->lock = files->notify = files->watch = -1;
  files->ballast_path = beside(path, "-ballast");
  files->lock = open_beside(path, "-lock", error);
  if (files->lock >= 0)
    files->notify = open_beside(path, "-notify", error);
  if (files->notify >= 0 && files->ballast_path != NULL) {
    files->watch = open_watch(path);
    return true;
  }
  sl_lite_files_close(files);
  return false;
}

/* -- the lock -- */

bool sl_lite_lock(struct sl_lite_files *files) {
  while (flock(files->lock, LOCK_EX) != 0)
    if (errno != EINTR) return false;
  return true;
}

bool sl_lite_try_lock(struct sl_lite_files *files) {
  return flock(files->lock, LOCK_EX | LOCK_NB) == 0;
}

void sl_lite_unlock(struct sl_lite_files *files) {
  flock(files->lock, LOCK_UN);
}

/* -- owners -- */

#if defined(F_OFD_SETLK)
static struct flock byte_of(int64_t owner) {
  struct flock lock;
  memset(&lock, 0, sizeof lock); /* l_pid must be 0 */
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = OWNERS + (off_t)owner;
  lock.l_len = 1;
  return lock;
}

/* A kernel that does not know such locks says EINVAL: others cannot ask for
   them either, and take this process for alive. */
bool sl_lite_claim(struct sl_lite_files *files, int64_t owner) {
  struct flock lock = byte_of(owner);
  files->owner = owner;
  return fcntl(files->notify, F_OFD_SETLK, &lock) == 0 || errno == EINVAL;
}

bool sl_lite_lives(const struct sl_lite_files *files, int64_t owner) {
  struct flock lock = byte_of(owner);
  if (owner == files->owner) return true;
  if (fcntl(files->notify, F_OFD_GETLK, &lock) != 0) return true;
  return lock.l_type != F_UNLCK;
}
#else
/* Who has died is not known then: its leases expire. */
bool sl_lite_claim(struct sl_lite_files *files, int64_t owner) {
  files->owner = owner;
  return true;
}

bool sl_lite_lives(const struct sl_lite_files *files, int64_t owner) {
  (void)files, (void)owner;
  return true;
}
#endif

/* -- notices -- */

void sl_lite_notify(struct sl_lite_files *files) {
  struct sl_lite_notice notice = {files->owner, ++files->notices};
  ssize_t written = pwrite(files->notify, &notice, sizeof notice, 0);
  (void)written; /* of a full disk: the file has had its size for long */
}

/* Whether the last notice is another's. One that this process has written
   over was seen by it, since it wrote after it had the lock. */
static bool is_news(const struct sl_lite_files *files) {
  struct sl_lite_notice notice;
  if (pread(files->notify, &notice, sizeof notice, 0) != sizeof notice)
    return true;
  return notice.owner != files->owner || notice.number != files->notices;
}

bool sl_lite_look(struct sl_lite_files *files) {
  struct sl_lite_notice notice;
  bool known;
  if (pread(files->notify, &notice, sizeof notice, 0) != sizeof notice)
    return false;
  known = notice.owner == files->seen.owner &&
          notice.number == files->seen.number;
  files->seen = notice;
  return !known && notice.owner != files->owner;
}

#if defined(__linux__)
struct sl_lite_news sl_lite_heard(struct sl_lite_files *files) {
  struct sl_lite_news news = {false, false};
  char buffer[4096]
      __attribute__((aligned(__alignof__(struct inotify_event))));
  ssize_t len;
  while ((len = read(files->watch, buffer, sizeof buffer)) > 0)
    for (char *at = buffer; at < buffer + len;) {
      struct inotify_event event;
      memcpy(&event, at, sizeof event);
      at += sizeof event + event.len;
      if (event.mask & (IN_MODIFY | IN_Q_OVERFLOW)) news.commit = true;
      if (event.mask & (IN_CLOSE_WRITE | IN_Q_OVERFLOW)) news.death = true;
    }
  if (news.commit) news.commit = is_news(files);
  return news;
}
#else
struct sl_lite_news sl_lite_heard(struct sl_lite_files *files) {
  struct sl_lite_news news = {is_news(files), true};
  return news;
}
#endif

/* -- ballast -- */

static bool is_no_room(int error) {
  return error == ENOSPC || error == EDQUOT;
}

bool sl_lite_ballast_make(const struct sl_lite_files *files) {
  int fd = open(files->ballast_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  int error = fd < 0 ? errno : posix_fallocate(fd, 0, BALLAST);
  if (fd < 0) return !is_no_room(error);
  if (error != 0 && ftruncate(fd, 0) != 0) error = errno;
  close(fd);
  return !is_no_room(error);
}

bool sl_lite_ballast_is_there(const struct sl_lite_files *files) {
  struct stat ballast;
  return stat(files->ballast_path, &ballast) == 0 &&
         ballast.st_size >= BALLAST;
}

void sl_lite_ballast_drop(const struct sl_lite_files *files) {
  if (truncate(files->ballast_path, 0) != 0) unlink(files->ballast_path);
}
