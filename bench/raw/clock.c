/*
 * The clocks of the benchmarks, for every peer that runs under plain Lua.
 *
 * Each program measures itself, so all of them must read the same clocks:
 * the monotonic one for elapsed time and the process's own for CPU time. This
 * module is loaded beside the library under test and never takes part in it.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int push_clock(lua_State *L, clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    lua_pushnumber(L, (lua_Number)t.tv_sec * 1e9 + (lua_Number)t.tv_nsec);
    return 1;
}

/* Elapsed nanoseconds. */
static int wall(lua_State *L)
{
    return push_clock(L, CLOCK_MONOTONIC);
}

/* Nanoseconds of CPU time that this process has used, kernel included. */
static int cpu(lua_State *L)
{
    return push_clock(L, CLOCK_PROCESS_CPUTIME_ID);
}

/* Bytes of memory that the process has resident. */
static int rss(lua_State *L)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    lua_pushinteger(L, (lua_Integer)pages * sysconf(_SC_PAGESIZE));
    return 1;
}

int luaopen_bench_clock(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"wall", wall}, {"cpu", cpu}, {"rss", rss}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
