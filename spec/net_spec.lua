local errors = require "spec.support.errors"
local net = require "sluice.net"
local process = require "spec.support.process"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local plainly = it
local raises = errors.raises
local connect, with_server = sockets.connect, sockets.with_server

-- What a test leaves to be closed is closed before its tasks are counted.
local function it(name, fn) -- luacheck: ignore
  testing.it(name, function()
    fn()
    testing.settle()
  end)
end

-- A handler that stays until the client goes.
local function stay(stream) stream:read_all() end

local function temporary_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

-- A connect that hangs is awaited in real time, whatever the clock.
local function really(name, fn)
  plainly(name, function() sluice.run(fn) end)
end

-- A port where nobody listens.
local function free_port()
  local server <close> = assert(net.serve(stay, "127.0.0.1", 0))
  return select(2, server:sockname())
end

describe("net.connect", function()
  it("returns a stream", function()
    with_server(stay, function(port)
      local stream <close> = connect(port)
      assert.equal("sluice.Stream (0 bytes to read, 0 to write)",
        tostring(stream))
      assert.same({ "127.0.0.1", port }, { stream:peername() })
      assert.equal("127.0.0.1", (stream:sockname()))
    end)
  end)

  it("looks names up, and tries each address", function()
    with_server(stay, function(port)
      local stream <close> = assert(net.connect("localhost", port))
      assert.same({ "127.0.0.1", port }, { stream:peername() })
    end)
  end)

  it("returns why it cannot connect", function()
    local port = free_port()
    assert.same({ nil, "connection refused", "ECONNREFUSED", n = 3 },
      table.pack(net.connect("127.0.0.1", port)))
  end)

  it("returns that a name is unknown", function()
    local stream, message, code = net.connect("no.such.host.invalid", 80)
    assert.is_nil(stream)
    assert.is_string(message)
    assert.matches("^EAI_", code)
  end)

  really("gives up at its timeout", function()
    local listener <close> = sockets.deaf_listener()
    local stream, message, code =
      net.connect("127.0.0.1", listener.port, { timeout = 0.1 })
    assert.is_nil(stream)
    assert.equal("timeout", message)
    assert.equal("ETIMEDOUT", code)
  end)

  really("leaves nothing behind when it is cancelled", function()
    local listener <close> = sockets.deaf_listener()
    local task = tasks.start(net.connect, "127.0.0.1", listener.port)
    task:cancel()
    tasks.ends_cancelled(task)
  end)

  it("leaves nothing behind when a look-up is cancelled", function()
    local task = sluice.create_task(net.connect, "localhost", 1)
    sluice.sleep(0)
    task:cancel()
    tasks.ends_cancelled(task)
  end)

  it("is a checkpoint before it does anything", function()
    with_server(stay, function(port)
      local task = sluice.create_task(net.connect, "127.0.0.1", port)
      task:cancel()
      tasks.ends_cancelled(task)
    end)
  end)

  plainly("raises outside a task", function()
    raises("'connect' can wait, so it must be called in a task "
      .. "(a function run by sluice.run or create_task)",
      function() net.connect("localhost", 80) end)
  end)

  plainly("checks its arguments", function()
    local function bad(n, why) return
      ("bad argument #%d to 'connect' (%s)"):format(n, why)
    end
    local port = "port must be an integer from 0 to 65535"
    raises(bad(1, "string expected, got nil"),
      function() net.connect(nil, 80) end)
    raises(bad(2, port), function() net.connect("a", "80") end)
    raises(bad(2, port), function() net.connect("a", 65536) end)
    raises(bad(2, port), function() net.connect("a", 80.5) end)
    raises(bad(3, "table expected, got number"),
      function() net.connect("a", 80, 5) end)
  end)
end)

