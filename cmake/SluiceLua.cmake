# sluice_lua: the headers of Lua 5.4 or later, and nothing to link, because
# the interpreter that loads the module brings the functions.
#   LUA_INCDIR  the directory of lua.h; LuaRocks gives it, else it is looked
#               for with pkg-config and in the usual places

if(NOT LUA_INCDIR)
  find_package(PkgConfig QUIET)
  pkg_search_module(LUA QUIET lua5.4 lua-5.4 lua54 lua5.5 lua-5.5 lua)
  find_path(LUA_INCDIR lua.h
    HINTS ${LUA_INCLUDE_DIRS}
    PATH_SUFFIXES lua5.4 lua-5.4 lua54 lua5.5
    DOC "The directory of lua.h")
endif()

if(NOT EXISTS "${LUA_INCDIR}/lua.h")
  message(FATAL_ERROR
    "Lua's headers were not found. `make setup` installs them or names the "
    "package; -DLUA_INCDIR=dir says where they are.")
endif()

file(READ "${LUA_INCDIR}/lua.h" lua_h)
string(REGEX MATCH "LUA_VERSION_MINOR(_N)?[ \t]+\"?([0-9]+)" _ "${lua_h}")
if(CMAKE_MATCH_2 LESS 4)
  message(FATAL_ERROR "${LUA_INCDIR}/lua.h is of Lua 5.${CMAKE_MATCH_2}; "
    "sluice needs 5.4 or later.")
endif()

add_library(sluice_lua INTERFACE)
target_include_directories(sluice_lua SYSTEM INTERFACE "${LUA_INCDIR}")
