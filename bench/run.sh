#!/bin/sh
# Builds the peers of the benchmarks, sets the paths, and runs run.lua on one
# core with the arguments given here. What is missing on the machine (Go,
# asyncio, cqueues) is shown as "-" in the table; only Lua and a C compiler
# are needed.
set -eu
cd "$(dirname "$0")/.."

BENCH_BUILD=${BENCH_BUILD:-build/bench}
RELEASE=${RELEASE:-build/release}
CC=${CC:-cc}
CFLAGS="-std=c11 -D_GNU_SOURCE -O2 -DNDEBUG -fno-plt \
-fno-semantic-interposition \
-Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla"
mkdir -p "$BENCH_BUILD"

lua_cflags=$(pkg-config --cflags lua5.4 2>/dev/null ||
  pkg-config --cflags lua-5.4 2>/dev/null || echo)

module() {
  $CC $CFLAGS $lua_cflags -shared -fPIC "$1" -o "$BENCH_BUILD/$2.so"
}
module bench/raw/raw.c raw
module bench/raw/clock.c bench_clock
$CC $CFLAGS bench/raw/startup.c -o "$BENCH_BUILD/startup"

if command -v go >/dev/null; then
  rm -f "$BENCH_BUILD/bench-go"
  GO111MODULE=off go build -o "$BENCH_BUILD/bench-go" bench/go/main.go ||
    echo "bench: the Go programs do not build" >&2
fi

export BENCH_BUILD PYTHONDONTWRITEBYTECODE=1 GOMAXPROCS=1
export LUA_PATH="lua/?.lua;lua/?/init.lua;;"
export LUA_CPATH="$RELEASE/?.so;$BENCH_BUILD/?.so;;"

pin=
if command -v taskset >/dev/null; then
  # The last core: the first has most of the interrupts.
  pin="taskset -c $(($(nproc) - 1))"
fi
exec $pin lua5.4 bench/run.lua "$@"
