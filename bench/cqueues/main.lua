-- The workloads on cqueues: `lua5.4 main.lua WORKLOAD N` prints one number.
-- What one operation is, and how it is measured, is told in
-- bench/workloads.lua. cqueues has coroutines, sleep and condition variables;
-- its users write queues, locks, events and tasks to await on top of these,
-- as is done here.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"

local workload, count = arg[1], math.tointeger(tonumber(arg[2]))
local loop = cqueues.new()

if workload == "start" then
  loop:wrap(function() end)
  assert(loop:loop())
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

local function yield()
  cqueues.sleep(0)
end

local Task = {}
Task.__index = Task

local function spawn(body)
  local task = setmetatable({ done = false }, Task)
  loop:wrap(function()
    body()
    task.done = true
    if task.ended then
      task.ended:signal()
    end
  end)
  return task
end

function Task:await()
  while not self.done do
    self.ended = self.ended or condition.new()
    self.ended:wait()
  end
end

local Queue = {}
Queue.__index = Queue

local function new_queue(maxsize)
  return setmetatable({
    maxsize = maxsize, first = 1, last = 0, unfinished = 0,
    not_empty = condition.new(), not_full = condition.new(),
    all_done = condition.new(),
  }, Queue)
end

function Queue:put(item)
  while self.last - self.first + 1 >= self.maxsize do
    self.not_full:wait()
  end
  self.last = self.last + 1
  self[self.last] = item
  self.unfinished = self.unfinished + 1
  self.not_empty:signal(1)
end

function Queue:get()
  while self.last < self.first do
    self.not_empty:wait()
  end
  local item = self[self.first]
  self[self.first] = nil
  self.first = self.first + 1
  self.not_full:signal(1)
  return item
end

function Queue:task_done()
  self.unfinished = self.unfinished - 1
  if self.unfinished == 0 then
    self.all_done:signal()
  end
end

function Queue:join()
  while self.unfinished > 0 do
    self.all_done:wait()
  end
end

local Lock = {}
Lock.__index = Lock

local function new_lock()
  return setmetatable({ held = false, free = condition.new() }, Lock)
end

function Lock:acquire()
  while self.held do
    self.free:wait()
  end
  self.held = true
end

function Lock:release()
  self.held = false
  self.free:signal(1)
end

local function await_all(tasks)
  for i = 1, #tasks do
    tasks[i]:await()
  end
end

local function spawn_all(n, body)
  local tasks = {}
  for i = 1, n do
    tasks[i] = spawn(body)
  end
  return tasks
end

local run = {}

function run.handover(n)
  local queue = new_queue(1)
  spawn(function()
    for i = 1, n do
      queue:put(i)
    end
  end)
  for _ = 1, n do
    queue:get()
  end
end

function run.workers(n)
  local queue = new_queue(100)
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
      yield()
    end
  end))
end

local function nothing() end

function run.spawn(n)
  await_all(spawn_all(n, nothing))
end

function run.spawn_one(n)
  for _ = 1, n do
    spawn(nothing):await()
  end
end

function run.sleepers(n)
  await_all(spawn_all(n, function()
    cqueues.sleep(math.random())
  end))
end

function run.lock(n)
  local lock = new_lock()
  await_all(spawn_all(100, function()
    for _ = 1, n // 100 do
      lock:acquire()
      yield()
      lock:release()
    end
  end))
end

function run.lock_free(n)
  local lock = new_lock()
  for _ = 1, n do
    lock:acquire()
    lock:release()
  end
end

-- A signal that comes before a task waits again is lost, and one turn is not
-- always enough for all to run: main counts those who wait.
function run.broadcast(n)
  local event = condition.new()
  local rounds, waiting = n // 10000, 0
  local tasks = spawn_all(10000, function()
    for _ = 1, rounds do
      waiting = waiting + 1
      event:wait()
    end
  end)
  for _ = 1, rounds do
    while waiting < 10000 do
      yield()
    end
    waiting = 0
    event:signal()
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
    cqueues.sleep(3600)
  end)
  yield()
  return (clock.rss() - before) / #tasks
end

--- How late each of n sleeps woke, in nanoseconds, sorted.
local function lateness(n)
  local late = {}
  await_all(spawn_all(n, function()
    local duration = math.random()
    local start = clock.wall()
    cqueues.sleep(duration)
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

loop:wrap(function()
  local result
  if measure[workload] then
    result = measure[workload](count)
  else
    result = timed(run[workload], count)
  end
  print(result)
  os.exit(true, false)
end)
assert(loop:loop())
