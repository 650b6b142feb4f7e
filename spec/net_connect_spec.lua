-- Which addresses net.connect tries, in which order, and what is left when it
-- is given up in any phase.

local addresses = require "sluice.net.addresses"
local core = require "sluice.core.net"
local net = require "sluice.net"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local NAME = "several.test"
local plainly = it

-- The servers' tasks see that their clients are gone before what is left
-- over is counted.
local function it(name, fn) -- luacheck: ignore
  testing.it(name, function()
    fn()
    sluice.sleep(0.01)
  end)
end

local function stay(stream) stream:read_all() end

local function serve(host, port) return assert(net.serve(stay, host, port)) end

-- Connects to NAME while it stands for the hosts: the peer's host, or nil,
-- message, code; and how long it took.
local function connect_to(hosts, port, options)
  local began, stream, message, code = sluice.time(), nil, nil, nil
  sockets.with_name(NAME, hosts, function()
    stream, message, code = net.connect(NAME, port, options)
  end)
  local took = sluice.time() - began
  if not stream then return nil, message, code, took end
  local host = stream:peername()
  stream:close()
  return host, took
end

local function close_to(expected, got)
  assert.is_true(math.abs(expected - got) < 0.001,
    ("%g is not %g"):format(got, expected))
end

describe("net.connect to a name of several addresses", function()
  it("takes the first that answers", function()
    local server <close> = serve("127.0.0.1", 0)
    local _, port = server:sockname()
    local other <close> = serve("127.0.0.2", port) -- luacheck: ignore
    assert.equal("127.0.0.1",
      (connect_to({ "127.0.0.1", "127.0.0.2" }, port)))
    assert.equal("127.0.0.2",
      (connect_to({ "127.0.0.2", "127.0.0.1" }, port)))
  end)

  it("goes on at once when one refuses", function()
    local server <close> = serve("127.0.0.1", 0)
    local _, port = server:sockname()
    local host, took =
      connect_to({ "::1", "127.0.0.9", "127.0.0.1" }, port)
    assert.equal("127.0.0.1", host)
    close_to(0, took)
  end)

  it("reaches a server of IPv6", function()
    local server <close> = serve("::1", 0)
    local _, port = server:sockname()
    local host, took = connect_to({ "127.0.0.1", "::1" }, port)
    assert.equal("::1", host)
    close_to(0, took)
  end)

  it("tries the next one when one has not answered for 0.25 s", function()
    local deaf <close> = sockets.deaf_listener("127.0.0.1")
    local server <close> = serve("127.0.0.2", deaf.port) -- luacheck: ignore
    local host, took = connect_to({ "127.0.0.1", "127.0.0.2" }, deaf.port)
    assert.equal("127.0.0.2", host)
    close_to(0.25, took)
  end)

  it("does not wait when a later one refuses", function()
    local deaf <close> = sockets.deaf_listener("127.0.0.1")
    local server <close> = serve("127.0.0.2", deaf.port) -- luacheck: ignore
    local host, took =
      connect_to({ "127.0.0.1", "127.0.0.9", "127.0.0.2" }, deaf.port)
    assert.equal("127.0.0.2", host)
    close_to(0.25, took)
  end)

  it("stops at its timeout, whichever are tried", function()
    local deaf <close> = sockets.deaf_listener("127.0.0.1")
    local hosts = { "127.0.0.1", "127.0.0.9" }
    for _, timeout in ipairs { 0, 0.1, 0.3 } do
      local host, message, code, took =
        connect_to(hosts, deaf.port, { timeout = timeout })
      assert.same({ "timeout", "ETIMEDOUT" }, { message, code })
      assert.is_nil(host)
      close_to(timeout, took)
    end
  end)

  it("tells the failure that says most when all fail", function()
    local function code_of(hosts, port)
      return select(3, connect_to(hosts, port))
    end
    local port = sockets.free_port()
    assert.equal("ECONNREFUSED", code_of({ "::1", "127.0.0.1" }, port))
    assert.equal("ENETUNREACH", code_of({ "224.0.0.1", "224.0.0.2" }, port))
    assert.equal("ECONNREFUSED",
      code_of({ "224.0.0.1", "127.0.0.1", "224.0.0.2" }, port))
  end)

  it("fails when the name has no address", function()
    local host, message, code = connect_to({}, 80)
    assert.is_nil(host)
    assert.same({ "the name has no address", "EAI_NODATA" },
      { message, code })
  end)
end)

