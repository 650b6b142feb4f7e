#!/bin/sh
# Measures HTTP on sluice, on aiohttp with uvloop, and the canned answer of
# raw_server.c: each server on one core, wrk on another, several rounds
# interleaved; report.lua makes the table of what measure() prints. There are
# three loads: orders (POST, the order service), get and pipelined (the
# smallest service).
#
# usage: bench/http/run.sh [--load orders|get|pipelined] [--rounds N] [--save]
#          [--seconds N] [--connections N] [--servers raw,sluice,aiohttp]
set -eu
cd "$(dirname "$0")/../.."

rounds=5 seconds=5 connections=64 servers=raw,sluice,aiohttp
load=orders save=
usage() {
  sed -n '/^# usage/,/^set/s/^# //p' bench/http/run.sh >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --connections) connections=$2; shift ;;
    --servers) servers=$2; shift ;;
    --load) load=$2; shift ;;
    --save) save=--save ;;
    *) usage ;;
  esac
  shift
done
[ -f "bench/http/$load.lua" ] || usage

BENCH_BUILD=${BENCH_BUILD:-build/bench}
RELEASE=${RELEASE:-build/release}
PYTHON=${PYTHON:-/usr/bin/python3}
CC=${CC:-cc}
LLHTTP=${LLHTTP:-/usr/share/llhttp}
LLHTTP_INCLUDE=${LLHTTP_INCLUDE:-/usr/share/include/llhttp}
mkdir -p "$BENCH_BUILD"
export PYTHONDONTWRITEBYTECODE=1
export LUA_PATH="lua/?.lua;lua/?/init.lua;;"
export LUA_CPATH="$RELEASE/?.so;;"

build_raw_server() {
  warnings="-Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla"
  if pkg-config --exists libllhttp; then
    llhttp=$(pkg-config --cflags --libs libllhttp)
  else
    # The parser is not our code: compiled by itself, without warnings.
    llhttp="-isystem $LLHTTP_INCLUDE"
    for name in llhttp api http; do
      $CC -std=c11 -O2 -w -DLLHTTP_STRICT_MODE=1 -I"$LLHTTP_INCLUDE" \
        -c "$LLHTTP/$name.c" -o "$BENCH_BUILD/llhttp_$name.o"
      llhttp="$llhttp $BENCH_BUILD/llhttp_$name.o"
    done
  fi
  # shellcheck disable=SC2086 # words are meant to be split
  $CC -std=c11 -D_GNU_SOURCE -O2 $warnings bench/http/raw_server.c \
    $llhttp $(pkg-config --cflags --libs libuv) -o "$BENCH_BUILD/raw_server"
}

pin() { # CORE: how to start a command there
  if command -v taskset >/dev/null && [ "$(nproc)" -gt 1 ]; then
    echo "taskset -c $1"
  fi
}

server_command() { # NAME PORT
  options="--port $2 --delay 0 --workers 5 --queue 10"
  case $load:$1 in
    *:raw) echo "$BENCH_BUILD/raw_server $2" ;;
    orders:sluice)
      echo "lua5.4 examples/order_api.lua --quiet $options" ;;
    orders:aiohttp) echo "$PYTHON bench/http/aiohttp_orders.py $options" ;;
    *:sluice) echo "lua5.4 bench/http/hello.lua $2" ;;
    *:aiohttp) echo "$PYTHON bench/http/aiohttp_hello.py $2" ;;
  esac
}

# Any answer will do, also that there is nothing at this path.
wait_until_it_answers() { # PID PORT
  for _ in $(seq 100); do
    kill -0 "$1" 2>/dev/null || return 1
    if curl -s -o /dev/null "http://127.0.0.1:$2/"; then
      return 0
    fi
    sleep 0.1
  done
  return 1
}

cpu_ticks() { # PID: of user and system time
  sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

run_wrk() { # PORT SECONDS
  $(pin 1) wrk -t 1 -c "$connections" -d "${2}s" --latency \
    -s "bench/http/$load.lua" "http://127.0.0.1:$1"
}

# Prints: NAME, ticks of CPU time, ticks in a second, then what wrk said. A
# server that does not start or answer prints its name only.
measure() { # NAME PORT
  # shellcheck disable=SC2046
  $(pin 0) $(server_command "$1" "$2") \
    >"$BENCH_BUILD/$1.out" 2>"$BENCH_BUILD/$1.err" &
  pid=$!
  echo "server $1"
  if wait_until_it_answers $pid "$2"; then
    run_wrk "$2" 1 >/dev/null
    before=$(cpu_ticks $pid)
    output=$(run_wrk "$2" "$seconds") || true
    after=$(cpu_ticks $pid) || after=$before
    echo "ticks $((after - before)) $(getconf CLK_TCK)"
    echo "$output"
  fi
  stop $pid
}

stop() { # PID: gently, and after a while not
  kill -TERM "$1" 2>/dev/null || true
  for _ in $(seq 50); do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

build_raw_server || echo "bench: the raw server does not build" >&2
results="$BENCH_BUILD/http.txt"
: >"$results"
port=${PORT:-18080}
for round in $(seq "$rounds"); do
  echo "round $round of $rounds" >&2
  for name in $(echo "$servers" | tr ',' ' '); do
    measure "$name" "$port" >>"$results"
    port=$((port + 1))
  done
done
LUA_PATH="bench/?.lua;;"
exec lua5.4 bench/http/report.lua "$load" "$results" "$connections" $save
