-- Whether several processes share a store well: each puts a job, reserves
-- one and acknowledges it, again and again, as long as the others do.
--
-- usage: crowd.lua URL PROCESSES SECONDS TASKS
-- Prints the jobs a second of all together, the share of the slowest in the
-- mean, and how many calls failed.

local sluice = require "sluice"
local jobs = require "sluice.jobs"
local clock = require "bench_clock"

local url, n, seconds, tasks, start =
  arg[1], tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4]), arg[5]
local OPENING = 0.5 -- seconds, for all to be ready

local done, failed = 0, 0

local function succeeds(result)
  if not result then failed = failed + 1 end
  return result
end

local function cycle(queue, until_ns)
  local body = ("x"):rep(200)
  while clock.wall() < until_ns do
    succeeds(queue:put(body))
    local job = succeeds(queue:reserve(5))
    if job then succeeds(job:ack()) end
    done = done + 1
  end
end

local function one(start_ns)
  local store <close> = assert(jobs.open(url))
  local queue = assert(store:queue "crowd")
  sluice.sleep(math.max(0, (start_ns - clock.wall()) / 1e9))
  sluice.task_group(function(group)
    for _ = 1, tasks do
      group:create_task(cycle, queue, start_ns + seconds * 1e9)
    end
  end)
  print(done, failed)
end

if start then
  sluice.run(one, tonumber(start))
  return
end
local children, total, least, failures = {}, 0, math.huge, 0
for i = 1, n do
  children[i] = assert(io.popen(("exec lua5.4 '%s' '%s' %d %g %d %.0f")
    :format(arg[0], url, n, seconds, tasks,
      clock.wall() + OPENING * 1e9)))
end
for _, child in ipairs(children) do
  local count, failing = child:read("n", "n")
  assert(count, "a process failed")
  total, failures = total + count, failures + failing
  least = math.min(least, count)
  child:close()
end
print(("%.0f %.2f %d"):format(total / seconds, least * n / total, failures))
