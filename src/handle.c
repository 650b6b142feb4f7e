/*
** handle.c: see handle.h.
*/
#include "handle.h"

#include <signal.h>
#include <string.h>

struct sl_memory sl_memory_of(lua_State *L) {
  struct sl_memory memory;
  memory.alloc = lua_getallocf(L, &memory.ud);
  return memory;
}

/* A write to a peer that is gone is an error of that write, not the end of
   the process. Left alone if somebody handles the signal. */
static void ignore_sigpipe(void) {
#ifdef SIGPIPE
  static bool done;
  struct sigaction action;
  if (done) return;
  done = true;
  if (sigaction(SIGPIPE, NULL, &action) != 0) return;
  if (action.sa_handler != SIG_DFL) return;
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, NULL);
#endif
}

static void on_closed(uv_handle_t *uv) {
  struct sl_handle *handle = sl_handle_of(uv);
  sl_handle_part(handle);
  if (handle->fini != NULL) handle->fini(handle);
  sl_handle_free(handle);
}

void *sl_handle_new(struct sl_loop *loop, struct sl_memory memory,
                    size_t size) {
  struct sl_handle *handle = memory.alloc(memory.ud, NULL, 0, size);
  if (handle == NULL) return NULL;
  ignore_sigpipe();
  memset(handle, 0, size);
  handle->closer.on_closed = on_closed;
  handle->loop = loop;
  handle->memory = memory;
  handle->size = size;
  return handle;
}

void sl_handle_opened(struct sl_handle *handle) {
  handle->uv.any.data = &handle->closer;
}

void sl_handle_free(struct sl_handle *handle) {
  struct sl_memory memory = handle->memory;
  memory.alloc(memory.ud, handle, handle->size, 0);
}

void sl_handle_part(struct sl_handle *handle) {
  if (handle->box == NULL) return;
  handle->box->handle = NULL;
  handle->box = NULL;
}

void sl_handle_close(struct sl_handle *handle) {
  sl_handle_part(handle);
  if (!uv_is_closing(&handle->uv.any))
    uv_close(&handle->uv.any, handle->closer.on_closed);
}

int sl_fail_uv(lua_State *L, int error) {
  lua_pushnil(L);
  lua_pushstring(L, uv_strerror(error));
  lua_pushstring(L, uv_err_name(error));
  return 3;
}

int sl_fail_closed(lua_State *L, const char *what) {
  lua_pushnil(L);
  lua_pushfstring(L, "the %s is closed", what);
  lua_pushliteral(L, "EBADF");
  return 3;
}
