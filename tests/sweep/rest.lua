-- Futures, scheduled calls, tracebacks, dumps, tostring, on_error.
local common = require "common"
local sluice = common.sluice

local future = sluice.Future()
common.survives(function()
  local waiter = sluice.create_task(function() return future:await(9) end)
  sluice.call_soon(function() end)
  local handle = sluice.call_later(5, error, "never")
  sluice.call_at(sluice.time() + 1, function()
    if not future:done() then future:set_result(1, 2, 3) end
  end)
  sluice.sleep(2)
  handle:cancel()
  waiter:pawait()
  sluice.dump()
  sluice.stats()
  tostring(waiter)
  tostring(sluice.Queue(4))
  sluice.all_tasks()
  sluice.create_task(error, "nobody awaits me")
  sluice.sleep(1)
  sluice.Event():wait(1)
end)

-- A deadlock, whose error tells of all tasks.
local event = sluice.Event()
local ok, err = common.survives(function()
  local ok, err = pcall(event.wait, event)
  assert(not ok)
  err = tostring(err)
  assert(err:find "deadlock" or err:find "not enough memory", err)
end)
assert(ok or err)
common.check_idle(event)
