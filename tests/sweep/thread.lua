-- Functions in other states: arguments and results that are tables.
local common = require "common"
local sluice = common.sluice

common.survives(function()
  local function double(list)
    local out = {}
    for i = 1, #list do out[i] = list[i] * 2 end
    return out, "done"
  end
  local result = sluice.to_thread(double, { 1, 2, 3, name = "x" })
  assert(result[3] == 6)
  pcall(sluice.to_thread, error, "oops")
  pcall(sluice.to_thread, function() error("oops", 0) end)
end)
