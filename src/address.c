/*
** address.c: see address.h.
*/
#include "address.h"

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { NAME_SIZE = 256 }; /* a longer name is none; libuv's own bound */

/* -- pushing -- */

/* The host as text. A link-local address is of use only with the name of its
   link. */
static int name_host(const struct sockaddr_storage *address, socklen_t len,
                     char *host, size_t size) {
  const struct sockaddr_in6 *in6 = (const void *)address;
  if (address->ss_family == AF_INET)
    return uv_ip4_name((const void *)address, host, size);
  if (in6->sin6_scope_id == 0) return uv_ip6_name(in6, host, size);
  return getnameinfo((const void *)address, len, host, (socklen_t)size, NULL,
                     0, NI_NUMERICHOST) == 0
             ? 0
             : UV_EAI_FAIL;
}

static int push_inet(lua_State *L, const struct sockaddr_storage *address,
                     socklen_t len) {
  char host[INET6_ADDRSTRLEN + IF_NAMESIZE];
  const struct sockaddr_in *in = (const void *)address;
  int error = name_host(address, len, host, sizeof host);
  if (error < 0) return sl_fail_uv(L, error);
  lua_pushstring(L, host);
  lua_pushinteger(L, ntohs(in->sin_port)); /* where sin6_port is, too */
  return 2;
}

/* A path ends at its zero; a name of Linux that is no path begins so. */
static int push_path(lua_State *L, const struct sockaddr_un *address,
                     socklen_t len) {
  size_t head = offsetof(struct sockaddr_un, sun_path);
  size_t n = len > head ? len - head : 0;
  if (n > sizeof address->sun_path) n = sizeof address->sun_path;
  if (n > 0 && address->sun_path[0] != 0)
    n = strnlen(address->sun_path, n);
  lua_pushlstring(L, address->sun_path, n);
  return 1;
}

/* Not by libuv, which reads a path that is not there when the peer has
   none. */
int sl_address_push(lua_State *L, const struct sl_handle *handle,
                    enum sl_address_end end) {
  struct sockaddr_storage address;
  socklen_t len = sizeof address;
  uv_os_fd_t fd;
  int error = uv_fileno(&handle->uv.any, &fd);
  if (error < 0) return sl_fail_uv(L, error);
  memset(&address, 0, sizeof address);
  error = end == SL_PEER_ADDRESS
              ? getpeername(fd, (struct sockaddr *)&address, &len)
              : getsockname(fd, (struct sockaddr *)&address, &len);
  if (error < 0) return sl_fail_uv(L, uv_translate_sys_error(errno));
  if (address.ss_family == AF_UNIX)
    return push_path(L, (const void *)&address, len);
  return push_inet(L, &address, len);
}

/* -- kept in strings -- */

size_t sl_address_size(const struct sockaddr *address) {
  return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                        : sizeof(struct sockaddr_in);
}

const struct sockaddr *sl_address_check(lua_State *L, int arg) {
  size_t len;
  const char *s = luaL_checklstring(L, arg, &len);
  const struct sockaddr *address = (const void *)s;
  if (len < sizeof(struct sockaddr_in) || len != sl_address_size(address))
    luaL_argerror(L, arg, "not an address");
  return address;
}

static void push_address(lua_State *L, const struct sockaddr *address) {
  lua_pushlstring(L, (const char *)address, sl_address_size(address));
}

/* Pushes a list of one address if the host is a numeric one. */
static bool push_numeric(lua_State *L, const char *host, int port) {
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  const struct sockaddr *address = (const struct sockaddr *)&v4;
  if (uv_ip4_addr(host, port, &v4) != 0) {
    if (uv_ip6_addr(host, port, &v6) != 0) return false;
    /* A link that is not there; libuv 1.50 would take another one for it. */
    if (strchr(host, '%') != NULL && v6.sin6_scope_id == 0) return false;
    address = (const struct sockaddr *)&v6;
  }
  lua_createtable(L, 1, 0);
  push_address(L, address);
  lua_rawseti(L, -2, 1);
  return true;
}

int sl_address_check_path(const char *path, size_t len) {
  if (len >= sizeof(((struct sockaddr_un *)0)->sun_path))
    return UV_ENAMETOOLONG;
  if (len == 0 || memchr(path, 0, len) != NULL) return UV_EINVAL;
  return 0;
}

/* -- looking names up -- */

/* Belongs to its box; when the box is collected before libuv is done, to the
   callback. */
struct lookup {
  uv_getaddrinfo_t request; /* data points at this struct */
  struct sl_link waiters;   /* at most one */
  struct sl_memory memory;
  struct sl_loop *loop;
  int status;
  bool done;
  bool orphan; /* its box was collected */
};

static void free_lookup(struct lookup *lookup) {
  uv_freeaddrinfo(lookup->request.addrinfo);
  lookup->memory.alloc(lookup->memory.ud, lookup, sizeof *lookup, 0);
}

static void on_resolved(uv_getaddrinfo_t *request, int status,
                        struct addrinfo *info) {
  struct lookup *lookup = request->data;
  (void)info; /* it is in the request */
  lookup->status = status;
  lookup->done = true;
  if (!sl_list_empty(&lookup->waiters))
    sl_task_wake(sl_task_of(lookup->waiters.next), SL_WOKEN);
  if (lookup->orphan) free_lookup(lookup);
}

