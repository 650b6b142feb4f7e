#!/bin/sh
# Measures what an honest client notices of slow ones beside it: of 500 that
# send a byte every 5 s, 500 that say nothing and 50 that never read a large
# answer. Each is a process of its own, the server on a core of its own.
# Reports the honest client's latency without and with them, when the slow
# ones are gone, and the server's memory. The limits of time are the usual
# ones, so a round takes a minute and a half. A 99th percentile is noise where
# the machine does other things: look at several rounds.
#
# usage: bench/http/slow_clients.sh [--seconds N] [--rounds N] [--short]
#   --short   limits of 3 s and a byte a second: a few seconds a round
#   RELEASE   the build (build/release)
set -eu
cd "$(dirname "$0")/../.."

seconds=20 rounds=1 limits= interval=5 patience=70
usage() {
  sed -n '/^# usage/,/^set/s/^# //p' bench/http/slow_clients.sh >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --short) seconds=2 limits="3 3 3" interval=1 patience=10 ;;
    *) usage ;;
  esac
  shift
done

RELEASE=${RELEASE:-build/release}
export LUA_PATH="lua/?.lua;lua/?/init.lua;;"
export LUA_CPATH="$RELEASE/?.so;;"
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 1200 ] || ulimit -n 1200

work=$(mktemp -d)
server='' clients=''
finish() {
  for pid in $clients $server; do kill -TERM "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

await() { # FILE WORD: the rest of the line of the file that begins with WORD
  for _ in $(seq $((patience * 10))); do
    line=$(sed -n "s/^$2 *//p" "$1")
    [ -n "$line" ] && echo "$line" && return 0
    sleep 0.1
  done
  echo "never"
}

pin() { # CORE: how to start a command there
  if command -v taskset >/dev/null && [ "$(nproc)" -gt 1 ]; then
    echo "taskset -c $1"
  fi
}

: >"$work/server"
# shellcheck disable=SC2046,SC2086 # words
$(pin 0) lua5.4 bench/http/slow_server.lua $limits >"$work/server" &
server=$!
port=$(await "$work/server" port)
stats() { curl -s "http://127.0.0.1:$port/stats"; }
# shellcheck disable=SC2046
honest() { $(pin 1) lua5.4 bench/http/honest.lua "$port" "$1"; }
until_alone() { # prints after how many seconds
  for tenth in $(seq $((patience * 10))); do
    stats | grep -q '^1 ' && echo $((tenth / 10)) && return
    sleep 0.1
  done
  echo "never"
}

honest 1 >/dev/null # what is made once is made

round() {
  before=$(stats)
  alone=$(honest "$seconds")
  : >"$work/clients"
  # shellcheck disable=SC2046
  $(pin 1) lua5.4 bench/http/slow_clients.lua "$port" 500 500 50 "$interval" \
    >"$work/clients" &
  clients=$!
  await "$work/clients" connected >/dev/null
  with=$(honest "$seconds")
  among=$(stats)
  gone=$(until_alone)
  slow=$(await "$work/clients" 'slow gone')
  silent=$(await "$work/clients" 'silent gone')
  kill "$clients"
  wait "$clients" 2>/dev/null || true
  clients=
}

report() {
  echo "$alone $with" | awk '{
    printf "honest client: requests, failed, p50 us, p99 us\n"
    printf "  alone            %6d %3d %7d %7d\n", $1, $2, $3, $4
    printf "  with the slow    %6d %3d %7d %7d\n", $5, $6, $7, $8
    printf "  p99 is %.1f times what it is alone\n", $8 / $4 }'
  echo "seconds until the server had closed:"
  echo "  all that send slowly     $slow"
  echo "  all that say nothing     $silent"
  echo "  all, from the end of the measurement: $gone"
  echo "$before $among $(stats)" | awk '{
    printf "the server: connections, KiB of Lua, KiB of RSS\n"
    printf "  before           %6d %7d %7d\n", $1, $2, $3
    printf "  with the slow    %6d %7d %7d\n", $4, $5, $6
    printf "  afterwards       %6d %7d %7d\n", $7, $8, $9 }'
}

for n in $(seq "$rounds"); do
  [ "$rounds" = 1 ] || echo "round $n of $rounds"
  round
  report
done
