-- sluice.task_group: tasks that end before the function does that created
-- them, and what becomes of errors and cancellations in between.

local errors = require "spec.support.errors"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

local function fail_after(seconds, value)
  sluice.sleep(seconds)
  error(value, 0)
end

-- Sleeps until it is cancelled, then winds up for some seconds.
local function wind_up(seconds, log, name)
  local _ <close> = closing(function()
    sluice.shield(sluice.sleep, seconds)
    log[#log + 1] = name
  end)
  sluice.sleep(1000)
end

describe("sluice.task_group", function()
  it("returns the body's results after every child has ended", function()
    local ended = 0
    local packed = table.pack(sluice.task_group(function(group)
      for i = 1, 3 do
        group:create_task(function() sluice.sleep(i) ended = ended + 1 end)
      end
      return 1, nil, "x", nil
    end))
    assert.same({ 1, nil, "x", nil, n = 4 }, packed)
    assert.equal(3, ended)
    assert.equal(3, sluice.time())
  end)

  it("may have no children, and an empty body", function()
    assert.equal(0, select("#", sluice.task_group(function() end)))
    assert.equal(0, sluice.time())
  end)

  it("waits for children that children create", function()
    local ended
    sluice.task_group(function(group)
      group:create_task(function()
        sluice.sleep(1)
        group:create_task(function()
          sluice.sleep(1)
          group:create_task(sluice.sleep, 1)
          ended = sluice.time()
        end)
      end)
    end)
    assert.equal(2, ended)
    assert.equal(3, sluice.time())
  end)

  it("gives back children that can be awaited, during and after", function()
    local child
    sluice.task_group(function(group)
      child = group:create_task(function(x)
        sluice.sleep(1)
        return x, nil
      end, 7)
      assert.equal(7, child:await())
    end)
    assert.same({ 7, nil, n = 2 }, table.pack(child:await()))
  end)

  it("takes what is callable", function()
    local body = setmetatable({}, { __call = function(_, group)
      return tostring(group)
    end })
    assert.truthy(sluice.task_group(body):find("^sluice%.TaskGroup"))
  end)

  it("refuses what is no function", function()
    errors.raises(
      "bad argument #1 to 'task_group' (function expected, got nil)",
      function() sluice.task_group(nil) end)
    sluice.task_group(function(group)
      errors.raises(
        "bad argument #1 to 'create_task' (function expected, got nil)",
        function() group:create_task(nil) end)
    end)
  end)
end)

describe("sluice.create_task in a group", function()
  it("makes a child of the group", function()
    sluice.task_group(function() sluice.create_task(sluice.sleep, 2) end)
    assert.equal(2, sluice.time())
  end)

  it("makes a child of the child's group in a child", function()
    sluice.task_group(function(group)
      group:create_task(function()
        sluice.sleep(1)
        sluice.create_task(sluice.sleep, 2)
      end)
    end)
    assert.equal(3, sluice.time())
  end)

  it("makes a child of the innermost group", function()
    local inner_ended
    sluice.task_group(function()
      sluice.task_group(function() sluice.create_task(sluice.sleep, 1) end)
      inner_ended = sluice.time()
      sluice.create_task(sluice.sleep, 1)
    end)
    assert.equal(1, inner_ended)
    assert.equal(2, sluice.time())
  end)

  it("makes a child also in a wait_for, a shield, a plain coroutine",
    function()
      sluice.task_group(function()
        sluice.wait_for(9, sluice.create_task, sluice.sleep, 1)
        sluice.shield(sluice.create_task, sluice.sleep, 2)
        coroutine.wrap(sluice.create_task)(sluice.sleep, 3)
      end)
      assert.equal(3, sluice.time())
    end)

  it("makes a task of the run again after the group", function()
    sluice.task_group(function() end)
    local task = sluice.create_task(sluice.sleep, 5)
    sluice.task_group(function() sluice.sleep(1) end)
    assert.is_false(task:done())
    task:await()
  end)
end)

describe("the error of a child", function()
  it("is raised unchanged", function()
    for _, value in ipairs { "text", 7, false, {}, print } do
      assert.equal(value, errors.of(sluice.task_group, function(group)
        group:create_task(fail_after, 1, value)
      end))
    end
  end)

  it("is raised when it is nil", function()
    local packed = table.pack(pcall(sluice.task_group, function(group)
      group:create_task(fail_after, 1, nil)
      sluice.sleep(9)
    end))
    assert.same({ false, errors.NIL, n = 2 }, packed)
  end)

  it("cancels the body", function()
    local seen
    assert.equal("child's", errors.of(sluice.task_group, function(group)
      group:create_task(fail_after, 1, "child's")
      seen = errors.of(sluice.sleep, 9)
      error(seen)
    end))
    assert.is_true(sluice.is_cancelled(seen))
    assert.equal(1, sluice.time())
  end)

  -- gh-95289: nothing stays of the group's own cancellation of the body.
  it("leaves the body's task uncancelled after the group", function()
    pcall(sluice.task_group, function(group)
      group:create_task(fail_after, 1, "x")
      pcall(sluice.sleep, 9)
    end)
    sluice.sleep(1)
    sluice.task_group(function() sluice.sleep(1) end)
    assert.equal(3, sluice.time())
  end)

  it("is raised even if the body replaces its cancellation", function()
    assert.equal("child's", errors.of(sluice.task_group, function(group)
      group:create_task(fail_after, 1, "child's")
      pcall(sluice.sleep, 9)
      error("body's", 0)
    end))
  end)

  it("cancels the siblings and waits until all have ended", function()
    local log = {}
    assert.equal("x", errors.of(sluice.task_group, function(group)
      group:create_task(wind_up, 2, log, "one")
      group:create_task(wind_up, 3, log, "other")
      group:create_task(fail_after, 1, "x")
    end))
    assert.same({ "one", "other" }, log)
    assert.equal(4, sluice.time())
  end)

  it("that comes first is raised, the others are in group.errors",
    function()
      local kept
      assert.equal("first", errors.of(sluice.task_group, function(group)
        kept = group
        for i, name in ipairs { "first", "second", "third" } do
          group:create_task(function()
            pcall(sluice.sleep, i)
            error(name, 0)
          end)
        end
      end))
      assert.same({ "second", "third" }, kept.errors)
    end)

  it("that comes after the body's is in group.errors", function()
    local kept
    assert.equal("body's", errors.of(sluice.task_group, function(group)
      kept = group
      group:create_task(function()
        pcall(sluice.sleep, 9)
        error("child's", 0)
      end)
      sluice.sleep(1)
      error("body's", 0)
    end))
    assert.same({ "child's" }, kept.errors)
  end)

  it("is not reported to on_error", function()
    local reported = 0
    local before = sluice.on_error(function() reported = reported + 1 end)
    pcall(sluice.task_group, function(group)
      for i = 1, 3 do group:create_task(fail_after, i, "x") end
    end)
    sluice.on_error(before)
    assert.equal(0, reported)
  end)

  plainly("keeps its traceback", function()
    pcall(testing.run, function()
      sluice.task_group(function(group)
        local function culprit() error("x") end
        group:create_task(function() culprit() return 1 end)
      end)
    end)
    assert.truthy(sluice.traceback():find("culprit", 1, true))
  end)

  it("that the body catches by awaiting it ends the group all the same",
    function()
      assert.equal("x", errors.of(sluice.task_group, function(group)
        local child = group:create_task(fail_after, 1, "x")
        assert.is_false((child:pawait()))
        sluice.sleep(0)
      end))
    end)
end)

describe("group.errors", function()
  it("is empty while there is at most one error", function()
    local kept
    sluice.task_group(function(group)
      kept = group
      assert.same({}, group.errors)
    end)
    assert.same({}, kept.errors)
    pcall(sluice.task_group, function(group)
      kept = group
      error("x")
    end)
    assert.same({}, kept.errors)
  end)
end)

describe("the error of the body", function()
  it("cancels the children, waits for them and is raised", function()
    local log, object = {}, {}
    assert.equal(object, errors.of(sluice.task_group, function(group)
      group:create_task(wind_up, 2, log, "child")
      sluice.sleep(1)
      error(object)
    end))
    assert.same({ "child" }, log)
    assert.equal(3, sluice.time())
  end)

  it("lets children that have not started run to a checkpoint", function()
    local steps = {}
    pcall(sluice.task_group, function(group)
      group:create_task(function()
        steps[#steps + 1] = "began"
        sluice.sleep(0)
        steps[#steps + 1] = "too far"
      end)
      error("x")
    end)
    assert.same({ "began" }, steps)
  end)
end)

describe("group:cancel", function()
  it("ends body and children, without an error", function()
    local child
    assert.equal(0, select("#", sluice.task_group(function(group)
      child = group:create_task(sluice.sleep, 9)
      sluice.sleep(1)
      group:cancel()
      sluice.sleep(9)
    end)))
    assert.is_true(child:cancelled())
    assert.equal(1, sluice.time())
    sluice.sleep(1)
  end)

  it("gives its reason to all", function()
    local reasons = {}
    sluice.task_group(function(group)
      group:create_task(function()
        reasons[1] = errors.of(sluice.sleep, 9).reason
      end)
      sluice.sleep(1)
      group:cancel("closing")
      group:cancel("again")
      reasons[2] = errors.of(sluice.sleep, 9).reason
    end)
    assert.same({ "closing", "closing" }, reasons)
  end)

  it("may be called by a child or from outside", function()
    sluice.task_group(function(group)
      group:create_task(function() sluice.sleep(1) group:cancel() end)
      sluice.sleep(9)
    end)
    assert.equal(1, sluice.time())
    local kept
    sluice.call_later(1, function() kept:cancel() end)
    sluice.task_group(function(group)
      kept = group
      sluice.sleep(9)
    end)
    assert.equal(2, sluice.time())
  end)

  it("reaches a group that waits for its children", function()
    sluice.task_group(function(group)
      group:create_task(sluice.sleep, 9)
      group:create_task(function() sluice.sleep(1) group:cancel() end)
    end)
    assert.equal(1, sluice.time())
  end)

  it("does not hide an error", function()
    assert.equal("x", errors.of(sluice.task_group, function(group)
      group:create_task(function()
        pcall(sluice.sleep, 9)
        error("x", 0)
      end)
      sluice.sleep(1)
      group:cancel()
    end))
  end)

  -- gh-155433: after it, a cancellation from outside still counts.
  it("does not hide a cancellation from outside", function()
    local task = sluice.create_task(sluice.task_group, function(group)
      group:create_task(wind_up, 5, {}, "child")
      sluice.sleep(1)
      group:cancel("own")
      sluice.sleep(9)
    end)
    sluice.call_at(2, function() task:cancel("outside") end)
    assert.equal("outside", select(2, task:pawait()).reason)
  end)

  it("after the end does nothing", function()
    local kept
    sluice.task_group(function(group) kept = group end)
    kept:cancel()
    sluice.sleep(1)
    assert.is_string(tostring(kept))
  end)
end)

describe("a cancelled group", function()
  -- gh-116048: what is spawned into it starts in the cancelled state.
  it("starts a new child, which runs to its first checkpoint", function()
    local steps = {}
    sluice.task_group(function(group)
      group:cancel()
      group:create_task(function()
        local _ <close> = closing(function() steps[#steps + 1] = "closed" end)
        steps[#steps + 1] = "began"
        sluice.sleep(0)
        steps[#steps + 1] = "too far"
      end)
    end)
    assert.same({ "began", "closed" }, steps)
  end)

  it("takes children also while it waits for the last one", function()
    local steps = {}
    pcall(sluice.task_group, function(group)
      group:create_task(function()
        pcall(sluice.sleep, 9)
        group:create_task(function() steps[#steps + 1] = "began" end)
      end)
      sluice.sleep(1)
      error("x")
    end)
    assert.same({ "began" }, steps)
  end)
end)

describe("a group that has ended", function()
  it("takes no more children", function()
    local kept, ran
    sluice.task_group(function(group) kept = group end)
    errors.raises("the task group has ended",
      function() kept:create_task(function() ran = true end) end)
    sluice.sleep(1)
    assert.is_nil(ran)
  end)

  it("tells so", function()
    local kept, open
    sluice.task_group(function(group) kept, open = group, tostring(group) end)
    assert.not_equal(open, tostring(kept))
  end)

  it("is collected", function()
    local weak = setmetatable({}, { __mode = "k" })
    local function run()
      sluice.task_group(function(group)
        weak[group] = true
        group:create_task(sluice.sleep, 1)
      end)
    end
    run()
    pcall(sluice.task_group, function(group) weak[group] = true error({}) end)
    sluice.sleep(0)
    collectgarbage()
    assert.is_nil(next(weak))
  end)
end)

describe("a child that was cancelled by itself", function()
  it("is no error of the group", function()
    local other
    assert.equal("fine", sluice.task_group(function(group)
      local child = group:create_task(sluice.sleep, 9)
      other = group:create_task(sluice.sleep, 3)
      sluice.sleep(1)
      child:cancel()
      return "fine"
    end))
    assert.equal(3, sluice.time())
    assert.is_false(other:cancelled())
  end)

  it("is an error if the cancellation was another task's", function()
    local other = sluice.create_task(sluice.sleep, 9)
    other:cancel("other's")
    local err = errors.of(sluice.task_group, function(group)
      group:create_task(function() other:await() end)
    end)
    assert.equal("other's", err.reason)
  end)
end)

describe("a group cancelled from outside", function()
  local function cancel_at(time, fn)
    local task = sluice.create_task(fn)
    sluice.call_at(time, function() task:cancel("outside") end)
    return task
  end

  it("cancels its children, waits for them and raises it", function()
    local log = {}
    local task = cancel_at(1, function()
      sluice.task_group(function(group)
        group:create_task(wind_up, 2, log, "child")
        sluice.sleep(9)
      end)
    end)
    assert.equal("outside", select(2, task:pawait()).reason)
    assert.is_true(task:cancelled())
    assert.same({ "child" }, log)
    assert.equal(3, sluice.time())
  end)

  it("raises it also if its body has returned already", function()
    local went_on = false
    local task = cancel_at(1, function()
      sluice.task_group(function(group) group:create_task(sluice.sleep, 9) end)
      went_on = true
    end)
    assert.equal("outside", select(2, task:pawait()).reason)
    assert.is_false(went_on)
  end)

  -- trio 1457: a group's exit injects no cancellation of its own.
  it("returns the results if its children came to their end", function()
    local result
    local task = cancel_at(1, function()
      result = sluice.task_group(function(group)
        group:create_task(sluice.shield, sluice.sleep, 2)
        return "complete"
      end)
      sluice.sleep(0)
    end)
    task:pawait()
    assert.equal("complete", result)
    assert.is_true(task:cancelled())
  end)

  it("raises an error of a child rather than the cancellation", function()
    local task = cancel_at(1, function()
      sluice.task_group(function(group)
        group:create_task(function()
          pcall(sluice.sleep, 9)
          error("child's", 0)
        end)
      end)
    end)
    assert.equal("child's", select(2, task:pawait()))
  end)
end)

describe("nested groups", function()
  it("stop an error at the edge where it is caught", function()
    local outer_child
    assert.equal("fine", sluice.task_group(function(group)
      outer_child = group:create_task(sluice.sleep, 5)
      assert.equal("inner", errors.of(sluice.task_group, function(inner)
        inner:create_task(fail_after, 1, "inner")
        sluice.sleep(9)
      end))
      sluice.sleep(1)
      return "fine"
    end))
    assert.is_false(outer_child:cancelled())
  end)

  -- gh-116720: the inner group does not swallow the outer's cancellation.
  it("go on cancelling the outer body after the inner one's error",
    function()
      local went_on = false
      assert.equal("outer", errors.of(sluice.task_group, function(outer)
        pcall(sluice.task_group, function(inner)
          inner:create_task(fail_after, 1, "inner")
          outer:create_task(fail_after, 1, "outer")
        end)
        sluice.sleep(0)
        went_on = true
      end))
      assert.is_false(went_on)
    end)

  it("pass an error on outwards", function()
    local log = {}
    assert.equal("x", errors.of(sluice.task_group, function(outer)
      outer:create_task(wind_up, 1, log, "outer")
      sluice.task_group(function(inner)
        inner:create_task(wind_up, 1, log, "inner")
        inner:create_task(fail_after, 1, "x")
      end)
    end))
    assert.same({ "inner", "outer" }, log)
  end)

  it("in children end when the outermost is cancelled", function()
    local ended = 0
    sluice.task_group(function(group)
      for _ = 1, 3 do
        group:create_task(sluice.task_group, function(inner)
          for _ = 1, 3 do inner:create_task(wind_up, 1, {}, "x") end
          local _ <close> = closing(function() ended = ended + 1 end)
          sluice.sleep(9)
        end)
      end
      sluice.sleep(1)
      group:cancel()
    end)
    assert.equal(3, ended)
    assert.equal(2, sluice.time())
  end)

  it("can be deep", function()
    local function nest(n)
      if n == 0 then return sluice.sleep(1) end
      sluice.task_group(function(group) group:create_task(nest, n - 1) end)
    end
    nest(500)
    local task = sluice.create_task(nest, 500)
    sluice.sleep(0.5)
    task:cancel()
    task:pawait()
    assert.equal(1.5, sluice.time())
  end)
end)
