-- A name of several addresses: a server listens at all of them, and a
-- connection is raced for.
local common = require "common"
local net = require "sluice.net"
local core = require "sluice.core.net"

local resolve = core.resolve

-- "several" stands for two addresses, of which the first may refuse.
function core.resolve(host, port)
  if host ~= "several" then return resolve(host, port) end
  local list = {}
  for i, numeric in ipairs { "::1", "127.0.0.1" } do
    list[i] = resolve(numeric, port)[1]
  end
  return list
end

local function talk(host, port)
  local stream <close> = net.connect(host, port)
  if stream then stream:read(10, 10) end
end

common.survives(function()
  local server <close> = net.serve(function(stream)
    stream:write "hello"
  end, "several", 0)
  if not server then return end
  local _, port = server:sockname()
  talk("several", port)
  server:close()
  server:wait_closed(100)
  talk("several", port)
end)
