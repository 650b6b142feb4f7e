/*
** report.c: see report.h.
*/
#include "report.h"

#include <stdio.h>

#include "group.h"
#include "lock.h"

static const char handler_key; /* registry: the function of on_error */

static int to_string(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Pushes the text of the value at `index`, whatever its __tostring does. */
static const char *push_text(lua_State *L, int index) {
  lua_pushvalue(L, index);
  lua_pushcfunction(L, to_string);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lua_pop(L, 1);
    lua_pushfstring(L, "(a %s whose __tostring raises)",
                    luaL_typename(L, index));
  }
  return lua_tostring(L, -1);
}

/* Writes "sluice: <name> failed…" with the traceback to stderr. */
static void print(lua_State *L, struct sl_task *task, int self, int err,
                  int trace) {
  const char *file =
      sl_place_file(&task->loop->tasks->places, task->place.file);
  const char *name = sl_task_push_name(L, task, self);
  const char *text = push_text(L, err);
  fflush(stdout);
  fprintf(stderr, "sluice: error in %s", name);
  if (file != NULL)
    fprintf(stderr, " (created at %s:%d)", file, (int)task->place.line);
  fprintf(stderr, ", which nobody awaits: %s\n", text);
  if (lua_type(L, trace) == LUA_TSTRING)
    fprintf(stderr, "%s\n", lua_tostring(L, trace));
  fflush(stderr);
  lua_pop(L, 2);
}

/* Calls on_error's function. What it raises is printed, not raised, and what
   it was to be told as well. */
static void call_handler(lua_State *L, struct sl_task *task, int self,
                         int err, int trace) {
  lua_pushvalue(L, self);
  lua_pushvalue(L, err);
  lua_pushvalue(L, trace);
  if (lua_pcall(L, 3, 0, 0) == LUA_OK) return;
  fflush(stdout);
  fprintf(stderr, "sluice: error in the function of on_error: %s\n",
          push_text(L, lua_gettop(L)));
  lua_pop(L, 2);
  print(L, task, self, err, trace);
}

void sl_report(lua_State *L, struct sl_task *task, int self) {
  int err = lua_gettop(L) - 1, trace = err + 1;
  luaL_checkstack(L, 10, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key) != LUA_TNIL) {
    call_handler(L, task, self, err, trace);
  } else {
    lua_pop(L, 1);
    print(L, task, self, err, trace);
  }
  lua_settop(L, err - 1);
}

/* sluice.on_error([fn]): fn(task, err, traceback) is told of errors that
   nobody awaits, instead of stderr; nil: stderr again. It must not wait.
   Returns the function before it, or nil. */
static int on_error(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) sl_check_callable(L, 1);
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &handler_key);
  return 1;
}

/* report(task): for the Lua layer: tells of an ended task's error. */
static int report(lua_State *L) {
  struct sl_task *task = sl_check(L, 1, &sl_task_class);
  lua_settop(L, 1);
  if (task->state != SL_ENDED || task->end != SL_FAILED) return 0;
  lua_getiuservalue(L, 1, 1);
  lua_getiuservalue(L, 1, 2);
  sl_report(L, task, 1);
  return 0;
}

static bool awaited(const struct sl_task *task) {
  return task == task->loop->tasks->main ||
         !sl_list_empty(&task->awaiters) || !sl_list_empty(&task->watches);
}

/* A body has ended with an error, or holding locks. */
static void ending(lua_State *L, struct sl_task *task, int self) {
  for (int i = 1; sl_lock_push_complaint(L, task, i); i++) {
    lua_pushnil(L);
    sl_report(L, task, self);
  }
  if (task->end != SL_FAILED) return;
  if (task->owner != NULL && sl_group_awaited(task->owner)) {
    sl_group_child_failed(L, task, self);
  } else if (!awaited(task)) {
    task->reported = true;
    lua_getiuservalue(L, self, 1);
    lua_getiuservalue(L, self, 2);
    sl_report(L, task, self);
  }
}

/* Prints that a step was slow. The name may need memory, hence the call. */
static int tell_slow(lua_State *L) {
  struct sl_task *task = lua_touserdata(L, 1);
  fflush(stdout);
  fprintf(stderr, "sluice: %s ran %.3f s without a wait\n",
          sl_task_push_name(L, task, 0), lua_tonumber(L, 2));
  return 0;
}

static void slow(struct sl_loop *loop, struct sl_task *task, uint64_t ns) {
  lua_State *L = loop->tasks->L;
  lua_pushcfunction(L, tell_slow);
  lua_pushlightuserdata(L, task);
  lua_pushnumber(L, sl_ns_seconds(ns));
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

void sl_report_open(lua_State *L, struct sl_loop *loop) {
  static const luaL_Reg functions[] = {
      {"on_error", on_error}, {"report", report}, {NULL, NULL}};
  sl_setfuncs(L, loop, functions);
  loop->tasks->hooks.ending = ending;
  loop->tasks->hooks.slow = slow;
}
