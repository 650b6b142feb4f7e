/*
** handle.h: uv handles that a script holds, and their two lives.
**
** The one idea: the userdata is a small box; the struct with the uv handle
** is allocated apart and freed only when libuv has closed it. Either may go
** first: the box is told that the handle is gone by a NULL, the handle that
** the box was collected by another.
**
** A handle holds a reference of the loop, and its memory comes from the
** state's own allocator, whose address it keeps, since libuv's callbacks
** have no lua_State. Owns no list of handles: libuv has one.
*/
#ifndef SL_HANDLE_H
#define SL_HANDLE_H

#include <stddef.h>
#include <uv.h>

#include "bytes.h"
#include "loop.h"
#include "lx.h"

struct sl_handle;

struct sl_box {
  const struct sl_class *class;
  struct sl_handle *handle; /* NULL once it is closed */
};

/* Where memory comes from when there is no lua_State. */
struct sl_memory {
  sl_alloc *alloc;
  void *ud;
};

struct sl_handle {
  struct sl_closer closer; /* first: uv.data points at it */
  /* Frees what the room keeps beside the struct. No Lua. NULL: nothing. */
  void (*fini)(struct sl_handle *handle);
  struct sl_loop *loop;
  struct sl_box *box; /* NULL: it has none, or it was collected */
  struct sl_memory memory;
  size_t size; /* of the whole struct */
  union {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
    uv_poll_t poll;
    uv_prepare_t prepare;
    uv_async_t async;
    uv_timer_t timer;
  } uv;
};

struct sl_memory sl_memory_of(lua_State *L);

/* A zeroed struct of `size` that begins with a handle, whose uv handle is
   still to be initialised; or NULL without memory. */
void *sl_handle_new(struct sl_loop *loop, struct sl_memory memory,
                    size_t size);

/* Frees one whose uv handle was never initialised. */
void sl_handle_free(struct sl_handle *handle);

/* Parts it from its box and closes it, once; it is freed by libuv's next
   turn. Never waits. */
void sl_handle_close(struct sl_handle *handle);

/* After uv_..._init succeeded. */
void sl_handle_opened(struct sl_handle *handle);

static inline struct sl_handle *sl_handle_of(const void *uv) {
  return ((const uv_handle_t *)uv)->data;
}

/* Ties a box that stands for nothing to an open handle. */
static inline void sl_box_fill(struct sl_box *box,
                               struct sl_handle *handle) {
  box->handle = handle;
  handle->box = box;
}

/* The two know nothing of each other any more. */
void sl_handle_part(struct sl_handle *handle);

/* Pushes nil, the message and the name of an error of libuv; returns 3. */
int sl_fail_uv(lua_State *L, int error);

/* Pushes nil, the message and the name "EBADF": it was closed; returns 3. */
int sl_fail_closed(lua_State *L, const char *what);

#endif
