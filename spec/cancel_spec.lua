-- Cancellation: a state of the task, not an event, so that no pcall swallows
-- it; reasons, shields, sluice.pcall, and clean-ups that wait.

local effort = require "spec.support.effort"
local errors = require "spec.support.errors"
local process = require "spec.support.process"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

-- Starts fn, lets it run until it blocks, cancels it.
local function cancelled(fn, reason)
  local task = sluice.create_task(fn)
  sluice.sleep(0)
  task:cancel(reason)
  return task
end

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

describe("Task:cancel", function()
  it("is true until the task is done", function()
    local task = sluice.create_task(sluice.sleep, 9)
    assert.is_true(task:cancel())
    assert.is_true(task:cancel())
    task:pawait()
    assert.is_false(task:cancel())
  end)

  it("raises a cancellation where the task waits, at once", function()
    local err
    local task = cancelled(function()
      err = errors.of(sluice.sleep, 9)
    end)
    task:await()
    assert.is_true(sluice.is_cancelled(err))
    assert.equal(0, sluice.time())
  end)

  it("never waits itself", function()
    local task = sluice.create_task(sluice.sleep, 9)
    sluice.sleep(0)
    task:cancel()
    assert.is_false(task:done())
    task:pawait()
  end)

  it("comes at the next checkpoint of a task that is running", function()
    local steps = {}
    local task = sluice.create_task(function()
      sluice.current_task():cancel("own")
      steps[#steps + 1] = "goes on"
      sluice.Event():set()
      sluice.sleep(0)
      steps[#steps + 1] = "too far"
    end)
    assert.equal("own", select(2, task:pawait()).reason)
    assert.same({ "goes on" }, steps)
  end)

  it("before the start lets the task run to its first checkpoint", function()
    local steps = {}
    local task = sluice.create_task(function()
      local _ <close> = closing(function() steps[#steps + 1] = "closed" end)
      steps[#steps + 1] = "started"
      sluice.sleep(0)
      steps[#steps + 1] = "too far"
    end)
    task:cancel("early")
    assert.equal("early", select(2, task:pawait()).reason)
    assert.same({ "started", "closed" }, steps)
  end)

  it("keeps the first reason", function()
    local task = sluice.create_task(sluice.sleep, 9)
    task:cancel("first")
    task:cancel("second")
    task:cancel()
    assert.equal("first", select(2, task:pawait()).reason)
  end)

  it("keeps the first reason even if that is none", function()
    local task = sluice.create_task(sluice.sleep, 9)
    task:cancel()
    task:cancel("second")
    assert.is_nil(select(2, task:pawait()).reason)
  end)

  it("takes any value as a reason", function()
    local reason = {}
    local task = sluice.create_task(sluice.sleep, 9)
    task:cancel(reason)
    assert.equal(reason, select(2, task:pawait()).reason)
    task = sluice.create_task(sluice.sleep, 9)
    task:cancel(false)
    assert.equal(false, select(2, task:pawait()).reason)
  end)

  it("works from a plain coroutine and where Lua cannot yield", function()
    local tasks = {}
    for i = 1, 2 do tasks[i] = sluice.create_task(sluice.sleep, 9) end
    coroutine.wrap(function() tasks[1]:cancel() end)()
    local _ = ("x"):gsub("x", function() tasks[2]:cancel() end)
    assert.is_false((tasks[1]:pawait()))
    assert.is_false((tasks[2]:pawait()))
  end)

  it("refuses what is no task", function()
    local cancel = sluice.current_task().cancel
    errors.raises("bad argument #1 to 'cancel' (sluice.Task expected, got "
      .. "nil)", function() cancel(nil) end)
  end)
end)

describe("the error of a cancellation", function()
  it("tells its reason", function()
    local err = select(2, cancelled(function()
      sluice.sleep(9)
    end, "too slow"):pawait())
    assert.equal("too slow", err.reason)
    assert.equal("cancelled: too slow", tostring(err))
  end)

  it("is just cancelled without a reason", function()
    local err = select(2, cancelled(function() sluice.sleep(9) end):pawait())
    assert.is_nil(err.reason)
    assert.equal("cancelled", tostring(err))
  end)

  plainly("alone is what is_cancelled is true for", function()
    for _, value in ipairs { "cancelled", {}, 1, print, { reason = "x" },
      setmetatable({}, { __tostring = function() return "cancelled" end }) } do
      assert.is_false(sluice.is_cancelled(value))
    end
    assert.is_false(sluice.is_cancelled(nil))
    assert.is_false(sluice.is_cancelled())
  end)

  it("may be a cancellation of a reason that is no string", function()
    local task = sluice.create_task(sluice.sleep, 9)
    task:cancel(setmetatable({}, { __tostring = function() return "t" end }))
    assert.equal("cancelled: t", tostring(select(2, task:pawait())))
  end)
end)

describe("a cancelled task", function()
  -- Level-triggered: every further blocking call raises it again.
  it("is cancelled in every wait from then on", function()
    local n = 0
    local event = sluice.Event()
    event:set()
    local waits = {
      function() sluice.sleep(1) end, function() sluice.sleep(0) end,
      function() event:wait() end, function() event:wait(0) end,
      function() sluice.Lock():acquire() end,
      function() sluice.Queue():put(1) end,
    }
    cancelled(function()
      pcall(sluice.sleep, 9)
      for _, wait in ipairs(waits) do
        if sluice.is_cancelled(errors.of(wait)) then n = n + 1 end
      end
    end):await()
    assert.equal(#waits, n)
  end)

  it("raises the same error each time", function()
    local first, second
    cancelled(function()
      first = errors.of(sluice.sleep, 1)
      second = errors.of(sluice.sleep, 1)
    end, "why"):await()
    assert.equal("why", first.reason)
    assert.equal("why", second.reason)
  end)

  it("changes nothing in a wait that raises", function()
    local queue, lock = sluice.Queue(), sluice.Lock()
    queue:put_nowait("x")
    cancelled(function()
      pcall(sluice.sleep, 9)
      errors.of(queue.get, queue)
      errors.of(queue.put, queue, "y")
      errors.of(lock.acquire, lock)
    end):await()
    assert.equal(1, queue:qsize())
    assert.is_false(lock:locked())
  end)

  it("may call what never waits", function()
    local queue, event = sluice.Queue(), sluice.Event()
    local task = cancelled(function()
      pcall(sluice.sleep, 9)
      queue:put_nowait("x")
      event:set()
      return queue:qsize(), event:is_set(), queue:get_nowait()
    end)
    assert.same({ 1, true, "x" }, { task:await() })
  end)

  -- anyio 695, 1111; R5: raising lets the loop run first.
  it("cannot freeze the program by a loop around pcall", function()
    local stop = false
    local task = cancelled(function()
      while not stop do pcall(sluice.sleep, 1) end
      return "ended"
    end)
    for _ = 1, 50 do sluice.sleep(0) end
    stop = true
    assert.equal("ended", task:await())
  end)

  plainly("cannot freeze the real clock by a loop around pcall", function()
    local rounds = 0
    sluice.run(function()
      local task = sluice.create_task(function()
        while rounds >= 0 do
          pcall(sluice.Event().wait, sluice.Event())
          rounds = rounds + 1
        end
      end)
      task:cancel()
      sluice.sleep(0.02)
      assert.is_true(rounds > 10)
      rounds = -1000000000
    end)
  end)

  plainly("that keeps swallowing it is reported through warn", function()
    local result = process.lua [[
      warn "@on"
      sluice.run(function()
        local stop = false
        local task = sluice.create_task(function()
          while not stop do pcall(sluice.sleep, 1) end
        end)
        task.name = "stubborn"
        sluice.sleep(0)
        task:cancel()
        for _ = 1, 5000 do sluice.sleep(0) end
        stop = true
      end)]]
    assert.equal(0, result.status)
    assert.truthy(result.stderr:find("stubborn", 1, true))
    assert.is_true(#result.stderr < 2000)
  end)

  plainly("that ends as it should is not reported", function()
    local result = process.lua [[
      warn "@on"
      sluice.run(function()
        local tasks = {}
        for i = 1, 500 do
          tasks[i] = sluice.create_task(function() pcall(sluice.sleep, 1) end)
        end
        sluice.sleep(0)
        for _, task in ipairs(tasks) do task:cancel() end
      end)]]
    assert.equal("", result.stderr)
  end)

  it("can be cancelled in a to-be-closed variable's waits", function()
    local err
    cancelled(function()
      local _ <close> = closing(function() err = errors.of(sluice.sleep, 1) end)
      sluice.sleep(9)
    end):pawait()
    assert.is_true(sluice.is_cancelled(err))
  end)

  it("can be cancelled in an iterator and a metamethod", function()
    local reached = 0
    local proxy = setmetatable({}, {
      __index = function() sluice.sleep(9) return 1 end,
    })
    local first = cancelled(function()
      for _ in function() sluice.sleep(9) end do reached = reached + 1 end
      reached = reached + 1
    end)
    local second = cancelled(function() reached = reached + proxy.x end)
    assert.is_false((first:pawait()))
    assert.is_false((second:pawait()))
    assert.equal(0, reached)
  end)

  it("runs its to-be-closed variables in order, told of the error", function()
    local log = {}
    cancelled(function()
      local _ <close> = closing(function(_, err)
        log[#log + 1] = "outer " .. tostring(err)
      end)
      local _ <close> = closing(function(_, err)
        log[#log + 1] = "inner " .. tostring(err)
      end)
      sluice.sleep(9)
    end, "x"):pawait()
    assert.same({ "inner cancelled: x", "outer cancelled: x" }, log)
  end)
end)

describe("sluice.shield", function()
  it("returns what the function returns", function()
    local packed = table.pack(sluice.shield(table.pack, 1, nil))
    assert.same({ 1, nil, n = 2 }, packed[1])
    assert.same({ 1, nil, 3, n = 3 }, table.pack(sluice.shield(function()
      sluice.sleep(1)
      return 1, nil, 3
    end)))
  end)

  it("raises what the function raises", function()
    local object = {}
    assert.equal(object, errors.of(sluice.shield, error, object))
    assert.equal(object, errors.of(sluice.shield, function()
      sluice.sleep(1)
      error(object)
    end))
  end)

  it("keeps a cancellation from outside away until it is over", function()
    local steps = {}
    local task = cancelled(function()
      sluice.shield(function()
        sluice.sleep(5)
        steps[#steps + 1] = "shielded"
      end)
      steps[#steps + 1] = "after it"
      sluice.sleep(0)
      steps[#steps + 1] = "too far"
    end)
    task:pawait()
    assert.same({ "shielded", "after it" }, steps)
    assert.equal(5, sluice.time())
  end)

  it("works in a task that is cancelled already", function()
    local ended
    cancelled(function()
      pcall(sluice.sleep, 9)
      sluice.shield(sluice.sleep, 3)
      ended = sluice.time()
      errors.of(sluice.sleep, 1)
    end):await()
    assert.equal(3, ended)
  end)

  it("lets a to-be-closed variable wait while an error unwinds", function()
    local order = {}
    local task = cancelled(function()
      local _ <close> = closing(function()
        sluice.shield(function()
          sluice.sleep(1)
          order[#order + 1] = "outer"
        end)
      end)
      local _ <close> = closing(function()
        sluice.shield(sluice.sleep, 2)
        order[#order + 1] = "inner"
      end)
      sluice.sleep(9)
    end, "why")
    assert.equal("why", select(2, task:pawait()).reason)
    assert.same({ "inner", "outer" }, order)
    assert.equal(3, sluice.time())
  end)

  it("lets a wait that began under it end by itself", function()
    local queue = sluice.Queue()
    local got
    local task = sluice.create_task(function()
      got = sluice.shield(queue.get, queue)
    end)
    sluice.sleep(1)
    task:cancel()
    sluice.sleep(1)
    queue:put_nowait("item")
    assert.is_true((task:pawait()))
    assert.equal("item", got)
  end)

  it("does not exempt from what is inside it", function()
    local result, reason = sluice.shield(sluice.wait_for, 1, sluice.sleep, 9)
    assert.is_nil(result)
    assert.equal("timeout", reason)
    assert.equal("x", sluice.shield(sluice.task_group, function(group)
      group:cancel()
      pcall(sluice.sleep, 9)
      return "x"
    end))
  end)

  it("keeps a timeout around it waiting, not from coming", function()
    local result, reason = sluice.wait_for(1, function()
      sluice.shield(sluice.sleep, 5)
      sluice.sleep(0)
      return "too far"
    end)
    assert.is_nil(result)
    assert.equal("timeout", reason)
    assert.equal(5, sluice.time())
  end)

  it("nests", function()
    local task = cancelled(function()
      sluice.shield(function()
        sluice.shield(sluice.sleep, 1)
        sluice.sleep(1)
      end)
      return "unharmed"
    end)
    assert.equal("unharmed", task:await())
    assert.equal(2, sluice.time())
  end)

  it("is no checkpoint", function()
    local task = cancelled(function()
      pcall(sluice.sleep, 9)
      return sluice.shield(function() return "ran" end)
    end)
    assert.equal("ran", task:await())
  end)

  it("does not shield the tasks that are created in it", function()
    local child
    local group_ended = sluice.create_task(sluice.task_group, function(group)
      sluice.shield(function() child = group:create_task(sluice.sleep, 9) end)
      sluice.sleep(9)
    end)
    sluice.sleep(1)
    group_ended:cancel()
    group_ended:pawait()
    assert.is_true(child:cancelled())
    assert.equal(1, sluice.time())
  end)

  it("refuses what is no function", function()
    errors.raises("bad argument #1 to 'shield' (function expected, got nil)",
      function() sluice.shield(nil) end)
  end)
end)

describe("sluice.pcall", function()
  it("returns true and the results", function()
    assert.same({ true, 1, nil, n = 3 }, table.pack(sluice.pcall(function()
      sluice.sleep(1)
      return 1, nil
    end)))
  end)

  it("returns false and the error", function()
    local object = {}
    assert.same({ false, object, n = 2 },
      table.pack(sluice.pcall(error, object)))
    assert.same({ false, errors.NIL, n = 2 },
      table.pack(sluice.pcall(error)))
  end)

  it("lets the task's own cancellation through", function()
    local task = cancelled(function()
      sluice.pcall(sluice.sleep, 9)
      return "swallowed"
    end, "why")
    assert.equal("why", select(2, task:pawait()).reason)
  end)

  it("catches the cancellation of another task", function()
    local other = sluice.create_task(sluice.sleep, 9)
    other:cancel("other's")
    local ok, err = sluice.pcall(other.await, other)
    assert.is_false(ok)
    assert.equal("other's", err.reason)
  end)

  it("lets a deadline around it through", function()
    local result, reason = sluice.wait_for(1, function()
      sluice.pcall(sluice.sleep, 9)
      return "swallowed"
    end)
    assert.is_nil(result)
    assert.equal("timeout", reason)
  end)

  it("catches an error raised in a cancelled task", function()
    local task = cancelled(function()
      pcall(sluice.sleep, 9)
      return sluice.pcall(error, "x", 0)
    end)
    assert.same({ false, "x" }, { task:await() })
  end)

  plainly("is a pcall outside tasks too", function()
    assert.same({ true, "number" }, { sluice.pcall(type, 1) })
    assert.same({ false, "x" }, { sluice.pcall(error, "x", 0) })
  end)

  it("works in plain coroutines, across their yields", function()
    local co = coroutine.wrap(function()
      return sluice.pcall(function() return coroutine.yield(1) + 1 end)
    end)
    assert.equal(1, co())
    assert.same({ true, 6 }, { co(5) })
  end)

  plainly("refuses to be called with nothing", function()
    errors.raises("bad argument #1 to 'pcall' (value expected)",
      function() sluice.pcall() end)
  end)
end)

describe("a task cancelled after it was woken and before it ran", function()
  -- R1: wake then cancel: the operation succeeds; the cancellation comes at
  -- the next checkpoint.
  local function woken_then_cancelled(wait, wake)
    local first, second
    local task = sluice.create_task(function()
      first = table.pack(pcall(wait))
      second = table.pack(pcall(sluice.sleep, 0))
    end)
    testing.settle()
    wake()
    task:cancel()
    task:await()
    assert.is_true(sluice.is_cancelled(second[2]))
    return table.unpack(first, 1, first.n)
  end

  it("has the item of its get", function()
    local queue = sluice.Queue()
    local ok, item = woken_then_cancelled(function() return queue:get() end,
      function() queue:put_nowait("x") end)
    assert.is_true(ok)
    assert.equal("x", item)
  end)

  it("has the results of the task it awaits", function()
    local gate = sluice.Event()
    local other = sluice.create_task(function() gate:wait() return "r" end)
    local ok, result = woken_then_cancelled(function()
      return other:await()
    end, function()
      gate:set()
      sluice.sleep(0)
    end)
    assert.same({ true, "r" }, { ok, result })
  end)

  it("has the result of a future", function()
    local future = sluice.Future()
    local ok, result = woken_then_cancelled(function()
      return future:await()
    end, function() future:set_result("r") end)
    assert.same({ true, "r" }, { ok, result })
  end)

  it("has slept", function()
    local task = sluice.create_task(function()
      sluice.sleep(1)
      return "slept"
    end)
    sluice.call_at(1, function() task:cancel() end)
    sluice.sleep(0)
    assert.equal("slept", task:await())
  end)
end)

describe("many tasks cancelled at once", function()
  plainly("end in time that grows with their number only", function()
    local began
    local n = effort(100000)
    sluice.run(function()
      local tasks = {}
      for i = 1, n do tasks[i] = sluice.create_task(sluice.sleep, 1000) end
      sluice.sleep(0)
      began = os.clock()
      for i = 1, n do tasks[i]:cancel() end
      for i = 1, n do tasks[i]:pawait() end
    end)
    assert.is_true(os.clock() - began < 10)
    assert.equal(0, sluice.stats().timers)
  end)

  plainly("at the end of a run leave nothing", function()
    sluice.run(function()
      for i = 1, 20000 do
        sluice.create_task(sluice.wait_for, 100 + i, sluice.sleep, 1000)
      end
      sluice.sleep(0)
    end)
    assert.equal(0, sluice.stats().tasks)
    assert.equal(0, sluice.stats().timers)
  end)
end)
