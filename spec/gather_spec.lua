-- sluice.gather: functions and tasks awaited together.

local errors = require "spec.support.errors"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

-- A function that returns values after some seconds.
local function after(seconds, ...)
  local values = table.pack(...)
  return function()
    sluice.sleep(seconds)
    return table.unpack(values, 1, values.n)
  end
end

local function failing(seconds, value)
  return function()
    sluice.sleep(seconds)
    error(value, 0)
  end
end

describe("sluice.gather", function()
  it("returns the first results in the list's order", function()
    local results = sluice.gather {
      after(3, "a", "lost"), after(1, "b"), after(2, "c"),
    }
    assert.same({ "a", "b", "c" }, results)
    assert.equal(3, sluice.time())
  end)

  it("takes tasks and functions together", function()
    local task = sluice.create_task(after(2, "task"))
    assert.same({ "function", "task" },
      sluice.gather { after(1, "function"), task })
  end)

  it("takes tasks that are done", function()
    local task = sluice.create_task(after(1, "x"))
    task:await()
    assert.same({ "x" }, sluice.gather { task })
    assert.equal(1, sluice.time())
  end)

  it("gives the result of a task twice that is twice in the list",
    function()
      local task = sluice.create_task(after(1, "x"))
      assert.same({ "x", "x" }, sluice.gather { task, task })
    end)

  it("leaves a hole for a result of nil", function()
    local results = sluice.gather { after(1), after(1, nil), after(1, "c") }
    assert.is_nil(results[1])
    assert.is_nil(results[2])
    assert.equal("c", results[3])
  end)

  it("of an empty list returns an empty list", function()
    assert.same({}, sluice.gather {})
    assert.same({}, sluice.gather({}, { return_errors = true }))
  end)

  it("makes the functions children of the caller's group", function()
    local inner
    local task = sluice.create_task(sluice.task_group, function()
      sluice.gather { function()
        inner = sluice.current_task()
        sluice.sleep(9)
      end }
    end)
    sluice.sleep(1)
    task:cancel()
    task:pawait()
    assert.is_true(inner:cancelled())
  end)
end)

