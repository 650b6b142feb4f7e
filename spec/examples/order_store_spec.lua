-- The order API over a job store that lasts: killed, started again, stopped.

local engines = require "spec.support.engines"
local jobs = require "sluice.jobs"
local order_server = require "spec.examples.order_server"
local sluice = require "sluice"

local LONG = "1000000" -- seconds: an order that does not end by itself
local POWER, ORDINARY = '{"power_user": true}', '{"power_user": false}'

local await_line, post = order_server.await_line, order_server.post

local function start(url, ...)
  local server = order_server.start("--store", url, "--lease", "1", ...)
  return server, await_line(server, "listening on (%S+)")
end

--- The figures of the queue, looked at when no server runs.
local function stats_of(url)
  local store <close> = assert(jobs.open(url))
  return assert(assert(store:queue "orders"):stats())
end

--- Waits until all orders are finished, those of a killed process, too.
local function drain(url)
  local store <close> = assert(jobs.open(url))
  assert(assert(store:queue "orders"):drain(15))
end

local function set_of(list)
  local set = {}
  for _, value in ipairs(list) do set[value] = true end
  return set
end

-- The ids of the orders that a killed process had reserved, also of one that
-- it had not begun yet. Over Redis they come back when their leases end.
local function held(url)
  local store <close> = assert(jobs.open(url))
  local ids = {}
  for _, job in ipairs(assert(store:queue "orders"):peek "leased") do
    ids[job.id] = true
  end
  return ids
end

-- The orders that nobody had reserved before the second process did.
local function fresh(first, second, reserved)
  local list = {}
  for _, order in ipairs(second.served) do
    local known = first.orders[order.id]
    if not (known and known.started or reserved[order.id]) then
      list[#list + 1] = order
    end
  end
  return list
end

-- Power users first; equals by number.
local function assert_in_order(orders)
  for i = 2, #orders do
    local before, after = orders[i - 1], orders[i]
    assert.is_true(before.power or not after.power)
    if before.power == after.power then
      assert.is_true(before.id < after.id)
    end
  end
end

for _, engine in ipairs(engines.list) do
  if engine.lasting then
    describe("examples/order_api.lua over " .. engine.name, function()
      setup(engine.start or function() end)
      after_each(engine.clean or function() end)
      teardown(engine.finish or function() end)

      local function on(name, fn)
        it(name, function()
          sluice.run(function()
            local deadline <close> = sluice.timeout(40)
            fn(engine.url())
            assert.is_false(deadline:expired())
          end)
        end)
      end

      on("loses no order that was answered, though it is killed", function(url)
        local one <close>, address = start(url, "--workers", "1", "--queue",
          "200", "--delay", "0.04")
        local clients = order_server.post_many(one, address, 30)
        await_line(one, "order (%d+) .* finished")
        await_line(one, "order (1000000040) .* accepted")
        local first = order_server.kill(one)
        order_server.count_statuses(clients)
        local answered = order_server.answered_orders(one)
        local reserved = held(url)
        local two <close> = start(url, "--workers", "1", "--delay", "0.01")
        drain(url)
        local second = order_server.stop(two)
        local finished = set_of(order_server.finished_orders(first))
        for _, id in ipairs(order_server.finished_orders(second)) do
          finished[id] = true
        end
        assert.is_true(#answered >= 39)
        for _, id in ipairs(answered) do assert.is_true(finished[id], id) end
        assert_in_order(fresh(first, second, reserved))
        assert.is_true(second.finished > 0)
      end)

      on("has an order written down when it answers", function(url)
        local server <close>, address = start(url, "--workers", "1",
          "--delay", LONG)
        assert.equal(202, (post(address, POWER)))
        assert.equal(202, (post(address, ORDINARY)))
        order_server.kill(server)
        local stats = stats_of(url)
        assert.equal(2, stats.puts)
        assert.equal(2, stats.ready + stats.leased)
      end)

      on("leaves at SIGTERM what it has not finished", function(url)
        local server <close>, address = start(url, "--workers", "2",
          "--delay", LONG, "--grace", "0.1")
        for _ = 1, 5 do post(address, ORDINARY) end
        local log = order_server.stop(server)
        assert.same({ 5, 0 }, { log.accepted, log.finished })
        await_line(server, "order (1000000001) .* not finished")
        await_line(server, "(5) orders stay in the store")
        assert.equal(5, stats_of(url).ready)
      end)

      on("finishes at SIGTERM what it has begun", function(url)
        local server <close>, address = start(url, "--workers", "2",
          "--delay", "0.4")
        for _ = 1, 5 do post(address, ORDINARY) end
        await_line(server, "order (1000000002) .* started")
        local log = order_server.stop(server)
        assert.equal(5, log.finished + stats_of(url).ready)
        assert.is_true(log.finished >= 2)
      end)

      on("answers 503 at once when full if told to fail fast", function(url)
        local server <close>, address = start(url, "--fail-fast", "--queue",
          "1", "--workers", "1", "--delay", LONG, "--grace", "0")
        assert.equal(202, (post(address, POWER)))
        await_line(server, "order (1000000001) .* started")
        assert.equal(202, (post(address, POWER)))
        local status, answer = post(address, POWER, "--include")
        assert.equal(503, status)
        assert.truthy(answer:lower():find("retry%-after: %d"))
        assert.truthy(answer:find('{"error":"the queue is full"}', 1, true))
      end)

      on("lets an order wait until there is room", function(url)
        local server <close>, address = start(url, "--queue", "1",
          "--workers", "1", "--delay", "0.1")
        for _ = 1, 5 do assert.equal(202, (post(address, POWER))) end
        drain(url)
        assert.equal(5, order_server.stop(server).finished)
      end)

      on("refuses who waits for room when it is stopped", function(url)
        local server <close>, address = start(url, "--queue", "1",
          "--workers", "1", "--delay", LONG, "--grace", "0")
        post(address, POWER)
        await_line(server, "order (1000000001) .* started")
        post(address, POWER)
        local third <close> = order_server.curl(address .. "/order", "--data",
          POWER)
        sluice.sleep(0.1)
        order_server.stop(server)
        third:wait(5)
        assert.truthy(third:new_lines()[1]:find("no more orders.* 503$"))
        assert.equal(2, stats_of(url).ready)
      end)
    end)
  end
end

describe("examples/order_api.lua", function()
  it("tells why it cannot open its store", function()
    sluice.run(function()
      local server <close> = order_server.start("--store", "nix:there")
      assert.equal(1, server:wait(5))
      await_line(server, "%-%-store: ('nix:there') is not the URL")
    end)
  end)

  it("takes the queue of a store that lies in memory, too", function()
    sluice.run(function()
      local server <close>, address = start("memory:", "--delay", "0")
      assert.equal(202, (post(address, POWER)))
      await_line(server, "order (%d+) .* finished")
      assert.equal(1, order_server.stop(server).finished)
    end)
  end)
end)
