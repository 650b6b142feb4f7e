-- client.lua URL [REQUESTS [TASKS]]: sluice's HTTP client: so many GETs by so
-- many tasks on pooled connections. Prints requests a second and microseconds
-- of CPU time a request. aiohttp_client.py does the same.
local http = require "sluice.http"
local sluice = require "sluice"

local url = arg[1]
local requests = math.tointeger(tonumber(arg[2] or 20000))
local tasks = math.tointeger(tonumber(arg[3] or 64))

local function work(client, left)
  while left.n > 0 do
    left.n = left.n - 1
    local response = assert(client:get(url))
    assert(response.status == 200)
  end
end

local function measure(client, n)
  local left, list = { n = n }, {}
  local began, cpu = sluice.time(), os.clock()
  for i = 1, tasks do
    list[i] = sluice.create_task(work, client, left)
  end
  for _, task in ipairs(list) do task:await() end
  return n / (sluice.time() - began), (os.clock() - cpu) / n * 1e6
end

sluice.run(function()
  local client <close> = http.Client { max_connections = tasks }
  measure(client, requests // 10)
  print(("client sluice: %.0f requests/s, %.1f us of CPU a request"):format(
    measure(client, requests)))
end)
