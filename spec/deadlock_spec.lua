-- Deadlocks: found exactly when nothing can wake main any more, told where
-- main waits, with the dump; circles are told at once.

local errors = require "spec.support.errors"
local process = require "spec.support.process"
local sluice = require "sluice"
local testing = require "sluice.testing"

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

-- The text of the deadlock that main must end in.
local function deadlock(main, ...)
  local err = errors.of(testing.run, main, ...)
  assert.is_string(err)
  assert.equal("deadlock", err:sub(1, 8))
  return err
end

local function has(text, ...)
  for _, word in ipairs { ... } do
    assert.truthy(text:find(word, 1, true),
      ("no %q in:\n%s"):format(word, text))
  end
end

describe("a deadlock", function()
  it("is raised from whatever main waits for", function()
    local waits = {
      function() sluice.Event():wait() end,
      function() sluice.Queue():get() end,
      function() sluice.Future():await() end,
      function() sluice.Barrier(2):wait() end,
      function() sluice.sleep(math.huge) end,
      function() sluice.create_task(sluice.sleep, 1e300):await() end,
      function() sluice.shield(sluice.Event().wait, sluice.Event()) end,
      function()
        local semaphore = sluice.Semaphore(0)
        semaphore:acquire()
      end,
    }
    for _, wait in ipairs(waits) do deadlock(wait) end
  end)

  it("is raised on the real clock too", function()
    local err = errors.of(sluice.run, function() sluice.Event():wait() end)
    assert.equal("deadlock", err:sub(1, 8))
  end)

  it("is not raised while a timer can still wake somebody", function()
    assert.equal("x", testing.run(function()
      local queue = sluice.Queue()
      sluice.call_later(1000, function() queue:put_nowait("x") end)
      return queue:get()
    end))
  end)

  it("is not raised of a wait with a timeout", function()
    assert.equal("timeout", testing.run(function()
      return select(2, sluice.Event():wait(5))
    end))
  end)

  it("is not raised of a wait under a deadline", function()
    assert.equal("timeout", testing.run(function()
      return select(2, sluice.wait_for(5, function()
        sluice.Event():wait()
      end))
    end))
  end)

  it("of tasks that main does not wait for is none", function()
    assert.equal(5, testing.run(function()
      sluice.create_task(sluice.Event().wait, sluice.Event())
      sluice.sleep(5)
      return sluice.time()
    end))
  end)

  it("runs main's to-be-closed variables", function()
    local closed
    deadlock(function()
      local _ <close> = closing(function(_, err) closed = err end)
      sluice.Event():wait()
    end)
    assert.equal("deadlock", closed:sub(1, 8))
  end)

  it("may be caught by main, which goes on", function()
    assert.equal("went on", testing.run(function()
      assert.is_false(pcall(sluice.Event().wait, sluice.Event()))
      sluice.sleep(1)
      return "went on"
    end))
  end)

  it("leaves the other tasks to be cancelled", function()
    local reason
    deadlock(function()
      sluice.create_task(function()
        reason = errors.of(sluice.Event().wait, sluice.Event())
      end)
      sluice.Event():wait()
    end)
    assert.is_true(sluice.is_cancelled(reason))
  end)

  it("in a group ends the children and is raised by the group", function()
    local child
    deadlock(function()
      sluice.task_group(function(group)
        child = group:create_task(sluice.Event().wait, sluice.Event())
      end)
    end)
    assert.is_true(child:done())
  end)

  it("has a traceback", function()
    deadlock(function()
      local function hang_here() sluice.Event():wait() end
      hang_here()
    end)
    has(sluice.traceback(), "hang_here")
  end)

  it("ends a script with status 1 and the dump", function()
    local result = process.sluice "sluice.Event():wait()"
    assert.equal(1, result.status)
    has(result.stderr, "deadlock", "Event:wait")
  end)
end)

describe("the dump of a deadlock", function()
  it("tells of main what it waits for and where", function()
    local err = deadlock(function()
      sluice.current_task().name = "head baker"
      local function knead() sluice.Queue():get() end
      knead()
    end)
    has(err, "head baker", "Queue:get", "knead", "deadlock_spec.lua")
  end)

  it("tells of each task its name, place, wait, holder, traceback",
    function()
      local line
      local err = deadlock(function()
        local lock, never = sluice.Lock(), sluice.Event()
        line = debug.getinfo(1, "l").currentline + 1
        local holder = sluice.create_task(function()
          local _ <close> = lock:acquire()
          never:wait()
        end)
        holder.name = "the holder"
        sluice.sleep(0)
        local function want_it() lock:acquire() end
        sluice.create_task(want_it).name = "the other"
        holder:await()
      end)
      has(err, "the holder", "the other", "Event:wait", "Lock:acquire",
        "held by the holder", "deadlock_spec.lua:" .. line, "Task:await")
    end)
end)

