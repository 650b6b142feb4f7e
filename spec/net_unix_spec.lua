-- Unix sockets: their paths, what lies there already, who may connect, and a
-- backlog that is full.

local net = require "sluice.net"
local process = require "spec.support.process"
local server_process = require "spec.support.server_process"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local testing = require "sluice.testing"

local plainly = it

local function it(name, fn) -- luacheck: ignore
  testing.it(name, function()
    fn()
    sluice.sleep(0.01)
  end)
end

local function greet(stream) stream:write "hello" end

local function code_of(...) return (select(3, ...)) end

-- What is heard at a path: "hello", or the code of the failure.
local function heard(path)
  local stream <close>, _, code = net.connect_unix(path)
  if not stream then return code end
  return stream:read_all()
end

local function exists(path)
  return os.execute("test -e " .. path) == true
end

-- Runs fn with the path of a directory of its own.
local function in_directory(fn)
  local path = sockets.path()
  assert(os.execute("mkdir " .. path))
  local ok, err = pcall(fn, path)
  os.execute("rm -rf " .. path)
  if not ok then error(err, 0) end
end

describe("the path of a Unix socket", function()
  it("may be as long as the system allows", function()
    in_directory(function(dir)
      local longest = dir .. "/" .. ("x"):rep(107 - #dir - 1)
      local server <close> = assert(net.serve_unix(greet, longest))
      assert.equal(longest, (server:sockname()))
      assert.equal("hello", heard(longest))
      assert.equal("ENAMETOOLONG",
        code_of(net.serve_unix(greet, longest .. "x")))
      assert.equal("ENAMETOOLONG", heard(longest .. "x"))
    end)
  end)

  it("is not empty and has no zero", function()
    for _, path in ipairs { "", "\0abstract", "/tmp/x\0y" } do
      assert.equal("EINVAL", code_of(net.serve_unix(greet, path)))
      assert.equal("EINVAL", heard(path))
    end
  end)

  it("is in a directory that exists and is one", function()
    local file = os.tmpname()
    local none = sockets.path() .. "/x"
    assert.equal("ENOENT", code_of(net.serve_unix(greet, none)))
    assert.equal("ENOENT", heard(none))
    assert.equal("ENOTDIR", code_of(net.serve_unix(greet, file .. "/x")))
    assert.equal("ENOTDIR", heard(file .. "/x"))
    os.remove(file)
  end)
end)

describe("what lies at the path of a Unix socket", function()
  it("stays when it is no socket", function()
    in_directory(function(dir)
      assert.equal("EADDRINUSE", code_of(net.serve_unix(greet, dir)))
      local file = dir .. "/file"
      assert(io.open(file, "w")):write("kept"):close()
      assert.equal("EADDRINUSE", code_of(net.serve_unix(greet, file)))
      assert.equal("kept", assert(io.open(file)):read("a"))
      assert.equal("ECONNREFUSED", heard(file))
      os.execute(("ln -s %s %s/link"):format(file, dir))
      assert.equal("EADDRINUSE", code_of(net.serve_unix(greet, dir .. "/link")))
    end)
  end)

  plainly("is replaced when a server that was killed left it", function()
    local path = sockets.path()
    sluice.run(function()
      do
        local server <close> = server_process.start(([[
          local server = assert(net.serve_unix(print, "%s"))
          io.stdout:write("port 0\n"):flush()
          server:wait_closed()
        ]]):format(path))
        server:signal "KILL"
        server:wait(5)
      end
      assert.is_true(exists(path))
      assert.equal("ECONNREFUSED", heard(path))
      local server <close> = assert(net.serve_unix(greet, path))
      assert.equal("hello", heard(path))
      server:close()
      assert.is_false(exists(path))
    end)
  end)

  it("is not removed when it is another server's by now", function()
    local path = sockets.path()
    local first <close> = assert(net.serve_unix(print, path))
    local second <close> = assert(net.serve_unix(greet, path))
    first:close()
    assert.equal("hello", heard(path))
    second:close()
    assert.is_false(exists(path))
  end)
end)

describe("who may not connect to a Unix socket", function()
  plainly("is told so", function()
    in_directory(function(dir)
      os.execute("chmod 755 " .. dir)
      local result
      sluice.run(function()
        local path = dir .. "/socket"
        local server <close> = assert(net.serve_unix(greet, path))
        os.execute("chmod 000 " .. path)
        local root = io.popen("id -u"):read("n") == 0
        result = process.lua(([[
          local net = require "sluice.net"
          sluice.run(function()
            print(net.connect_unix("%s"))
            print(net.serve_unix(print, "%s/other"))
          end)
        ]]):format(path, root and dir or "/"), root
          and "setpriv --reuid 65534 --regid 65534 --clear-groups" or "")
        server:close()
      end)
      local denied = "nil\tpermission denied\tEACCES\n"
      assert.equal("", result.stderr)
      assert.equal(denied .. denied, result.stdout)
    end)
  end)
end)

describe("a Unix socket whose backlog is full", function()
  -- Runs fn(path, make_room) with one.
  local function with_full_backlog(fn)
    local path = sockets.path()
    local room = sluice.Event()
    local options = { backlog = 1, max_connections = 1 }
    local server <close> = assert(net.serve_unix(function(stream)
      room:wait()
      greet(stream)
    end, path, options))
    local streams = {}
    repeat
      local stream = net.connect_unix(path, { timeout = 0.1 })
      streams[#streams + 1] = stream
    until not stream
    fn(path, room)
    for _, stream in ipairs(streams) do stream:close() end
    room:set()
    server:close()
  end

  it("lets who connects wait until there is room", function()
    with_full_backlog(function(path, room)
      local task = sluice.create_task(heard, path)
      sluice.sleep(0.5)
      assert.is_false(task:done())
      room:set()
      assert.equal("hello", task:await(5))
    end)
  end)

  it("can be given up", function()
    with_full_backlog(function(path)
      assert.equal("ETIMEDOUT",
        code_of(net.connect_unix(path, { timeout = 0.2 })))
      local task = sluice.create_task(net.connect_unix, path)
      sluice.sleep(0.1)
      task:cancel()
      assert.is_false(task:pawait())
    end)
  end)
end)

describe("max_connections of a Unix socket", function()
  it("lets connections wait until others end", function()
    local path = sockets.path()
    local server <close> = assert(net.serve_unix(greet, path,
      { max_connections = 2 }))
    for _ = 1, 10 do assert.equal("hello", heard(path)) end
    assert.matches("open, [01] conn", tostring(server))
  end)
end)
