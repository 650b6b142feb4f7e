-- Putters of every kind of item wait at a full queue, some in vain.
local common = require "common"
local sluice = common.sluice

for _, class in ipairs { "Queue", "LifoQueue", "PriorityQueue" } do
  local queue = sluice[class](1)
  queue:put_nowait(0)
  common.survives(function()
    for i = 1, 4 do
      sluice.create_task(function()
        local item = i == 2 and "text" or i == 3 and 1 << 60 or i
        pcall(queue.put, queue, item)
      end)
    end
    sluice.sleep(1)
    while #queue > 0 do queue:get_nowait() end
  end)
  common.check_idle(queue)
  local stats = queue:stats()
  assert(stats.puts == stats.gets + stats.size)
end
