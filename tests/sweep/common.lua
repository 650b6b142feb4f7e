--- What the scenarios of the sweep share.

local armed = require "sweep".armed
local sluice = require "sluice"

local common = { armed = armed, sluice = sluice }

-- All peers are in this process: what they say is there at once.
require("sluice.core").testing.grace(1)

-- An error for want of memory may reach nobody who awaits it.
sluice.on_error(function() end)
warn "@off"

--- Runs main in virtual time.
function common.run(main)
  return sluice.Runner { clock = "virtual" }:run(main)
end

--- Runs main armed: either it ends, or it raises for want of memory.
-- @return whether it ended
function common.survives(main)
  local runner = sluice.Runner { clock = "virtual" }
  local ok, err = armed(runner.run, runner, main)
  if not ok and not tostring(err):find "not enough memory" then
    error(err, 0)
  end
  common.check_loop()
  return ok, err
end

--- Checks that nothing is left of a run, and that another one works.
function common.check_loop()
  assert(sluice.stats().tasks == 0, "tasks are left")
  assert(sluice.stats().ready == 0, "ready ones are left")
  assert(sluice.stats().timers == 0, "timers are left")
  assert(#sluice.all_tasks() == 0, "live tasks are left")
  assert(common.run(function()
    local queue = sluice.Queue(1)
    local task = sluice.create_task(function()
      for i = 1, 3 do queue:put(i) end
      queue:shutdown()
    end)
    local sum = 0
    for item in queue do sum = sum + item end
    task:await()
    sluice.sleep(1)
    return sum
  end) == 6)
end

--- Checks that nobody waits at an object, by its tostring.
function common.check_idle(...)
  for _, object in ipairs { ... } do
    local text = tostring(object)
    text = text:gsub("of %d+ waiting", "waiting")
    assert(not text:find "[1-9]%d* waiting", text)
    assert(not text:find "[1-9]%d* getter", text)
    assert(not text:find "[1-9]%d* putter", text)
  end
end

return common
