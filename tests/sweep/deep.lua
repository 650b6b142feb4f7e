-- Waiting deep in a recursion, where the stack itself cannot grow.
local common = require "common"
local sluice = common.sluice

local lock, condition = sluice.Lock(), sluice.Condition()
local barrier, queue = sluice.Barrier(2), sluice.Queue(1)

local function deep(n, fn, ...)
  if n == 0 then return fn(...) end
  return (deep(n - 1, fn, ...))
end

local function waits(n)
  do
    local _ <close> = deep(n, lock.acquire, lock, 1)
  end
  do
    local _ <close> = condition:acquire()
    deep(n, condition.wait, condition, 1)
  end
  deep(n, barrier.wait, barrier, 1)
  deep(n, queue.put, queue, n, 1)
  deep(n, queue.get, queue, 1)
  deep(n, sluice.sleep, 0)
  deep(n, sluice.wait_for, 1, sluice.sleep, 2)
end

common.survives(function()
  local list = {}
  for i, n in ipairs { 3, 40, 170 } do
    list[i] = sluice.create_task(waits, n)
  end
  for _, task in ipairs(list) do task:pawait() end
end)
common.check_idle(lock, condition, barrier, queue)
assert(not lock:locked() and not condition:locked())
assert(barrier:n_waiting() == 0)
