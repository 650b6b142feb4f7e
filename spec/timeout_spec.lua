-- sluice.wait_for and sluice.timeout: deadlines over a function and over a
-- block, alone, nested, and when they meet a cancellation from outside.

local errors = require "spec.support.errors"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

-- The number of armed timers. A wait arms those of the spec's own deadline.
local function timers()
  sluice.sleep(0)
  return sluice.stats().timers
end

local function timed_out(result, reason)
  assert.is_nil(result)
  assert.equal("timeout", reason)
end

-- Sleeps for some seconds in a block with a deadline.
local function block(seconds, sleep, ...)
  local _ <close> = sluice.timeout(seconds)
  sluice.sleep(sleep)
  return ...
end

describe("sluice.wait_for", function()
  it("returns the function's results", function()
    local packed = table.pack(sluice.wait_for(5, function(...)
      sluice.sleep(1)
      return ...
    end, 1, nil, "x", nil))
    assert.same({ 1, nil, "x", nil, n = 4 }, packed)
    assert.equal(1, sluice.time())
  end)

  it("returns nil and timeout when the time has passed", function()
    timed_out(sluice.wait_for(2, sluice.sleep, 5))
    assert.equal(2, sluice.time())
  end)

  it("raises the function's error unchanged", function()
    local object = {}
    assert.equal(object, errors.of(sluice.wait_for, 5, error, object))
    assert.equal(object, errors.of(sluice.wait_for, 5, function()
      sluice.sleep(1)
      error(object)
    end))
  end)

  it("raises an error that is just called timeout", function()
    assert.equal("timeout", errors.of(sluice.wait_for, 5, error, "timeout"))
  end)

  it("runs the function in the same task", function()
    assert.equal(sluice.current_task(),
      sluice.wait_for(1, sluice.current_task))
  end)

  it("runs the function to its first checkpoint when it has no time",
    function()
      local steps = {}
      timed_out(sluice.wait_for(0, function()
        steps[#steps + 1] = "began"
        sluice.sleep(0)
        steps[#steps + 1] = "too far"
      end))
      assert.same({ "began" }, steps)
      assert.equal(0, sluice.time())
    end)

  it("returns the results of a function that waits for nothing", function()
    assert.equal(7, sluice.wait_for(0, function() return 7 end))
  end)

  it("leaves no timer behind", function()
    local before = timers()
    for _ = 1, 100 do
      sluice.wait_for(50, sluice.sleep, 0)
      sluice.wait_for(50, sluice.sleep, 0.001)
      pcall(sluice.wait_for, 50, error, "x")
      sluice.wait_for(0.001, sluice.sleep, 50)
    end
    assert.equal(before, timers())
  end)

  it("runs to-be-closed variables, which may wait, before it returns",
    function()
      timed_out(sluice.wait_for(1, function()
        local _ <close> = closing(function()
          sluice.shield(sluice.sleep, 3)
        end)
        sluice.sleep(9)
      end))
      assert.equal(4, sluice.time())
    end)

  it("tells the function's waits that the reason is timeout", function()
    local err
    sluice.wait_for(1, function() err = errors.of(sluice.sleep, 9) end)
    assert.is_true(sluice.is_cancelled(err))
    assert.equal("timeout", err.reason)
  end)

  -- It counts as timed out only if it absorbed a cancellation.
  it("returns the results of a function that went past its time", function()
    assert.equal("late", sluice.wait_for(1, function()
      pcall(sluice.sleep, 9)
      return "late"
    end))
    assert.equal("late", sluice.wait_for(1, function()
      return sluice.shield(function() sluice.sleep(5) return "late" end)
    end))
  end)

  it("raises the error of a function that failed past its time", function()
    assert.equal("worse", errors.of(sluice.wait_for, 1, function()
      pcall(sluice.sleep, 9)
      error("worse", 0)
    end))
  end)

  it("takes no other task's cancellation for a timeout", function()
    local other = sluice.create_task(sluice.sleep, 9)
    other:cancel("other's")
    local err = errors.of(sluice.wait_for, 5, other.await, other)
    assert.equal("other's", err.reason)
  end)

  it("leaves the task as it was", function()
    timed_out(sluice.wait_for(1, sluice.sleep, 9))
    sluice.sleep(1)
    sluice.create_task(sluice.sleep, 1):await()
    assert.equal(3, sluice.time())
  end)

  it("does not reach the tasks that the function creates", function()
    local task
    sluice.wait_for(1, function()
      task = sluice.create_task(sluice.sleep, 5)
      sluice.sleep(9)
    end)
    task:await()
    assert.equal(5, sluice.time())
  end)

  it("ends a group and its children", function()
    local child
    timed_out(sluice.wait_for(1, sluice.task_group, function(group)
      child = group:create_task(sluice.sleep, 9)
      sluice.sleep(9)
    end))
    assert.is_true(child:cancelled())
  end)

  it("ends a group that waits for its children", function()
    local child
    timed_out(sluice.wait_for(1, sluice.task_group, function(group)
      child = group:create_task(sluice.sleep, 9)
    end))
    assert.is_true(child:cancelled())
    assert.equal(1, sluice.time())
  end)

  it("refuses wrong arguments", function()
    errors.refuses_durations(1, "wait_for", function(x)
      sluice.wait_for(x, print)
    end)
    errors.raises(
      "bad argument #2 to 'wait_for' (function expected, got no value)",
      function() sluice.wait_for(1) end)
  end)
end)

describe("a result that is ready when the time passes", function()
  -- bpo-37658, 42130: a result that was ready is never lost.
  it("is returned by wait_for", function()
    local queue = sluice.Queue()
    local getter = sluice.create_task(sluice.wait_for, 1, queue.get, queue)
    sluice.call_at(1, function() queue:put_nowait("x") end)
    local item, reason = getter:await()
    assert.is_true(item == "x" or reason == "timeout" and #queue == 1)
  end)

  it("is returned by a block whose deadline passed just then", function()
    local queue, deadline = sluice.Queue(), nil
    local getter = sluice.create_task(function()
      local guard <close> = sluice.timeout(9)
      deadline = guard
      return queue:get()
    end)
    testing.settle()
    queue:put_nowait("x")
    deadline:reschedule(0)
    assert.equal("x", getter:await())
  end)

  it("of whatever order of events is never lost", function()
    for delay = 0, 4 do
      local queue = sluice.Queue()
      sluice.create_task(function()
        sluice.sleep(1)
        for _ = 1, delay do sluice.sleep(0) end
        queue:put_nowait("x")
      end)
      local item = sluice.wait_for(1, queue.get, queue)
      sluice.sleep(1)
      assert.equal(item and 0 or 1, queue:qsize())
    end
  end)
end)

describe("a cancellation from outside", function()
  local function run_cancelled(at, fn)
    local task
    task = sluice.create_task(fn)
    sluice.call_at(at, function() task:cancel("outside") end)
    local ok, err = task:pawait()
    assert.is_false(ok)
    assert.is_true(sluice.is_cancelled(err))
    return err.reason
  end

  -- bpo-32751, 37658: no caller's cancellation is swallowed.
  it("goes through wait_for", function()
    assert.equal("outside", run_cancelled(1, function()
      sluice.wait_for(5, sluice.sleep, 9)
    end))
  end)

  it("goes through a block with a deadline", function()
    assert.equal("outside", run_cancelled(1, function() block(5, 9) end))
  end)

  it("is not turned into a timeout while the time passes as well",
    function()
      for delay = 0, 2 do
        local began = sluice.time()
        assert.equal("outside", run_cancelled(began + 1, function()
          for _ = 1, delay do sluice.sleep(0) end
          sluice.wait_for(1, sluice.sleep, 9)
          sluice.sleep(0)
        end))
        assert.equal(began + 1, sluice.time())
      end
    end)

  -- gh-102780: a cancellation that comes after the deadline, while the
  -- block winds up, is not lost to it.
  it("counts also when it comes after the deadline", function()
    local went_on = false
    assert.equal("outside", run_cancelled(2, function()
      sluice.wait_for(1, function()
        local _ <close> = closing(function()
          sluice.shield(sluice.sleep, 5)
        end)
        sluice.sleep(9)
      end)
      went_on = true
    end))
    assert.is_false(went_on)
  end)

  it("counts also when it comes after a block's deadline", function()
    assert.equal("outside", run_cancelled(2, function()
      local _ <close> = sluice.timeout(1)
      local _ <close> = closing(function()
        sluice.shield(sluice.sleep, 5)
      end)
      sluice.sleep(9)
    end))
  end)

  it("keeps its reason when a deadline passes after it", function()
    assert.equal("outside", run_cancelled(1, function()
      sluice.wait_for(2, function()
        local _ <close> = closing(function()
          sluice.shield(sluice.sleep, 5)
        end)
        sluice.sleep(9)
      end)
    end))
  end)

  -- gh-102780: a deadline works inside the handling of a cancellation.
  it("leaves deadlines under a shield at work", function()
    local reason
    run_cancelled(1, function()
      local _ <close> = closing(function()
        sluice.shield(function()
          reason = select(2, sluice.wait_for(2, sluice.sleep, 9))
        end)
      end)
      sluice.sleep(9)
    end)
    assert.equal("timeout", reason)
    assert.equal(3, sluice.time())
  end)
end)

describe("nested deadlines", function()
  it("end the inner one when it is shorter", function()
    local inner
    assert.equal("outer", sluice.wait_for(5, function()
      inner = select(2, sluice.wait_for(1, sluice.sleep, 9))
      return "outer"
    end))
    assert.equal("timeout", inner)
    assert.equal(1, sluice.time())
  end)

  it("end the outer one when it is shorter", function()
    local went_on = false
    timed_out(sluice.wait_for(1, function()
      sluice.wait_for(5, sluice.sleep, 9)
      went_on = true
    end))
    assert.is_false(went_on)
    assert.equal(1, sluice.time())
  end)

  -- R6: a scope absorbs a cancellation if its parent's is not visible.
  it("that pass together end the outer one", function()
    local went_on = false
    timed_out(sluice.wait_for(1, function()
      sluice.wait_for(1, sluice.sleep, 9)
      went_on = true
    end))
    assert.is_false(went_on)
  end)

  it("of two blocks that pass together leave the outer block", function()
    local went_on = false
    assert.equal("timeout", errors.of(function()
      local _ <close> = sluice.timeout(1)
      pcall(block, 1, 9)
      sluice.sleep(0)
      went_on = true
    end))
    assert.is_false(went_on)
  end)

  it("can be many", function()
    local function nest(n)
      if n == 0 then return sluice.sleep(9) end
      return sluice.wait_for(100 - n, nest, n - 1)
    end
    timed_out(sluice.wait_for(1, nest, 50))
    assert.equal(1, sluice.time())
  end)

  it("come each in its time", function()
    local times = {}
    sluice.wait_for(3, function()
      sluice.wait_for(2, function()
        sluice.wait_for(1, sluice.sleep, 9)
        times[1] = sluice.time()
        sluice.sleep(9)
      end)
      times[2] = sluice.time()
      sluice.sleep(9)
    end)
    times[3] = sluice.time()
    assert.same({ 1, 2, 3 }, times)
  end)
end)

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

describe("a deadline that the clock cannot count", function()
  it("never passes", function()
    assert.equal("x", sluice.wait_for(math.huge, function()
      sluice.sleep(50)
      return "x"
    end))
    block(1e300, 1)
  end)
end)