describe("the order of addresses", function()
  local function address(host) return core.resolve(host, 1)[1] end

  local function order(sort, hosts)
    local list, names = {}, {}
    for i, host in ipairs(hosts) do
      list[i] = address(host)
      names[list[i]] = host
    end
    local result = {}
    for i, one in ipairs(sort(list)) do result[i] = names[one] end
    return result
  end

  it("is by turns of the families, the system's first one first", function()
    assert.same({ "::1", "1.1.1.1", "::2", "2.2.2.2", "::3" },
      order(addresses.interleave,
        { "::1", "::2", "::3", "1.1.1.1", "2.2.2.2" }))
    assert.same({ "1.1.1.1", "::1", "2.2.2.2", "3.3.3.3" },
      order(addresses.interleave,
        { "1.1.1.1", "2.2.2.2", "3.3.3.3", "::1" }))
    assert.same({ "::1" }, order(addresses.interleave, { "::1" }))
  end)

  it("is IPv4 first for who listens", function()
    assert.same({ "1.1.1.1", "2.2.2.2", "::1", "::2" },
      order(addresses.ipv4_first, { "::1", "1.1.1.1", "::2", "2.2.2.2" }))
  end)

  it("has each address once", function()
    sockets.with_name(NAME, { "::1", "1.1.1.1", "::1" }, function()
      assert.equal(2, #addresses.resolve(NAME, 80))
    end)
  end)
end)

-- Makes each attempt take a virtual moment: the hosts' delays.
local function with_delays(delays, fn)
  local connect = core.connect
  local _ <close> = setmetatable({}, {
    __close = function() core.connect = connect end,
  })
  local n = 0
  function core.connect(address)
    n = n + 1
    sluice.sleep(delays[n])
    return connect(address)
  end
  fn()
end

describe("a connection attempt that did not win", function()
  -- Two attempts, at two addresses of a server of all; how many connections
  -- the server has when a stream is there.
  local function connections(delays)
    local open = 0
    local server <close> = assert(net.serve(function(stream)
      open = open + 1
      stream:read_all()
      open = open - 1
    end, "0.0.0.0", 0))
    local _, port = server:sockname()
    sockets.with_name(NAME, { "127.0.0.1", "127.0.0.2" }, function()
      with_delays(delays, function()
        local stream <close> = -- luacheck: ignore
          assert(net.connect(NAME, port))
        testing.settle()
      end)
      sluice.sleep(0.01)
    end)
    return open
  end

  it("is closed, also if it connected in the same turn", function()
    assert.equal(0, connections { 0.3, 0.05 })
    assert.equal(0, connections { 0.3, 0 })
    assert.equal(0, connections { 0.3, 1 })
  end)
end)

describe("net.connect that is cancelled", function()
  it("leaves nothing, whichever addresses are tried", function()
    local deaf <close> = sockets.deaf_listener("127.0.0.1")
    sockets.with_name(NAME, { "127.0.0.1", "127.0.0.1" }, function()
      local before = #sluice.all_tasks()
      for _, moment in ipairs { 0, 0.1, 0.3 } do
        local task = sluice.create_task(net.connect, NAME, deaf.port)
        sluice.sleep(moment)
        task:cancel()
        tasks.ends_cancelled(task)
        assert.equal(before, #sluice.all_tasks())
      end
    end)
  end)

  plainly("leaves nothing at any checkpoint", function()
    testing.cancel_everywhere(function()
      local server <close> = serve("127.0.0.1", 0)
      local _, port = server:sockname()
      local hosts = { "::1", "127.0.0.9", "127.0.0.1" }
      sockets.with_name(NAME, hosts, function()
        local stream <close> = assert(net.connect(NAME, port))
        assert.equal("127.0.0.1", (stream:peername()))
      end)
    end)
  end)
end)
