--- What specs of the HTTP client need: servers that say what a spec tells
--- them, word for word, and tests that leave nothing behind.

local assert = require "luassert"
local busted = require "busted"
local core = require "sluice.core"
local net = require "sluice.net"
local sluice = require "sluice"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local client = {}

--- A test on the virtual clock; what it leaves to be closed is closed first.
function client.it(name, fn, options)
  testing.it(name, function()
    fn()
    testing.settle()
  end, options)
end

--- A test in real time, for what moves at the kernel's pace. No task and no
--- handle may be left.
function client.really(name, fn)
  busted.it(name, function()
    sluice.run(sluice.sleep, 0.001) -- what the loop itself needs is there
    local before = core.testing.handles()
    sluice.run(function()
      fn()
      testing.settle()
      assert.equal(1, #sluice.all_tasks())
    end)
    sluice.run(sluice.sleep, 0.001) -- what was closed goes
    assert.equal(before, core.testing.handles())
  end)
end

--- Runs fn(url, server) while the application serves.
function client.with_app(app, fn, options)
  support.with_app(app, function(port, server)
    fn("http://127.0.0.1:" .. (port or ""), server)
  end, options)
end

--- A URL of the server.
function client.url(server)
  return ("http://%s:%d"):format(server:sockname())
end

local function answer(reply, stream, seen)
  while true do
    local head = stream:readuntil "\r\n\r\n"
    if not head then return end
    seen[#seen + 1] = head
    local text = reply
    if type(reply) == "function" then text = reply(stream, head, #seen) end
    if not text then return end
    stream:write(text)
  end
end

--- Runs fn(url, seen) while a server answers each request with `reply`, a
--- string, or what `reply(stream, head, n)` returns; nil: it closes. `seen`
--- collects the heads; `seen.connections` counts.
function client.with_raw(reply, fn, options)
  local seen, streams = { connections = 0 }, {}
  local server = assert(net.serve(function(stream)
    seen.connections = seen.connections + 1
    streams[seen.connections] = stream
    answer(reply, stream, seen)
  end, "127.0.0.1", 0, options))
  local scheme = options and options.tls and "https" or "http"
  local ok, err = pcall(fn, ("%s://localhost:%d"):format(scheme,
    select(2, server:sockname())), seen)
  server:close()
  for _, stream in ipairs(streams) do stream:close() end
  sluice.shield(server.wait_closed, server, 10)
  if not ok then error(err, 0) end
end

--- An answer's bytes.
function client.reply(body, fields)
  return ("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s"):format(
    fields or "", #body, body)
end

--- Asserts that a request failed with that code; returns the message.
function client.fails(code, response, message, got)
  assert.is_nil(response)
  assert.is_string(message)
  assert.equal(code, got, message)
  return message
end

return client
