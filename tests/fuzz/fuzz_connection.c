/*
** fuzz_connection.c: the whole path of a connection's input, as libFuzzer or
** replay.c feeds it: bytes at a socket, stream, connection, parser, tables of
** a request, bodies, answers.
**
** The one idea: one Lua state with the real core lives as long as the
** process; connection.lua, which serves an application in it, is called with
** each input. What Lua has no words for is here: a client's bare end of a
** Unix socket, that never waits.
**
** The paths of modules are the environment's (LUA_PATH, LUA_CPATH);
** FUZZ_SCRIPT names connection.lua. What is wrong with an input is an error
** in Lua, and ends the process, as any finding does.
*/
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static lua_State *state;

static int check_fd(lua_State *L) {
  return (int)luaL_checkinteger(L, 1);
}

/* connect(path): a descriptor that does not block. */
static int push_connected(lua_State *L) {
  struct sockaddr_un address;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, luaL_checkstring(L, 1),
          sizeof address.sun_path - 1);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
    return luaL_error(L, "connect: %s", strerror(errno));
  lua_pushinteger(L, fd);
  return 1;
}

/* write(fd, data): how many bytes the kernel took; nil when the peer is
   gone. */
static int push_written(lua_State *L) {
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  ssize_t n = send(check_fd(L), data, len, MSG_NOSIGNAL);
  if (n >= 0)
    lua_pushinteger(L, n);
  else if (errno == EAGAIN)
    lua_pushinteger(L, 0);
  else
    lua_pushnil(L);
  return 1;
}

/* read(fd): what has arrived, perhaps nothing; nil at the end. */
static int push_read(lua_State *L) {
  static char buffer[65536];
  ssize_t n = recv(check_fd(L), buffer, sizeof buffer, 0);
  if (n > 0)
    lua_pushlstring(L, buffer, (size_t)n);
  else if (n < 0 && errno == EAGAIN)
    lua_pushliteral(L, "");
  else
    lua_pushnil(L);
  return 1;
}

static int finish(lua_State *L) {
  shutdown(check_fd(L), SHUT_WR);
  return 0;
}

static int close_fd(lua_State *L) {
  close(check_fd(L));
  return 0;
}

static int open_fuzz(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"connect", push_connected}, {"write", push_written},
      {"read", push_read},         {"shutdown", finish},
      {"close", close_fd},         {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

static int traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static void call(lua_State *L, int arguments, int results) {
  if (lua_pcall(L, arguments, results, 1) == LUA_OK) return;
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  abort();
}

/* So that a leak is seen: what the state holds is given back. */
static void close_state(void) { lua_close(state); }

/* Leaves traceback at 1, and at 2 what takes the inputs. */
static lua_State *open_state(void) {
  const char *script = getenv("FUZZ_SCRIPT");
  lua_State *L = luaL_newstate();
  if (script == NULL || L == NULL) {
    fprintf(stderr, "FUZZ_SCRIPT does not name connection.lua\n");
    abort();
  }
  luaL_openlibs(L);
  luaL_requiref(L, "fuzz", open_fuzz, 0);
  lua_settop(L, 0);
  lua_pushcfunction(L, traceback);
  if (luaL_loadfile(L, script) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  call(L, 0, 1);
  atexit(close_state);
  return L;
}

/* Early, so that libFuzzer knows the core's code from the beginning. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  if (state == NULL) state = open_state();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  LLVMFuzzerInitialize(NULL, NULL);
  lua_pushvalue(state, 2);
  lua_pushlstring(state, (const char *)data, size);
  call(state, 1, 0);
  return 0;
}
