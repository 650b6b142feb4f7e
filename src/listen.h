/*
** listen.h: sockets that listen, and the connections that they take.
**
** The one idea: a socket that listens is a plain descriptor, and a failed
** accept is told to who asked. libuv's own accepting throws connections away
** while the process is out of descriptors, and takes one more than it was
** asked for.
**
** Owns nothing: descriptors are the caller's. Errors are libuv's, negative.
** Never waits, never touches Lua.
*/
#ifndef SL_LISTEN_H
#define SL_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct sl_listen {
  int backlog;
  bool reuse_port; /* other processes may listen there, too */
  bool only_ipv6;  /* "::" stands for no address of IPv4 */
};

/* The file of a Unix socket, and how it is known again. */
struct sl_socket_file {
  char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": none */
  dev_t device;
  ino_t inode;
};

/* A socket that listens at the address, or an error. */
int sl_listen_inet(const struct sockaddr *address, socklen_t len,
                   const struct sl_listen *how);

/* A socket that listens at file->path, where an old one is replaced. */
int sl_listen_unix(struct sl_socket_file *file, int backlog);

/* Removes the socket's file, unless another has taken its place. */
void sl_listen_remove(const struct sl_socket_file *file);

/* The next connection, non-blocking; or an error: UV_EAGAIN if there is
   none. */
int sl_listen_accept(int fd);

/* Whether an error of accept is of the one connection that was to come, so
   that the next may be tried. */
bool sl_listen_lost_one(int error);

#endif
