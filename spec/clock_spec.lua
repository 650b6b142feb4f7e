-- sluice.sleep and sluice.time, on the real clock and on the virtual one, and
-- the order in which deadlines come.

local errors = require "spec.support.errors"
local process = require "spec.support.process"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

describe("sluice.sleep", function()
  it("returns nothing", function()
    assert.equal(0, select("#", sluice.sleep(1)))
    assert.equal(0, select("#", sluice.sleep(0)))
  end)

  it("takes exactly its time on the virtual clock", function()
    sluice.sleep(0.25)
    assert.equal(0.25, sluice.time())
    sluice.sleep(3)
    assert.equal(3.25, sluice.time())
  end)

  it("takes whole numbers and fractions", function()
    sluice.sleep(1)
    sluice.sleep(1.5)
    sluice.sleep(1e-9)
    assert.is_true(sluice.time() > 2.5 and sluice.time() < 2.5000001)
  end)

  it("lasts a day without taking any time", function()
    for _ = 1, 24 do sluice.sleep(3600) end
    assert.equal(86400, sluice.time())
  end, { timeout = 1e6 })

  it("of longer than the clock can count lasts for ever", function()
    local task = sluice.create_task(sluice.sleep, 1e300)
    local other = sluice.create_task(sluice.sleep, math.huge)
    sluice.sleep(50)
    assert.is_false(task:done() or other:done())
    task:cancel()
    other:cancel()
    task:pawait()
    other:pawait()
  end)

  it("refuses what is no duration", function()
    errors.refuses_durations(1, "sleep", function(x) sluice.sleep(x) end)
    errors.raises(
      "bad argument #1 to 'sleep' (number expected, got no value)",
      function() sluice.sleep() end)
    assert.equal(0, sluice.time())
  end)

  it("ends for all in the order of their deadlines", function()
    local order = {}
    sluice.task_group(function(group)
      for _, n in ipairs { 5, 1, 4, 2, 3 } do
        group:create_task(function()
          sluice.sleep(n)
          order[#order + 1] = n
        end)
      end
    end)
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end)

  it("of equal deadlines ends in the order of the calls", function()
    local order = {}
    sluice.task_group(function(group)
      for i = 1, 200 do
        group:create_task(function()
          sluice.sleep(i % 2 == 0 and 1 or 1.0)
          order[#order + 1] = i
        end)
      end
    end)
    for i = 1, 200 do assert.equal(i, order[i]) end
  end)
end)

describe("sluice.sleep(0)", function()
  it("lets every other ready task run once", function()
    local order = {}
    local function steps(name)
      for _ = 1, 3 do
        order[#order + 1] = name
        sluice.sleep(0)
      end
    end
    local a, b = sluice.create_task(steps, "a"), sluice.create_task(steps, "b")
    steps("main")
    a:await()
    b:await()
    assert.equal("main a b main a b main a b", table.concat(order, " "))
  end)

  it("takes no time", function()
    for _ = 1, 1000 do sluice.sleep(0) end
    assert.equal(0, sluice.time())
  end)

  -- R7: what becomes ready meanwhile waits for the next turn.
  it("does not starve a sleeper", function()
    local woken = false
    sluice.create_task(function() sluice.sleep(0.001) woken = true end)
    sluice.sleep(0.001)
    sluice.sleep(0)
    assert.is_true(woken)
  end)
end)

describe("a task that never sleeps but waits all the time", function()
  plainly("does not keep the deadlines of others from firing", function()
    local woken
    sluice.run(function()
      sluice.create_task(function() sluice.sleep(0.01) woken = true end)
      while not woken do sluice.sleep(0) end
    end)
    assert.is_true(woken)
  end)

  -- R7: operations that complete without waiting count against a budget.
  plainly("does not starve the loop though none of its waits waits", function()
    local woken
    sluice.run(function()
      local queue = sluice.Queue()
      sluice.create_task(function() sluice.sleep(0.01) woken = true end)
      while not woken do
        queue:put(1)
        queue:get()
      end
    end)
    assert.is_true(woken)
  end)

  plainly("does not keep a deadline of its own from coming", function()
    local result, reason = sluice.run(function()
      local event = sluice.Event()
      event:set()
      return sluice.wait_for(0.02, function()
        while true do event:wait() end
      end)
    end)
    assert.is_nil(result)
    assert.equal("timeout", reason)
  end)
end)

describe("the real clock", function()
  plainly("never lets a sleep end early", function()
    sluice.run(function()
      for _ = 1, 50 do
        local before = sluice.time()
        sluice.sleep(0.0007)
        assert.is_true(sluice.time() - before >= 0.0007)
      end
    end)
  end)

  plainly("never lets a timeout come early", function()
    sluice.run(function()
      local event = sluice.Event()
      for _ = 1, 20 do
        local before = sluice.time()
        assert.is_nil((event:wait(0.001)))
        assert.is_nil((sluice.wait_for(0.001, event.wait, event)))
        assert.is_true(sluice.time() - before >= 0.002)
      end
    end)
  end)

  plainly("lets nobody out at a time that was taken back", function()
    sluice.run(function()
      local event, before = sluice.Event(), sluice.time()
      sluice.call_later(0.0005, event.set, event)
      assert.is_true(event:wait(0.002)) -- the timer may stay set to 2 ms
      sluice.sleep(0.01)
      assert.is_true(sluice.time() - before >= 0.01)
      assert.is_nil((sluice.wait_for(0.001, sluice.sleep, 1)))
    end)
  end)

  plainly("keeps the order of many deadlines", function()
    local last, n = 0, 0
    sluice.run(function()
      local base = sluice.time() + 0.002
      for i = 1, 500 do
        local due = base + (i * 37 % 500) * 1e-5
        sluice.call_at(due, function()
          assert.is_true(due >= last)
          last, n = due, n + 1
        end)
      end
      sluice.sleep(0.02)
    end)
    assert.equal(500, n)
  end)

  plainly("does not go on while a run does not", function()
    local before = sluice.time()
    local now = sluice.time()
    assert.is_true(now >= before)
    assert.is_true(sluice.run(sluice.time) >= now)
  end)

  plainly("uses no processor time while all sleep", function()
    local result = process.lua [[
      sluice.run(function()
        for _ = 1, 100 do sluice.create_task(sluice.sleep, 0.5) end
        sluice.sleep(0.3)
      end)
      assert(os.clock() < 0.25, os.clock())]]
    assert.equal("", result.stderr)
  end)
end)

describe("sluice.time", function()
  it("starts at 0 on the virtual clock", function()
    assert.equal(0, sluice.time())
  end)

  it("starts where it is told to", function()
    assert.equal(1000.5, sluice.time())
    sluice.sleep(1)
    assert.equal(1001.5, sluice.time())
  end, { start = 1000.5 })

  it("stands while a step computes on the virtual clock", function()
    local stop = os.clock() + 0.01
    while os.clock() < stop do end
    assert.equal(0, sluice.time())
  end)

  plainly("is a float, in a run and outside one", function()
    assert.equal("float", math.type(sluice.time()))
    assert.equal("float", math.type(sluice.run(sluice.time)))
  end)
end)
