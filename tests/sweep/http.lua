-- An application serves requests of many kinds, one after the other.
local common = require "common"
local sluice = common.sluice
local net = require "sluice.net"
local http = require "sluice.http"

local silent = setmetatable({}, { __index = function()
  return function() return true end
end })
io.stderr = silent -- luacheck: ignore

local app = http.App()
-- Its body is not decoded: for want of memory lua-cjson leaks there.
app:post("/json/{id}", function(request)
  local value = request:text()
  return 201, { value, request.params.id, request.query.q },
    { ["X-Host"] = request.headers.host }
end)
app:post("/read", function(request)
  local piece = request:read(3)
  return piece .. (request:text() or "")
end)
app:get("/chunks", function()
  local n = 0
  return function()
    n = n + 1
    return n < 4 and ("chunk"):rep(n * 1000) or nil
  end
end)
app:get("/big", function() return ("x"):rep(100000) end)
app:get("/fail", function() error "on purpose" end)
app:use(function(request, next) return next(request) end)

-- As it does when it is loaded, so it is now.
app:test { method = "POST", path = "/json/1", body = "[]" }

local requests = table.concat({
  'POST /json/a%20b?q=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n["x"] ',
  "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "5\r\nhello\r\n0\r\n\r\n",
  "GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /fail HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
  "nonsense\r\n\r\n",
})

common.survives(function()
  local server = app:serve { port = 0, access_log = function() end }
  if not server then return end
  pcall(function()
    local _, port = server:sockname()
    local stream <close> = net.connect("127.0.0.1", port)
    stream:write(requests)
    stream:shutdown()
    repeat until not stream:read(nil, 100)
  end)
  server:close()
  server:wait_closed(100)
end)
assert(sluice.stats().tasks == 0)
