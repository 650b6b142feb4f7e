#!/bin/sh
# Builds the fuzz targets for libFuzzer, with address and undefined behaviour
# sanitizers, and runs them. What they learn stays in build/fuzz/corpus for
# the next time; the corpus in the repository is written by hand. An input
# that fails lies in build/fuzz/findings: the target runs it again when it is
# given its name.
#
# usage: tests/fuzz/run.sh [SECONDS [TARGET]...]
#   SECONDS   for each target (60)
#   TARGET    fuzz_parser, fuzz_multipart, fuzz_connection
set -eu
cd "$(dirname "$0")/../.."

seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- fuzz_parser fuzz_multipart fuzz_connection
FUZZ_BUILD=${FUZZ_BUILD:-$PWD/build/fuzz} # absolute
CLANG=${CLANG:-$(command -v clang || command -v clang-14 || echo clang)}

cmake -S . -B "$FUZZ_BUILD" --log-level=WARNING \
  -DCMAKE_C_COMPILER="$CLANG" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DSLUICE_SANITIZE=ON -DSLUICE_FUZZ=ON \
  "-DCMAKE_C_FLAGS=-fsanitize=fuzzer-no-link,address" >/dev/null
cmake --build "$FUZZ_BUILD" --target modules "$@"

here=$PWD/tests/fuzz
LUA_PATH="$PWD/lua/?.lua;;"
LUA_CPATH="$FUZZ_BUILD/?.so;;"
FUZZ_SCRIPT=$here/connection.lua
# That the Lua state lives on looks like a leak after each input; the tests
# run the corpus under the leak sanitizer.
ASAN_OPTIONS=detect_leaks=0
UBSAN_OPTIONS=print_stacktrace=1
export LUA_PATH LUA_CPATH FUZZ_SCRIPT ASAN_OPTIONS UBSAN_OPTIONS

status=0
mkdir -p "$FUZZ_BUILD/findings"
cd "$FUZZ_BUILD" # for the sockets
for target in "$@"; do
  learnt=$FUZZ_BUILD/corpus/$target
  log=$FUZZ_BUILD/$target.log
  seeds=http
  [ "$target" = fuzz_multipart ] && seeds=multipart
  mkdir -p "$learnt"
  echo "$target, $seconds seconds"
  if "$FUZZ_BUILD/tests/fuzz/$target" -max_total_time="$seconds" \
    -timeout=10 -max_len=4096 -len_control=20 -detect_leaks=0 \
    -print_final_stats=1 -dict="$here/$seeds.dict" \
    -artifact_prefix="$FUZZ_BUILD/findings/" "$learnt" \
    "$here/corpus/$seeds" >"$log" 2>&1
  then
    sed -n 's/^stat:://p' "$log"
  else
    sed '/^#[0-9]/d' "$log"
    status=1
  fi
done
exit $status
