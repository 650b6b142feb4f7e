--- The order API as a process of its own, for its specs: on real sockets and
-- the real clock, with curl. Every server is to be closed, so that none
-- outlives a spec that fails.

local assert = require "luassert"
local child = dofile "examples/lib/child.lua"
local order_log = dofile "examples/lib/order_log.lua"
local sluice = require "sluice"

local order_server = {}

local LUA = os.getenv "LUA" or "lua5.4"

--- Starts the order API on a free port.
function order_server.start(...)
  local server = child.start {
    LUA, "bin/sluice", "examples/order_api.lua", "--port", "0", ...,
  }
  server.lines = {}
  return server
end

--- Reads what the server has told so far until a line matches.
function order_server.await_line(server, pattern)
  for _ = 1, 500 do
    local ended = server:status()
    for _, line in ipairs(server:new_lines()) do
      table.insert(server.lines, line)
    end
    for _, line in ipairs(server.lines) do
      local found = line:match(pattern)
      if found then return found end
    end
    if ended then break end
    sluice.sleep(0.01)
  end
  error(("no line %q in:\n%s"):format(pattern,
    table.concat(server.lines, "\n")), 2)
end

--- Runs fn(server, address) beside a server, which is ended after it.
function order_server.with_server(args, fn)
  return function()
    sluice.run(function()
      local server <close> = order_server.start(table.unpack(args))
      local deadline <close> = sluice.timeout(15)
      fn(server, order_server.await_line(server, "listening on (%S+)"))
      assert.is_false(deadline:expired())
    end)
  end
end

--- Starts curl; its output: the answer's body, then its status, on a line.
function order_server.curl(url, ...)
  return child.start {
    "curl", "--silent", "--show-error", "--max-time", "10",
    "--write-out", " %{http_code}\n", url, ...,
  }
end

--- The status and the body of the answer to one request.
function order_server.request(url, ...)
  local client <close> = order_server.curl(url, ...)
  client:wait(10)
  local body, status = table.concat(client:new_lines(), "\n")
    :match("^(.*) (%d+)$")
  return tonumber(status), body
end

function order_server.post(address, body, ...)
  return order_server.request(address .. "/order", "--data", body, ...)
end

--- What the server has told until it ended, read as a log.
local function read_log(server)
  for _, line in ipairs(server:new_lines()) do
    table.insert(server.lines, line)
  end
  local log = order_log.new()
  for _, line in ipairs(server.lines) do log:read(line) end
  return log
end

--- Ends the server by a signal; what it told, read as a log.
function order_server.stop(server, signal)
  server:signal(signal or "TERM")
  assert.equal(0, server:wait(10))
  order_server.await_line(server, "(%d+) orders accepted")
  return read_log(server)
end

--- Kills the server, as a loss of power would; what it told until then.
function order_server.kill(server)
  server:signal "KILL"
  assert.equal(137, server:wait(10))
  return read_log(server)
end

--- Posts 3 * n orders at once, one in three of a power user. The bodies of
-- the answers become files beside the server's log.
function order_server.post_many(server, address, n)
  local clients = {}
  for i, body in ipairs {
    '{"power_user": true}', '{"power_user": false}', '{"power_user": "False"}',
  } do
    clients[i] = order_server.curl(("%s/order?[1-%d]"):format(address, n),
      "--data", body, "--output", ("%s/answer-%d-#1"):format(server.dir, i),
      "--parallel", "--parallel-immediate", "--parallel-max", tostring(n))
  end
  return clients
end

--- Waits for the clients; returns how often each status was answered.
function order_server.count_statuses(clients)
  local counts = {}
  for _, client in ipairs(clients) do
    local _ <close> = client
    client:wait(10)
    for _, line in ipairs(client:new_lines()) do
      local status = line:match(" (%d%d%d)$")
      if status then counts[status] = (counts[status] or 0) + 1 end
    end
  end
  return counts
end

--- The numbers of the orders that clients were answered, sorted.
function order_server.answered_orders(server)
  local numbers = {}
  local pipe <close> = io.popen(
    ("grep -ho '\"order\":[0-9]*' %s/answer-* 2>/dev/null"):format(server.dir))
  for line in pipe:lines() do
    numbers[#numbers + 1] = tonumber(line:match("%d+"))
  end
  table.sort(numbers)
  return numbers
end

function order_server.finished_orders(log)
  local numbers = {}
  for id, order in pairs(log.orders) do
    if order.finished then numbers[#numbers + 1] = id end
  end
  table.sort(numbers)
  return numbers
end

return order_server