describe("net.serve", function()
  it("runs a task for each connection", function()
    local seen = {}
    with_server(function(stream)
      seen[#seen + 1] = sluice.current_task()
      stay(stream)
    end, function(port)
      local a <close> = connect(port) -- luacheck: ignore
      local b <close> = connect(port) -- luacheck: ignore
      testing.settle()
      assert.equal(2, #seen)
      assert.not_equal(seen[1], seen[2])
    end)
  end)

  it("picks a port when it is given 0", function()
    with_server(stay, function(port, server)
      assert.is_true(port > 0)
      assert.same({ "127.0.0.1", port }, { server:sockname() })
      assert.equal("sluice.Server (open, 0 connections)", tostring(server))
    end)
  end)

  it("listens at the host when it is given none", function()
    local server <close> = assert(net.serve(stay, nil, 0))
    assert.equal("127.0.0.1", (server:sockname()))
  end)

  it("returns that the port is taken", function()
    with_server(stay, function(port)
      assert.same({ nil, "address already in use", "EADDRINUSE", n = 3 },
        table.pack(net.serve(stay, "127.0.0.1", port)))
    end)
  end)

  it("shares a port that both want to share", function()
    local options = { reuse_port = true }
    with_server(stay, function(port)
      local second <close> =
        assert(net.serve(stay, "127.0.0.1", port, options))
      assert.same({ "127.0.0.1", port }, { second:sockname() })
    end, options)
  end)

  it("closes the stream when its handler returns", function()
    with_server(function(stream) stream:write "bye" end, function(port)
      local stream <close> = connect(port)
      assert.equal("bye", stream:read_all())
    end)
  end)

  it("closes the stream when its handler fails, and goes on", function()
    local reported = {}
    sluice.on_error(function(_, err) reported[#reported + 1] = err end)
    with_server(function() error("oops", 0) end, function(port)
      for _ = 1, 2 do
        local stream <close> = connect(port)
        assert.equal("", stream:read_all())
      end
    end)
    sluice.on_error(nil)
    assert.same({ "oops", "oops" }, reported)
  end)

  it("accepts no more than max_connections", function()
    with_server(function(stream)
      stream:write "hello"
      stay(stream)
    end, function(port, server)
      local first <close> = connect(port)
      local second <close> = connect(port)
      local third <close> = connect(port)
      assert.equal("hello", first:read())
      assert.equal("hello", second:read())
      assert.same({ nil, "timeout" }, { third:read(1, 0.1) })
      assert.matches("2 connections", tostring(server))
      first:close()
      assert.equal("hello", third:read())
    end, { max_connections = 2 })
  end)

  plainly("checks its arguments", function()
    local function bad(n, why)
      return ("bad argument #%d to 'serve' (%s)"):format(n, why)
    end
    raises(bad(1, "function expected, got nil"),
      function() net.serve(nil, "a", 80) end)
    raises(bad(2, "string expected, got number"),
      function() net.serve(print, 80) end)
    raises(bad(3, "port must be an integer from 0 to 65535"),
      function() net.serve(print, "a") end)
  end)
end)

describe("a server", function()
  it("refuses connections once it is closed", function()
    local server <close> = assert(net.serve(stay, "127.0.0.1", 0))
    local _, port = server:sockname()
    server:close()
    server:close()
    assert.equal("sluice.Server (closed, 0 connections)", tostring(server))
    assert.same({ nil, "the server is closed", "EBADF", n = 3 },
      table.pack(server:sockname()))
    assert.equal("ECONNREFUSED",
      (select(3, net.connect("127.0.0.1", port))))
  end)

  it("is waited for until its last connection has ended", function()
    local server <close> = assert(net.serve(stay, "127.0.0.1", 0))
    local _, port = server:sockname()
    local stream <close> = connect(port)
    testing.settle()
    server:close()
    assert.same({ nil, "timeout" }, { server:wait_closed(0.1) })
    assert.same({ nil, "timeout" }, { server:wait_closed(0) })
    stream:close()
    assert.is_true(server:wait_closed())
    assert.is_true(server:wait_closed(0))
  end)

  it("is closed when its group is cancelled", function()
    local port
    sluice.task_group(function(group)
      local server = assert(net.serve(stay, "127.0.0.1", 0))
      port = select(2, server:sockname())
      sluice.sleep(0)
      group:cancel()
    end)
    assert.equal("ECONNREFUSED",
      (select(3, net.connect("127.0.0.1", port))))
  end)
end)

describe("a Unix socket", function()
  it("is served and connected to", function()
    local path = temporary_path()
    local server <close> = assert(net.serve_unix(function(stream)
      assert.same({ "", n = 1 }, table.pack(stream:peername()))
      assert.same({ path, n = 1 }, table.pack(stream:sockname()))
      stream:write(stream:readline() .. "!\n")
    end, path))
    assert.same({ path, n = 1 }, table.pack(server:sockname()))
    local stream <close> = assert(net.connect_unix(path))
    assert.same({ path, n = 1 }, table.pack(stream:peername()))
    stream:write "hello\n"
    assert.equal("hello!", stream:readline())
    server:close()
    stream:close()
    assert.is_true(server:wait_closed())
    assert.is_nil(io.open(path))
  end)

  it("replaces a socket that was left behind", function()
    local path = temporary_path()
    local first <close> = assert(net.serve_unix(stay, path))
    local second <close> = assert(net.serve_unix(stay, path))
    assert.equal(path, (second:sockname()))
    first:close()
    second:close()
    os.remove(path)
  end)

  it("is not put where there is a file", function()
    local path = os.tmpname()
    local server, message, code = net.serve_unix(stay, path)
    os.remove(path)
    assert.is_nil(server)
    assert.equal("address already in use", message)
    assert.equal("EADDRINUSE", code)
  end)

  it("returns why it cannot connect", function()
    assert.equal("ENOENT",
      (select(3, net.connect_unix(temporary_path()))))
    assert.equal("ENAMETOOLONG",
      (select(3, net.connect_unix(("x"):rep(200)))))
    assert.equal("ENAMETOOLONG",
      (select(3, net.serve_unix(stay, ("x"):rep(200)))))
  end)
end)

describe("lua_close", function()
  plainly("is clean with everything in flight", function()
    process.prints("", [[
      local net = require "sluice.net"
      local big = ("x"):rep(5000000)
      sluice.run(function()
        local server = net.serve(function(stream)
          sluice.create_task(stream.write, stream, big)
          stream:read_all()
        end, "127.0.0.1", 0)
        local _, port = server:sockname()
        local streams = {}
        for i = 1, 5 do
          streams[i] = net.connect("127.0.0.1", port)
          sluice.create_task(streams[i].read, streams[i])
          sluice.create_task(streams[i].write, streams[i], big)
        end
        sluice.create_task(net.connect, "localhost", port)
        sluice.create_task(net.connect, "192.0.2.1", 80)
        sluice.sleep(0.05)
        streams[1]:close()
        os.exit(0, true)
      end)
    ]])
  end)

  plainly("is clean when streams outlive their run", function()
    process.prints("true\n", [[
      local net = require "sluice.net"
      local kept = {}
      sluice.run(function()
        local server = net.serve(function(stream)
          kept[#kept + 1] = stream
          sluice.sleep(100)
        end, "127.0.0.1", 0)
        local _, port = server:sockname()
        for i = 1, 3 do kept[#kept + 1] = net.connect("127.0.0.1", port) end
        kept.server = server
        sluice.sleep(0.05)
      end)
      kept[1]:close()
      sluice.run(function() sluice.sleep(0) end)
      print(#kept > 3)
    ]])
  end)
end)
