-- When connections are accepted: up to max_connections, as long as there are
-- descriptors, by one of several processes.

local net = require "sluice.net"
local server_process = require "spec.support.server_process"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local testing = require "sluice.testing"

local connect, with_server = sockets.connect, sockets.with_server
local plainly = it

local function it(name, fn) -- luacheck: ignore
  testing.it(name, function()
    fn()
    sluice.sleep(0.01)
  end)
end

local function greet(stream)
  stream:write "hello"
  stream:read_all()
end

-- How many of the streams have been greeted by now; those are closed.
local function count_greeted(streams)
  local n = 0
  for i, stream in pairs(streams) do
    if stream:read(5, 0) then
      n = n + 1
      stream:close()
      streams[i] = nil
    end
  end
  return n
end

local function connect_many(n, port)
  local streams = {}
  for i = 1, n do streams[i] = connect(port) end
  return streams
end

describe("max_connections", function()
  it("lets connections wait in the kernel until others end", function()
    with_server(greet, function(port, server)
      local streams = connect_many(7, port)
      for _, expected in ipairs { 3, 3, 1, 0 } do
        sluice.sleep(0.01)
        local n = tostring(server):match("(%d+) connections")
        assert.is_true(tonumber(n) <= 3)
        assert.equal(expected, count_greeted(streams))
      end
    end, { max_connections = 3 })
  end)

  it("counts connections, not their tasks", function()
    with_server(function() end, function(port)
      local streams = connect_many(5, port)
      for _, stream in ipairs(streams) do
        assert.equal("", stream:read_all())
        stream:close()
      end
    end, { max_connections = 1 })
  end)

  it("is any number when it is left out, or math.huge", function()
    for _, most in ipairs { math.huge, false } do
      with_server(greet, function(port)
        local streams = connect_many(100, port)
        sluice.sleep(0.01)
        assert.equal(100, count_greeted(streams))
      end, { max_connections = most or nil, backlog = 200 })
    end
  end)
end)

describe("backlog", function()
  it("is how many connections the kernel keeps beyond that", function()
    local function count(backlog)
      local options = { backlog = backlog, max_connections = 1 }
      local streams = {}
      with_server(greet, function(port)
        repeat
          local stream = net.connect("127.0.0.1", port, { timeout = 0.1 })
          streams[#streams + 1] = stream
        until not stream
        for _, stream in ipairs(streams) do stream:close() end
      end, options)
      return #streams
    end
    -- Linux keeps one more than it is told.
    local few, more = count(1), count(8)
    assert.is_true(few <= 3, few)
    assert.is_true(more >= 8 and more <= 11, more)
  end)
end)

describe("a server that is out of descriptors", function()
  plainly("waits for some without spinning, and goes on", function()
    sluice.run(function()
      local server <close>, port = server_process.start([[
        local server = told(assert(net.serve(function(stream)
          stream:write "hello"
          stream:read_all()
        end, "127.0.0.1", 0)))
        server:wait_closed()
      ]], "ulimit -n 32;")
      local pid = server:pid()
      local streams = connect_many(60, port)
      sluice.sleep(0.2)
      local used = server_process.cpu(pid)
      sluice.sleep(0.5)
      assert.is_true(server_process.cpu(pid) - used < 0.2)
      local greeted = count_greeted(streams)
      assert.is_true(greeted > 5 and greeted < 32, greeted)
      local deadline <close> = sluice.timeout(20) -- luacheck: ignore
      repeat
        sluice.sleep(0.05)
        greeted = greeted + count_greeted(streams)
      until greeted == 60
      assert.matches("^Lua warning: sluice: connections wait to be accepted: "
        .. "too many open files %(EMFILE%)$", server:new_lines()[1])
    end)
  end)
end)

describe("reuse_port", function()
  plainly("lets two processes share the connections", function()
    local program = [[
      local server = told(assert(net.serve(function(stream)
        stream:write "hello"
        stream:read_all()
      end, "127.0.0.1", %d, { reuse_port = true })))
      server:wait_closed()
    ]]
    sluice.run(function()
      local first <close>, port = server_process.start(program:format(0))
      local second <close> = server_process.start(program:format(port))
      local function connections(server)
        local pipe <close> = io.popen(
          ("ls -l /proc/%d/fd | grep -c socket:"):format(server:pid()))
        return pipe:read("n") - 1 -- the one that listens
      end
      local streams = connect_many(64, port)
      sluice.sleep(0.1)
      local ours, theirs = connections(first), connections(second)
      assert.equal(64, ours + theirs)
      assert.is_true(ours > 5 and theirs > 5)
      assert.equal(64, count_greeted(streams))
    end)
  end)

  it("must be wanted by both", function()
    with_server(greet, function(port)
      for _, options in ipairs { {}, { reuse_port = false } } do
        assert.equal("EADDRINUSE",
          (select(3, net.serve(greet, "127.0.0.1", port, options))))
      end
    end, { reuse_port = true })
  end)
end)
