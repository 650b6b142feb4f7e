-- The workloads on raw, the yardstick: `lua5.4 main.lua WORKLOAD N` prints one
-- number. Each function here calls what the function of the same name in
-- sluice/main.lua calls, in the same order, so that the two differ by what
-- the library does and by nothing else. What one operation is, and how it is
-- measured, is told in bench/workloads.lua.

local raw = require "raw"

local workload, count = arg[1], math.tointeger(tonumber(arg[2]))

if workload == "start" then
  raw.run(function() end)
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
    tasks[i] = raw.spawn(body)
  end
  return tasks
end

local run = {}

function run.handover(n)
  local queue = raw.queue(1)
  raw.spawn(function()
    for i = 1, n do
      queue:put(i)
    end
  end)
  for _ = 1, n do
    queue:get()
  end
end

function run.workers(n)
  local queue = raw.queue(100)
  spawn_all(10, function()
    while true do
      queue:get()
      queue:task_done()
    end
  end)
  for i = 1, n do
    queue:put(i)
  end
  queue:join()
end

function run.yield(n)
  await_all(spawn_all(100, function()
    for _ = 1, n // 100 do
      raw.sleep(0)
    end
  end))
end

local function nothing() end

function run.spawn(n)
  await_all(spawn_all(n, nothing))
end

function run.spawn_one(n)
  for _ = 1, n do
    raw.spawn(nothing):await()
  end
end

function run.sleepers(n)
  await_all(spawn_all(n, function()
    raw.sleep(math.random())
  end))
end

function run.priorities(n)
  local heap = raw.heap()
  for _ = 1, n do
    heap:push(math.random())
  end
  for _ = 1, n do
    heap:pop()
  end
end

function run.lock(n)
  local lock = raw.lock()
  await_all(spawn_all(100, function()
    for _ = 1, n // 100 do
      lock:acquire()
      raw.sleep(0)
      lock:release()
    end
  end))
end

function run.lock_free(n)
  local lock = raw.lock()
  for _ = 1, n do
    lock:acquire()
    lock:release()
  end
end

function run.wait_for_ready(n)
  local queue = raw.queue(1)
  local function get()
    return queue:get()
  end
  for i = 1, n do
    queue:put(i)
    raw.wait_for(10, get)
  end
end

function run.wait_for_wait(n)
  local queue = raw.queue(1)
  local function get()
    return queue:get()
  end
  raw.spawn(function()
    for i = 1, n do
      queue:put(i)
      raw.sleep(0)
    end
  end)
  for _ = 1, n do
    raw.wait_for(10, get)
  end
end

function run.broadcast(n)
  local event = raw.event()
  local rounds = n // 10000
  local tasks = spawn_all(10000, function()
    for _ = 1, rounds do
      event:wait()
    end
  end)
  for _ = 1, rounds do
    raw.sleep(0)
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
    raw.sleep(3600)
  end)
  raw.sleep(0)
  return (clock.rss() - before) / #tasks
end

--- How late each of n sleeps woke, in nanoseconds, sorted.
local function lateness(n)
  local late = {}
  await_all(spawn_all(n, function()
    local duration = math.random()
    local start = clock.wall()
    raw.sleep(duration)
    late[#late + 1] = clock.wall() - start - duration * 1e9
  end))
  table.sort(late)
  return late
end

function measure.late(n)
  return lateness(n)[n // 2] / 1000
end

raw.run(function()
  local result
  if measure[workload] then
    result = measure[workload](count)
  else
    result = timed(run[workload], count)
  end
  print(result)
  os.exit(true, false)
end)
