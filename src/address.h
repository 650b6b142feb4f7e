/*
** address.h: addresses of sockets, as Lua sees them and as the kernel does.
**
** The one idea: between C and Lua an address travels as a string that holds
** the kernel's struct, so that Lua can keep a list of them and try one after
** the other without knowing what is inside. What a script sees is a host and
** a port, or the path of a Unix socket.
**
** Names are looked up by libuv's threads, so that the loop goes on. Owns
** nothing but the requests in flight.
*/
#ifndef SL_ADDRESS_H
#define SL_ADDRESS_H

#include "handle.h"
#include "wait.h"

/* Sets `resolve`, `set_port` and `family` in the table on the top. */
void sl_address_open(lua_State *L, struct sl_loop *loop);

/* The address in the string at `arg`; throws if it is none. */
const struct sockaddr *sl_address_check(lua_State *L, int arg);

/* Bytes of the kernel's struct. */
size_t sl_address_size(const struct sockaddr *address);

/* 0 if the path can be that of a Unix socket, else an error of libuv. */
int sl_address_check_path(const char *path, size_t len);

enum sl_address_end { SL_OWN_ADDRESS, SL_PEER_ADDRESS };

/* Pushes host and port, or a path ("" if it has none), or a failure. Returns
   how many values. */
int sl_address_push(lua_State *L, const struct sl_handle *handle,
                    enum sl_address_end end);

#endif
