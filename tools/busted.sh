#!/bin/sh
# Runs the specs with the build in SLUICE_BUILD (build/release).
# usage: tools/busted.sh [BUSTED-OPTION | SPEC-FILE]...
#   LUA_WRAPPER   put before the interpreter: "valgrind ..."
set -eu
. "$(dirname "$0")/env.sh"
# Not the installed `busted`: its first line may name another Lua, or it may
# be a shell script.
exec ${LUA_WRAPPER-} "$LUA" tools/busted.lua "$@"
