/*
** sluice.c: luaopen_sluice_core: makes the loop and opens each room.
**
** The loop is held by a userdata in the registry; its finaliser closes every
** handle and waits for their close callbacks, so that lua_close is clean with
** everything in flight. Other userdata may be finalised after it: they find
** the loop closed, and the memory of the loop, its tasks and its clock as long
** as there is a finaliser to run.
*/
#include <lauxlib.h>
#include <lua.h>

#include "await.h"
#include "barrier.h"
#include "condition.h"
#include "corolib.h"
#include "dump.h"
#include "event.h"
#include "future.h"
#include "group.h"
#include "heapobj.h"
#include "http_conn.h"
#include "lock.h"
#include "net.h"
#include "queue.h"
#include "reactor.h"
#include "report.h"
#include "run.h"
#include "semaphore.h"
#include "signal.h"
#include "store.h"
#include "testing.h"
#include "thread.h"
#include "timeout.h"
#include "watch.h"

#if defined(__GNUC__)
#define SL_EXPORT __attribute__((visibility("default")))
#else
#define SL_EXPORT
#endif

SL_EXPORT int luaopen_sluice_core(lua_State *L);

/* Keys of the registry: the loop's userdata, the module's table. */
static const char box_key, module_key;

static int collect_loop(lua_State *L) {
  struct sl_loop *loop = *(struct sl_loop **)lua_touserdata(L, 1);
  if (loop->closed) return 0;
  sl_signal_stop(loop);
  sl_thread_stop(L, loop);
  sl_store_stop(L, loop);
  sl_loop_close(loop);
  sl_thread_free(L, loop);
  loop->running = false;
  loop->current = NULL;
  sl_tasks_free(L, loop);
  sl_clock_free(L, loop);
  return 0;
}

/* The loop's memory has no finaliser, so that lua_close frees it after the
   last one; another userdata has the one that closes it. */
static struct sl_loop *new_loop(lua_State *L) {
  struct sl_loop *loop = lua_newuserdatauv(L, sizeof *loop, 0);
  struct sl_loop **box = lua_newuserdatauv(L, sizeof *box, 1);
  *box = loop;
  lua_rotate(L, -2, 1);
  lua_setiuservalue(L, -2, 1);
  loop->closed = true;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, collect_loop);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
  /* What it opens has a finaliser by now. */
  if (!sl_loop_open(loop)) luaL_error(L, "cannot make the event loop");
  return loop;
}

int luaopen_sluice_core(lua_State *L) {
  struct sl_loop *loop;
  /* Opened again, by another name or path: a state has one loop. */
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key) == LUA_TTABLE) return 1;
  loop = new_loop(L);
  lua_newtable(L);
  sl_clock_open(L, loop);
  sl_tasks_open(L, loop);
  sl_corolib_open(L);
  sl_cancel_open(L, loop);
  sl_wait_open(L, loop);
  sl_timeout_open(L, loop);
  sl_group_open(L, loop);
  sl_await_open(L, loop);
  sl_watch_open(L, loop);
  sl_future_open(L, loop);
  sl_thread_open(L, loop);
  sl_report_open(L, loop);
  sl_dump_open(L, loop);
  sl_signal_open(L, loop);
  sl_run_open(L, loop);
  sl_lock_open(L, loop);
  sl_semaphore_open(L, loop);
  sl_event_open(L, loop);
  sl_condition_open(L, loop);
  sl_barrier_open(L, loop);
  sl_queue_open(L, loop);
  sl_heapobj_open(L, loop);
  sl_testing_open(L, loop);
  sl_net_open(L, loop);
  sl_reactor_open(L, loop);
  sl_http_open(L, loop);
  sl_store_open(L, loop);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
  return 1;
}
