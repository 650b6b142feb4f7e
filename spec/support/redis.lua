--- A real redis-server for specs, on a free port, in a directory of its own;
-- and a proxy that cuts connections.

local assert = require "luassert"
local net = require "sluice.net"
local sluice = require "sluice"

local redis = {}

local Server = {}
Server.__index = Server

local function sh(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read("a"):gsub("%s+$", ""))
end

-- A port that nobody listens at now.
local function free_port()
  local server = assert(net.serve(function() end, "127.0.0.1", 0))
  local _, port = server:sockname()
  server:close()
  return port
end

-- Waits until it answers, also that it is loading.
local function await_answer(self)
  for _ = 1, 500 do
    local stream = net.connect("127.0.0.1", self.port)
    if stream then
      stream:write "PING\r\n"
      local line = stream:readline()
      stream:close()
      if line then return end
    end
    sluice.sleep(0.01)
  end
  error("redis-server does not start: " .. self.directory)
end

--- Starts the server, once more after a stop. `env`, if it is set, has words
-- for env.
-- @param ... words for its command line
function Server:start(...)
  self.pid = sh(("cd %s && env %s redis-server --port %d --bind 127.0.0.1 "
    .. "--unixsocket %s/socket --dir %s %s >>log 2>&1 </dev/null & echo $!")
    :format(self.directory, self.env or "", self.port, self.directory,
      self.directory, table.concat({ ... }, " ")))
  await_answer(self)
end

--- Sends it a signal; waits until it has ended if that ends it.
function Server:kill(signal)
  os.execute(("kill -%s %s 2>/dev/null"):format(signal, self.pid))
  if signal == "STOP" or signal == "CONT" then return end
  -- What nobody has reaped yet still has a number, and is no more.
  while sh(("ps -o stat= -p %s"):format(self.pid)):find "^[^Z]" do
    sluice.sleep(0.01)
  end
end

--- What redis-cli says to a command.
function Server:cli(command)
  return sh(("redis-cli -p %d %s 2>&1"):format(self.port, command))
end

--- Takes a transaction that was cut off out of the append-only file of a server
-- that was killed. The server itself drops only the command that was cut off,
-- and at the next start after that takes what follows as part of the
-- transaction (https://github.com/valkey-io/valkey/pull/4342).
function Server:repair()
  sh(("echo y | redis-check-aof --fix %s/appendonlydir/appendonly.aof.manifest")
    :format(self.directory))
end

function Server:close()
  self:kill "KILL"
  os.execute("rm -rf " .. self.directory)
end

Server.__close = Server.close

--- Starts a server that keeps an append-only file.
-- @param ... more words for its command line
function redis.start(...)
  local self = setmetatable({
    directory = sh "mktemp -d", port = free_port(),
  }, Server)
  self.words = table.pack("--appendonly yes --save '\"\"'", ...)
  self:start(table.unpack(self.words, 1, self.words.n))
  self.url = ("redis://127.0.0.1:%d/0"):format(self.port)
  return self
end

-- -- a proxy --

local Proxy = {}
Proxy.__index = Proxy

-- Passes bytes on until the budget of this direction is used up, then cuts
-- both ends off.
local function pump(proxy, from, to, which)
  for data in function() return (from:read()) end do
    local room = proxy.budget[which]
    if #data >= room then
      to:write(data:sub(1, room))
      break
    end
    proxy.budget[which] = room - #data
    if not to:write(data) then break end
  end
  from:close()
  to:close()
end

--- A proxy before a port. `proxy.budget.up` and `.down` are the bytes that it
-- passes on to the server and back, before it cuts the connection; set anew
-- for each connection to `proxy.next`, or without limit.
function redis.proxy(port)
  local proxy = setmetatable({ count = 0 }, Proxy)
  proxy.server = assert(net.serve(function(client)
    local server <close> = assert(net.connect("127.0.0.1", port))
    proxy.count = proxy.count + 1
    proxy.budget = proxy.next
      or { up = math.huge, down = math.huge }
    proxy.next = nil
    sluice.task_group(function(group)
      group:create_task(pump, proxy, client, server, "up")
      group:create_task(pump, proxy, server, client, "down")
    end)
  end, "127.0.0.1", 0))
  local _, own = proxy.server:sockname()
  proxy.url = ("redis://127.0.0.1:%d/0"):format(own)
  return proxy
end

function Proxy:close()
  self.server:close()
end

Proxy.__close = Proxy.close

return redis
