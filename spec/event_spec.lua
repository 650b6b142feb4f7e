local errors = require "spec.support.errors"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, plainly = testing.it, it
local start = tasks.start

-- n tasks that wait for the event and write their numbers into the log.
local function waiters(n, event, log)
  return tasks.start_each(n, function(i)
    event:wait()
    log[#log + 1] = i
  end)
end

describe("Event", function()
  plainly("is not set at first", function()
    local event = sluice.Event()
    assert.is_false(event:is_set())
    assert.equal("sluice.Event (not set, 0 waiting)", tostring(event))
  end)

  plainly("is set and cleared without a task", function()
    local event = sluice.Event()
    assert.equal(0, select("#", event:set()))
    assert.is_true(event:is_set())
    assert.equal("sluice.Event (set, 0 waiting)", tostring(event))
    event:set()
    assert.equal(0, select("#", event:clear()))
    assert.is_false(event:is_set())
  end)

  it("tells in tostring how many wait", function()
    local event, log = sluice.Event(), {}
    local list = waiters(2, event, log)
    assert.equal("sluice.Event (not set, 2 waiting)", tostring(event))
    tasks.cancel(table.unpack(list))
    assert.equal("sluice.Event (not set, 0 waiting)", tostring(event))
  end)

  it("lets pass at once while it is set", function()
    local event = sluice.Event()
    event:set()
    assert.is_true(event:wait())
    assert.is_true(event:wait(0))
    assert.is_true(event:wait(5))
    assert.equal(0, sluice.time())
  end)

  it("wakes all who wait, in order", function()
    local event, log = sluice.Event(), {}
    local list = waiters(5, event, log)
    event:set()
    assert.equal("sluice.Event (set, 0 waiting)", tostring(event))
    assert.same({}, log)
    sluice.gather(list)
    assert.same({ 1, 2, 3, 4, 5 }, log)
  end)

  it("un-wakes nobody by a clear in the same turn", function()
    local event, log = sluice.Event(), {}
    local list = waiters(3, event, log)
    event:set()
    event:clear()
    sluice.gather(list)
    assert.same({ 1, 2, 3 }, log)
    assert.is_false(event:is_set())
  end)

  it("makes who comes after a clear wait for the next set", function()
    local event = sluice.Event()
    event:set()
    event:clear()
    local late = start(event.wait, event)
    assert.is_false(late:done())
    event:set()
    assert.is_true(late:await())
  end)

  it("is passed once per set by a loop that clears it", function()
    local event, n = sluice.Event(), 0
    local loop = start(function()
      while event:wait() do
        event:clear()
        n = n + 1
      end
    end)
    for _ = 1, 3 do
      event:set()
      testing.settle()
    end
    tasks.cancel(loop)
    assert.equal(3, n)
  end)

  it("returns nil and timeout when the time is up", function()
    local event = sluice.Event()
    assert.same({ nil, "timeout" }, { event:wait(1.5) })
    assert.equal(1.5, sluice.time())
    assert.matches("0 waiting", tostring(event))
  end)

  it("tries once and does not wait with a timeout of 0", function()
    local event = sluice.Event()
    assert.same({ nil, "timeout" }, { event:wait(0) })
    assert.equal(0, sluice.time())
  end)

  it("that is set right after the deadline has timed out", function()
    local event = sluice.Event()
    sluice.call_later(1, event.set, event)
    assert.same({ nil, "timeout" }, { event:wait(1) })
    assert.is_true(event:wait(0))
  end)

  plainly("refuses what is no duration", function()
    testing.run(function()
      local event = sluice.Event()
      event:set()
      errors.refuses_durations(1, "wait", function(t) event:wait(t) end)
    end)
  end)

  it("wakes a waiter that is cancelled afterwards", function()
    local event, woken = sluice.Event(), false
    local task = start(function()
      woken = event:wait()
      sluice.sleep(1)
    end)
    event:set()
    task:cancel()
    tasks.ends_cancelled(task)
    assert.is_true(woken)
  end)

  it("keeps no cancelled or timed-out waiter", function()
    local event = sluice.Event()
    local list = tasks.start_each(50, function() event:wait() end)
    local timed = tasks.start_each(50, function() event:wait(1) end)
    for _, task in ipairs(list) do task:cancel() end
    assert.matches("50 waiting", tostring(event))
    sluice.gather(timed)
    assert.matches("0 waiting", tostring(event))
  end)

  it("raises on entry of a cancelled task though it is set", function()
    local event, passed = sluice.Event(), false
    event:set()
    local task = start(function()
      pcall(sluice.sleep, 1)
      passed = event:wait()
    end)
    task:cancel()
    tasks.ends_cancelled(task)
    assert.is_false(passed)
  end)

  it("may be set by a task that is cancelled", function()
    local event = sluice.Event()
    local task = start(function()
      pcall(sluice.sleep, 1)
      event:set()
    end)
    tasks.cancel(task)
    assert.is_true(event:is_set())
  end)

  plainly("can be used again in a later run", function()
    local event = sluice.Event()
    testing.run(function() start(event.wait, event) end)
    assert.matches("0 waiting", tostring(event))
    testing.run(function()
      sluice.call_later(1, event.set, event)
      assert.is_true(event:wait())
    end)
  end)
end)
