-- sluice.timeout: a deadline over a block.

local errors = require "spec.support.errors"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

-- The number of armed timers. A wait arms those of the spec's own deadline.
local function timers()
  sluice.sleep(0)
  return sluice.stats().timers
end

-- Sleeps for some seconds in a block with a deadline.
local function block(seconds, sleep, ...)
  local _ <close> = sluice.timeout(seconds)
  sluice.sleep(sleep)
  return ...
end

describe("sluice.timeout", function()
  it("does nothing to a block that ends in time", function()
    assert.equal("x", block(5, 1, "x"))
    sluice.sleep(10)
  end)

  it("leaves the block with the error timeout", function()
    assert.equal("timeout", errors.of(block, 1, 9))
    assert.equal(1, sluice.time())
    sluice.sleep(1)
  end)

  it("of 0 leaves the block at its first checkpoint", function()
    local steps = {}
    assert.equal("timeout", errors.of(function()
      local _ <close> = sluice.timeout(0)
      steps[#steps + 1] = "began"
      sluice.sleep(0)
      steps[#steps + 1] = "too far"
    end))
    assert.same({ "began" }, steps)
  end)

  it("does not stop a block that waits for nothing", function()
    local function compute()
      local _ <close> = sluice.timeout(0)
      return 42
    end
    assert.equal(42, compute())
  end)

  it("cannot be swallowed inside the block", function()
    local n = 0
    assert.equal("timeout", errors.of(function()
      local _ <close> = sluice.timeout(1)
      for _ = 1, 3 do
        pcall(sluice.sleep, 9)
        n = n + 1
      end
      sluice.sleep(9)
    end))
    assert.equal(3, n)
    assert.equal(1, sluice.time())
  end)

  it("lets another error of the block through", function()
    assert.equal("worse", errors.of(function()
      local _ <close> = sluice.timeout(1)
      pcall(sluice.sleep, 9)
      error("worse", 0)
    end))
  end)

  it("ends with the block, by break, goto or return", function()
    for i = 1, 3 do
      local _ <close> = sluice.timeout(1)
      if i == 2 then break end
    end
    do
      local _ <close> = sluice.timeout(1)
      goto out
    end
    ::out::
    block(1, 0)
    sluice.sleep(5)
  end)

  it("tells what it is and how it is", function()
    local guard
    pcall(function()
      local deadline <close> = sluice.timeout(1)
      guard = deadline
      assert.truthy(tostring(guard):find("^sluice%.Timeout"))
      sluice.sleep(9)
    end)
    assert.is_string(tostring(guard))
  end)

  it("refuses what is no duration", function()
    errors.refuses_durations(1, "timeout", function(x) sluice.timeout(x) end)
  end)
end)

describe("Timeout:expired", function()
  it("is false in time and true afterwards", function()
    local kept, seen
    pcall(function()
      local deadline <close> = sluice.timeout(1)
      kept = deadline
      assert.is_false(deadline:expired())
      seen = not pcall(sluice.sleep, 9) and deadline:expired()
      sluice.sleep(9)
    end)
    assert.is_true(seen)
    assert.is_true(kept:expired())
  end)

  it("stays false for a block that ended in time", function()
    local kept
    do
      local deadline <close> = sluice.timeout(1)
      kept = deadline
    end
    sluice.sleep(5)
    assert.is_false(kept:expired())
  end)

  it("is false when the block was cancelled from outside", function()
    local kept
    local task = sluice.create_task(function()
      local deadline <close> = sluice.timeout(5)
      kept = deadline
      sluice.sleep(9)
    end)
    sluice.sleep(1)
    task:cancel()
    task:pawait()
    assert.is_false(kept:expired())
  end)
end)

describe("Timeout:reschedule", function()
  it("moves the deadline, counted from now", function()
    assert.equal("timeout", errors.of(function()
      local deadline <close> = sluice.timeout(2)
      sluice.sleep(1)
      deadline:reschedule(3)
      sluice.sleep(9)
    end))
    assert.equal(4, sluice.time())
  end)

  it("may bring it nearer", function()
    pcall(function()
      local deadline <close> = sluice.timeout(9)
      deadline:reschedule(1)
      sluice.sleep(9)
    end)
    assert.equal(1, sluice.time())
  end)

  it("with nil takes the deadline away", function()
    do
      local deadline <close> = sluice.timeout(1)
      deadline:reschedule(nil)
      sluice.sleep(9)
      deadline:reschedule()
      sluice.sleep(1)
    end
    assert.equal(10, sluice.time())
  end)

  it("with 0 ends the block at its next checkpoint", function()
    assert.equal("timeout", errors.of(function()
      local deadline <close> = sluice.timeout(9)
      deadline:reschedule(0)
      sluice.sleep(0)
    end))
  end)

  it("by another task reaches a block that waits", function()
    local deadline
    sluice.call_at(1, function() deadline:reschedule(1) end)
    assert.equal("timeout", errors.of(function()
      local guard <close> = sluice.timeout(20)
      deadline = guard
      sluice.sleep(40)
    end))
    assert.equal(2, sluice.time())
  end)

  it("by another task keeps a block that waits alive", function()
    local deadline
    for i = 1, 5 do
      sluice.call_at(i, function() deadline:reschedule(2) end)
    end
    assert.equal("timeout", errors.of(function()
      local guard <close> = sluice.timeout(2)
      deadline = guard
      sluice.sleep(40)
    end))
    assert.equal(7, sluice.time())
  end)

  it("by another task gives a deadline to a block that has none", function()
    local deadline
    sluice.call_at(1, function() deadline:reschedule(nil) end)
    sluice.call_at(5, function() deadline:reschedule(1) end)
    assert.equal("timeout", errors.of(function()
      local guard <close> = sluice.timeout(2)
      deadline = guard
      sluice.sleep(40)
    end))
    assert.equal(6, sluice.time())
  end)

  it("raises once the block has ended or the time has passed", function()
    local kept
    pcall(function()
      local deadline <close> = sluice.timeout(1)
      kept = deadline
      pcall(sluice.sleep, 9)
      errors.raises_match("expired", function() deadline:reschedule(1) end)
      sluice.sleep(9)
    end)
    errors.raises_match("ended", function() kept:reschedule(1) end)
  end)

  it("refuses what is no duration", function()
    local deadline <close> = sluice.timeout(9)
    errors.refuses_durations(1, "reschedule", function(x)
      deadline:reschedule(x)
    end)
    assert.is_false(deadline:expired())
  end)
end)

describe("a timeout that is not closed", function()
  it("ends with its task and leaves no timer", function()
    local before = timers()
    sluice.create_task(function()
      sluice.timeout(50)
      sluice.sleep(1)
    end):await()
    assert.equal(before, timers())
  end)

  it("ends with the wait_for, group or shield around it", function()
    sluice.wait_for(50, function() sluice.timeout(1) sluice.sleep(0) end)
    sluice.task_group(function() sluice.timeout(1) sluice.sleep(0) end)
    sluice.shield(function() sluice.timeout(1) sluice.sleep(0) end)
    sluice.sleep(5)
    assert.equal(5, sluice.time())
  end)

  it("ends with the block of a timeout around it", function()
    do
      local _ <close> = sluice.timeout(50)
      sluice.timeout(1)
      sluice.sleep(0)
    end
    sluice.sleep(5)
    assert.equal(5, sluice.time())
  end)

  it("fails its task when it passes, for all to see", function()
    local reported = 0
    local before = sluice.on_error(function() reported = reported + 1 end)
    local task = sluice.create_task(function()
      sluice.timeout(1)
      sluice.sleep(5)
    end)
    sluice.sleep(2)
    sluice.on_error(before)
    assert.is_true(task:done())
    assert.is_false(task:cancelled())
    assert.equal(1, reported)
  end)

  it("may be collected", function()
    sluice.create_task(function()
      for _ = 1, 200 do sluice.timeout(50) end
      collectgarbage()
      sluice.sleep(1)
      collectgarbage()
    end):await()
  end)
end)

describe("a timeout closed out of order", function()
  local function close(guard)
    local _ <close> = guard
  end

  it("ends the ones inside it as well", function()
    local before = timers()
    local outer = sluice.timeout(1)
    local inner = sluice.timeout(2)
    sluice.sleep(0)
    close(outer)
    close(inner)
    close(outer)
    assert.equal(before, timers())
    sluice.sleep(5)
  end)

  it("by another task raises and changes nothing", function()
    local guard
    local task = sluice.create_task(function()
      local deadline <close> = sluice.timeout(2)
      guard = deadline
      sluice.sleep(9)
    end)
    sluice.sleep(1)
    assert.is_false(pcall(close, guard))
    assert.same({ false, "timeout" }, { task:pawait() })
    assert.equal(2, sluice.time())
  end)

  it("inside a wait_for that began after it raises", function()
    local guard = sluice.timeout(5)
    sluice.wait_for(9, function() assert.is_false(pcall(close, guard)) end)
    sluice.task_group(function() assert.is_false(pcall(close, guard)) end)
    assert.truthy(tostring(guard):find("open", 1, true))
    close(guard)
  end)

  it("after its task has ended does nothing", function()
    local guard = sluice.create_task(sluice.timeout, 5):await()
    close(guard)
    assert.is_false(guard:expired())
  end)

  plainly("after its run has ended does nothing", function()
    local guard = testing.run(function() return sluice.timeout(5) end)
    collectgarbage()
    close(guard)
    testing.run(function() close(guard) sluice.sleep(9) end)
  end)
end)
