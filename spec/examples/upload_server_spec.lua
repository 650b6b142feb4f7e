-- Drives the upload server as a process of its own, with nc as its users do.
-- Every process is to be closed, so that none outlives a spec that fails.

local effort = require "spec.support.effort"
local sluice = require "sluice"
local child = dofile "examples/lib/child.lua"

local LUA = os.getenv "LUA" or "lua5.4"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function write(path, data)
  local file <close> = assert(io.open(path, "wb"))
  file:write(data)
end

--- Random bytes, all values among them.
local function bytes(n)
  local list = {}
  for i = 1, n do list[i] = string.char(math.random(0, 255)) end
  return table.concat(list)
end

--- Starts the upload server on a free port. What it writes to standard output
-- goes to the file `received`, what it tells into server.lines.
local function start(received, ...)
  local server = child.start {
    "sh", "-c", 'exec "$@" >"$0"', received,
    LUA, "bin/sluice", "examples/upload_server.lua", "--port", "0", ...,
  }
  server.lines = {}
  return server
end

--- Waits until the server has told a line that matches; its captures.
local function told(server, pattern)
  for _ = 1, 2000 do
    local ended = server:status()
    for _, line in ipairs(server:new_lines()) do
      table.insert(server.lines, line)
    end
    for _, line in ipairs(server.lines) do
      if line:find(pattern) then return line:match(pattern) end
    end
    if ended then break end
    sluice.sleep(0.01)
  end
  error(("no line %q in:\n%s"):format(pattern,
    table.concat(server.lines, "\n")), 2)
end

local function stop(server, signal)
  server:signal(signal or "TERM")
  assert.equal(0, server:wait(10))
end

--- Runs fn(at) beside a server: at.server, at.port, at.received, and at.dir,
-- a directory that is removed in the end.
local function with_server(args, fn)
  return function()
    sluice.run(function()
      local pipe <close> = io.popen("mktemp -d")
      local at = { dir = pipe:read("l") }
      local _ <close> = setmetatable({}, {
        __close = function() os.execute("rm -rf " .. at.dir) end,
      })
      at.received = at.dir .. "/received"
      for i, word in ipairs(args) do
        args[i] = word:gsub("DIR", at.dir)
      end
      local server <close> = start(at.received, table.unpack(args))
      at.server = server
      at.port = told(server, "listening at %S+ port (%d+)")
      fn(at)
    end)
  end
end

--- Starts a shell that uploads the output of a command by nc.
local function upload(at, command)
  return child.start {
    "sh", "-c", ("%s | nc -N 127.0.0.1 %s"):format(command, at.port),
  }
end

--- Uploads data; returns when nc has ended.
local function upload_all(at, data)
  local path = os.tmpname()
  write(path, data)
  local client <close> = upload(at, "cat " .. path)
  assert.equal(0, client:wait(10))
  os.remove(path)
end

--- The most memory a process has had, in mebibytes.
local function peak(pid)
  return tonumber(read(("/proc/%d/status"):format(pid))
    :match("VmHWM:%s+(%d+)")) / 1024
end

