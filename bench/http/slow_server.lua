-- slow_server.lua [HEAD_TIMEOUT IDLE_TIMEOUT WRITE_TIMEOUT]: a service for
-- slow_clients.lua. Prints `port N`. /stats tells of its connections, of
-- Lua's memory after a collection, and of its RSS, in KiB.
local http = require "sluice.http"
local sluice = require "sluice"

local big = ("0123456789abcdef"):rep(1 << 19) -- 8 MiB
local app = http.App {
  max_connections = 4096,
  head_timeout = tonumber(arg[1]),
  idle_timeout = tonumber(arg[2]),
  write_timeout = tonumber(arg[3]),
}

app:get("/", function() return "hello" end)
app:get("/big", function() return big end)
app:get("/chunks", function()
  local left = 1000
  return function()
    left = left - 1
    return left >= 0 and big:sub(1, 65536) or nil
  end
end)

local function rss()
  local file <close> = io.open "/proc/self/status"
  return file and file:read "a":match "VmRSS:%s*(%d+)" or 0
end

local server
app:get("/stats", function()
  collectgarbage()
  return ("%s %d %d\n"):format(tostring(server):match "%((%d+)",
    collectgarbage "count" // 1, rss())
end)

sluice.run(function()
  local signal = sluice.Signal "SIGTERM"
  server = assert(app:serve { port = 0, grace = 1 })
  io.write("port ", select(2, server:sockname()), "\n")
  io.flush()
  signal:wait()
  server:close()
  server:wait_closed()
end)
