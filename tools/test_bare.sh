#!/bin/sh
# Builds sluice as on a machine that has none of the optional libraries, and
# no timerfd, and checks that everything else works and that what is missing is
# named. Prints `N passed, N failed` at the end.
set -u
. "$(dirname "$0")/env.sh"
. tools/checks.sh

build=build/bare
configure() {
  cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Debug -DSLUICE_NATIVE= \
    -DSLUICE_TIMERFD=OFF -DSLUICE_TESTS=OFF --log-level=WARNING
}

# Runs a chunk of Lua in a task, with nothing but the bare build.
bare() {
  cat >"$temp/chunk.lua"
  timeout 60 env LUA_PATH="lua/?.lua" LUA_CPATH="$build/?.so;$cjson" "$LUA" -e '
    local sluice, path = require "sluice", ...
    local chunk = assert(loadfile("'"$temp"'/chunk.lua"))
    sluice.run(chunk)'
}

# Where lua-cjson is: sluice.http needs it, whatever else there is.
cjson=$("$LUA" -e 'print((package.searchpath("cjson", package.cpath) or ""))')

needs_no_library() {
  ! ls "$build"/sluice/native/*.so 2>/dev/null
}

queues_work() {
  bare <<'LUA'
local sluice = require "sluice"
local queue = sluice.Queue(1)
sluice.create_task(queue.put, queue, 42)
assert(queue:get() == 42)
LUA
}

# A timer of libuv fires up to a millisecond early; what listens keeps the
# poll from ending by itself.
deadlines_work() {
  bare <<'LUA'
local sluice, net = require "sluice", require "sluice.net"
local server = assert(net.serve(function() end, "127.0.0.1", 0))
for i = 1, 300 do
  local before, seconds = sluice.time(), (i % 7) * 0.0007
  sluice.sleep(seconds)
  assert(sluice.time() - before >= seconds)
end
server:close()
LUA
}

http_works() {
  bare <<'LUA'
local http, net = require "sluice.http", require "sluice.net"
local app = http.App()
app:get("/", function() return "hello" end)
local server <close> = setmetatable({ app:serve { port = 0 } },
  { __close = function(t) t[1]:close() t[1]:wait_closed() end })
local stream <close> = assert(net.connect(server[1]:sockname()))
stream:write "GET / HTTP/1.0\r\n\r\n"
assert(stream:read_all():find "hello")
LUA
}

tls_is_named() {
  bare <<'LUA'
local net = require "sluice.net"
local stream, message, code =
  net.connect("127.0.0.1", 1, { tls = true })
print(stream, message, code)
assert(not stream and code == "ENOTSUP" and message:find "TLS")
LUA
}

client_is_named() {
  bare <<'LUA'
local http = require "sluice.http"
local response, message, code = http.get "http://127.0.0.1:1/"
print(response, message, code)
assert(not response and code == "ENOTSUP" and message:find "libcurl")
LUA
}

html_is_named() {
  bare <<'LUA'
local function check(fn, library)
  local result, message, code = fn("a", "http://b/")
  print(result, message, code)
  assert(not result and message:find(library) and code == "ENOTSUP")
end
check(require("sluice.html").links, "gumbo")
check(require("sluice.url").join, "libcurl")
LUA
}

stores_are_named() {
  bare <<'LUA'
local jobs = require "sluice.jobs"
local function check(url, library)
  local store, message, code = jobs.open(url)
  print(store, message, code)
  assert(not store and message:find(library) and code == "ENOTSUP")
end
check("sqlite:/nowhere/jobs.db", "SQLite")
check("redis://127.0.0.1:1", "hiredis")
local store = assert(jobs.open "memory:")
local queue = store:queue "mail"
queue:put "a"
assert(queue:reserve(0).body == "a")
store:close()
LUA
}

check "it is configured" configure
check "it builds" cmake --build "$build" --target modules --parallel
check "it has no module over another library" needs_no_library
check "queues work" queues_work
check "deadlines work without timerfd" deadlines_work
check "HTTP works" http_works
check "TLS says that it is not there" tls_is_named
check "the HTTP client says that it is not there" client_is_named
check "html and url say that they are not there" html_is_named
check "stores of jobs say that they are not there, but memory:" \
  stores_are_named

summary
