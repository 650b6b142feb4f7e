-- sluice.wait_for: a deadline over a function.

local errors = require "spec.support.errors"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it = testing.it

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
