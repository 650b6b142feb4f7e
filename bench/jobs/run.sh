#!/bin/sh
# Measures sluice.jobs: against C on raw SQLite and on hiredis (ratios), what
# else must hold (bounds), and beside other queues (peers). Builds what has to
# be built, sets the paths, and runs run.lua with the arguments given here.
# What is missing on the machine is told and left out; only Lua, a C compiler
# and SQLite are needed. The files lie in --dir, which must be on a real disk:
# on a tmpfs to commit costs nothing.
#
# usage: bench/jobs/run.sh [--only ratios,bounds,peers] [--rounds N]
#          [--scale X] [--dir DIRECTORY] [--save]
set -eu
cd "$(dirname "$0")/../.."

BENCH_BUILD=${BENCH_BUILD:-build/bench}
RELEASE=${RELEASE:-build/release}
CC=${CC:-cc}
CFLAGS="-std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wshadow -Wstrict-prototypes \
-Wvla"
mkdir -p "$BENCH_BUILD"

lua_cflags=$(pkg-config --cflags lua5.4 2>/dev/null ||
  pkg-config --cflags lua-5.4 2>/dev/null || echo)

program() { # NAME [FLAG...]
  name=$1
  shift
  rm -f "$BENCH_BUILD/$name"
  $CC $CFLAGS "bench/jobs/$name.c" "$@" -o "$BENCH_BUILD/$name" ||
    echo "bench: $name does not build" >&2
}
program raw_sqlite -lsqlite3
program raw_redis -lhiredis
program beanstalk
$CC $CFLAGS -shared -fPIC bench/jobs/slow_fsync.c \
  -o "$BENCH_BUILD/slow_fsync.so"
$CC $CFLAGS $lua_cflags -shared -fPIC bench/raw/clock.c \
  -o "$BENCH_BUILD/bench_clock.so"

export BENCH_BUILD PYTHONDONTWRITEBYTECODE=1
export LUA_PATH="lua/?.lua;lua/?/init.lua;bench/jobs/?.lua;bench/?.lua;;"
export LUA_CPATH="$RELEASE/?.so;$BENCH_BUILD/?.so;;"
exec lua5.4 bench/jobs/run.lua "$@"
