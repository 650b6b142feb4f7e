-- Tasks are made, end, fail and are awaited.
local common = require "common"
local sluice = common.sluice

common.survives(function()
  local list = {}
  for i = 1, 5 do
    list[i] = sluice.create_task(function(...)
      sluice.sleep(i)
      if i == 3 then error("three", 0) end
      return i, ...
    end, 1, 2, 3, 4, 5, 6)
  end
  list[1].name = "first"
  list[1]:await()
  list[3]:pawait()
  list[4]:pawait(0.1)
  list[5]:cancel("enough")
  list[5]:pawait()
  assert(select("#", list[4]:await()) == 7)
end)
