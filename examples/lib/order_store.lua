--[[
The queue of order_api.lua in a job store. Its orders are jobs: one is put
when it is accepted, leased while a worker is at it, and gone when it is
finished. What a process that was killed had begun is begun again: by itself,
when it is started anew, or by another one on the same store.

So an order may be worked on twice, never not at all. Work that must not be
done twice asks by the order's number whether it was done.
]]

local jobs = require "sluice.jobs"
local sluice = require "sluice"

local REASONS = {
  full = "the queue is full", closed = "no more orders",
  disk_full = "the disk is full", unavailable = "the store is unavailable",
  unknown = "the store does not answer; the order may have been accepted",
}

local function fail(message)
  io.stderr:write(arg[0], ": ", message, "\n")
  os.exit(1)
end

local function open(options)
  local store, message = jobs.open(options.store)
  if not store then fail("--store: " .. message) end
  local queue, reason, detail = store:queue("orders", {
    maxsize = options.queue, lease = options.lease,
  })
  if not queue then fail("--store: " .. (detail or reason)) end
  return store, queue
end

return function(options, say)
  local store, queue = open(options)
  local workers, orders, closing = {}, {}, false
  local line = sluice.Lock()   -- who waits for room, in order of arrival
  local room = sluice.Event() -- there may be some

  --- Not asked at each order: it would be a call of the store.
  function orders.waiting() return "" end

  local function put(order)
    if closing then return nil, "closed" end
    return queue:put({ order = order.id }, { priority = order.priority })
  end

  -- Waits for room. A worker of this process makes some; so may another
  -- process, which is why it looks once a second.
  local function put_in_line(order)
    local turn <close> = line:acquire() -- luacheck: ignore turn
    while true do
      local id, reason = put(order)
      if id or reason ~= "full" then return id, reason end
      room:wait(1)
    end
  end

  --- Puts an order into the store, and gives it its number; or returns nil
  -- and why not. The order is there to stay when this returns.
  function orders.put(order)
    local id, reason = nil, "full"
    if options.fail_fast or not line:locked() then id, reason = put(order) end
    if reason == "full" and not options.fail_fast then
      id, reason = put_in_line(order)
    end
    if not id then return nil, REASONS[reason] or reason end
    order.id = id
    return true
  end

  local function start_worker(work, n)
    return assert(store:worker("orders", function(job)
      room:set()
      room:clear()
      work({ id = job.id, priority = job.priority }, n)
    end))
  end

  --- Starts workers: work(order, number of the worker).
  function orders.start(work)
    local stats = assert(queue:stats())
    say("%d orders from before", stats.ready + stats.delayed + stats.leased)
    for n = 1, options.workers do workers[n] = start_worker(work, n) end
  end

  --- Ends the workers within the grace. All else stays in the store.
  function orders.stop()
    closing = true
    room:set()
    local stops = {}
    for n, worker in ipairs(workers) do
      stops[n] = sluice.create_task(worker.stop, worker, options.grace)
    end
    for _, stop in ipairs(stops) do stop:await() end
    local stats = queue:stats()
    if stats then
      say("%d orders stay in the store", stats.ready + stats.delayed)
    end
    store:close()
    return {}
  end

  return orders
end
