-- How long a script's tasks wait while a store commits: a task sleeps a
-- millisecond, again and again, beside tasks that put, and notes how much
-- later than that it runs. To be run with slow_fsync.so, which shows whether
-- the loop waits for the disk.
--
-- usage: lag.lua URL SECONDS PUTTERS
-- Prints the 99th percentile of the lag in milliseconds, the greatest, and
-- the number of jobs put.

local sluice = require "sluice"
local jobs = require "sluice.jobs"
local clock = require "bench_clock"

local url, seconds, putters = arg[1], tonumber(arg[2]), tonumber(arg[3])
local NAP = 0.001

local function percentile(list, part)
  table.sort(list)
  return list[math.max(1, math.ceil(#list * part))]
end

sluice.run(function()
  local store <close> = assert(jobs.open(url))
  local queue = assert(store:queue "lag")
  local body, stopped, puts = ("x"):rep(200), false, 0
  local function putter()
    while not stopped do
      assert(queue:put(body))
      puts = puts + 1
    end
  end
  local tasks = {}
  for i = 1, putters do tasks[i] = sluice.create_task(putter) end
  local lags, due = {}, sluice.time() + seconds
  while sluice.time() < due do
    local began = clock.wall()
    sluice.sleep(NAP)
    lags[#lags + 1] = (clock.wall() - began) / 1e6 - NAP * 1e3
  end
  stopped = true
  for _, task in ipairs(tasks) do task:await() end
  print(("%.3f %.3f %d"):format(percentile(lags, 0.99), lags[#lags], puts))
end)
