-- How long a job takes from one process to another: from the call of put in
-- this one to the return of reserve in its child, which waits for it.
--
-- usage: across.lua URL JOBS
-- Prints the 99th percentile and the median in milliseconds.

local sluice = require "sluice"
local jobs = require "sluice.jobs"
local clock = require "bench_clock"

local url, n, role = arg[1], tonumber(arg[2]), arg[3]
local PAUSE = 0.005 -- seconds between two jobs: the other waits by then

local function take()
  local store <close> = assert(jobs.open(url))
  local queue = assert(store:queue "across")
  local took = {}
  print "ready"
  io.stdout:flush()
  for i = 1, n do
    local job = assert(queue:reserve(30))
    took[i] = (clock.wall() - tonumber(job.body)) / 1e6
    job:ack()
  end
  table.sort(took)
  print(("%.3f %.3f"):format(took[math.ceil(n * 0.99)], took[(n + 1) // 2]))
end

local function put()
  local store <close> = assert(jobs.open(url))
  local queue = assert(store:queue "across")
  for _ = 1, n do
    sluice.sleep(PAUSE)
    assert(queue:put(("%.0f"):format(clock.wall())))
  end
end

if role == "take" then
  sluice.run(take)
else
  local child <close> = assert(io.popen(("exec lua5.4 '%s' '%s' %d take")
    :format(arg[0], url, n)))
  assert(child:read "l" == "ready")
  sluice.run(put)
  print(child:read "l")
end