describe("the first error in a gather", function()
  it("is raised unchanged", function()
    for _, value in ipairs { "text", 7, false, {}, print } do
      assert.equal(value, errors.of(sluice.gather, {
        failing(1, value), after(2, "x"),
      }))
    end
  end)

  it("is raised when it is nil", function()
    local packed = table.pack(pcall(sluice.gather,
      { failing(1, nil), after(9, "x") }))
    assert.same({ false, errors.NIL, n = 2 }, packed)
    assert.equal(1, sluice.time())
  end)

  it("cancels the others and awaits them", function()
    local wound_up
    local task = sluice.create_task(after(9))
    assert.equal("x", errors.of(sluice.gather, {
      function()
        local _ <close> = closing(function()
          sluice.shield(sluice.sleep, 3)
          wound_up = sluice.time()
        end)
        sluice.sleep(9)
      end, failing(1, "x"), task,
    }))
    assert.equal(4, wound_up)
    assert.is_true(task:cancelled())
  end)

  it("is the first in time, not in the list", function()
    assert.equal("early", errors.of(sluice.gather, {
      failing(2, "late"), failing(1, "early"),
    }))
  end)

  it("is known at once of a task that failed before", function()
    local task = sluice.create_task(failing(1, "x"))
    task:pawait()
    assert.equal("x", errors.of(sluice.gather, { after(9), task }))
    assert.equal(1, sluice.time())
  end)

  -- A child that was cancelled by itself counts as an error.
  it("may be the cancellation of a child", function()
    local task = sluice.create_task(after(9))
    local other = sluice.create_task(after(9))
    sluice.call_later(1, function() task:cancel("its own") end)
    local err = errors.of(sluice.gather, { other, task })
    assert.equal("its own", err.reason)
    assert.is_true(other:cancelled())
    sluice.sleep(1)
  end)

  plainly("keeps its traceback", function()
    pcall(testing.run, function()
      local function culprit() error("x") end
      sluice.gather { function() culprit() return 1 end }
    end)
    assert.truthy(sluice.traceback():find("culprit", 1, true))
  end)

  plainly("does not hide what fails after it", function()
    local seen = {}
    local before = sluice.on_error(function(_, err) seen[#seen + 1] = err end)
    pcall(testing.run, function()
      sluice.create_task(failing(0, "unrelated"))
      sluice.gather { failing(1, "x") }
    end)
    sluice.on_error(before)
    assert.same({ "unrelated" }, seen)
  end)
end)

describe("sluice.gather with return_errors", function()
  local options = { return_errors = true }

  it("returns results and errors, each at its place", function()
    local results, errs = sluice.gather({
      after(1, "a"), failing(2, "b"), after(3, "c"),
    }, options)
    assert.same({ [1] = "a", [3] = "c" }, results)
    assert.same({ [2] = "b" }, errs)
    assert.equal(3, sluice.time())
  end)

  it("returns the cancellation of a child as an error", function()
    local task = sluice.create_task(after(9))
    task:cancel("its own")
    local results, errs = sluice.gather({ task, after(1, "b") }, options)
    assert.same({ [2] = "b" }, results)
    assert.equal("its own", errs[1].reason)
  end)

  it("returns an empty list of errors if there were none", function()
    local _, errs = sluice.gather({ after(1, "a") }, options)
    assert.same({}, errs)
  end)

  it("still raises the caller's own cancellation", function()
    local child
    local task = sluice.create_task(function()
      sluice.gather({ function()
        child = sluice.current_task()
        sluice.sleep(9)
      end }, options)
    end)
    sluice.sleep(1)
    task:cancel("own")
    assert.equal("own", select(2, task:pawait()).reason)
    assert.is_true(child:done())
  end)
end)

describe("a cancelled caller of gather", function()
  it("takes its children with it, and waits for them", function()
    local wound_up
    local task = sluice.create_task(function()
      sluice.gather { after(9), function()
        local _ <close> = closing(function()
          sluice.shield(sluice.sleep, 2)
          wound_up = sluice.time()
        end)
        sluice.sleep(9)
      end }
    end)
    sluice.sleep(1)
    task:cancel("why")
    assert.equal("why", select(2, task:pawait()).reason)
    assert.equal(3, wound_up)
  end)

  it("starts nothing if it was cancelled before", function()
    local started = false
    local task = sluice.create_task(function()
      sluice.gather { function() started = true end }
    end)
    task:cancel()
    task:pawait()
    sluice.sleep(1)
    assert.is_false(started)
  end)

  it("has a deadline's reason under wait_for", function()
    local result, reason = sluice.wait_for(1, sluice.gather, { after(9) })
    assert.is_nil(result)
    assert.equal("timeout", reason)
    assert.equal(1, sluice.time())
  end)
end)

describe("gather called where it cannot wait", function()
  it("starts nothing in a plain coroutine", function()
    local started = false
    local list = { function() started = true end }
    local ok, err = coroutine.wrap(function()
      return pcall(sluice.gather, list)
    end)()
    assert.is_false(ok)
    assert.truthy(err:find("plain coroutine", 1, true))
    sluice.sleep(1)
    assert.is_false(started)
  end)

  it("starts nothing where Lua cannot yield", function()
    local started = false
    local ok = pcall(table.sort, { 2, 1 }, function()
      sluice.gather { function() started = true end }
    end)
    assert.is_false(ok)
    sluice.sleep(1)
    assert.is_false(started)
  end)

  plainly("raises outside a task at the caller's line", function()
    errors.raises_match("gather", function() sluice.gather {} end)
    errors.raises_match("gather", function() sluice.gather { print } end)
  end)
end)

describe("gather of what cannot be awaited", function()
  it("refuses its own task before it starts anything", function()
    local started = false
    local function start() started = true end
    errors.raises_match("await itself",
      function() sluice.gather { start, sluice.current_task() } end)
    sluice.sleep(1)
    assert.is_false(started)
  end)

  plainly("waits for the others before it tells of a circle", function()
    local wound_up, raised
    local err = errors.of(testing.run, function()
      local main = sluice.current_task()
      local circle = sluice.create_task(sluice.shield, main.pawait, main)
      sluice.sleep(0)
      local _ <close> = closing(function() raised = sluice.time() end)
      sluice.gather { circle, function()
        local _ <close> = closing(function()
          sluice.shield(sluice.sleep, 2)
          wound_up = sluice.time()
        end)
        sluice.sleep(9)
      end }
    end)
    assert.matches("^.*deadlock", err)
    assert.same({ 2, 2 }, { wound_up, raised })
  end)
end)

describe("wrong arguments of gather", function()
  it("are raised at the caller's line", function()
    errors.raises("bad argument #1 to 'gather' (table expected, got nil)",
      function() sluice.gather(nil) end)
    errors.raises("bad argument #2 to 'gather' (table expected, got number)",
      function() sluice.gather({}, 5) end)
    errors.raises("bad argument #2 to 'gather' (unknown option 'return_error')",
      function() sluice.gather({}, { return_error = true }) end)
    errors.raises_match("^bad argument #1 to 'gather' .*2",
      function() sluice.gather { print, "x" } end)
  end)

  it("start nothing", function()
    local started = false
    pcall(sluice.gather, { function() started = true end, "x" })
    sluice.sleep(1)
    assert.is_false(started)
  end)
end)