static void abandon_lookup(struct sl_task *task, enum sl_wake why) {
  struct lookup *lookup = task->object;
  uv_cancel((uv_req_t *)&lookup->request); /* if it has not begun */
  sl_task_wake(task, why);
}

static const struct sl_wait_kind lookup_kind = {
    "resolving a name", abandon_lookup, NULL, NULL};

static void push_list(lua_State *L, struct addrinfo *info) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (; info != NULL; info = info->ai_next) {
    int family = info->ai_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    push_address(L, info->ai_addr);
    lua_rawseti(L, -2, ++n);
  }
}

/* The box is at the stack's top. If this throws, its finaliser follows. */
static int k_resolve(lua_State *L, int status, lua_KContext ctx) {
  struct lookup **box = lua_touserdata(L, -1);
  struct lookup *lookup = *box;
  int error;
  (void)status;
  sl_wait_outcome(L, (struct sl_task *)ctx);
  error = lookup->status;
  if (error == 0) push_list(L, lookup->request.addrinfo);
  *box = NULL;
  free_lookup(lookup);
  return error == 0 ? 1 : sl_fail_uv(L, error);
}

static int collect_lookup(lua_State *L) {
  struct lookup **box = lua_touserdata(L, 1);
  struct lookup *lookup = *box;
  *box = NULL;
  if (lookup == NULL) return 0;
  /* When the state is closed its task may still be parked here. */
  while (!sl_list_empty(&lookup->waiters)) sl_list_pop(&lookup->waiters);
  lookup->orphan = true;
  if (lookup->done) free_lookup(lookup);
  return 0;
}

static const char lookup_key; /* registry: the metatable of the boxes */

static struct lookup **push_lookup_box(lua_State *L) {
  struct lookup **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &lookup_key);
  lua_setmetatable(L, -2);
  return box;
}

static struct lookup *new_lookup(lua_State *L, struct sl_loop *loop) {
  struct sl_memory memory = sl_memory_of(L);
  struct lookup *lookup =
      memory.alloc(memory.ud, NULL, 0, sizeof *lookup);
  if (lookup == NULL) luaL_error(L, "not enough memory");
  memset(lookup, 0, sizeof *lookup);
  lookup->request.data = lookup;
  sl_link_init(&lookup->waiters);
  lookup->memory = memory;
  lookup->loop = loop;
  return lookup;
}

/* nil, message, code: no name server needs to be asked. */
static int fail_name(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "not a host name");
  lua_pushliteral(L, "EINVAL");
  return 3;
}

static bool may_be_name(const char *host, size_t len) {
  return len > 0 && len < NAME_SIZE && memchr(host, 0, len) == NULL;
}

/* Starts a look-up whose box this pushes. Returns an error of libuv. */
static int start_lookup(lua_State *L, struct sl_loop *loop, const char *host,
                        int port) {
  struct lookup **box = push_lookup_box(L);
  struct lookup *lookup = new_lookup(L, loop);
  struct addrinfo hints;
  char service[8];
  int error;
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = SOCK_STREAM;
  snprintf(service, sizeof service, "%d", port);
  error = uv_getaddrinfo(&loop->uv, &lookup->request, on_resolved, host,
                         service, &hints);
  if (error < 0)
    free_lookup(lookup);
  else
    *box = lookup;
  return error;
}

/* resolve(host, port): a list of addresses, or nil, message, code. Waits if
   the host is a name. */
static int resolve(lua_State *L) {
  struct sl_loop *loop = sl_loop_of(L);
  size_t len;
  const char *host = luaL_checklstring(L, 1, &len);
  int port = (int)luaL_checkinteger(L, 2), error;
  struct sl_task *task = sl_wait_enter(L, loop);
  struct lookup *lookup;
  if (sl_wait_must_pause(task)) return sl_wait_pause_k(L, task, resolve);
  if (!may_be_name(host, len)) return fail_name(L);
  if (push_numeric(L, host, port)) return 1;
  error = start_lookup(L, loop, host, port);
  if (error == UV_EINVAL) return fail_name(L); /* it is no UTF-8, say */
  if (error < 0) return sl_fail_uv(L, error);
  lookup = *(struct lookup **)lua_touserdata(L, -1);
  return sl_wait_park_k(L, task, &lookup->waiters, &lookup_kind, lookup,
                        SL_NEVER, k_resolve);
}

/* set_port(address, port): the address with another port. */
static int set_port(lua_State *L) {
  const struct sockaddr *address = sl_address_check(L, 1);
  struct sockaddr_storage changed;
  struct sockaddr_in *in = (struct sockaddr_in *)&changed;
  memcpy(&changed, address, sl_address_size(address));
  in->sin_port = htons((uint16_t)luaL_checkinteger(L, 2)); /* as sin6_port */
  push_address(L, (struct sockaddr *)&changed);
  return 1;
}

/* family(address): 4 or 6. */
static int family(lua_State *L) {
  const struct sockaddr *address = sl_address_check(L, 1);
  lua_pushinteger(L, address->sa_family == AF_INET6 ? 6 : 4);
  return 1;
}

void sl_address_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {
      {"resolve", resolve},
      {"set_port", set_port},
      {"family", family},
      {NULL, NULL}};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, collect_lookup);
  lua_setfield(L, -2, "__gc");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &lookup_key);
  sl_setfuncs(L, loop, functions);
}
