/*
** http_spool.c: a file on disk for content that memory is too dear for.
**
** The one idea: it is made with a name that nobody can guess or take, is
** readable by its owner only, and is removed with this object, unless it was
** moved to a place of its own before. So whatever ends the request, nothing
** is left. Once written it has no descriptor: a form may have many files.
**
** Reads and writes are done at once, in the caller's thread: what is written
** goes to the kernel's cache. Owns the descriptor and the name.
*/
#include "http_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 1024 };

static const char TEMPLATE[] = "sluice-XXXXXX";

/*
** BEING_WRITTEN ─ rest ─► AT_REST ─ move ─► MOVED
**       └──────────────────────┴─── close ─────┴──► GONE
*/
struct spool {
  const struct sl_class *class;
  int fd;               /* -1: it is opened for each read */
  bool ours;            /* it is to be removed */
  char path[PATH_SIZE]; /* empty, and no fd: it is gone */
};

static const struct sl_class spool_class = {"sluice.http.Spool",
                                            sizeof(struct spool)};

static mode_t creation_mask; /* of the process, when it was loaded */

static int fail_system(lua_State *L) {
  return sl_fail_uv(L, uv_translate_sys_error(errno));
}

static struct spool *check_spool(lua_State *L) {
  struct spool *spool = sl_check(L, 1, &spool_class);
  if (spool->fd < 0 && spool->path[0] == '\0')
    luaL_argerror(L, 1, "the file is gone");
  return spool;
}

static void rest(struct spool *spool) {
  if (spool->fd >= 0) close(spool->fd);
  spool->fd = -1;
}

static void close_spool(struct spool *spool) {
  rest(spool);
  if (spool->ours) unlink(spool->path);
  spool->ours = false;
  spool->path[0] = '\0';
}

/* Writes the name to be filled in. Returns 0 or an error of libuv. */
static int make_template(char *path, const char *directory) {
  size_t len = PATH_SIZE;
  int error = 0;
  if (directory == NULL)
    error = uv_os_tmpdir(path, &len);
  else if ((len = strlen(directory)) < PATH_SIZE)
    memcpy(path, directory, len + 1);
  if (error == 0 && len + 1 + sizeof TEMPLATE > PATH_SIZE)
    error = UV_ENAMETOOLONG;
  if (error == 0) {
    path[len] = '/';
    memcpy(path + len + 1, TEMPLATE, sizeof TEMPLATE);
  }
  return error;
}

/* Spool([directory]): an empty file, in the system's directory for such
   files unless given; nil, message, code. Never waits. */
int sl_http_spool_new(lua_State *L) {
  const char *directory = luaL_optstring(L, 1, NULL);
  struct spool *spool = sl_object_new(L, &spool_class, 0);
  char path[PATH_SIZE];
  int error;
  spool->fd = -1;
  error = make_template(path, directory);
  if (error != 0) return sl_fail_uv(L, error);
  spool->fd = mkstemp(path);
  if (spool->fd < 0) return fail_system(L);
  fcntl(spool->fd, F_SETFD, FD_CLOEXEC);
  memcpy(spool->path, path, PATH_SIZE);
  spool->ours = true;
  return 1;
}

/* open_file(path): one that is there, to be read and never removed; its size
   in bytes and when it was changed, in seconds; nil, message, code, also if
   it is no plain file. Never waits. */
int sl_http_file_open(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  struct spool *spool = sl_object_new(L, &spool_class, 0);
  struct stat info;
  spool->fd = -1;
  if (strlen(path) != len) return sl_fail_uv(L, UV_ENOENT);
  /* A pipe is not to be waited for. */
  spool->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (spool->fd < 0 || fstat(spool->fd, &info) != 0) return fail_system(L);
  if (!S_ISREG(info.st_mode)) return sl_fail_uv(L, UV_EISDIR);
  lua_pushinteger(L, (lua_Integer)info.st_size);
  lua_pushinteger(L, (lua_Integer)info.st_mtime);
  return 3;
}

