#!/bin/sh
# Runs specs under valgrind: any error, and any block that is definitely
# lost, fails.
# usage: tools/valgrind.sh SPEC-FILE...
set -eu
# Specs that measure or that allocate gigabytes look at SLUICE_TOOL.
export SLUICE_TOOL=valgrind
export LUA_WRAPPER="valgrind --quiet --error-exitcode=99 --leak-check=full
  --show-leak-kinds=definite --errors-for-leak-kinds=definite
  --num-callers=25"
exec "$(dirname "$0")/busted.sh" "$@"
