-- Connections that rest: no task serves them as long as nothing is asked.
local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local it = testing.it
local with_app = support.with_app

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

-- Reads one answer of the usual application.
local function read_answer(stream)
  local head = assert(stream:readuntil "\r\n\r\n")
  return head:match "^HTTP/1.1 (%d+)", stream:readexactly(5)
end

local function tasks()
  return sluice.stats().tasks
end

describe("a connection without requests", function()
  it("has no task, and is served when a request comes", function()
    with_app(support.app(), function(port)
      local before = tasks()
      local stream <close> = sockets.connect(port)
      for _ = 1, 3 do
        stream:write(GET)
        assert.same({ "200", "hello" }, { read_answer(stream) })
        assert.equal(before + 1, tasks())
        sluice.sleep(1)
        assert.equal(before, tasks())
      end
    end)
  end)

  it("rests before its first request, too", function()
    with_app(support.app(), function(port)
      local before = tasks()
      local stream <close> = sockets.connect(port)
      sluice.sleep(1)
      assert.equal(before, tasks())
      stream:write(GET)
      assert.same({ "200", "hello" }, { read_answer(stream) })
    end)
  end)

  it("does not rest in the middle of a head", function()
    with_app(support.app(), function(port)
      local before = tasks()
      local stream <close> = sockets.connect(port)
      stream:write(GET:sub(1, 9))
      sluice.sleep(1)
      assert.equal(before + 1, tasks())
      stream:write(GET:sub(10))
      assert.same({ "200", "hello" }, { read_answer(stream) })
    end)
  end)

  it("is closed when its idle time is up", function()
    with_app(support.app { idle_timeout = 5 }, function(port, server)
      local stream <close> = sockets.connect(port)
      stream:write(GET)
      read_answer(stream)
      local began = sluice.time()
      assert.same({ nil, "eof" }, { stream:read() })
      assert.is_true(math.abs(sluice.time() - began - 5) < 0.1)
      testing.settle()
      assert.matches("%(0 connections%)", tostring(server))
    end)
  end)

  it("counts as one, and is forgotten when the client goes", function()
    with_app(support.app { max_connections = 1 }, function(port, server)
      local stream <close> = sockets.connect(port)
      stream:write(GET)
      read_answer(stream)
      sluice.sleep(1)
      assert.matches("%(1 connections%)", tostring(server))
      stream:close()
      assert.equal("hello", support.ask(port, GET).body)
      assert.matches("%(0 connections%)", tostring(server))
    end)
  end)

  it("is closed by a graceful stop", function()
    with_app(support.app(), function(port, server)
      local streams = {}
      for i = 1, 20 do
        streams[i] = sockets.connect(port)
        streams[i]:write(GET)
        read_answer(streams[i])
      end
      sluice.sleep(1)
      server:close()
      for _, stream in ipairs(streams) do
        assert.same({ nil, "eof" }, { stream:read() })
        stream:close()
      end
    end)
  end)

  it("of many is served beside the others", function()
    with_app(support.app(), function(port)
      local before, streams = tasks(), {}
      for i = 1, 50 do streams[i] = sockets.connect(port) end
      sluice.sleep(1)
      assert.equal(before, tasks())
      for _, stream in ipairs(streams) do stream:write(GET) end
      for _, stream in ipairs(streams) do
        assert.same({ "200", "hello" }, { read_answer(stream) })
        stream:close()
      end
    end)
  end)
end)

describe("a program that ends", function()
  it("may leave connections at rest", function()
    local app = http.App()
    app:get("/", function() return "hello" end)
    local server = assert(app:serve { port = 0 })
    local _, port = server:sockname()
    local stream <close> = sockets.connect(port)
    stream:write(GET)
    read_answer(stream)
    sluice.sleep(1)
    server:close()
    sluice.shield(server.wait_closed, server)
    assert.same({ nil, "eof" }, { stream:read() })
  end)

  it("drops them without a stop", function()
    local script = [[
      local http, net = require "sluice.http", require "sluice.net"
      local sluice = require "sluice"
      local app = http.App()
      sluice.run(function()
        local server = assert(app:serve { port = 0 })
        local stream = assert(net.connect(server:sockname()))
        sluice.sleep(0.5)
        print(sluice.stats().tasks, tostring(server))
        assert(stream)
      end)
      collectgarbage() collectgarbage()
      print "ended"
    ]]
    local run = require("spec.support.process").lua
    assert.matches("1 connections.*ended", run(script).stdout)
  end)
end)