/* spool:write(data): true; nil, message, code. */
static int write_spool(lua_State *L) {
  struct spool *spool = check_spool(L);
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  while (len > 0) {
    ssize_t n = write(spool->fd, data, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_system(L);
    data += n;
    len -= (size_t)n;
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* spool:rest(): all is written; it needs no descriptor. */
static int rest_method(lua_State *L) {
  rest(check_spool(L));
  return 0;
}

/* Reads up to n bytes from `at`. Returns how many, or -1. */
static ssize_t read_at(const struct spool *spool, char *to, size_t most,
                       off_t at) {
  int fd = spool->fd >= 0 ? spool->fd
                          : open(spool->path, O_RDONLY | O_CLOEXEC);
  size_t len = 0;
  ssize_t n = fd < 0 ? -1 : 1;
  while (n > 0 && len < most) {
    n = pread(fd, to + len, most - len, at + (off_t)len);
    if (n < 0 && errno == EINTR) n = 1;
    else if (n > 0) len += (size_t)n;
  }
  if (fd >= 0 && fd != spool->fd) close(fd);
  return n < 0 ? -1 : (ssize_t)len;
}

/* spool:read(at, n): up to n bytes from there, fewer only at its end; nil,
   message, code. */
static int read_spool(lua_State *L) {
  struct spool *spool = check_spool(L);
  off_t at = (off_t)luaL_checkinteger(L, 2);
  size_t most = (size_t)luaL_checkinteger(L, 3);
  luaL_Buffer buffer;
  char *to = luaL_buffinitsize(L, &buffer, most);
  ssize_t n = read_at(spool, to, most, at);
  if (n < 0) return fail_system(L);
  luaL_pushresultsize(&buffer, (size_t)n);
  return 1;
}

/* A plain file, or a link, may be replaced. Returns 0 or an error of libuv. */
static int check_place(const char *path) {
  struct stat info;
  if (lstat(path, &info) != 0) return 0;
  if (S_ISREG(info.st_mode) || S_ISLNK(info.st_mode)) return 0;
  return S_ISDIR(info.st_mode) ? UV_EISDIR : UV_EEXIST;
}

/* spool:move(path): gives it a place of its own, and the rights of any new
   file. True; nil, message, code. It can still be read. */
static int move_spool(lua_State *L) {
  struct spool *spool = check_spool(L);
  size_t len;
  const char *path = luaL_checklstring(L, 2, &len);
  int error;
  if (!spool->ours) return luaL_error(L, "it was moved before");
  if (len >= PATH_SIZE) return sl_fail_uv(L, UV_ENAMETOOLONG);
  error = check_place(path);
  if (error != 0) return sl_fail_uv(L, error);
  if (chmod(spool->path, 0666 & ~creation_mask) != 0) return fail_system(L);
  if (rename(spool->path, path) != 0) {
    int results = fail_system(L);
    chmod(spool->path, 0600);
    return results;
  }
  spool->ours = false;
  memcpy(spool->path, path, len + 1);
  lua_pushboolean(L, 1);
  return 1;
}

/* spool:path(): where it is; nil: it was given as open. */
static int push_path(lua_State *L) {
  struct spool *spool = check_spool(L);
  if (spool->path[0] == '\0') return 0;
  lua_pushstring(L, spool->path);
  return 1;
}

/* spool:close(): removes it, if it was not moved. Twice is harmless. */
static int close_method(lua_State *L) {
  close_spool(sl_check(L, 1, &spool_class));
  return 0;
}

/* system_error(number): nil, message, code of an errno, as io gives it. */
int sl_http_system_error(lua_State *L) {
  return sl_fail_uv(L, uv_translate_sys_error((int)luaL_optinteger(L, 1, EIO)));
}

void sl_http_spool_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg methods[] = {
      {"write", write_spool}, {"rest", rest_method},   {"read", read_spool},
      {"move", move_spool},   {"path", push_path},     {"close", close_method},
      {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", close_method}, {NULL, NULL}};
  creation_mask = umask(022);
  umask(creation_mask);
  sl_class_new(L, &spool_class, loop, methods, meta);
  lua_pop(L, 1);
}
