-- Equal priorities come out in the order they went in. (asyncio's queue
-- gives no such promise: its heap moves equal items around each other, and
-- where the priorities are equal it compares the items.)
--
--   sluice examples/priority_ties.lua

local sluice = require "sluice"
local _, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {}

local queue = sluice.PriorityQueue()

local function put(item, priority)
  say("put %s, priority %d", item, priority)
  queue:put(item, priority)
end

put("low, first", 3)
put("low, second", 3)
put("low, third", 3)
put("medium", 2)
put("high", 1)
queue:shutdown()

for item, priority in queue do say("got %s, priority %d", item, priority) end
