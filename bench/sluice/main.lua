-- The workloads on sluice: `lua5.4 main.lua WORKLOAD N` prints one number.
-- Each function calls what the function of the same name in raw/main.lua
-- calls, in the same order. What one operation is, and how it is measured, is
-- told in bench/workloads.lua.

local sluice = require "sluice"

local workload, count = arg[1], math.tointeger(tonumber(arg[2]))

if workload == "start" then
  sluice.run(function() end)
  return
end

local clock = require "bench_clock"

--- Nanoseconds an operation of `body(n)`, after a warm-up of a tenth.
local function timed(body, n, now)
  now = now or clock.wall
  body(n // 10)
  collectgarbage()
  local start = now()
  body(n)
  return (now() - start) / n
end

local function await_all(tasks)
  for i = 1, #tasks do
    tasks[i]:await()
  end
end

local function spawn_all(n, body)
  local tasks = {}
  for i = 1, n do
    tasks[i] = sluice.create_task(body)
  end
  return tasks
end

local run = {}

function run.handover(n)
  local queue = sluice.Queue(1)
  sluice.create_task(function()
    for i = 1, n do
      queue:put(i)
    end
  end)
  for _ = 1, n do
    queue:get()
  end
end

function run.workers(n)
  local queue = sluice.Queue(100)
  local workers = spawn_all(10, function()
    while true do
      queue:get()
      queue:task_done()
    end
  end)
  for i = 1, n do
    queue:put(i)
  end
  queue:join()
  for _, worker in ipairs(workers) do
    worker:cancel()
  end
end

function run.yield(n)
  await_all(spawn_all(100, function()
    for _ = 1, n // 100 do
      sluice.sleep(0)
    end
  end))
end

local function nothing() end

function run.spawn(n)
  await_all(spawn_all(n, nothing))
end

function run.spawn_one(n)
  for _ = 1, n do
    sluice.create_task(nothing):await()
  end
end

function run.sleepers(n)
  await_all(spawn_all(n, function()
    sluice.sleep(math.random())
  end))
end

function run.priorities(n)
  local queue = sluice.PriorityQueue()
  for _ = 1, n do
    queue:put(math.random())
  end
  for _ = 1, n do
    queue:get()
  end
end

function run.lock(n)
  local lock = sluice.Lock()
  await_all(spawn_all(100, function()
    for _ = 1, n // 100 do
      lock:acquire()
      sluice.sleep(0)
      lock:release()
    end
  end))
end

function run.lock_free(n)
  local lock = sluice.Lock()
  for _ = 1, n do
    lock:acquire()
    lock:release()
  end
end

function run.wait_for_ready(n)
  local queue = sluice.Queue(1)
  local function get()
    return queue:get()
  end
  for i = 1, n do
    queue:put(i)
    sluice.wait_for(10, get)
  end
end

function run.wait_for_wait(n)
  local queue = sluice.Queue(1)
  local function get()
    return queue:get()
  end
  sluice.create_task(function()
    for i = 1, n do
      queue:put(i)
      sluice.sleep(0)
    end
  end)
  for _ = 1, n do
    sluice.wait_for(10, get)
  end
end

function run.broadcast(n)
  local event = sluice.Event()
  local rounds = n // 10000
  local tasks = spawn_all(10000, function()
    for _ = 1, rounds do
      event:wait()
    end
  end)
  for _ = 1, rounds do
    sluice.sleep(0)
    event:set()
    event:clear()
  end
  await_all(tasks)
end

local measure = {}

function measure.sleepers(n)
  return timed(run.sleepers, n, clock.cpu)
end

function measure.memory(n)
  local before = clock.rss()
  local tasks = spawn_all(n, function()
    sluice.sleep(3600)
  end)
  sluice.sleep(0)
  return (clock.rss() - before) / #tasks
end

--- How late each of n sleeps woke, in nanoseconds, sorted.
local function lateness(n)
  local late = {}
  await_all(spawn_all(n, function()
    local duration = math.random()
    local start = clock.wall()
    sluice.sleep(duration)
    late[#late + 1] = clock.wall() - start - duration * 1e9
  end))
  table.sort(late)
  return late
end

function measure.early(n)
  local early = 0
  for _, late in ipairs(lateness(n)) do
    early = early + (late < 0 and 1 or 0)
  end
  return early
end

function measure.late(n)
  return lateness(n)[n // 2] / 1000
end

sluice.run(function()
  local result
  if measure[workload] then
    result = measure[workload](count)
  else
    result = timed(run[workload], count)
  end
  print(result)
  -- Without the time that it takes to end what the workload left behind.
  io.stdout:flush()
  os.exit(true, false)
end)
