-- sluice.create_task and the methods of a Task: when it starts, what it gives
-- to those who await it, and what can be asked of it.

local errors = require "spec.support.errors"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

local function silently(fn)
  local before = sluice.on_error(function() end)
  fn()
  sluice.on_error(before)
end

local function failing(value)
  return sluice.create_task(function()
    sluice.sleep(1)
    error(value, 0)
  end)
end

describe("sluice.create_task", function()
  it("returns a task that has not started", function()
    local started = false
    local task = sluice.create_task(function() started = true end)
    assert.is_false(started)
    assert.is_false(task:done())
    task:await()
    assert.is_true(started)
  end)

  -- gh-128550: no task runs before its creator's next checkpoint.
  it("starts the task at the creator's next checkpoint", function()
    local order = {}
    local function note(name) order[#order + 1] = name end
    sluice.create_task(note, "first")
    sluice.create_task(note, "second")
    sluice.Event():set()
    sluice.Queue():put_nowait("x")
    note("creator")
    sluice.sleep(0)
    assert.same({ "creator", "first", "second" }, order)
  end)

  it("passes arguments, nils among them", function()
    local task = sluice.create_task(table.pack, nil, 2, nil)
    assert.same({ nil, 2, nil, n = 3 }, task:await())
  end)

  it("passes many arguments", function()
    local many = {}
    for i = 1, 1000 do many[i] = i end
    local task = sluice.create_task(select, "#", table.unpack(many))
    assert.equal(1000, task:await())
  end)

  it("takes a waiting function of the library", function()
    local task = sluice.create_task(sluice.sleep, 2)
    task:await()
    assert.equal(2, sluice.time())
    local queue = sluice.Queue()
    queue:put("x")
    assert.equal("x", sluice.create_task(queue.get, queue):await())
  end)

  it("takes what is callable", function()
    local fn = setmetatable({}, { __call = function(_, x) return x * 2 end })
    assert.equal(8, sluice.create_task(fn, 4):await())
  end)

  it("works in a plain coroutine of a task", function()
    local task = coroutine.wrap(function()
      return sluice.create_task(function() return "made" end)
    end)()
    assert.equal("made", task:await())
  end)

  it("works where Lua cannot yield", function()
    local tasks = {}
    local _ = ("ab"):gsub(".", function(char)
      tasks[#tasks + 1] = sluice.create_task(function() return char end)
    end)
    assert.equal("ab", tasks[1]:await() .. tasks[2]:await())
  end)

  it("refuses what is no function", function()
    errors.raises(
      "bad argument #1 to 'create_task' (function expected, got no value)",
      function() sluice.create_task() end)
    errors.raises(
      "bad argument #1 to 'create_task' (function expected, got table)",
      function() sluice.create_task({}) end)
  end)

  plainly("needs a run", function()
    errors.raises_match("run", function() sluice.create_task(print) end)
  end)
end)

describe("Task:await", function()
  it("returns the function's results", function()
    local task = sluice.create_task(function()
      sluice.sleep(1)
      return 1, nil, "x", nil
    end)
    assert.same({ 1, nil, "x", nil, n = 4 }, table.pack(task:await()))
    assert.equal(1, sluice.time())
  end)

  it("returns the results of a task that is done, without waiting", function()
    local task = sluice.create_task(function() return nil end)
    sluice.sleep(1)
    assert.equal(1, select("#", task:await()))
    assert.equal(1, sluice.time())
  end)

  it("returns the same to any number of waiters, any number of times",
    function()
      local task = sluice.create_task(function() sluice.sleep(1) return {} end)
      local waiters = {}
      for i = 1, 5 do waiters[i] = sluice.create_task(task.await, task) end
      local result = task:await()
      assert.equal(result, task:await())
      for i = 1, 5 do assert.equal(result, waiters[i]:await()) end
    end)

  it("wakes the waiters in the order they came", function()
    local order = {}
    local task = sluice.create_task(sluice.sleep, 1)
    for i = 1, 4 do
      sluice.create_task(function()
        task:await()
        order[#order + 1] = i
      end)
    end
    sluice.sleep(2)
    assert.same({ 1, 2, 3, 4 }, order)
  end)

  it("raises the task's error unchanged, each time", function()
    for _, value in ipairs { "text", 7, false, {}, print } do
      local task = failing(value)
      for _ = 1, 2 do
        assert.equal(value, errors.of(task.await, task))
      end
    end
  end)

  it("raises an error of nil", function()
    local task = failing(nil)
    local packed = table.pack(pcall(task.await, task))
    assert.same({ false, errors.NIL, n = 2 }, packed)
  end)

  it("raises the cancellation of a task that was cancelled", function()
    local task = sluice.create_task(sluice.sleep, 9)
    task:cancel("enough")
    local err = errors.of(task.await, task)
    assert.is_true(sluice.is_cancelled(err))
    assert.equal("enough", err.reason)
    sluice.sleep(1) -- the awaiting task itself is not cancelled
  end)

  it("gives up after its timeout and leaves the task alone", function()
    local task = sluice.create_task(function() sluice.sleep(5) return "x" end)
    local result, reason = task:await(2)
    assert.is_nil(result)
    assert.equal("timeout", reason)
    assert.equal(2, sluice.time())
    assert.equal("x", task:await())
  end)

  it("with a timeout of 0 tries once", function()
    local task = sluice.create_task(function() return "x" end)
    assert.equal("timeout", select(2, task:await(0)))
    sluice.sleep(0)
    assert.equal("x", task:await(0))
  end)

  it("takes a nil timeout for none", function()
    local task = sluice.create_task(function() sluice.sleep(9) return "x" end)
    assert.equal("x", task:await(nil))
  end)

  it("does not cancel the task when its waiter is cancelled", function()
    local task = sluice.create_task(function() sluice.sleep(5) return "x" end)
    local waiter = sluice.create_task(task.await, task)
    sluice.sleep(1)
    waiter:cancel()
    assert.is_false((waiter:pawait()))
    assert.equal(1, sluice.time())
    assert.equal("x", task:await())
  end)

  it("refuses a timeout that is no duration", function()
    local task = sluice.create_task(sluice.sleep, 0)
    errors.refuses_durations(1, "await", function(x) task:await(x) end)
    errors.refuses_durations(1, "pawait", function(x) task:pawait(x) end)
    task:await()
  end)

  it("refuses to wait for itself", function()
    local task
    task = sluice.create_task(function()
      errors.raises_match("itself", function() task:await() end)
      errors.raises_match("itself", function() task:await(5) end)
      errors.raises_match("itself", function() task:pawait() end)
      return "went on"
    end)
    assert.equal("went on", task:await())
  end)
end)

describe("Task:pawait", function()
  it("returns true and the results", function()
    local task = sluice.create_task(function() return 1, nil end)
    assert.same({ true, 1, nil, n = 3 }, table.pack(task:pawait()))
  end)

  it("returns false and the error", function()
    local object = {}
    local task = failing(object)
    assert.same({ false, object, n = 2 }, table.pack(task:pawait()))
    assert.same({ false, errors.NIL, n = 2 },
      table.pack(failing(nil):pawait()))
  end)

  it("returns false and the cancellation of a cancelled task", function()
    local task = sluice.create_task(sluice.sleep, 9)
    task:cancel("enough")
    local ok, err = task:pawait()
    assert.is_false(ok)
    assert.equal("enough", err.reason)
  end)

  it("gives up after its timeout", function()
    local task = sluice.create_task(sluice.sleep, 5)
    local ok, reason = task:pawait(2)
    assert.is_nil(ok)
    assert.equal("timeout", reason)
    assert.equal("timeout", select(2, task:pawait(0)))
    assert.is_true((task:pawait()))
  end)

  it("never swallows the caller's own cancellation", function()
    local task = sluice.create_task(sluice.sleep, 5)
    local went_on = false
    local caller = sluice.create_task(function()
      task:pawait()
      went_on = true
    end)
    sluice.sleep(1)
    caller:cancel()
    assert.is_true(sluice.is_cancelled(select(2, caller:pawait())))
    assert.is_false(went_on)
    task:await()
  end)

  it("raises it also when the task is done or cancelled too", function()
    local task = sluice.create_task(sluice.sleep, 5)
    local caller = sluice.create_task(function() return task:pawait() end)
    sluice.sleep(1)
    task:cancel("the task's")
    caller:cancel("the caller's")
    local ok, err = caller:pawait()
    assert.is_false(ok)
    assert.equal("the caller's", err.reason)
  end)
end)

describe("a task", function()
  it("is done when its function has ended, however", function()
    local fine = sluice.create_task(sluice.sleep, 1)
    local bad, cancelled = failing("x"), sluice.create_task(sluice.sleep, 9)
    cancelled:cancel()
    sluice.wait { fine, bad, cancelled }
    for _, task in ipairs { fine, bad, cancelled } do
      assert.is_true(task:done())
    end
    assert.is_false(fine:cancelled() or bad:cancelled())
    assert.is_true(cancelled:cancelled())
  end)

  it("is not done while it runs, waits or winds up", function()
    local task
    task = sluice.create_task(function()
      assert.is_false(task:done())
      sluice.sleep(9)
    end)
    sluice.sleep(1)
    task:cancel()
    assert.is_false(task:done())
    assert.is_false(task:cancelled())
    task:pawait()
    assert.is_true(task:done())
  end)

  it("tells its error", function()
    local object = {}
    local bad, fine = failing(object), sluice.create_task(sluice.sleep, 1)
    assert.is_nil(bad:error())
    bad:pawait()
    fine:pawait()
    assert.equal(object, bad:error())
    assert.is_nil(fine:error())
  end)

  it("tells the cancellation that ended it as its error", function()
    local task = sluice.create_task(sluice.sleep, 9)
    task:cancel("enough")
    task:pawait()
    assert.equal("enough", task:error().reason)
  end)

  it("is not cancelled by a cancellation that is not its own", function()
    local inner = sluice.create_task(sluice.sleep, 9)
    local outer = sluice.create_task(function() inner:await() end)
    sluice.sleep(1)
    inner:cancel()
    outer:pawait()
    assert.is_false(outer:cancelled())
    assert.is_true(sluice.is_cancelled(outer:error()))
  end)

  it("is not cancelled if it was told to, but ended well", function()
    local task = sluice.create_task(function()
      pcall(sluice.sleep, 9)
      return "done all the same"
    end)
    sluice.sleep(1)
    task:cancel()
    assert.equal("done all the same", task:await())
    assert.is_false(task:cancelled())
  end)

  it("is not cancelled if it failed while winding up", function()
    local task = sluice.create_task(function()
      pcall(sluice.sleep, 9)
      error("worse", 0)
    end)
    sluice.sleep(1)
    task:cancel()
    assert.equal("worse", select(2, task:pawait()))
    assert.is_false(task:cancelled())
    assert.equal("worse", task:error())
  end)

  it("tells where it raised its error", function()
    local task = sluice.create_task(function()
      local function culprit() error("x") end
      culprit()
    end)
    task:pawait()
    assert.truthy(task:traceback():find("culprit", 1, true))
  end)

  it("tells where it waits", function()
    local function sleeper() sluice.sleep(1) end
    local task = sluice.create_task(function() sleeper() return 1 end)
    assert.is_string(task:traceback())
    sluice.sleep(0)
    assert.truthy(task:traceback():find("sleeper", 1, true))
    task:await()
    assert.is_nil(task:traceback())
  end)

  it("has an id and a name of its own", function()
    local one = sluice.create_task(sluice.sleep, 1)
    local other = sluice.create_task(sluice.sleep, 1)
    assert.not_equal(one.id, other.id)
    assert.not_equal(one.name, other.name)
    assert.equal("integer", math.type(one.id))
    assert.is_string(one.name)
    one:await()
    other:await()
  end)

  it("keeps a name that it was given", function()
    local task = sluice.create_task(sluice.sleep, 1)
    task.name = "baker"
    collectgarbage()
    assert.equal("baker", task.name)
    assert.truthy(tostring(task):find("baker", 1, true))
    task:await()
    task.name = "old baker"
    assert.equal("old baker", task.name)
  end)

  it("has no other fields to set", function()
    local task = sluice.current_task()
    errors.raises_match("id", function() task.id = 5 end)
    errors.raises_match("foo", function() task.foo = 5 end)
    errors.raises_match("name", function() task.name = 5 end)
    errors.raises_match("name", function() task.name = nil end)
    assert.is_nil(task.foo)
    assert.is_nil(task[1])
  end)

  it("tells what it is and how it is", function()
    local task = sluice.create_task(sluice.sleep, 1)
    assert.truthy(tostring(task):find("^sluice%.Task %("))
    local before = tostring(task)
    task:await()
    assert.not_equal(before, tostring(task))
  end)

  it("refuses methods of what is no task", function()
    local task = sluice.current_task()
    for _, name in ipairs { "await", "pawait", "cancel", "done", "cancelled",
      "error", "traceback" } do
      local err = errors.of(task[name], {})
      assert.truthy(err:find("sluice.Task expected, got table", 1, true))
    end
    errors.raises(
      "bad argument #1 to 'done' (sluice.Task expected, got no value)",
      function() task.done() end)
  end)
end)

describe("an unknown method of a task", function()
  it("is nil", function()
    assert.is_nil(sluice.current_task().nonsense)
  end)
end)

describe("sluice.current_task", function()
  plainly("is nil outside a task", function()
    assert.is_nil(sluice.current_task())
  end)

  it("is the task that runs", function()
    local main = sluice.current_task()
    local task = sluice.create_task(sluice.current_task)
    assert.equal(task, task:await())
    assert.equal(main, sluice.current_task())
  end)

  it("is the task also in its plain coroutines", function()
    local main = sluice.current_task()
    assert.equal(main, coroutine.wrap(sluice.current_task)())
  end)
end)

describe("sluice.all_tasks", function()
  plainly("is empty outside a run", function()
    assert.same({}, sluice.all_tasks())
  end)

  plainly("lists each task that has not ended", function()
    testing.run(function()
      local seen = {}
      local done = sluice.create_task(print, "")
      done:cancel()
      done:pawait()
      local tasks = { sluice.current_task() }
      for i = 2, 5 do tasks[i] = sluice.create_task(sluice.sleep, 1) end
      for _, task in ipairs(sluice.all_tasks()) do seen[task] = true end
      for i = 1, 5 do assert.is_true(seen[tasks[i]]) end
      assert.is_nil(seen[done])
    end)
  end)
end)

describe("what a task leaves behind", function()
  local function collected(weak)
    collectgarbage()
    collectgarbage()
    return next(weak) == nil
  end

  it("is collected with it: results, arguments, the function", function()
    local weak = setmetatable({}, { __mode = "k" })
    local function spawn()
      local argument, result = {}, {}
      local function fn() return result end
      weak[argument], weak[result], weak[fn] = true, true, true
      weak[sluice.create_task(fn, argument)] = true
    end
    for _ = 1, 20 do spawn() end
    sluice.sleep(1)
    assert.is_true(collected(weak))
  end)

  it("does not include its arguments, once it has ended", function()
    local weak = setmetatable({}, { __mode = "k" })
    local argument = {}
    weak[argument] = true
    local task = sluice.create_task(function() return 1 end, argument)
    argument = nil -- luacheck: ignore
    task:await()
    assert.is_true(collected(weak))
    assert.equal(1, task:await())
  end)

  plainly("is collected when it failed and was reported", function()
    silently(function()
      testing.run(function()
        local weak = setmetatable({}, { __mode = "k" })
        local function spawn()
          local object = {}
          weak[object] = true
          weak[sluice.create_task(error, object)] = true
        end
        spawn()
        sluice.sleep(1)
        assert.is_true(collected(weak))
      end)
    end)
  end)

  it("is collected when it was cancelled with a reason", function()
    local weak = setmetatable({}, { __mode = "k" })
    local function spawn()
      local reason = {}
      local task = sluice.create_task(sluice.sleep, 9)
      weak[reason], weak[task] = true, true
      sluice.sleep(0)
      task:cancel(reason)
    end
    spawn()
    sluice.sleep(1)
    assert.is_true(collected(weak))
  end)

  it("does not include an error of another task that it caught", function()
    local weak = setmetatable({}, { __mode = "k" })
    local task = sluice.create_task(function()
      local object = {}
      weak[object] = true
      local other = failing(object)
      pcall(other.await, other)
      return
    end)
    task:await()
    assert.is_true(collected(weak))
  end)

  it("stays while somebody holds the task", function()
    local task = sluice.create_task(function() return {} end)
    sluice.sleep(1)
    collectgarbage()
    assert.is_table(task:await())
  end)

  it("does not include errors that it has caught", function()
    local weak = setmetatable({}, { __mode = "k" })
    local task = sluice.create_task(function()
      local object = {}
      weak[object] = true
      pcall(sluice.wait_for, 1, error, object)
    end)
    task:await()
    assert.is_true(collected(weak))
  end)
end)

describe("a task that nobody holds", function()
  it("goes on and runs its to-be-closed variables", function()
    local closed = 0
    local function spawn()
      local _ <close> = setmetatable({}, {
        __close = function() closed = closed + 1 end,
      })
      sluice.sleep(1)
    end
    for _ = 1, 50 do sluice.create_task(spawn) end
    sluice.sleep(0)
    collectgarbage()
    sluice.sleep(2)
    assert.equal(50, closed)
  end)
end)
