-- sluice.run and sluice.Runner: the first task, its results and errors, what
-- becomes of the tasks that it leaves behind, and using a loop again.

local errors = require "spec.support.errors"
local sluice = require "sluice"
local testing = require "sluice.testing"

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

describe("sluice.run", function()
  it("returns what main returns", function()
    local function main() return 1, nil, "x", nil end
    local packed = table.pack(sluice.run(main))
    assert.same({ 1, nil, "x", nil, n = 4 }, packed)
    assert.equal(0, select("#", sluice.run(function() end)))
  end)

  it("passes its arguments to main", function()
    local packed = table.pack(sluice.run(table.pack, 1, nil, "x", nil))
    assert.same({ 1, nil, "x", nil, n = 4 }, packed[1])
  end)

  it("takes a callable value for main", function()
    local main = setmetatable({}, { __call = function(_, x) return x end })
    assert.equal(7, sluice.run(main, 7))
  end)

  it("takes a function of its own for main", function()
    sluice.run(sluice.sleep, 0)
    local result, reason = testing.run(function()
      return sluice.wait_for(1, sluice.sleep, 2)
    end)
    assert.is_nil(result)
    assert.equal("timeout", reason)
  end)

  it("returns more values than fit on a small stack", function()
    local many = {}
    for i = 1, 100000 do many[i] = i end
    local n = select("#", sluice.run(function() return table.unpack(many) end))
    assert.equal(100000, n)
  end)

  it("raises main's error unchanged, whatever value it is", function()
    local values = { "text", 7, 2.5, false, {}, print, n = 6 }
    for i = 1, values.n do
      local ok, err = pcall(sluice.run, function() error(values[i], 0) end)
      assert.is_false(ok)
      assert.equal(values[i], err)
    end
  end)

  it("raises an error of nil", function()
    local ok, err = pcall(sluice.run, function() error(nil) end)
    assert.is_false(ok)
    assert.equal(errors.NIL, err)
  end)

  it("raises main's error when main was waiting before it", function()
    local object = {}
    local ok, err = pcall(testing.run, function()
      sluice.sleep(1)
      error(object)
    end)
    assert.is_false(ok)
    assert.equal(object, err)
  end)

  it("raises the cancellation of a main that was cancelled", function()
    local ok, err = pcall(testing.run, function()
      sluice.current_task():cancel("enough")
      sluice.sleep(1)
    end)
    assert.is_false(ok)
    assert.is_true(sluice.is_cancelled(err))
    assert.equal("enough", err.reason)
  end)

  it("returns the results of a main that was cancelled but ended", function()
    assert.equal(5, testing.run(function()
      sluice.current_task():cancel()
      return 5
    end))
  end)

  it("survives a main that overflows the stack", function()
    local function forever() return 1 + forever() end
    local ok, err = pcall(sluice.run, forever)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("stack overflow", 1, true))
    assert.equal(1, sluice.run(function() return 1 end))
  end)

  it("works in a plain coroutine", function()
    local co = coroutine.wrap(function()
      return sluice.run(function()
        return sluice.create_task(function() return 4 end):await()
      end)
    end)
    assert.equal(4, co())
  end)

  it("works where Lua cannot yield", function()
    local seen = ("x"):gsub("x", function()
      return sluice.run(function() sluice.sleep(0) return "y" end)
    end)
    assert.equal("y", seen)
  end)

  it("works in a to-be-closed variable and in a finaliser", function()
    local seen = {}
    local function run()
      seen[#seen + 1] = sluice.run(function() return 1 end)
    end
    do local _ <close> = closing(run) end
    setmetatable({}, { __gc = run })
    collectgarbage()
    assert.same({ 1, 1 }, seen)
  end)

  it("makes main a task", function()
    local task = sluice.run(function() return sluice.current_task() end)
    assert.is_true(task:done())
    assert.is_nil(sluice.current_task())
  end)

  it("runs no step of main before it is called", function()
    local order = {}
    order[1] = "before"
    sluice.run(function() order[2] = "main" end)
    order[3] = "after"
    assert.same({ "before", "main", "after" }, order)
  end)

  it("refuses what is no function", function()
    errors.raises(
      "bad argument #1 to 'run' (function expected, got no value)",
      function() sluice.run() end)
    errors.raises("bad argument #1 to 'run' (function expected, got number)",
      function() sluice.run(5) end)
  end)
end)