describe("a circle of waits", function()
  -- A timer that would hide a deadlock that is found only when all is quiet.
  local function busy_elsewhere()
    sluice.create_task(sluice.sleep, 1e6)
  end

  -- Runs main, whose deadlock must be known before anything else happens.
  local function at_once(main)
    local runner = sluice.Runner { clock = "virtual" }
    local before = sluice.on_error(function() end)
    local ok, err = pcall(runner.run, runner, function()
      busy_elsewhere()
      main()
    end)
    sluice.on_error(before)
    assert.is_false(ok)
    assert.equal("string", type(err))
    assert.is_true(runner:run(sluice.time) < 100)
    return err
  end

  it("of two tasks that await each other is an error at once", function()
    has(at_once(function()
      local main = sluice.current_task()
      main.name = "main task"
      local other = sluice.create_task(function() main:await() end)
      other.name = "other task"
      sluice.sleep(1)
      other:await()
    end), "deadlock", "other task")
  end)

  it("of three tasks is an error at once", function()
    has(at_once(function()
      local main = sluice.current_task()
      local one = sluice.create_task(function() main:await() end)
      local other = sluice.create_task(function() one:await() end)
      sluice.sleep(1)
      other:await()
    end), "deadlock")
  end)

  it("of locks taken in opposite orders is an error at once", function()
    has(at_once(function()
      local a, b = sluice.Lock(), sluice.Lock()
      local other = sluice.create_task(function()
        local _ <close> = b:acquire()
        sluice.sleep(1)
        local _ <close> = a:acquire()
      end)
      other.name = "other task"
      local _ <close> = a:acquire()
      sluice.sleep(2)
      local _ <close> = b:acquire()
    end), "deadlock", "other task")
  end)

  it("of a lock and a result is an error at once", function()
    has(at_once(function()
      local lock = sluice.Lock()
      local _ <close> = lock:acquire()
      local task = sluice.create_task(function()
        local _ <close> = lock:acquire()
      end)
      sluice.sleep(1)
      task:await()
    end), "deadlock")
  end)

  it("of a child that awaits the task of its group is an error at once",
    function()
      has(at_once(function()
        local main = sluice.current_task()
        sluice.task_group(function(group)
          group:create_task(function()
            sluice.sleep(1)
            main:await()
          end)
        end)
      end), "deadlock")
    end)

  it("that closes when a group is left is an error at once", function()
    has(at_once(function()
      local main = sluice.current_task()
      sluice.task_group(function(group)
        group:create_task(function() main:await() end)
        sluice.sleep(1)
      end)
    end), "deadlock")
  end)

  it("through gather is an error at once", function()
    has(at_once(function()
      local main = sluice.current_task()
      sluice.gather { function() main:await() end }
    end), "deadlock")
  end)

  it("through gather of a task that awaits already, too", function()
    has(at_once(function()
      local main = sluice.current_task()
      local task = sluice.create_task(function() main:await() end)
      sluice.sleep(1)
      sluice.gather { task }
    end), "deadlock")
  end)

  it("with a timeout in it is none", function()
    assert.equal("timeout", testing.run(function()
      local main = sluice.current_task()
      local task = sluice.create_task(function()
        return main:await(5)
      end)
      sluice.sleep(1)
      return select(2, task:await())
    end))
  end)

  it("under a deadline is none", function()
    assert.equal("timeout", testing.run(function()
      local main = sluice.current_task()
      local task = sluice.create_task(function()
        return sluice.wait_for(5, main.await, main)
      end)
      sluice.sleep(1)
      return select(2, task:await())
    end))
  end)

  it("leaves the state as it was", function()
    testing.run(function()
      local main = sluice.current_task()
      local task = sluice.create_task(function() main:await() end)
      sluice.sleep(1)
      assert.is_false(pcall(task.await, task))
      assert.equal("timeout", select(2, task:await(1)))
      task:cancel()
      assert.is_false((task:pawait()))
      assert.equal(2, sluice.time())
    end)
  end)

  it("that a waiter's leaving breaks is none", function()
    testing.run(function()
      local lock = sluice.Lock()
      local task = sluice.create_task(function()
        lock:acquire()
        sluice.sleep(5)
        lock:release()
      end)
      sluice.sleep(1)
      local waiter = sluice.create_task(lock.acquire, lock)
      sluice.sleep(1)
      waiter:cancel()
      assert.is_false((waiter:pawait()))
      task:await()
      assert.is_false(lock:locked())
    end)
  end)
end)

describe("tasks that hang at the end of a run", function()
  it("in shields are told of the deadlock", function()
    local told = 0
    testing.run(function()
      for _ = 1, 3 do
        sluice.create_task(function()
          local err = errors.of(sluice.shield, function()
            sluice.Event():wait()
          end)
          if tostring(err):find("^deadlock") then told = told + 1 end
        end)
      end
      sluice.sleep(0)
    end)
    assert.equal(3, told)
  end)

  it("and swallow that as well are given up, told on stderr", function()
    local result = process.lua [[
      local function run(fn)
        local runner <close> = sluice.Runner { clock = "virtual" }
        return runner:run(fn)
      end
      run(function()
        sluice.create_task(sluice.shield, function()
          local event = sluice.Event()
          while true do pcall(event.wait, event) end
        end).name = "stubborn"
        sluice.sleep(0)
      end)
      assert(sluice.stats().tasks == 0 and sluice.stats().ready == 0)
      print(run(function() sluice.sleep(1) return "went on" end))]]
    assert.equal(0, result.status, result.stderr)
    assert.equal("went on\n", result.stdout)
    assert.is_true(#result.stderr > 0)
  end)

  it("in a group, and swallow it, are given up with the group", function()
    local result = process.lua [[
      local function run(fn)
        local runner <close> = sluice.Runner { clock = "virtual" }
        return runner:run(fn)
      end
      run(function()
        sluice.create_task(sluice.task_group, function(group)
          group:create_task(sluice.sleep, 1)
          sluice.shield(function()
            local event = sluice.Event()
            while true do pcall(event.wait, event) end
          end)
        end)
        sluice.sleep(0)
      end)
      collectgarbage()
      for _ = 1, 3 do
        print(run(function()
          return (select(2, sluice.wait_for(1, sluice.sleep, 2)))
        end))
      end]]
    assert.equal(0, result.status, result.stderr)
    assert.equal(("timeout\n"):rep(3), result.stdout)
  end)
end)
