-- Deadlines, shields and cancellations, nested.
local common = require "common"
local sluice = common.sluice

local open = 0
local function linger() sluice.sleep(0.1) end
local guard = setmetatable({}, { __close = function()
  open = open - 1
  sluice.shield(linger)
end })

common.survives(function()
  sluice.wait_for(1, function()
    local _ <close> = guard
    open = open + 1
    sluice.wait_for(2, sluice.sleep, 5)
  end)
  pcall(function()
    local deadline <close> = sluice.timeout(1)
    deadline:reschedule(0.5)
    sluice.sleep(3)
  end)
  local task = sluice.create_task(function()
    local _ <close> = guard
    open = open + 1
    sluice.shield(function()
      local _ <close> = sluice.timeout(0.5)
      sluice.pcall(sluice.sleep, 2)
    end)
    sluice.sleep(9)
  end)
  sluice.sleep(0.1)
  task:cancel({ "a reason" })
  task:pawait()
end)
assert(open == 0, "to-be-closed variables were not closed")
