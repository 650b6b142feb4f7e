-- An open shop: the line holds five customers, every second up to four more
-- come and wait to get in, and the cashiers never stop. Ctrl-C closes the
-- shop: who is in line is still served, who waits outside goes home.
--
--   sluice examples/checkout_open.lua
--   sluice examples/checkout_open.lua --cashiers 8    # hardly anybody waits
--
-- Options: --cashiers 3, --line 5, --every 1 second, --arrivals 4 at most
-- each time, --seconds 0 (when not 0: close by itself), --seed 0 (when not
-- 0: the same customers again).

local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  cashiers = 3, line = 5, every = 1, arrivals = 4, seconds = 0, seed = 0,
}
local shop = dofile(arg[0]:gsub("[^/]*$", "lib/shop.lua"))

local line = sluice.Queue(options.line)
local came, served = 0, 0

local function work(cashier)
  for customer in line do
    say("cashier %d serves %s", cashier, customer.name)
    for _, product in ipairs(customer.basket) do
      sluice.sleep(shop.seconds[product])
    end
    say("cashier %d is done with %s", cashier, customer.name)
    served = served + 1
  end
end

local function visit(customer)
  if sluice.pcall(line.put, line, customer) then
    say("%s is in line", customer.name)
  else -- the queue was shut down meanwhile
    say("%s goes home", customer.name)
  end
end

local function open()
  say("the shop is open")
  while true do
    for _ = 1, math.random(0, options.arrivals) do
      came = came + 1
      sluice.create_task(visit, shop.customer(came))
    end
    sluice.sleep(options.every)
    local stats = line:stats()
    say("line %d of %d, %d outside, %d came, %d served",
      stats.size, options.line, stats.putters, came, served)
  end
end

if options.seed ~= 0 then math.randomseed(options.seed) end
local cashiers = {}
for n = 1, options.cashiers do
  cashiers[n] = sluice.create_task(work, n)
end

-- Until Ctrl-C cancels this task, or the time is up.
local seconds = options.seconds > 0 and options.seconds or math.huge
local ok, err = pcall(sluice.wait_for, seconds, open)
if not ok and not sluice.is_cancelled(err) then error(err, 0) end

say("the shop closes, %d are in line", #line)
line:shutdown()
sluice.shield(sluice.gather, cashiers)
say("%d customers served", served)
