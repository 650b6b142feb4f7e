-- Where net.serve listens: at all addresses of a name; what its options may
-- be.

local errors = require "spec.support.errors"
local net = require "sluice.net"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local testing = require "sluice.testing"

local raises = errors.raises
local plainly = it

local NAME = "several.test"

local function it(name, fn) -- luacheck: ignore
  testing.it(name, function()
    fn()
    sluice.sleep(0.01)
  end)
end

local function greet(stream) stream:write "hello" end

-- Serves at NAME while it stands for the hosts.
local function serve(hosts, port, options)
  local results
  sockets.with_name(NAME, hosts, function()
    results = table.pack(net.serve(greet, NAME, port, options))
  end)
  return table.unpack(results, 1, results.n)
end

-- What is heard at a host: "hello", or the code of the failure.
local function heard(host, port)
  local stream <close>, _, code = net.connect(host, port)
  if not stream then return code end
  return stream:read_all()
end

describe("net.serve at a name", function()
  it("listens at all of its addresses, at one port", function()
    local server <close> = assert(serve({ "::1", "127.0.0.1" }, 0))
    local host, port = server:sockname()
    assert.equal("127.0.0.1", host)
    assert.equal("hello", heard("127.0.0.1", port))
    assert.equal("hello", heard("::1", port))
    assert.equal("ECONNREFUSED", heard("127.0.0.2", port))
  end)

  it("closes all of them", function()
    local server <close> = assert(serve({ "::1", "127.0.0.1" }, 0))
    local _, port = server:sockname()
    server:close()
    assert.is_true(server:wait_closed(1))
    assert.equal("ECONNREFUSED", heard("127.0.0.1", port))
    assert.equal("ECONNREFUSED", heard("::1", port))
  end)

  it("leaves out addresses that the machine does not have", function()
    local server <close> =
      assert(serve({ "192.0.2.77", "127.0.0.1", "2001:db8::77" }, 0))
    local host, port = server:sockname()
    assert.equal("127.0.0.1", host)
    assert.equal("hello", heard(host, port))
  end)

  it("fails when it has none of them", function()
    local server, message, code = serve({ "192.0.2.77", "192.0.2.78" }, 0)
    assert.is_nil(server)
    assert.equal("address not available", message)
    assert.equal("EADDRNOTAVAIL", code)
  end)

  it("fails when the port is taken at one of them", function()
    local other <close> = assert(net.serve(greet, "::1", 0))
    local _, port = other:sockname()
    assert.equal("EADDRINUSE",
      (select(3, serve({ "127.0.0.1", "::1" }, port))))
    assert.equal("ECONNREFUSED", heard("127.0.0.1", port))
  end)

  it("has one limit for all of them", function()
    local server <close> = assert(
      serve({ "127.0.0.1", "127.0.0.2" }, 0, { max_connections = 1 }))
    local _, port = server:sockname()
    local done = 0
    for i = 1, 4 do
      if heard("127.0.0." .. i % 2 + 1, port) == "hello" then
        done = done + 1
      end
    end
    assert.equal(4, done)
  end)
end)

describe("net.serve at \"::\"", function()
  it("is reached by IPv4, too", function()
    local server <close> = assert(net.serve(greet, "::", 0))
    local host, port = server:sockname()
    assert.equal("::", host)
    assert.equal("hello", heard("::1", port))
    assert.equal("hello", heard("127.0.0.1", port))
  end)

  it("leaves IPv4 to 0.0.0.0 when a name stands for both", function()
    local server <close> = assert(serve({ "::", "0.0.0.0" }, 0))
    local _, port = server:sockname()
    assert.equal("hello", heard("::1", port))
    assert.equal("hello", heard("127.0.0.1", port))
  end)
end)

describe("an address of a link", function()
  plainly("is told with its link", function()
    local pipe <close> = io.popen(
      "ip -6 -o addr show scope link 2>/dev/null")
    local link, host = (pipe:read("a") or ""):match(
      "%d+: (%S+)%s+inet6 (fe80:[%x:]+)/")
    if not link then return end -- the machine has none
    sluice.run(function()
      local at = host .. "%" .. link
      local server <close> = assert(net.serve(greet, at, 0))
      assert.equal(at, (server:sockname()))
      assert.equal("hello", heard(server:sockname()))
    end)
  end)
end)

describe("the options of net.serve", function()
  local function bad(why)
    return "bad argument #4 to 'serve' (" .. why .. ")"
  end
  local function serve_with(options) net.serve(greet, "::1", 0, options) end

  plainly("are checked", function()
    for key, cases in pairs {
      backlog = { ["0"] = 0, ["-1"] = -1, ["1.5"] = 1.5 },
      max_connections = { ["0"] = 0, ["1.5"] = 1.5 },
      limit = { ["-1"] = -1, ["0.5"] = 0.5 },
    } do
      for _, value in pairs(cases) do
        local err = errors.of(serve_with, { [key] = value })
        assert.matches("#4 to 'serve' %(" .. key .. ": integer from", err)
      end
    end
  end)

  plainly("are refused at the caller's line", function()
    raises(bad "reuse_port: boolean expected, got number",
      function() net.serve(greet, "::1", 0, { reuse_port = 1 }) end)
    raises(bad "backlog: number expected, got string",
      function() net.serve(greet, "::1", 0, { backlog = "5" }) end)
    raises(bad "max: unknown option",
      function() net.serve(greet, "::1", 0, { max = 5 }) end)
    raises("bad argument #2 to 'connect_unix' (backlog: unknown option)",
      function() net.connect_unix("/x", { backlog = 5 }) end)
    raises("bad argument #3 to 'connect' (timeout: duration is negative)",
      function() net.connect("::1", 1, { timeout = -1 }) end)
    raises("bad argument #2 to 'connect_unix' (timeout: duration is NaN)",
      function() net.connect_unix("/x", { timeout = 0 / 0 }) end)
    raises("bad argument #3 to 'connect' (limit: integer from 0 expected)",
      function() net.connect("::1", 1, { limit = 1.5 }) end)
  end)
end)

describe("a server that nobody holds", function()
  it("goes on, since a task accepts for it", function()
    local port
    sluice.task_group(function(group)
      port = select(2, net.serve(greet, "127.0.0.1", 0):sockname())
      collectgarbage()
      collectgarbage()
      assert.equal("hello", heard("127.0.0.1", port))
      group:cancel()
    end)
    assert.equal("ECONNREFUSED", heard("127.0.0.1", port))
  end)

  plainly("is closed with the run that it was made in", function()
    local port
    sluice.run(function()
      port = select(2, net.serve(greet, "127.0.0.1", 0):sockname())
    end)
    sluice.run(function()
      assert.equal("ECONNREFUSED", heard("127.0.0.1", port))
    end)
  end)
end)
