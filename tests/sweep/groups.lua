-- Groups, gather, wait, as_completed: children end, whatever happens.
local common = require "common"
local sluice = common.sluice

local begun, ended = 0, 0
local guard = setmetatable({}, { __close = function() ended = ended + 1 end })

local function child(seconds, fails)
  local _ <close> = guard
  begun = begun + 1
  sluice.sleep(seconds)
  if fails then error("failed", 0) end
  return seconds
end

common.survives(function()
  sluice.task_group(function(group)
    for i = 1, 3 do group:create_task(child, i) end
  end)
  pcall(sluice.task_group, function(group)
    group:create_task(child, 5)
    group:create_task(child, 1, true)
  end)
  local first = sluice.create_task(child, 1)
  local second = sluice.create_task(child, 2)
  sluice.wait({ first, second }, { return_when = "FIRST_COMPLETED" })
  for task in sluice.as_completed { first, second } do task:await() end
  sluice.gather { function() return child(1) end, second }
  pcall(sluice.gather, { function() child(1, true) end, function()
    child(9)
  end })
end)
assert(begun == ended, begun .. " began, " .. ended .. " ended")
