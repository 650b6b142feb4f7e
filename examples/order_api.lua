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
-- Options: --host 127.0.0.1, --port 8080 (0 picks one), --workers 5,
-- --queue 10 orders that wait, --delay 5 seconds at most for an order,
-- --grace 10 seconds, --fail-fast: when the queue is full, answer 503
-- instead of waiting; --quiet: tell nothing of the orders.

local sluice = require "sluice"
local http = require "sluice.http"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  host = "127.0.0.1", port = 8080, workers = 5, queue = 10, delay = 5,
  grace = 10, fail_fast = false, quiet = false,
}

local POWER, ORDINARY = 1, 2
local priorities = {
  [true] = POWER, True = POWER, [false] = ORDINARY, False = ORDINARY,
}
local kinds = { [POWER] = "power user", [ORDINARY] = "ordinary user" }

local app = http.App()
local orders = sluice.PriorityQueue(options.queue)
local busy = {} -- worker to the order it is at
local came, accepted, finished = 0, 0, 0
local loud = not options.quiet

local function tell(order, message, ...)
  if not loud then return end
  say("order %d (%s) " .. message, order.id, kinds[order.priority], ...)
end

--- Puts an order on the queue, or returns why not.
local function put(order)
  if options.fail_fast then
    return orders:put_nowait(order, order.priority)
  end
  return orders:put(order, order.priority)
end

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
  local open, done = sluice.pcall(put, order)
  if not open then return refuse(order, "no more orders") end
  if not done then return refuse(order, "the queue is full") end
  accepted = accepted + 1
  if loud then tell(order, "accepted, %d waiting", #orders) end
  return 202, { order = order.id, power_user = priority == POWER }
end)

local function work(worker)
  for order in orders do
    busy[worker] = order
    if loud then
      tell(order, "started by worker %d, %d waiting", worker, #orders)
    end
    sluice.sleep(math.random() * options.delay)
    busy[worker] = nil
    finished = finished + 1
    if loud then tell(order, "finished by worker %d", worker) end
    orders:task_done()
  end
end

local workers = {}

app:on_startup(function()
  for n = 1, options.workers do
    workers[n] = sluice.create_task(work, n)
  end
end)

app:on_shutdown(function()
  say("closing, %d waiting", #orders)
  orders:shutdown()
  orders:join(options.grace)
  for _, worker in ipairs(workers) do worker:cancel() end
  for _, order in pairs(busy) do tell(order, "not finished") end
  for _, order in ipairs(orders:shutdown(true)) do
    tell(order, "not started")
  end
end)

local served = app:run {
  host = options.host, port = options.port, grace = options.grace + 1,
  on_listen = function(host, port)
    say("listening on http://%s:%d", host, port)
  end,
}
if not served then os.exit(1) end -- it has told why it cannot listen
say("%d orders accepted, %d finished", accepted, finished)