describe("sluice.run called in a run", function()
  local function refused(fn)
    return testing.run(function()
      local ok, err = pcall(fn)
      sluice.sleep(1)
      return not ok and err
    end)
  end

  it("raises at the caller's line and leaves the run as it is", function()
    testing.run(function()
      errors.raises_match("run", function() sluice.run(print) end)
      sluice.sleep(1)
      assert.equal(1, sluice.time())
    end)
  end)

  it("raises for a Runner too", function()
    local runner = sluice.Runner()
    assert.is_string(refused(function() runner:run(print) end))
  end)

  it("raises in a plain coroutine of a task", function()
    assert.is_string(refused(coroutine.wrap(function() sluice.run(print) end)))
  end)

  it("does not run its main", function()
    local ran = false
    assert.is_string(refused(function()
      sluice.run(function() ran = true end)
    end))
    assert.is_false(ran)
  end)
end)

describe("the end of a run", function()
  it("cancels the tasks that are left", function()
    local err
    testing.run(function()
      sluice.create_task(function() err = select(2, pcall(sluice.sleep, 9)) end)
      sluice.sleep(0)
    end)
    assert.is_true(sluice.is_cancelled(err))
  end)

  it("awaits a clean-up that takes time under a shield", function()
    local ended
    testing.run(function()
      sluice.create_task(function()
        local _ <close> = closing(function()
          sluice.shield(sluice.sleep, 5)
          ended = sluice.time()
        end)
        sluice.sleep(100)
      end)
      sluice.sleep(1)
    end)
    assert.equal(6, ended)
  end)

  it("comes to tasks that have not started, up to a checkpoint", function()
    local seen = {}
    testing.run(function()
      sluice.create_task(function()
        seen[#seen + 1] = "started"
        sluice.sleep(0)
        seen[#seen + 1] = "went on"
      end)
    end)
    assert.same({ "started" }, seen)
  end)

  it("comes to tasks that a clean-up creates", function()
    local seen = {}
    testing.run(function()
      sluice.create_task(function()
        local _ <close> = closing(function()
          sluice.create_task(function()
            seen[#seen + 1] = "started"
            sluice.sleep(9)
            seen[#seen + 1] = "went on"
          end)
        end)
        sluice.sleep(9)
      end)
      sluice.sleep(0)
    end)
    assert.same({ "started" }, seen)
  end)

  it("drops what call_later has not started", function()
    local ran = false
    local runner = sluice.Runner { clock = "virtual" }
    runner:run(function()
      sluice.call_later(5, function() ran = true end)
    end)
    assert.is_false(ran)
    assert.equal(0, runner:run(sluice.time))
  end)

  it("drops what a clean-up gives to call_later", function()
    local ran = false
    local runner = sluice.Runner { clock = "virtual" }
    runner:run(function()
      sluice.create_task(function()
        local _ <close> = closing(function()
          sluice.call_later(1000, function() ran = true end)
        end)
        sluice.sleep(9)
      end)
      sluice.sleep(0)
    end)
    assert.is_false(ran)
    assert.equal(0, runner:run(sluice.time))
  end)

  it("comes before main's error is raised", function()
    local ended = false
    local ok, err = pcall(testing.run, function()
      sluice.create_task(function()
        local _ <close> = closing(function() ended = true end)
        sluice.sleep(9)
      end)
      sluice.sleep(0)
      error("main's", 0)
    end)
    assert.same({ false, "main's", true }, { ok, err, ended })
  end)

  it("reports the error of a task that is left, and raises none", function()
    local seen = {}
    local before = sluice.on_error(function(_, err) seen[#seen + 1] = err end)
    local result = testing.run(function()
      sluice.create_task(function()
        pcall(sluice.sleep, 9)
        error("late", 0)
      end)
      sluice.sleep(0)
      return "fine"
    end)
    sluice.on_error(before)
    assert.same({ "fine", { "late" } }, { result, seen })
  end)

  it("leaves no task in all_tasks", function()
    testing.run(function()
      for _ = 1, 3 do sluice.create_task(sluice.sleep, 9) end
    end)
    assert.same({}, sluice.all_tasks())
    assert.equal(0, sluice.stats().tasks)
    assert.equal(0, sluice.stats().timers)
  end)

  it("makes a task of the run useless, not dangerous", function()
    local task, group
    testing.run(function()
      task = sluice.create_task(sluice.sleep, 9)
      sluice.task_group(function(g) group = g end)
    end)
    assert.is_true(task:done())
    assert.is_true(task:cancelled())
    assert.is_false(task:cancel())
    assert.is_false(pcall(group.create_task, group, print))
  end)

  it("raises in a task that hangs in a shield", function()
    local seen
    testing.run(function()
      sluice.create_task(sluice.shield, function()
        local ok, err = pcall(sluice.Event().wait, sluice.Event())
        seen = not ok and err
      end)
      sluice.sleep(0)
    end)
    assert.equal("deadlock", tostring(seen):sub(1, 8))
  end)
end)

describe("a loop used again", function()
  it("works after a main that failed", function()
    for i = 1, 3 do
      assert.is_false(pcall(testing.run, function() error(i) end))
      assert.equal(i, testing.run(function() sluice.sleep(1) return i end))
    end
  end)

  it("works after a deadlock", function()
    assert.is_false(pcall(testing.run, function() sluice.Event():wait() end))
    assert.equal(1, testing.run(function() sluice.sleep(1) return 1 end))
  end)

  it("knows nothing of an earlier run's cancellation", function()
    pcall(testing.run, function()
      sluice.current_task():cancel()
      sluice.sleep(1)
    end)
    assert.is_true(testing.run(function() sluice.sleep(1) return true end))
  end)

  it("finds the objects of an earlier run as they were left", function()
    local queue, event = sluice.Queue(), sluice.Event()
    testing.run(function() queue:put("kept") event:set() end)
    assert.equal("kept", testing.run(function()
      event:wait()
      return queue:get()
    end))
  end)

  it("finds no waiter of an earlier run in an object", function()
    local queue = sluice.Queue()
    testing.run(function()
      sluice.create_task(queue.get, queue)
      sluice.sleep(0)
    end)
    assert.equal(0, queue:stats().getters)
    assert.is_true(queue:put_nowait("x"))
    assert.equal("x", testing.run(function() return queue:get() end))
  end)

  it("gives the results of a task of an earlier run", function()
    local task = testing.run(function()
      local task = sluice.create_task(function() return "kept" end)
      task:await()
      return task
    end)
    assert.equal("kept", testing.run(function() return task:await() end))
  end)

  it("opens no file in 200 runs", function()
    -- Those that this process has: to open one again may fail, but then
    -- not because there is no such file.
    local function count()
      local n = 0
      for i = 0, 255 do
        local file, message = io.open("/proc/self/fd/" .. i)
        if file then file:close() end
        if not message or not message:find("No such file") then n = n + 1 end
      end
      return n
    end
    local before = count()
    for _ = 1, 200 do sluice.run(sluice.sleep, 0) end
    assert.equal(before, count())
  end)
end)

describe("sluice.traceback", function()
  local function culprit() error("oops") end

  it("tells where the error of the last failed run was raised", function()
    pcall(testing.run, function()
      sluice.sleep(1)
      local _ = culprit()
    end)
    local text = sluice.traceback()
    assert.truthy(text:find("culprit", 1, true))
    assert.truthy(text:find("run_spec.lua", 1, true))
  end)

  it("tells it for error objects too", function()
    pcall(testing.run, function()
      local function thrower() error({}) end
      thrower()
    end)
    assert.truthy(sluice.traceback():find("thrower", 1, true))
  end)

  it("tells where a task raised the error that main awaited", function()
    pcall(testing.run, function()
      sluice.create_task(function() local _ = culprit() end):await()
    end)
    assert.truthy(sluice.traceback():find("culprit", 1, true))
  end)

  it("tells the place of the error itself, not of an equal one", function()
    pcall(testing.run, function()
      local function first() error("same", 0) end
      local function second() error("same", 0) end
      pcall(sluice.wait_for, 1, function() first() return 1 end)
      second()
    end)
    assert.truthy(sluice.traceback():find("second", 1, true))
    assert.falsy(sluice.traceback():find("first", 1, true))
  end)

  it("stays when a later run succeeds", function()
    pcall(testing.run, function() local _ = culprit() end)
    testing.run(function() end)
    assert.truthy(sluice.traceback():find("culprit", 1, true))
  end)

  it("tells nothing of an earlier failure once another has come", function()
    pcall(testing.run, function() local _ = culprit() end)
    pcall(testing.run, function()
      local function other() error("else") end
      other()
    end)
    assert.falsy(sluice.traceback():find("culprit", 1, true))
  end)
end)
