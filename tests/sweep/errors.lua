-- Calls that fail raise what they say, or want of memory; nothing changes.
local common = require "common"
local armed, sluice = common.armed, common.sluice

local lock, queue = sluice.Lock(), sluice.PriorityQueue(2)
local bounded = sluice.BoundedSemaphore(1)
queue:put_nowait("a", 1)

local calls = {
  function() lock:release() end,
  function() lock:acquire("1") end,
  function() queue:put_nowait(nil) end,
  function() queue:put_nowait("b", "x") end,
  function() queue:put_nowait({}) end,
  function() queue:get() end,
  function() queue:task_done() queue:task_done() end,
  function() bounded:release() end,
  function() sluice.Barrier(0) end,
  function() sluice.sleep(-1) end,
  function() sluice.run(3) end,
}
local messages = {}
for i, call in ipairs(calls) do messages[i] = select(2, pcall(call)) end
for i, call in ipairs(calls) do
  local ok, err = armed(call)
  assert(not ok)
  assert(err == messages[i] or err:find "not enough memory", err)
end
assert(#queue == 1 and bounded:value() == 1 and not lock:locked())
common.check_loop()
