-- A supermarket: customers with full baskets stand in one line, and three
-- cashiers work while the line is not empty. `get_nowait` asks for the next
-- customer without waiting; join returns when the last one has paid.
--
--   sluice examples/checkout.lua
--   sluice examples/checkout.lua --cashiers 1
--   sluice examples/checkout.lua --cashiers 50 --speed 10 \
--     --baskets examples/data/baskets.csv
--
-- Options: --customers 10, --cashiers 3, --speed 1 (2: all in half the
-- time), --seed 0 (0: other baskets each time), --baskets FILE: the
-- customers from a CSV file with the columns customer, product, quantity.

local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  customers = 10, cashiers = 3, speed = 1, seed = 0, baskets = "",
}
local shop = dofile(arg[0]:gsub("[^/]*$", "lib/shop.lua"))

local line = sluice.Queue()

local function serve(customer, cashier)
  say("cashier %d serves %s", cashier, customer.name)
  for _, product in ipairs(customer.basket) do
    sluice.sleep(shop.seconds[product] / options.speed)
    say("cashier %d scans %s of %s", cashier, product, customer.name)
  end
  say("cashier %d is done with %s", cashier, customer.name)
end

local served = 0

local function work(cashier)
  local customer = line:get_nowait()
  while customer do
    serve(customer, cashier)
    served = served + 1
    line:task_done()
    customer = line:get_nowait()
  end
  say("cashier %d goes home", cashier)
end

if options.seed ~= 0 then math.randomseed(options.seed) end
local customers = options.baskets == "" and shop.customers(options.customers)
  or shop.read_baskets(options.baskets)
for _, customer in ipairs(customers) do line:put(customer) end

local jobs = { sluice.create_task(line.join, line) }
for n = 1, options.cashiers do
  jobs[n + 1] = sluice.create_task(work, n)
end
sluice.gather(jobs)
say("%d customers served", served)
