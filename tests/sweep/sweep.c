/*
** sweep.c: runs a Lua scenario again and again, with memory refused at each
** of its allocations in turn.
**
** A scenario is a script that requires "sweep": sweep.armed(fn, ...) is
** pcall(fn, ...) in which allocation number k (from 0) is refused. What must
** hold afterwards, whatever k was, it asserts itself; here is checked that
** closing the state gives every byte back. k grows until nothing was refused
** any more. Two sweeps: in one, memory is there again after the refusal; in
** the other, it is not until armed returns.
**
** usage: sweep SCENARIO.lua
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SECONDS = 60 }; /* that an attempt may take before it is killed */

struct memory {
  size_t bytes; /* alive */
  long calls;   /* while armed */
  long fail_at; /* the call that is refused */
  bool armed;
  bool for_good; /* those after it, too; else only Lua's second try */
  bool refused;
};

/* Lua collects garbage when it is refused memory, and asks once more: to be
   refused means twice. A block may always shrink. */
static bool refuses(struct memory *memory, size_t old_size, size_t size) {
  long call;
  if (!memory->armed || size <= old_size) return false;
  call = memory->calls++;
  if (call < memory->fail_at) return false;
  if (!memory->for_good && call > memory->fail_at + 1) return false;
  memory->refused = true;
  return true;
}

static void *allocate(void *ud, void *block, size_t old_size, size_t size) {
  struct memory *memory = ud;
  void *got;
  if (block == NULL) old_size = 0; /* then it tells a type */
  if (size == 0) {
    memory->bytes -= old_size;
    free(block);
    return NULL;
  }
  if (refuses(memory, old_size, size)) return NULL;
  got = realloc(block, size);
  if (got != NULL) memory->bytes += size - old_size;
  return got;
}

/* armed(fn, ...): true and its results, or false and the error. */
static int armed(lua_State *L) {
  struct memory *memory;
  int status;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_getallocf(L, (void **)&memory);
  memory->calls = 0;
  memory->armed = true;
  status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  memory->armed = false;
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  return lua_gettop(L);
}

static int open_sweep(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, armed);
  lua_setfield(L, -2, "armed");
  return 1;
}

static int traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static bool run_scenario(lua_State *L, const char *path) {
  luaL_openlibs(L);
  luaL_requiref(L, "sweep", open_sweep, 0);
  lua_settop(L, 0);
  lua_pushcfunction(L, traceback);
  if (luaL_loadfile(L, path) == LUA_OK && lua_pcall(L, 0, 0, -2) == LUA_OK)
    return true;
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  return false;
}

/* One attempt. Returns whether all was well. */
static bool attempt(const char *path, struct memory *memory) {
  lua_State *L = lua_newstate(allocate, memory);
  bool ok;
  alarm(SECONDS);
  ok = L != NULL && run_scenario(L, path);
  if (L != NULL) lua_close(L);
  alarm(0);
  if (memory->bytes != 0) {
    fprintf(stderr, "%zu bytes were not given back\n", memory->bytes);
    ok = false;
  }
  return ok;
}

/* Refuses each allocation in turn. Returns how many attempts failed. */
static int sweep(const char *path, bool for_good) {
  int failed = 0;
  for (long k = 0;; k++) {
    struct memory memory = {.fail_at = k, .for_good = for_good};
    if (!attempt(path, &memory)) {
      fprintf(stderr, "FAILED %s, allocation %ld refused%s\n", path, k,
              for_good ? ", and all after it" : "");
      failed++;
    }
    if (!memory.refused) {
      printf("%s %s: %ld allocations%s\n", failed ? "FAILED" : "ok    ",
             path, k, for_good ? ", for good" : "");
      return failed;
    }
  }
}

int main(int argc, char **argv) {
  int failed = 0;
  if (argc != 2) {
    fprintf(stderr, "usage: sweep SCENARIO.lua\n");
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  failed += sweep(argv[1], false);
  failed += sweep(argv[1], true);
  return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
