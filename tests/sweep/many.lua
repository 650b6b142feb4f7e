-- More tasks than there is room for at first, asleep and cancelled.
local common = require "common"
local sluice = common.sluice

local made, ended = 0, 0
local guard = setmetatable({}, { __close = function() ended = ended + 1 end })

local function nap(i)
  local _ <close> = guard
  made = made + 1
  sluice.sleep(i % 7)
end

common.survives(function()
  local list = {}
  for i = 1, 140 do list[i] = sluice.create_task(nap, i) end
  sluice.sleep(3)
  for i = 1, 140, 3 do list[i]:cancel() end
  for i = 1, 140 do list[i]:pawait() end
end)
assert(made == ended, made .. " began, " .. ended .. " ended")
