-- idle_server.lua CONNECTIONS: a service for so many idle clients. Prints
-- `port N`; tells of its own memory and of its connections.
local http = require "sluice.http"

local count = math.tointeger(tonumber(arg[1]))
local app = http.App { max_connections = count + 16, idle_timeout = 3600 }

app:get("/", function() return "hello" end)

app:get("/memory", function()
  collectgarbage()
  return ("%d"):format(collectgarbage "count" * 1024)
end)

local server
app:get("/count", function()
  return tostring(server):match "%((%d+)"
end)

require("sluice").run(function()
  local sluice = require "sluice"
  local signal = sluice.Signal "SIGTERM"
  server = assert(app:serve { port = 0, backlog = 4096 })
  io.write("port ", select(2, server:sockname()), "\n")
  io.flush()
  signal:wait()
  server:close()
  server:wait_closed()
end)
