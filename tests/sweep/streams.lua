-- Streams and servers: connections are made, read, written, closed.
local common = require "common"
local sluice = common.sluice
local net = require "sluice.net"

local function echo(stream)
  for line in stream:lines() do stream:write(line .. "\n") end
end

local function talk(port)
  local stream = net.connect("127.0.0.1", port)
  if not stream then return end
  local stream <close> = stream -- luacheck: ignore
  stream:write(("x"):rep(100) .. "\n")
  stream:readline()
  stream:write(("y"):rep(300000))
  stream:read(10, 0.1)
  stream:shutdown()
  stream:read_all(1000)
  tostring(stream)
  stream:peername()
end

common.survives(function()
  local server = net.serve(echo, "localhost", 0, { limit = 1000000 })
  if not server then return end
  local server <close> = server -- luacheck: ignore
  local _, port = server:sockname()
  local task = sluice.create_task(talk, port)
  net.connect("127.0.0.1", 1)
  task:pawait(100)
  server:close()
  server:wait_closed(100)
end)
