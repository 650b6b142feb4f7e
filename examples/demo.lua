-- What `make demo` shows: starts order_api.lua on a free port, posts the
-- orders of data/orders.jsonl to it with curl while its workers are busy,
-- shows who waits and who is served, and stops it with SIGTERM while the
-- last orders still wait. The summary is counted from the server's own log.
--
--   sluice examples/demo.lua
--   sluice examples/demo.lua | cat            # the log instead of a table
--   sluice examples/demo.lua --log demo.log   # keep it, to count yourself
--
-- Options: --workers 5, --queue 10 and --delay 0.9 of the server; --burst 14
-- orders at once, the others one every --interval 0.09 seconds; --log FILE.

local sluice = require "sluice"
local options = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  workers = 5, queue = 10, delay = 0.9, burst = 14, interval = 0.09, log = "",
}
local board = dofile(arg[0]:gsub("[^/]*$", "lib/board.lua"))
local child = dofile(arg[0]:gsub("[^/]*$", "lib/child.lua"))
local order_log = dofile(arg[0]:gsub("[^/]*$", "lib/order_log.lua"))

local TIME_LIMIT = 20 -- seconds; without trouble it takes half of it

--- Starts order_api.lua by the same interpreter and launcher as this script.
local function start_server()
  local first = 0
  while arg[first - 1] do first = first - 1 end
  local words = table.move(arg, first, -1, 1, {})
  for _, word in ipairs {
    arg[0]:gsub("[^/]*$", "order_api.lua"), "--port", 0, "--workers",
    options.workers, "--queue", options.queue, "--delay", options.delay,
  } do
    words[#words + 1] = word
  end
  return child.start(words)
end

--- Waits for the line that tells where the server listens.
local function find_address(server)
  repeat
    sluice.sleep(0.02)
    local text = table.concat(server:new_lines(), "\n")
    local address = text:match("listening on (%S+)")
    if address then return address end
  until server:status()
  error("the server did not start", 0)
end

local function read_orders()
  local orders = {}
  for line in io.lines((arg[0]:gsub("[^/]*$", "data/orders.jsonl"))) do
    orders[#orders + 1] = line
  end
  return orders
end

--- Posts an order; the shell leaves curl running and adds the status of the
-- answer to a file.
local function post(server, address, order)
  os.execute(("%s >>%s/answers &"):format(child.command {
    "curl", "--silent", "--max-time", TIME_LIMIT, "--output", "/dev/null",
    "--write-out", "%{http_code}\n", "--header",
    "Content-Type: application/json", "--data", order, address .. "/order",
  }, server.dir))
end

local function count_answers(server)
  local answered, accepted = 0, 0
  local file <close> = io.open(server.dir .. "/answers")
  for code in (file and file:read("a") or ""):gmatch("(%d+)\n") do
    answered = answered + 1
    if code == "202" then accepted = accepted + 1 end
  end
  return answered, accepted
end

--- Shows what the server has told since the last time.
local function follow(demo)
  for _, line in ipairs(demo.server:new_lines()) do
    demo.log:read(line)
    if not demo.board then print(line) end
    if demo.keep then demo.keep:write(line, "\n") end
  end
  if demo.board then demo.board:draw(demo.log, demo.posted) end
end

local function post_all(demo)
  for n, order in ipairs(demo.orders) do
    post(demo.server, demo.address, order)
    demo.posted = n
    if n > options.burst then sluice.sleep(options.interval) end
  end
end

--- Runs until the server has ended, which is asked of it when every order
-- is answered.
local function watch(demo)
  sluice.task_group(function(group)
    group:create_task(post_all, demo)
    local stopping = false
    repeat
      sluice.sleep(0.05)
      follow(demo)
      if not stopping and count_answers(demo.server) == #demo.orders then
        stopping = true
        demo.server:signal("TERM")
      end
    until demo.server:status()
    follow(demo)
  end)
end

local failures = 0

local function check(ok, format, ...)
  if not ok then failures = failures + 1 end
  print((ok and "  ok      " or "  FAILED  ") .. format:format(...))
end

local function numbers(served)
  local words = {}
  for i, order in ipairs(served) do
    words[i] = order.id .. (order.power and "*" or "")
  end
  return table.concat(words, " ")
end

local function sum_up(demo)
  local log, posted = demo.log, #demo.orders
  local _, answered = count_answers(demo.server)
  print("\nserved in this order (*: power user)\n" .. numbers(log.served))
  print("\nsummary")
  check(answered == posted and log.accepted == posted,
    "%d orders posted, %d answered with 202, %d accepted in the log",
    posted, answered, log.accepted)
  check(#log:lost() == 0 and log.twice == 0,
    "%d finished, %d lost, %d done twice",
    log.finished, #log:lost(), log.twice)
  check(log.contested > 0 and log.power_first == log.contested,
    "%d times both kinds waited, %d times a power user was taken",
    log.contested, log.power_first)
  local power, npower = log:mean_wait(true)
  local ordinary, nordinary = log:mean_wait(false)
  check(power < ordinary,
    "mean wait: %d power users %.2f s, %d ordinary users %.2f s",
    npower, power, nordinary, ordinary)
  check(demo.server:status() == 0 and not demo.server:alive(),
    "the server ended after SIGTERM with status %d, no process is left",
    demo.server:status())
end

local function run()
  local server <close> = start_server()
  local demo = {
    server = server, address = find_address(server), orders = read_orders(),
    posted = 0, log = order_log.new(),
    keep = options.log ~= "" and assert(io.open(options.log, "w")) or nil,
  }
  if os.execute("test -t 1") then
    demo.board = board.new("the order API on " .. demo.address,
      options.workers, options.queue)
  else
    print("the order API listens on " .. demo.address)
  end
  if not sluice.wait_for(TIME_LIMIT, function() watch(demo) return true end)
  then
    error("not done after " .. TIME_LIMIT .. " s", 0)
  end
  sum_up(demo)
  if demo.keep then demo.keep:close() end
end

if not os.execute("command -v curl >/dev/null") then
  io.stderr:write("demo: curl is missing, it posts the orders; install it ",
    "with your package manager: apt-get install curl\n")
  os.exit(1)
end
run()
if failures > 0 then error(failures .. " checks failed", 0) end
