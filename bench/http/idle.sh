#!/bin/sh
# Measures the memory of a server that holds many idle keep-alive connections:
# idle_server.lua, and crowd.lua in a process of its own, which opens them and
# asks once on each. The kernel's own memory (sockets, buffers) is not the
# process's and is told apart, for both ends together.
#
# usage: bench/http/idle.sh [--connections N]
#   RELEASE   the build (build/release)
set -eu
cd "$(dirname "$0")/../.."

connections=10000
usage() {
  sed -n '/^# usage/,/^set/s/^# //p' bench/http/idle.sh >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    --connections) connections=$2; shift ;;
    *) usage ;;
  esac
  shift
done

RELEASE=${RELEASE:-build/release}
export LUA_PATH="lua/?.lua;lua/?/init.lua;;"
export LUA_CPATH="$RELEASE/?.so;;"
needed=$((connections + 100))
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt $needed ]; then
  ulimit -n $needed || {
    echo "idle: $needed open files are not allowed here (ulimit -Hn)" >&2
    exit 1
  }
fi

work=$(mktemp -d)
mkfifo "$work/hold"
finish() {
  kill -TERM "$server" 2>/dev/null || true
  rm -rf "$work"
}
: >"$work/server"
: >"$work/crowd"
lua5.4 bench/http/idle_server.lua "$connections" >"$work/server" &
server=$!
trap finish EXIT

await() { # FILE WORD: the rest of the line of the file that begins with WORD
  for _ in $(seq 600); do
    line=$(sed -n "s/^$2 *//p" "$1")
    if [ -n "$line" ]; then
      echo "$line"
      return 0
    fi
    sleep 0.1
  done
  echo "idle: '$2' did not come" >&2
  return 1
}

# Bytes of the server: its RSS, what it does not share, and Lua's part.
memory() {
  lua=$(curl -s "http://127.0.0.1:$port/memory")
  awk -v lua="$lua" '/^Rss:/ { rss = $2 * 1024 } /^Pss:/ { pss = $2 * 1024 }
    END { print rss, pss, lua }' "/proc/$server/smaps_rollup"
}
kernel() {
  awk '/^(Slab|KernelStack|PageTables|Percpu):/ { n += $2 * 1024 }
    END { print n }' /proc/meminfo
}
# LABEL FROM TO: what was added, a connection
row() {
  echo "$2 $3" | awk -v n="$connections" -v label="$1" '{
    printf "%-32s %10.0f %10.0f %10.0f\n", label,
      ($4 - $1) / n, ($5 - $2) / n, ($6 - $3) / n }'
}

port=$(await "$work/server" port)
memory >/dev/null # the first request makes what all requests share
empty=$(memory) kernel_empty=$(kernel)
lua5.4 bench/http/crowd.lua "$port" "$connections" \
  <"$work/hold" >"$work/crowd" &
crowd=$!
exec 9>"$work/hold" # the crowd stays until this is closed
await "$work/crowd" connected >/dev/null
connected=$(memory) kernel_connected=$(kernel)
echo >&9
await "$work/crowd" answered >/dev/null
answered=$(memory)
exec 9>&-
wait $crowd
for _ in $(seq 100); do
  [ "$(curl -s "http://127.0.0.1:$port/count")" = 1 ] && break
  sleep 0.1
done
gone=$(memory)

echo "$connections connections; bytes a connection of the server's process"
printf '%-32s %10s %10s %10s\n' '' RSS PSS "Lua's heap"
row 'connected, nothing sent' "$empty" "$connected"
row 'idle after a request' "$empty" "$answered"
row 'kept when all have gone' "$empty" "$gone"
echo "the kernel's, of both ends: $((
  (kernel_connected - kernel_empty) / connections)) bytes"