describe("examples/upload_server.lua", function()
  it("writes an upload at its end, byte for byte",
    with_server({}, function(at)
      local data = bytes(300000)
      upload_all(at, data)
      assert.equal("300000", told(at.server, "upload 1: (%d+) bytes written"))
      assert.is_true(read(at.received) == data)
      stop(at.server)
    end))

  it("takes an empty one, and one that comes in pieces",
    with_server({}, function(at)
      upload_all(at, "")
      told(at.server, "upload 1: 0 bytes written")
      local client <close> = upload(at,
        "for i in 1 2 3; do printf 'a\\0b'; sleep 0.05; done")
      assert.equal("", read(at.received))
      client:wait(10)
      told(at.server, "upload 2: 9 bytes written")
      assert.equal(("a\0b"):rep(3), read(at.received))
    end))

  it("keeps several at once apart",
    with_server({}, function(at)
      local clients, contents, total = {}, {}, 0
      for i = 1, 8 do
        contents[i] = string.char(64 + i) .. bytes(50000 * i)
        total = total + #contents[i]
        local path = at.dir .. "/" .. i
        write(path, contents[i])
        clients[i] = upload(at, "cat " .. path)
      end
      for i = 1, 8 do
        assert.equal(0, clients[i]:wait(10))
        clients[i]:__close()
        told(at.server, "upload " .. i .. ": %d+ bytes written")
      end
      local received = read(at.received)
      assert.equal(total, #received)
      while received ~= "" do
        local content = contents[received:byte() - 64]
        assert.is_true(received:sub(1, #content) == content)
        received = received:sub(#content + 1)
      end
    end))

  it("drops what is not whole: a reset, a silence",
    with_server({ "--timeout", "0.5" }, function(at)
      local resetter <close> = child.start { "python3", "-c", ([[
import socket, struct
s = socket.create_connection(("127.0.0.1", %s))
s.sendall(b"half" * 1000)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
]]):format(at.port) }
      assert.equal(0, resetter:wait(10))
      told(at.server, "upload 1: dropped after %d+ bytes: connection reset")
      local silent <close> = upload(at, "(echo half; sleep 5)")
      told(at.server,
        "upload 2: dropped after 5 bytes: nothing came for 0.5 seconds")
      silent:signal "KILL"
      upload_all(at, "whole")
      told(at.server, "upload 3: 5 bytes written")
      assert.equal("whole", read(at.received))
    end))

  it("refuses more than it would collect, and says what to do",
    with_server({ "--limit", "0.5" }, function(at)
      local refused = "more than the 0.5 MiB that are collected in memory; "
        .. "--output writes to a file instead, --limit takes more"
      local client <close> = upload(at, "head -c 600000 /dev/zero")
      client:wait(10)
      assert.same({ refused }, client:new_lines())
      told(at.server, "upload 1: dropped after %d+ bytes: more than the 0.5")
      upload_all(at, ("x"):rep(524288))
      told(at.server, "upload 2: 524288 bytes written")
      assert.equal(524288, #read(at.received))
    end))

  it("writes to a file, which the last whole upload replaces",
    with_server({ "--output", "DIR/file" }, function(at)
      local data = bytes(200000)
      for i, content in ipairs { "first", data } do
        upload_all(at, content)
        assert.equal(at.dir .. "/file", told(at.server,
          "upload " .. i .. ": %d+ bytes written to (%S+)"))
        assert.is_true(read(at.dir .. "/file") == content)
      end
      assert.equal("", read(at.received))
    end))

  it("writes into a directory, a file each, over none",
    with_server({ "--output", "DIR" }, function(at)
      write(at.dir .. "/upload-1", "kept")
      local data = bytes(100000)
      upload_all(at, data)
      upload_all(at, "second")
      told(at.server, "upload 2: 6 bytes written")
      assert.equal("kept", read(at.dir .. "/upload-1"))
      assert.is_true(read(at.dir .. "/upload-2") == data)
      assert.equal("second", read(at.dir .. "/upload-3"))
    end))

  it("goes on when it cannot write",
    with_server({ "--output", "DIR/none/file" }, function(at)
      local client <close> = upload(at, "echo lost")
      client:wait(10)
      assert.matches("No such file or directory$", client:new_lines()[1])
      told(at.server, "upload 1: dropped after 0 bytes: .*No such file")
      assert.is_nil(at.server:status())
    end))

  for _, signal in ipairs { "INT", "TERM" } do
    it("ends at SIG" .. signal .. ", and leaves no half a file",
      with_server({ "--output", "DIR" }, function(at)
        local client <close> = upload(at, "(echo half; sleep 60)")
        told(at.server, "upload 1: from")
        sluice.sleep(0.1)
        stop(at.server, signal)
        told(at.server, "closing: 1 uploads, 1 of them not whole")
        client:signal "KILL"
        local pipe <close> = io.popen("ls " .. at.dir)
        assert.equal("received\n", pipe:read("a"))
      end))
  end

  it("says what is wrong with its options", function()
    sluice.run(function()
      for name, value in pairs {
        port = "65536", connections = "0.5", timeout = "-1",
      } do
        local server <close> = start("/dev/null", "--" .. name, value)
        told(server, "%-%-" .. name .. ": ")
        assert.equal(2, server:wait(10))
      end
    end)
  end)

  it("fails when it cannot listen",
    with_server({}, function(at)
      local second <close> = start("/dev/null", "--port", at.port)
      told(second, "cannot listen at localhost port %d+: address already")
      assert.equal(1, second:wait(5))
    end))

  it("takes a gigabyte in constant memory, and others meanwhile",
    with_server({ "--output", "DIR" }, function(at)
      local size = effort(1 << 30)
      local giant <close> = upload(at, ("head -c %d /dev/zero"):format(size))
      told(at.server, "upload 1: from")
      upload_all(at, "small")
      told(at.server, "upload 2: 5 bytes written")
      for _, line in ipairs(at.server.lines) do
        assert.is_nil(line:find("upload 1: %d+ bytes")) -- goes on meanwhile
      end
      assert.equal(0, giant:wait(60))
      assert.equal(tostring(size),
        told(at.server, "upload 1: (%d+) bytes written"))
      local most = os.getenv "SLUICE_TOOL" and 600 or 40
      assert.is_true(peak(at.server:pid()) < most)
      stop(at.server)
    end))
end)
