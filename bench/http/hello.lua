-- hello.lua PORT: the smallest service on sluice, to measure the server alone.
local http = require "sluice.http"

local app = http.App()

app:get("/", function()
  return { hello = "world" }
end)

app:run { host = "127.0.0.1", port = math.tointeger(tonumber(arg[1])) }
