--[[
Reads the log of order_api.lua, line by line, and knows from it who waits, who
is served and what became of each order. demo.lua shows it and the service's
spec checks it.
]]

local order_log = {}
order_log.__index = order_log

local EVENT = "^%s*([%d.]+)  order (%d+) %((%l+) user%) (%l+)"

function order_log.new()
  return setmetatable({
    orders = {},    -- by number
    served = {},    -- in the order they were started
    now = 0,        -- the time of the last event
    accepted = 0, finished = 0,
    twice = 0,      -- started or finished again
    contested = 0,  -- starts while both kinds waited,
    power_first = 0 -- and a power user was taken
  }, order_log)
end

--- The orders in the queue, in the order they will be started.
function order_log:waiting()
  local list = {}
  for _, order in pairs(self.orders) do
    if order.waits then list[#list + 1] = order end
  end
  table.sort(list, function(a, b)
    if a.power ~= b.power then return a.power end
    return a.place < b.place
  end)
  return list
end

local events = {}

--- After it none waits: then it did not either, but went to an idle worker.
function events.accepted(log, order, at, line)
  log.accepted = log.accepted + 1
  order.accepted, order.place = at, log.accepted
  order.waits = not order.started and not line:find(" 0 waiting", 1, true)
end

function events.started(log, order, at, line)
  if order.started then log.twice = log.twice + 1 end
  local waiting = log:waiting()
  if order.waits and waiting[1].power and not waiting[#waiting].power then
    log.contested = log.contested + 1
    if order.power then log.power_first = log.power_first + 1 end
  end
  order.started, order.waits = at, false
  order.worker = tonumber(line:match("worker (%d+)"))
  table.insert(log.served, order)
end

function events.finished(log, order, at)
  if order.finished then log.twice = log.twice + 1 end
  log.finished = log.finished + 1
  order.finished = at
end

--- Takes note of a line; one that is about no order changes nothing.
function order_log:read(line)
  local at, id, kind, event = line:match(EVENT)
  if not events[event] then return end
  id = tonumber(id)
  local order = self.orders[id] or { id = id, power = kind == "power" }
  self.orders[id], self.now = order, tonumber(at)
  events[event](self, order, self.now, line)
end

--- How long the orders of a kind waited on average, and how many there were.
function order_log:mean_wait(power)
  local sum, count = 0, 0
  for _, order in ipairs(self.served) do
    if order.power == power then
      sum = sum + order.started - (order.accepted or order.started)
      count = count + 1
    end
  end
  return count > 0 and sum / count or 0, count
end

--- The orders accepted and never finished.
function order_log:lost()
  local list = {}
  for id, order in pairs(self.orders) do
    if order.accepted and not order.finished then list[#list + 1] = id end
  end
  table.sort(list)
  return list
end

return order_log
