/*
** listen.c: see listen.h.
*/
#define _GNU_SOURCE /* accept4 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

static int last_error(void) { return uv_translate_sys_error(errno); }

static bool set_flags(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
         fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* Closes the descriptor; the error of the call before. */
static int give_up(int fd) {
  int error = last_error();
  close(fd);
  return error;
}

/* A non-blocking socket that no child inherits. */
static int new_socket(int family) {
  int fd = socket(family, SOCK_STREAM, 0);
  if (fd < 0) return last_error();
  return set_flags(fd) ? fd : give_up(fd);
}

static bool set_option(int fd, int level, int option, bool value) {
  int n = value;
  return setsockopt(fd, level, option, &n, sizeof n) == 0;
}

static bool share_port(int fd) {
#ifdef SO_REUSEPORT
  return set_option(fd, SOL_SOCKET, SO_REUSEPORT, true);
#else
  (void)fd;
  errno = ENOTSUP;
  return false;
#endif
}

/* Connections inherit TCP_NODELAY on Linux, which saves a call for each. */
static bool set_options(int fd, const struct sockaddr *address,
                        const struct sl_listen *how) {
  return set_option(fd, SOL_SOCKET, SO_REUSEADDR, true) &&
         set_option(fd, IPPROTO_TCP, TCP_NODELAY, true) &&
         (address->sa_family != AF_INET6 ||
          set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, how->only_ipv6)) &&
         (!how->reuse_port || share_port(fd));
}

int sl_listen_inet(const struct sockaddr *address, socklen_t len,
                   const struct sl_listen *how) {
  int fd = new_socket(address->sa_family);
  if (fd < 0) return fd;
  if (set_options(fd, address, how) &&
      bind(fd, address, len) == 0 &&
      listen(fd, how->backlog) == 0)
    return fd;
  return give_up(fd);
}

/* -- Unix sockets -- */

/* A socket that a server left behind when it was killed. */
static void remove_stale(const char *path) {
  struct stat info;
  if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode)) unlink(path);
}

static void note_identity(struct sl_socket_file *file) {
  struct stat info;
  if (lstat(file->path, &info) < 0) return;
  file->device = info.st_dev;
  file->inode = info.st_ino;
}

int sl_listen_unix(struct sl_socket_file *file, int backlog) {
  struct sockaddr_un address;
  int fd = new_socket(AF_UNIX);
  if (fd < 0) return fd;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, file->path, sizeof file->path);
  remove_stale(file->path);
  if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
    note_identity(file);
    if (listen(fd, backlog) == 0) return fd;
    sl_listen_remove(file);
  }
  return give_up(fd);
}

void sl_listen_remove(const struct sl_socket_file *file) {
  struct stat info;
  if (file->path[0] == 0 || lstat(file->path, &info) < 0) return;
  if (info.st_dev == file->device && info.st_ino == file->inode)
    unlink(file->path);
}

/* -- accepting -- */

static int accept_fd(int fd) {
#ifdef __linux__
  return accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
  int accepted = accept(fd, NULL, NULL);
  if (accepted < 0 || set_flags(accepted)) return accepted;
  close(accepted);
  return -1;
#endif
}

int sl_listen_accept(int fd) {
  int accepted;
  do accepted = accept_fd(fd);
  while (accepted < 0 && errno == EINTR);
  return accepted < 0 ? last_error() : accepted;
}

/* Linux hands errors of the new socket to accept: its manual lists them. */
bool sl_listen_lost_one(int error) {
  switch (error) {
    case UV_ECONNABORTED:
    case UV_EPROTO:
    case UV_ENETDOWN:
    case UV_ENETUNREACH:
    case UV_EHOSTUNREACH:
    case UV_EHOSTDOWN:
    case UV_EPERM: /* a firewall forbids it */
      return true;
    default:
      return false;
  }
}
