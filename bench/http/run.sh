#!/bin/sh
# Measures HTTP on sluice beside other servers: raw (raw_server.c, a canned
# answer), nginx (a canned answer), nginx-lua, go, node, aiohttp. Each server
# has one core and wrk another; all take turns, several rounds, in the same
# run. report.lua makes a table a load of what measure() prints. The loads:
# orders (POST, the order service), get and pipelined (the smallest service).
# A server that is not installed is left out, and the report says so.
#
# usage: bench/http/run.sh [--load orders,get,pipelined] [--rounds N] [--save]
#          [--seconds N] [--connections N] [--servers raw,sluice,nginx,...]
set -eu
cd "$(dirname "$0")/../.."

loads=orders,get,pipelined rounds=5 seconds=5 connections=64 save=
servers=raw,sluice,nginx,nginx-lua,go,node,aiohttp
usage() {
  sed -n '/^# usage/,/^set/s/^# //p' bench/http/run.sh >&2
  exit 2
}

words() { # A,B,C
  echo "$1" | tr ',' ' '
}

while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --connections) connections=$2; shift ;;
    --servers) servers=$2; shift ;;
    --load) loads=$2; shift ;;
    --save) save=--save ;;
    *) usage ;;
  esac
  shift
done
for load in $(words "$loads"); do
  case $load in orders | get | pipelined) ;; *) usage ;; esac
done

BENCH_BUILD=${BENCH_BUILD:-build/bench}
RELEASE=${RELEASE:-build/release}
PYTHON=${PYTHON:-/usr/bin/python3}
CC=${CC:-cc}
LLHTTP=${LLHTTP:-/usr/share/llhttp}
LLHTTP_INCLUDE=${LLHTTP_INCLUDE:-/usr/share/include/llhttp}
NGINX_MODULES=${NGINX_MODULES:-/usr/lib/nginx/modules}
mkdir -p "$BENCH_BUILD"
BENCH_BUILD=$(cd "$BENCH_BUILD" && pwd) # nginx changes its directory
PATH=$PATH:/usr/sbin # where nginx is, which users do not look at
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

build_go_server() {
  GO111MODULE=off go build -o "$BENCH_BUILD/go_server" bench/http/go_server.go
}

# Prints why a server cannot be measured here, or nothing.
reason_to_leave_out() { # NAME
  case $1 in
    raw) [ -x "$BENCH_BUILD/raw_server" ] || echo "it does not build" ;;
    sluice) [ -e "$RELEASE/sluice/core.so" ] || echo "it is not built" ;;
    go) [ -x "$BENCH_BUILD/go_server" ] || echo "Go is not installed" ;;
    node) command -v node >/dev/null || echo "it is not installed" ;;
    nginx) command -v nginx >/dev/null || echo "it is not installed" ;;
    nginx-lua)
      command -v nginx >/dev/null &&
        [ -e "$NGINX_MODULES/ngx_http_lua_module.so" ] ||
        echo "it is not installed" ;;
    aiohttp)
      "$PYTHON" -c "import aiohttp, uvloop" 2>/dev/null ||
        echo "it is not installed" ;;
    *) echo "there is no such server" ;;
  esac
}

pin() { # CORE: how to start a command there
  if command -v taskset >/dev/null && [ "$(nproc)" -gt 1 ]; then
    echo "taskset -c $1"
  fi
}

# Writes the configuration and prints the command; one process serves, so its
# CPU time is that of nginx.
nginx_command() { # NAME PORT
  file=$(echo "$1" | tr - _).conf
  sed "s|@PORT@|$2|; s|@MODULES@|$NGINX_MODULES|" "bench/http/$file" \
    >"$BENCH_BUILD/$file"
  echo "nginx -p $BENCH_BUILD -c $file -e stderr"
}

server_command() { # NAME PORT
  options="--port $2 --delay 0 --workers 5 --queue 10"
  case $load:$1 in
    *:raw) echo "$BENCH_BUILD/raw_server $2" ;;
    *:nginx | *:nginx-lua) nginx_command "$1" "$2" ;;
    *:go) echo "env GOMAXPROCS=1 $BENCH_BUILD/go_server $2" ;;
    *:node) echo "node bench/http/node_server.js $2" ;;
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
  else
    echo "bench: $1 does not answer: $BENCH_BUILD/$1.err" >&2
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

results_of() { # LOAD
  echo "$BENCH_BUILD/http-$1.txt"
}

# Sets `here` to the servers that can be measured; the others are noted in the
# results.
choose_servers() {
  here=
  for name in $(words "$servers"); do
    reason=$(reason_to_leave_out "$name")
    if [ -z "$reason" ]; then
      here="$here $name"
      continue
    fi
    echo "bench: $name is left out: $reason" >&2
    for load in $(words "$loads"); do
      echo "left out: $name, $reason" >>"$(results_of "$load")"
    done
  done
}

rm -f "$BENCH_BUILD/raw_server" "$BENCH_BUILD/go_server"
build_raw_server || echo "bench: the raw server does not build" >&2
if command -v go >/dev/null; then
  build_go_server || echo "bench: the Go server does not build" >&2
fi
for load in $(words "$loads"); do
  : >"$(results_of "$load")"
done
choose_servers
port=${PORT:-18080}
for round in $(seq "$rounds"); do
  for load in $(words "$loads"); do
    echo "round $round of $rounds, $load" >&2
    for name in $here; do
      measure "$name" "$port" >>"$(results_of "$load")"
      port=$((port + 1))
    done
  done
done
LUA_PATH="bench/?.lua;;"
for load in $(words "$loads"); do
  lua5.4 bench/http/report.lua "$load" "$(results_of "$load")" \
    "$connections" $save
done
