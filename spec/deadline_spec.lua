-- Deadlines that meet something else of the same moment: a result that is
-- ready, a cancellation from outside, another deadline.

local errors = require "spec.support.errors"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it = testing.it

local function closing(fn)
  return setmetatable({}, { __close = fn })
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

describe("a deadline that the clock cannot count", function()
  it("never passes", function()
    assert.equal("x", sluice.wait_for(math.huge, function()
      sluice.sleep(50)
      return "x"
    end))
    block(1e300, 1)
  end)
end)
