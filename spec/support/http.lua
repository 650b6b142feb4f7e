--- What specs of HTTP need: a served application, a client that sees bytes,
--- and a server in a process of its own that a shell script talks to.

local assert = require "luassert"
local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local testing = require "sluice.testing"

local support = {}

--- An application with a few routes that most specs need.
function support.app(limits)
  local app = http.App(limits)
  app:get("/", function() return "hello" end)
  app:post("/echo", function(request) return request:text() end)
  return app
end

--- Runs fn(port, server) while the application serves.
function support.with_app(app, fn, options)
  options = options or {}
  options.port = 0
  local server = assert(app:serve(options))
  local _, port = server:sockname()
  local ok, err = pcall(fn, port, server)
  server:close()
  sluice.shield(server.wait_closed, server)
  testing.settle()
  if not ok then error(err, 0) end
end

--- A request's bytes from its lines; LF stands for CRLF.
function support.bytes(text)
  return (text:gsub("\r?\n", "\r\n"))
end

--- Sends bytes on a connection of its own and no more; returns all that the
-- server says until it closes.
function support.exchange(port, bytes)
  local stream <close> = sockets.connect(port)
  stream:write(bytes)
  stream:shutdown()
  return (stream:read_all())
end

local function split_head(text, at)
  local _, stop = text:find("\r\n\r\n", at, true)
  if not stop then return nil end
  local status, reason =
    text:match("^HTTP/1%.1 (%d%d%d) ([^\r\n]*)\r\n", at)
  assert.is_string(status)
  local headers = {}
  local fields = text:sub(at, stop - 2):gsub("^[^\n]*\n", "")
  for name, value in fields:gmatch("([^:\r\n]+): ([^\r\n]*)\r\n") do
    headers[name:lower()] = value
  end
  return tonumber(status), reason, headers, stop + 1
end

local function dechunk(text, at)
  local parts = {}
  while true do
    local size, start = text:match("^(%x+)\r\n()", at)
    if not size then return table.concat(parts), nil end -- cut off
    size = tonumber(size, 16)
    parts[#parts + 1] = text:sub(start, start + size - 1)
    at = start + size + 2
    if size == 0 then return table.concat(parts), at end
  end
end

local function body_of(text, at, status, headers, bare)
  if bare or status < 200 or status == 204 or status == 304 then
    return "", at
  elseif headers["transfer-encoding"] == "chunked" then
    return dechunk(text, at)
  end
  local length = tonumber(headers["content-length"])
  if not length then return text:sub(at), nil end -- until the end
  return text:sub(at, at + length - 1), at + length
end

--- The answers in a text: a list of { status, reason, headers, body }.
-- `bare`: they are answers to HEAD
function support.answers(text, bare)
  local list, at = {}, 1
  while at and at <= #text do
    local status, reason, headers, start = split_head(text, at)
    if not status then break end
    local body
    body, at = body_of(text, start, status, headers, bare)
    list[#list + 1] =
      { status = status, reason = reason, headers = headers, body = body }
  end
  return list
end

--- Sends one request (lines, LF stands for CRLF) and returns its answer.
function support.ask(port, text, bare)
  return support.answers(support.exchange(port, support.bytes(text)),
    bare)[1]
end

--- Runs fn with what is written to io.stderr caught; returns that.
function support.catch_stderr(fn)
  local written = {}
  local stderr = io.stderr
  io.stderr = { -- luacheck: ignore
    write = function(self, ...)
      for _, text in ipairs { ... } do written[#written + 1] = text end
      return self
    end,
  }
  local ok, err = pcall(fn)
  io.stderr = stderr -- luacheck: ignore
  if not ok then error(err, 0) end
  return table.concat(written)
end

-- -- a process --

local SCRIPT = [[
: >$0.out
%s %s $0.lua >$0.out 2>$0.err &
PID=$!
for _ in $(seq 300); do
  PORT=$(sed -n 's/^port //p' $0.out)
  [ -n "$PORT" ] && break
  kill -0 $PID 2>/dev/null || break
  sleep 0.05
done
URL=http://127.0.0.1:$PORT
curl() { command curl -s -m 20 "$@"; }
stop() { kill -TERM $PID; }
await() { # WORD: until the server has written it to stderr
  for _ in $(seq 300); do grep -q "$1" $0.err && break; sleep 0.02; done
}
status() { wait $PID; echo "status $?"; }
%s
kill -KILL $PID 2>/dev/null
]]

local function write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- Runs a program that prints `port N`, and a shell script that talks to it
-- by $URL, $PORT, $PID, curl, stop, await and status. `environment`: such as
-- "A=b", for the program only.
-- @return what the script prints, and what the server wrote to stderr
function support.session(program, script, environment)
  local path = os.tmpname()
  write_file(path .. ".lua", program)
  write_file(path, SCRIPT:format(environment or "",
    os.getenv "LUA" or "lua5.4", script))
  local pipe = assert(io.popen("sh " .. path))
  local output = pipe:read "a"
  pipe:close()
  local errors = read_file(path .. ".err")
  for _, suffix in ipairs { "", ".lua", ".out", ".err" } do
    os.remove(path .. suffix)
  end
  return output, errors
end

return support
