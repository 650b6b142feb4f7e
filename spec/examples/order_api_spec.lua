-- Drives the order API as a process of its own, on real sockets and the real
-- clock, with curl.

local net = require "sluice.net"
local order_server = require "spec.examples.order_server"
local sluice = require "sluice"

local LONG = "1000000" -- seconds: an order that does not end by itself

local start, await_line, with_server, curl =
  order_server.start, order_server.await_line, order_server.with_server,
  order_server.curl
local request, post, stop, post_many =
  order_server.request, order_server.post, order_server.stop,
  order_server.post_many
local count_statuses, answered_orders, finished_orders =
  order_server.count_statuses, order_server.answered_orders,
  order_server.finished_orders

--- Connects to the server without an HTTP client.
local function connect(address)
  local host, port = address:match("//(.*):(%d+)")
  return assert(net.connect(host, tonumber(port)))
end

local function raw_post(body, length)
  return ("POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: %s\r\n\r\n%s")
    :format(length or #body, body)
end

local function count(lines, pattern)
  local n = 0
  for _, line in ipairs(lines) do
    if line:find(pattern) then n = n + 1 end
  end
  return n
end

local POWER, ORDINARY = '{"power_user": true}', '{"power_user": false}'

describe("examples/order_api.lua", function()
  it("answers an order at once with its number",
    with_server({ "--delay", LONG, "--grace", "0" }, function(_, address)
      for i, case in ipairs {
        { "true", "true" }, { "false", "false" },
        { '"True"', "true" }, { '"False"', "false" },
      } do
        local status, body = post(address, '{"power_user": ' .. case[1] .. "}")
        assert.equal(202, status)
        assert.truthy(body:find('"order":' .. i, 1, true))
        assert.truthy(body:find('"power_user":' .. case[2], 1, true))
      end
    end))

  it("answers 400 to what is not an order",
    with_server({}, function(server, address)
      for _, body in ipairs {
        "", "{", "[]", "7", "null", '"True"', "{}", '{"power_user": 1}',
        '{"power_user": "yes"}', '{"power_user": null}', "\255",
      } do
        local status, answer = post(address, body)
        assert.equal(400, status, body)
        assert.truthy(answer:find('^{"error":".+"}$'), answer)
      end
      assert.equal(0, stop(server).accepted)
    end))

  it("takes orders that come in one piece, and byte by byte",
    with_server({ "--delay", "0" }, function(server, address)
      local stream = connect(address)
      stream:write(raw_post(POWER) .. raw_post(ORDINARY))
      assert.truthy(stream:readuntil("}"):find('"order":1', 1, true))
      assert.truthy(stream:readuntil("}"):find('"order":2', 1, true))
      for byte in raw_post(POWER):gmatch(".") do
        stream:write(byte)
        sluice.sleep(0.001)
      end
      assert.truthy(stream:readuntil("}"):find('"order":3', 1, true))
      stream:close()
      assert.equal(3, stop(server).finished)
    end))

  it("takes no order from half a request or a badly framed one",
    with_server({}, function(server, address)
      local half = connect(address)
      half:write(raw_post('{"power_user": true', 20))
      half:close()
      local bad = connect(address)
      bad:write(raw_post(POWER, "x") .. raw_post(POWER))
      local answer = bad:read_all()
      bad:close()
      assert.truthy(answer:find("^HTTP/1.1 400 "))
      assert.is_nil(answer:find("HTTP/1.1", 2, true))
      assert.equal(0, stop(server).accepted)
    end))

  it("knows no other path and no other method",
    with_server({}, function(_, address)
      assert.equal(404, (request(address .. "/orders")))
      assert.equal(405, (request(address .. "/order")))
    end))

  it("fails when it cannot listen",
    with_server({}, function(_, address)
      local second <close> = start("--port", address:match("%d+$"))
      assert.equal(1, second:wait(5))
    end))

  it("serves power users first, and equals as they came",
    with_server({ "--workers", "1", "--queue", "60", "--delay", "0.02" },
      function(server, address)
        local counts = count_statuses(post_many(server, address, 20))
        assert.equal(60, counts["202"])
        local log = stop(server)
        assert.equal(60, log.finished)
        assert.is_true(log.contested > 0)
        assert.equal(log.contested, log.power_first)
        local last = { [true] = 0, [false] = 0 }
        for _, order in ipairs(log.served) do
          assert.is_true(order.place > last[order.power])
          last[order.power] = order.place
        end
      end))

  it("loses no order and does none twice when stopped under load",
    with_server({ "--delay", "0.05" }, function(server, address)
      local clients = post_many(server, address, 40)
      await_line(server, "order (40) .* started")
      local log = stop(server)
      local counts = count_statuses(clients)
      assert.is_true(log.accepted >= 40 and log.accepted < 120)
      assert.equal(log.accepted, counts["202"])
      assert.same(finished_orders(log), answered_orders(server))
      assert.same({ {}, 0 }, { log:lost(), log.twice })
      assert.equal(log.contested, log.power_first)
    end))

  it("finishes at SIGINT what is in the queue, too",
    with_server({ "--workers", "1", "--delay", "0.1" },
      function(server, address)
        for _ = 1, 4 do post(address, ORDINARY) end
        local log = stop(server, "INT")
        assert.same({ 4, 4 }, { log.accepted, log.finished })
      end))

  it("tells what was not finished within the grace",
    with_server({ "--workers", "2", "--delay", LONG, "--grace", "0.2" },
      function(server, address)
        for _ = 1, 5 do post(address, ORDINARY) end
        local log = stop(server)
        assert.same({ 5, 0 }, { log.accepted, log.finished })
        assert.equal(2, count(server.lines, "order [12] .* not finished"))
        assert.equal(3, count(server.lines, "order [345] .* not started"))
      end))

  it("lets an order wait until there is room in the queue",
    with_server({ "--workers", "1", "--queue", "1", "--delay", "0.2" },
      function(server, address)
        for _ = 1, 4 do assert.equal(202, (post(address, POWER))) end
        assert.equal(4, stop(server).finished)
      end))

  it("refuses who waits for room when it is stopped",
    with_server(
      { "--workers", "1", "--queue", "1", "--delay", LONG, "--grace", "0" },
      function(server, address)
        for _ = 1, 2 do post(address, POWER) end
        local third <close> = curl(address .. "/order", "--data", POWER)
        sluice.sleep(0.1)
        stop(server)
        assert.equal(0, third:wait(5))
        assert.truthy(third:new_lines()[1]:find("no more orders.* 503$"))
      end))

  it("answers 503 with Retry-After at once if told to fail fast",
    with_server({
      "--fail-fast", "--workers", "1", "--queue", "1", "--delay", LONG,
      "--grace", "0",
    }, function(_, address)
      assert.equal(202, (post(address, POWER)))
      assert.equal(202, (post(address, POWER)))
      local status, answer = post(address, POWER, "--include")
      assert.equal(503, status)
      assert.truthy(answer:lower():find("retry%-after: %d"))
      assert.truthy(answer:find('{"error":"the queue is full"}', 1, true))
    end))
end)
