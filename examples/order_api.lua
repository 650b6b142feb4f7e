-- The order API: POST /order puts an order on a priority queue and answers
-- at once; workers process the orders, those of power users first, and in
-- order of arrival among equals. At SIGTERM or Ctrl-C no more orders are
-- taken; those in the queue are finished, if that takes no longer than the
-- grace, and what was not finished is told.
--
--   sluice examples/order_api.lua
--   curl localhost:8080/order -d '{"power_user": true}'
--   curl localhost:8080/order -d '{"power_user": "False"}'
--
-- With a store the queue is a file, or at a Redis server: an order is
-- answered when it is written down, and kill -9 loses none. Start the script
-- again, and it goes on. At SIGTERM the orders that wait stay in the store.
--
--   sluice examples/order_api.lua --store sqlite:orders.db
--   sluice jobs sqlite:orders.db watch
--
-- Options: --host 127.0.0.1, --port 8080 (0 picks one), --workers 5,
-- --queue 10 orders that wait, --delay 5 seconds at most for an order,
-- --grace 10 seconds, --fail-fast: when the queue is full, answer 503
-- instead of waiting; --quiet: tell nothing of the orders; --store URL:
-- sqlite:PATH, redis://HOST:PORT, memory:; --lease 5: seconds after which
-- Redis gives the orders of a process that is gone to another.

local sluice = require "sluice"
local http = require "sluice.http"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  host = "127.0.0.1", port = 8080, workers = 5, queue = 10, delay = 5,
  grace = 10, fail_fast = false, quiet = false, store = "", lease = 5,
}

local POWER, ORDINARY = 1, 2
local priorities = {
  [true] = POWER, True = POWER, [false] = ORDINARY, False = ORDINARY,
}
local kinds = { [POWER] = "power user", [ORDINARY] = "ordinary user" }

local app = http.App()
local busy = {} -- worker to the order it is at
local came, accepted, finished = 0, 0, 0
local loud = not options.quiet

local function tell(order, message, ...)
  if not loud then return end
  say("order %d (%s) " .. message, order.id, kinds[order.priority], ...)
end

--- The queue in memory. lib/order_store.lua has the one in a store.
local function in_memory()
  local queue, workers, orders = sluice.PriorityQueue(options.queue), {}, {}

  function orders.waiting()
    return (", %d waiting"):format(#queue)
  end

  --- Puts an order on the queue, or returns nil and why not.
  function orders.put(order)
    local put = options.fail_fast and queue.put_nowait or queue.put
    local open, done = sluice.pcall(put, queue, order, order.priority)
    if not open then return nil, "no more orders" end
    return done, "the queue is full"
  end

  --- Starts workers: work(order, number of the worker).
  function orders.start(work)
    for n = 1, options.workers do
      workers[n] = sluice.create_task(function()
        for order in queue do
          work(order, n)
          queue:task_done()
        end
      end)
    end
  end

  --- Ends the workers within the grace; the orders that none has begun.
  function orders.stop()
    queue:shutdown()
    queue:join(options.grace)
    for _, worker in ipairs(workers) do worker:cancel() end
    return queue:shutdown(true)
  end

  return orders
end

local orders = options.store == "" and in_memory()
  or dofile(arg[0]:gsub("[^/]*$", "lib/order_store.lua"))(options, say)

local function refuse(order, reason)
  tell(order, "refused: %s", reason)
  return 503, { error = reason }, { ["Retry-After"] = "1" }
end

app:post("/order", function(request)
  local body, message = request:json()
  if message then return 400, { error = message } end
  local priority = type(body) == "table" and priorities[body.power_user]
  if not priority then
    return 400, { error = 'power_user: true, false, "True" or "False"' }
  end

  came = came + 1
  local order = { id = came, priority = priority }
  local done, reason = orders.put(order)
  if not done then return refuse(order, reason) end
  accepted = accepted + 1
  if loud then tell(order, "accepted%s", orders.waiting()) end
  return 202, { order = order.id, power_user = priority == POWER }
end)

local function work(order, worker)
  busy[worker] = order
  if loud then
    tell(order, "started by worker %d%s", worker, orders.waiting())
  end
  sluice.sleep(math.random() * options.delay)
  busy[worker] = nil
  finished = finished + 1
  if loud then tell(order, "finished by worker %d", worker) end
end

app:on_startup(function() orders.start(work) end)

app:on_shutdown(function()
  say("closing%s", orders.waiting())
  local left = orders.stop()
  for _, order in pairs(busy) do tell(order, "not finished") end
  for _, order in ipairs(left) do tell(order, "not started") end
end)

local served = app:run {
  host = options.host, port = options.port, grace = options.grace + 1,
  on_listen = function(host, port)
    say("listening on http://%s:%d", host, port)
  end,
}
if not served then os.exit(1) end -- it has told why it cannot listen
say("%d orders accepted, %d finished", accepted, finished)
