-- honest.lua PORT SECONDS: asks once every few milliseconds, on connections
-- that it keeps for a while. Prints how many requests it made, how many were
-- not answered as they must be, and the median and 99th percentile of what an
-- answer took, connecting included, in microseconds.
local net = require "sluice.net"
local sluice = require "sluice"

local port, seconds = math.tointeger(tonumber(arg[1])), tonumber(arg[2])
local PAUSE, KEPT = 0.003, 20
local REQUEST = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local stream

local function ask(n)
  if n % KEPT == 1 then
    if stream then stream:close() end
    stream = net.connect("127.0.0.1", port)
  end
  if not stream or not stream:write(REQUEST) then return false end
  local head = stream:readuntil "\r\n\r\n"
  return head and head:find "^HTTP/1.1 200 " and stream:readexactly(5)
    == "hello"
end

sluice.run(function()
  local took, failed, due = {}, 0, sluice.time() + seconds
  while sluice.time() < due do
    local began = sluice.time()
    if not ask(#took + 1) then failed = failed + 1 end
    took[#took + 1] = sluice.time() - began
    sluice.sleep(PAUSE)
  end
  table.sort(took)
  print(("%d %d %.0f %.0f"):format(#took, failed, took[#took // 2 + 1] * 1e6,
    took[#took * 99 // 100 + 1] * 1e6))
end)
