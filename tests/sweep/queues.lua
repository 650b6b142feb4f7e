-- Items go through queues of the three kinds; none is lost.
local common = require "common"
local sluice = common.sluice

for _, class in ipairs { "Queue", "LifoQueue", "PriorityQueue" } do
  local queue, put, got = sluice[class](3), 0, 0
  common.survives(function()
    local producer = sluice.create_task(function()
      for i = 1, 9 do
        queue:put(i)
        put = put + 1
      end
    end)
    while got < 9 and queue:get(100) do got = got + 1 end
    producer:await()
  end)
  common.check_idle(queue)
  local stats = queue:stats()
  assert(stats.puts == put and stats.gets == got)
  assert(#queue:shutdown(true) == put - got)
end
