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

local ORDERS = arg[0]:gsub("[^/]*$", "data/orders.jsonl")
local TIME_LIMIT = 20 -- seconds; without trouble it takes half of it

--- Starts order_api.lua by the launcher of this script.
local function start_server()
  local launcher, script = arg[-1], arg[0]:gsub("[^/]*$", "order_api.lua")
  return child.start {
    launcher, script, "--port", 0, "--workers", options.workers,
    "--queue", options.queue, "--delay", options.delay,
  }
end

--- Waits for the line that tells where the server listens.
local function find_address(server)
  local text = ""
  repeat
    sluice.sleep(0.02)
    local ended = server:status()
    text = text .. table.concat(server:new_lines(), "\n")
    local address = text:match("listening on (%S+)")
    if address then return address end
  until ended
  error("the server did not start\n" .. text, 0)
end

-- Posts each line of a file: the first ones at once, then one after each
-- interval. The shell is the parent of every curl, and waits for them all.
local POST_ALL = [[
  url=$1 burst=$2 interval=$3 limit=$4 n=0
  while read -r order; do
    curl --silent --max-time "$limit" --output /dev/null \
      --write-out '%{http_code}\n' --data "$order" "$url" &
    n=$((n + 1))
    if [ $n -gt "$burst" ]; then sleep "$interval"; fi
  done <"$5"
  wait
]]

local function start_posting(address)
  return child.start {
    "sh", "-c", POST_ALL, "sh", address .. "/order", options.burst,
    options.interval, TIME_LIMIT, ORDERS,
  }
end

local function count_orders()
  local count = 0
  for _ in io.lines(ORDERS) do count = count + 1 end
  return count
end

--- Shows what the server has told since the last time.
local function follow(demo, server)
  for _, line in ipairs(server:new_lines()) do
    demo.log:read(line)
    demo.waited = line:match("closing, (%d+) waiting") or demo.waited
    if not demo.board then print(line) end
    if demo.keep then demo.keep:write(line, "\n") end
  end
  if demo.board then demo.board:draw(demo.log) end
end

--- Runs until the server has ended, which is asked of it when every order
-- is answered.
local function watch(demo, server, poster)
  local stopping = false
  repeat
    sluice.sleep(0.05)
    local ended = server:status()
    follow(demo, server)
    if poster:status() and not stopping then
      stopping = true
      server:signal("TERM")
    end
  until ended
  for _, code in ipairs(poster:new_lines()) do
    if code == "202" then demo.answered = demo.answered + 1 end
  end
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

local function sum_up(demo, server)
  local log, posted = demo.log, count_orders()
  print("\nserved in this order (*: power user)\n" .. numbers(log.served))
  print("\nsummary")
  check(demo.answered == posted and log.accepted == posted,
    "%d orders posted, %d answered with 202, %d accepted in the log",
    posted, demo.answered, log.accepted)
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
  check(server:status() == 0 and not server:alive(),
    "SIGTERM came while %s waited; exit status %d, no process is left",
    demo.waited, server:status())
end

local function run()
  local server <close> = start_server()
  local address = find_address(server)
  local demo = {
    answered = 0, log = order_log.new(),
    board = os.execute("test -t 1") and board.new(
      "the order API on " .. address, options.workers, options.queue),
    keep = options.log ~= "" and assert(io.open(options.log, "w")) or nil,
  }
  local poster <close> = start_posting(address)
  local _ <close> = sluice.timeout(TIME_LIMIT)
  watch(demo, server, poster)
  sum_up(demo, server)
  if demo.keep then demo.keep:close() end
end

if not os.execute("command -v curl >/dev/null") then
  io.stderr:write("demo: curl is missing, it posts the orders; install it ",
    "with your package manager: apt-get install curl\n")
  os.exit(1)
end
run()
if failures > 0 then os.exit(1) end
