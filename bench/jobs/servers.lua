--- The servers that the queues are measured on, each started once, on a port
-- that was free, in a directory of its own; emptied before each measurement.

local servers = {}

local FIRST_PORT, LAST_PORT = 18400, 18900

-- Name -> how to start it and how to empty it; PORT and DIR are replaced.
local redis = "redis-server --port PORT --bind 127.0.0.1 --save '' "
  .. "--appendonly yes --dir DIR --appendfsync "
local empty_redis = "{ redis-cli -p PORT FLUSHALL; "
  .. "redis-cli -p PORT BGREWRITEAOF; } >DIR/flush; sleep 0.05; "
  .. "while redis-cli -p PORT INFO persistence | "
  .. "grep -q 'aof_rewrite_in_progress:1'; do sleep 0.05; done"
local beanstalkd = "beanstalkd -l 127.0.0.1 -p PORT "

local kinds = {
  always = { redis .. "always", empty = empty_redis },
  everysec = { redis .. "everysec", empty = empty_redis },
  beanstalk = { beanstalkd .. "-b DIR" }, -- its clients empty it
  beanstalk_f0 = { beanstalkd .. "-b DIR -f0" },
  beanstalk_memory = { beanstalkd },
}

local running = {}
local next_port = FIRST_PORT

local function sh(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read("a"):gsub("%s+$", ""))
end

local function fill_in(text, server)
  return (text:gsub("PORT", tostring(server.port)):gsub("DIR", server.dir))
end

local function is_open(port)
  return os.execute(("nc -z 127.0.0.1 %d 2>/dev/null"):format(port))
end

local function free_port()
  repeat
    next_port = next_port + 1
    assert(next_port < LAST_PORT, "no port is free")
  until not is_open(next_port)
  return next_port
end

-- Waits until it listens; false if it does not.
local function await(server)
  for _ = 1, 100 do
    if is_open(server.port) then return true end
    os.execute "sleep 0.05"
  end
  return false
end

local function start(name, directory)
  local kind = kinds[name]
  local program = kind[1]:match "^%S+"
  if sh("command -v " .. program) == "" then
    return nil, program .. " is not installed"
  end
  local server = { port = free_port(), dir = directory .. "/" .. name,
    empty = kind.empty }
  sh("mkdir -p " .. server.dir)
  server.pid = sh(fill_in("exec 3>&-; " .. kind[1]
    .. " >>DIR/log 2>&1 </dev/null & echo $!", server))
  if not await(server) then return nil, program .. " does not start" end
  return server
end

--- The server of that kind, running and empty.
-- @return a table with its `port`; or nil and why there is none
function servers.get(name, directory)
  local server = running[name]
  if server == nil then
    local message
    server, message = start(name, directory)
    running[name] = server or { message = message }
  end
  server = running[name]
  if server.message then return nil, server.message end
  if server.empty then sh(fill_in(server.empty, server)) end
  return server
end

--- Ends all of them.
function servers.stop()
  for _, server in pairs(running) do
    if server.pid then os.execute("kill -TERM " .. server.pid) end
  end
end

return servers
