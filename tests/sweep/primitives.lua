-- Locks, semaphores, events, conditions and barriers under contention.
local common = require "common"
local sluice = common.sluice

local lock, semaphore = sluice.Lock(), sluice.BoundedSemaphore(2)
local event, barrier = sluice.Event(), sluice.Barrier(3)
local condition = sluice.Condition()

local function worker(i)
  do
    local _ <close> = lock:acquire()
    sluice.sleep(0.1)
  end
  do
    local _ <close> = semaphore:acquire()
    sluice.sleep(0.1)
  end
  event:wait(5)
  barrier:wait(5)
  local _ <close> = condition:acquire()
  if i == 3 then
    condition:notify_all()
  else
    condition:wait(5)
  end
end

common.survives(function()
  local list = {}
  for i = 1, 3 do list[i] = sluice.create_task(worker, i) end
  sluice.sleep(1)
  event:set()
  for i = 1, 3 do list[i]:await() end
end)
common.check_idle(lock, semaphore, event, condition, barrier)
assert(not lock:locked() and not condition:locked())
assert(semaphore:value() == 2 and barrier:n_waiting() == 0)
