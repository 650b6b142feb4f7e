-- What sluice's job stores take, in the forms of the yardsticks.
--
-- usage: throughput.lua URL put JOBS OUTSTANDING BYTES [fast]
--        throughput.lua URL take JOBS MANY BYTES [fast]
--        throughput.lua URL life JOBS CONCURRENCY BYTES [fast]
--        throughput.lua URL make          an empty queue, for raw_sqlite
--        throughput.lua DIRECTORY scripts what the engine redis: runs, in files
--
-- put: so many tasks put one job after the other; with one outstanding the
-- task that runs does it. take: reserve_many and ack_many of so many. life:
-- put, then a worker of that concurrency, which acknowledges one by one. fast:
-- a commit survives the process, not a power cut. Prints jobs a second (life:
-- those put, those worked off), after a warm-up of a tenth.

local sluice = require "sluice"
local jobs = require "sluice.jobs"

local url, what = arg[1], arg[2]
local n, size, bytes = math.tointeger(tonumber(arg[3])),
  math.tointeger(tonumber(arg[4])), math.tointeger(tonumber(arg[5]))
local body = ("x"):rep(bytes or 0)
local FILLING = 1000

local function put(queue, count)
  local left = count
  local function putter()
    while left > 0 do
      left = left - 1
      assert(queue:put(body))
    end
  end
  if size == 1 then return putter() end
  local tasks = {}
  for i = 1, size do tasks[i] = putter end
  sluice.gather(tasks)
end

local function fill(queue, count)
  local bodies = {}
  for i = 1, FILLING do bodies[i] = body end
  for _ = 1, count, FILLING do assert(queue:put_many(bodies)) end
end

local function take(queue, count)
  local taken = 0
  while taken < count do
    local list = assert(queue:reserve_many(size, 0))
    assert(queue:ack_many(list))
    taken = taken + #list
  end
end

local function work(queue, count)
  local done, finished = 0, sluice.Event()
  local worker = queue.store:worker(queue.name, function()
    done = done + 1
    if done == count then finished:set() end
  end, { concurrency = size, prefetch = size })
  finished:wait()
  worker:stop()
end

-- Jobs a second.
local function timed(run, queue, count)
  collectgarbage()
  local start = sluice.time()
  run(queue, count)
  return ("%.0f"):format(count / (sluice.time() - start))
end

local modes = {}

function modes.make() end

function modes.put(queue)
  put(queue, n // 10)
  print(timed(put, queue, n))
end

function modes.take(queue)
  fill(queue, n + n // 10 + FILLING)
  take(queue, n // 10)
  print(timed(take, queue, n))
end

function modes.life(queue)
  put(queue, n // 10)
  work(queue, n // 10)
  print(timed(put, queue, n), timed(work, queue, n))
end

local function main()
  local store <close> = assert(jobs.open(url, { durable = arg[6] ~= "fast" }))
  modes[what](assert(store:queue "bench"))
end

if what == "scripts" then
  for name, text in pairs(require "sluice.jobs.redis.scripts") do
    local file <close> = assert(io.open(url .. "/" .. name, "w"))
    file:write(text)
  end
else
  sluice.run(main)
end
