-- A lock keeps together what a wait would tear apart: tasks that read a
-- counter, wait and write it back undo each other's work, unless one lock
-- goes around all three. A semaphore lets in more than one: a thousand
-- requests, never more than ten of them at once.
--
--   sluice examples/lock_and_semaphore.lua
--   sluice examples/lock_and_semaphore.lua --requests 100 --limit 3
--
-- Options: --tasks 10 that count, --requests 1000 of at most --delay 0.05
-- seconds each, --limit 10 at once.

local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  tasks = 10, requests = 1000, delay = 0.05, limit = 10,
}

--- Runs fn in n tasks at once and waits for all of them.
local function times(n, fn)
  local tasks = {}
  for i = 1, n do tasks[i] = sluice.create_task(fn, i) end
  sluice.gather(tasks)
end

local counter

local function increment()
  local value = counter
  sluice.sleep(0.01) -- meanwhile the others read the same value
  counter = value + 1
end

counter = 0
times(options.tasks, increment)
say("%d tasks count to %d without a lock", options.tasks, counter)

local lock = sluice.Lock()

counter = 0
times(options.tasks, function()
  local _ <close> = lock:acquire()
  increment()
end)
say("%d tasks count to %d with a lock", options.tasks, counter)

local semaphore = sluice.Semaphore(options.limit)
local running, most, done = 0, 0, 0

times(options.requests, function()
  local _ <close> = semaphore:acquire()
  running = running + 1
  most = math.max(most, running)
  sluice.sleep(math.random() * options.delay)
  done = done + 1
  if done % 100 == 0 then
    say("%d requests done, %d running", done, running)
  end
  running = running - 1
end)
say("%d requests done, at most %d at once", done, most)
