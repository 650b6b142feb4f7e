-- A priority queue: three items, put in with the last one first, come out
-- by priority, the lowest number first. The priority is a number beside the
-- item, or the item is its own priority, compared by `__lt`.
--
--   sluice examples/priority.lua

local sluice = require "sluice"
local _, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {}

say("a priority beside each item")
local queue = sluice.PriorityQueue()
queue:put("lowest", 3)
queue:put("middle", 2)
queue:put("highest", 1)
queue:shutdown() -- no more to come: the loop below ends

for item, priority in queue do say("  %s, priority %d", item, priority) end

local Order = {}
Order.__index = Order
Order.__lt = function(a, b) return a.power_user and not b.power_user end

local function new_order(customer, power_user)
  return setmetatable({ customer = customer, power_user = power_user }, Order)
end

say("items that compare themselves")
local orders = sluice.PriorityQueue()
orders:put(new_order("Dora", false))
orders:put(new_order("Ada", true))
orders:put(new_order("Bert", true))
orders:shutdown()

for order in orders do
  say("  %s%s", order.customer, order.power_user and ", power user" or "")
end
