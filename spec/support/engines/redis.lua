--- redis:, a real server, in real time; see ../engines.lua.

local redis = require "spec.support.redis"
local sluice = require "sluice"

local server

return {
  lasting = true,
  start = function()
    sluice.run(function() server = redis.start() end)
  end,
  finish = function()
    sluice.run(server.close, server)
  end,
  url = function()
    server:cli "FLUSHALL"
    return server.url
  end,
}
