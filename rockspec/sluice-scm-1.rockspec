-- From a checkout: luarocks --lua-version 5.4 --tree DIR make
rockspec_format = "3.0"
package = "sluice"
version = "scm-1"

-- `luarocks make` builds the checkout that it is run in.
source = { url = "." }

description = {
  summary = "asyncio's tasks, locks and queues for Lua 5.4, in C on libuv",
  detailed = [[
    Tasks with structured cancellation, locks, events, barriers, queues with
    priorities, streams and an HTTP server for plain Lua 5.4; queues of jobs
    that survive the process, in an SQLite file or at a Redis server. All
    waiting goes through one event loop on libuv. What needs OpenSSL, libcurl,
    gumbo, SQLite or hiredis is built where their headers are.

    sluice.http also needs the module cjson (the rock lua-cjson, or the
    system's package); it is not a dependency here, because nothing else of
    sluice needs it.]],
  license = "MIT",
  labels = { "async", "concurrency", "coroutine", "http", "queue" },
}

dependencies = { "lua >= 5.4, < 5.6" }

external_dependencies = {
  LIBUV = { header = "uv.h", library = "uv" },
}

build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "RelWithDebInfo",
    LUA_INCDIR = "$(LUA_INCDIR)",
    SLUICE_LUADIR = "$(LUADIR)",
    SLUICE_LIBDIR = "$(LIBDIR)",
    -- LuaRocks installs the launcher itself, in a wrapper that knows the tree.
    SLUICE_BINDIR = "",
    SLUICE_TESTS = "OFF",
  },
  install = { bin = { sluice = "bin/sluice" } },
  copy_directories = {},
}
