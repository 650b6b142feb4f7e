local errors = require "spec.support.errors"
local process = require "spec.support.process"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, plainly = testing.it, it
local raises, start = errors.raises, tasks.start

-- A program with locks a and b, in which `body` closes a circle of tasks that
-- only a third, which then tries to acquire, could find.
local function circle(body)
  return ([[
    local testing = require "sluice.testing"
    testing.run(function()
      sluice.on_error(function() end)
      local a, b, first, second, limit = sluice.Lock(), sluice.Lock()
      %s
      sluice.wait_for(1, a.acquire, a)
      first:cancel()
      second:cancel()
    end)
    print "ended"]]):format(body)
end

-- Takes the lock, tells it, and gives it back after some seconds.
local function hold(lock, seconds, log, name)
  local guard <close> = lock:acquire()
  log[#log + 1] = name
  sluice.sleep(seconds)
  return guard
end

describe("Lock", function()
  it("is free at first", function()
    local lock = sluice.Lock()
    assert.is_false(lock:locked())
    assert.is_nil(lock:owner())
    assert.equal("sluice.Lock (free)", tostring(lock))
  end)

  it("is owned by the task that acquires it", function()
    local lock = sluice.Lock()
    assert.equal(lock, lock:acquire())
    assert.is_true(lock:locked())
    assert.equal(sluice.current_task(), lock:owner())
    lock:release()
    assert.is_false(lock:locked())
    assert.is_nil(lock:owner())
  end)

  it("tells in tostring who holds it and how many wait", function()
    local lock <close> = sluice.Lock():acquire()
    sluice.current_task().name = "keeper"
    assert.equal("sluice.Lock (held by keeper, 0 waiting)", tostring(lock))
    local first = start(lock.acquire, lock)
    local second = start(lock.acquire, lock)
    assert.equal("sluice.Lock (held by keeper, 2 waiting)", tostring(lock))
    tasks.cancel(first, second)
    assert.equal("sluice.Lock (held by keeper, 0 waiting)", tostring(lock))
  end)

  it("returns nothing from release", function()
    local lock = sluice.Lock()
    lock:acquire()
    assert.equal(0, select("#", lock:release()))
  end)

  it("is served first come, first served", function()
    local lock, log = sluice.Lock(), {}
    local list = tasks.start_each(5, function(i) hold(lock, 1, log, i) end)
    sluice.gather(list)
    assert.same({ 1, 2, 3, 4, 5 }, log)
    assert.equal(5, sluice.time())
  end)

  it("is handed over in the call to release", function()
    local lock = sluice.Lock()
    lock:acquire()
    local heir = start(hold, lock, 0, {}, "heir")
    lock:release()
    assert.is_true(lock:locked())
    assert.equal(heir, lock:owner())
    heir:await()
    assert.is_false(lock:locked())
  end)

  it("is not overtaken by its last owner", function() -- gh-83055
    local lock, log = sluice.Lock(), {}
    lock:acquire()
    local waiter = start(hold, lock, 1, log, "waiter")
    lock:release()
    hold(lock, 0, log, "main")
    assert.same({ "waiter", "main" }, log)
    waiter:await()
  end)

  it("is not overtaken by an attempt that does not wait", function()
    local lock = sluice.Lock()
    lock:acquire()
    local waiter = start(hold, lock, 0, {}, "waiter")
    lock:release()
    assert.same({ nil, "timeout" }, { lock:acquire(0) })
    waiter:await()
  end)

  plainly("can be used again in a later run", function()
    local lock = sluice.Lock()
    for _ = 1, 3 do
      testing.run(function() hold(lock, 1, {}, "main") end)
      assert.is_false(lock:locked())
    end
  end)

  describe("acquire", function()
    it("returns nil and timeout when the time is up", function()
      local lock <close> = sluice.Lock():acquire()
      local waiter = start(lock.acquire, lock, 3)
      assert.same({ nil, "timeout" }, { waiter:await() })
      assert.equal(3, sluice.time())
      assert.matches("0 waiting", tostring(lock))
    end)

    it("tries once and does not wait with a timeout of 0", function()
      local lock = sluice.Lock()
      assert.equal(lock, lock:acquire(0))
      local task = sluice.create_task(lock.acquire, lock, 0)
      assert.same({ nil, "timeout" }, { task:await() })
      assert.equal(0, sluice.time())
      lock:release()
    end)

    -- copas 201: a probe stayed queued and was handed the lock later.
    it("leaves nothing in the queue after a timeout of 0", function()
      local lock = sluice.Lock()
      lock:acquire()
      local prober = start(function()
        lock:acquire(0)
        sluice.sleep(10)
      end)
      lock:release()
      assert.is_false(lock:locked())
      tasks.cancel(prober)
    end)

    it("accepts math.huge as for ever", function()
      local lock = sluice.Lock()
      lock:acquire()
      local waiter = start(function()
        lock:acquire(math.huge):release()
        return true
      end)
      lock:release()
      assert.is_true(waiter:await())
    end)

    it("refuses what is no duration", function()
      local lock = sluice.Lock()
      errors.refuses_durations(1, "acquire", function(t) lock:acquire(t) end)
      assert.is_false(lock:locked())
    end)

    -- anyio 798: the task waited for itself.
    it("raises when the task owns the lock already", function()
      local lock <close> = sluice.Lock():acquire()
      errors.raises_match("deadlock", function() lock:acquire() end)
      errors.raises_match("deadlock", function() lock:acquire(0) end)
      errors.raises_match("deadlock", function() lock:acquire(1) end)
      assert.matches("0 waiting", tostring(lock))
    end)
  end)

  describe("release", function()
    it("raises when the lock is free", function()
      local lock = sluice.Lock()
      raises("cannot release: the lock is not held",
        function() lock:release() end)
    end)

    it("raises when another task owns it, and changes nothing", function()
      local lock <close> = sluice.Lock():acquire()
      local owner = sluice.current_task()
      owner.name = "owner"
      local err = start(function()
        return errors.of(lock.release, lock)
      end):await()
      assert.matches("held by owner, not by this task", err)
      assert.equal(owner, lock:owner())
    end)

    plainly("raises outside a task", function()
      local lock = sluice.Lock()
      raises("cannot release: the lock is not held",
        function() lock:release() end)
    end)

    it("works in a cancelled task", function()
      local lock = sluice.Lock()
      local task = start(function()
        lock:acquire()
        pcall(sluice.sleep, 10)
        lock:release()
      end)
      tasks.cancel(task)
      assert.is_false(lock:locked())
    end)
  end)

  describe("guard", function()
    it("releases at the end of the block", function()
      local lock = sluice.Lock()
      do
        local _ <close> = lock:acquire()
        assert.is_true(lock:locked())
      end
      assert.is_false(lock:locked())
    end)

    it("releases when the block raises", function()
      local lock = sluice.Lock()
      local err = errors.of(function()
        local _ <close> = lock:acquire()
        error("oops", 0)
      end)
      assert.equal("oops", err)
      assert.is_false(lock:locked())
    end)

    it("releases when the block is cancelled", function()
      local lock = sluice.Lock()
      local task = start(hold, lock, 10, {}, "holder")
      assert.is_true(lock:locked())
      tasks.cancel(task)
      assert.is_false(lock:locked())
    end)

    it("of a time-out is nil, which closes as nothing", function()
      local lock <close> = sluice.Lock():acquire()
      local task = start(function()
        local guard <close> = lock:acquire(1)
        return guard
      end)
      assert.is_nil(task:await())
      assert.is_true(lock:locked())
    end)

    it("raises when the lock was released by hand", function()
      local lock = sluice.Lock()
      local err = errors.of(function()
        local _ <close> = lock:acquire()
        lock:release()
      end)
      assert.matches("lock is not held", err)
    end)

    it("never takes the lock from the next owner", function()
      local lock = sluice.Lock()
      local heir = sluice.create_task(hold, lock, 5, {}, "heir")
      heir.name = "heir"
      local err = errors.of(function()
        local _ <close> = lock:acquire()
        testing.settle()
        lock:release()
      end)
      assert.matches("the lock is held by heir", err)
      assert.equal(heir, lock:owner())
      heir:await()
    end)

    it("lets an error pass that is on its way already", function()
      local lock = sluice.Lock()
      local err = errors.of(function()
        local _ <close> = lock:acquire()
        lock:release()
        error("first", 0)
      end)
      assert.equal("first", err)
    end)
  end)

  describe("and cancellation", function()
    it("serves the next when the waiter it woke is cancelled", function()
      -- bpo-27585, bpo-32734, anyio 387: nobody got the lock any more.
      local lock, log = sluice.Lock(), {}
      lock:acquire()
      local first = start(hold, lock, 1, log, "first")
      local second = start(hold, lock, 1, log, "second")
      lock:release()
      first:cancel()
      tasks.ends_cancelled(first)
      second:await()
      assert.same({ "first", "second" }, log)
      assert.is_false(lock:locked())
    end)

    it("passes over a waiter that was cancelled before", function()
      local lock, log = sluice.Lock(), {}
      lock:acquire()
      local first = start(hold, lock, 1, log, "first")
      local second = start(hold, lock, 1, log, "second")
      first:cancel()
      lock:release()
      assert.equal(second, lock:owner())
      second:await()
      assert.same({ "second" }, log)
      tasks.ends_cancelled(first)
    end)

    -- anyio 1145: whoever came next waited behind cancelled waiters.
    it("is free for the next when all who waited are cancelled", function()
      local lock = sluice.Lock()
      lock:acquire()
      local list = tasks.start_each(2, function() lock:acquire() end)
      list[1]:cancel()
      list[2]:cancel()
      lock:release()
      assert.equal(lock, lock:acquire(0))
      lock:release()
      tasks.cancel(table.unpack(list))
    end)

    it("keeps no cancelled waiter in its queue", function()
      local lock <close> = sluice.Lock():acquire()
      local list = tasks.start_each(100, function() lock:acquire() end)
      for _, task in ipairs(list) do task:cancel() end
      assert.matches("0 waiting", tostring(lock))
      tasks.cancel(table.unpack(list))
    end)

    -- anyio 398: cancelled on its way in, the task kept the lock.
    it("raises on entry of a cancelled task, and takes nothing", function()
      local lock = sluice.Lock()
      local task = start(function()
        pcall(sluice.sleep, 1)
        lock:acquire()
      end)
      task:cancel()
      tasks.ends_cancelled(task)
      assert.is_false(lock:locked())
    end)
  end)

  describe("of a task that ends holding it", function()
    local reports
    before_each(function()
      reports = {}
      sluice.on_error(function(task, err)
        reports[#reports + 1] = { task = task, err = err }
      end)
    end)
    after_each(function() sluice.on_error(nil) end)

    it("is reported and passes on", function() -- trio 3035
      local lock = sluice.Lock()
      local culprit = sluice.create_task(function() lock:acquire() end)
      local heir = sluice.create_task(hold, lock, 0, {}, "heir")
      heir:await()
      assert.is_false(lock:locked())
      assert.equal(1, #reports)
      assert.equal(culprit, reports[1].task)
      assert.matches("ended holding a lock", tostring(reports[1].err))
    end)

    it("is reported once for each lock, and each passes on", function()
      local a, b = sluice.Lock(), sluice.Lock()
      sluice.create_task(function()
        a:acquire()
        b:acquire()
      end):await()
      assert.equal(2, #reports)
      assert.is_false(a:locked() or b:locked())
    end)

    it("passes on when the task ended by an error", function()
      local lock = sluice.Lock()
      local task = sluice.create_task(function()
        lock:acquire()
        error("oops", 0)
      end)
      assert.same({ false, "oops" }, { task:pawait() })
      assert.is_false(lock:locked())
      assert.equal(1, #reports)
    end)
  end)

  describe("in a circle", function()
    -- Two tasks, each of which holds a lock and wants the other's.
    local function embrace(timeout)
      local a, b = sluice.Lock(), sluice.Lock()
      local first = start(function()
        local _ <close> = a:acquire()
        sluice.sleep(1)
        local _ <close> = b:acquire(timeout)
      end)
      first.name = "first"
      return first, start(function()
        local _ <close> = b:acquire()
        sluice.sleep(2)
        local _ <close> = a:acquire()
      end)
    end

    it("is an error at once that names the other task", function()
      local first, second = embrace()
      local ok, err = second:pawait()
      assert.is_false(ok)
      assert.matches("deadlock", err)
      assert.matches("first", err)
      assert.equal(2, sluice.time())
      first:await()
    end)

    it("is no error while one of them has a time-out", function()
      local first, second = embrace(5)
      sluice.gather { first, second }
      assert.equal(6, sluice.time())
    end)

    it("is found through a task that is awaited", function()
      sluice.create_task(function()
        local lock <close> = sluice.Lock():acquire()
        local child = start(function() lock:acquire():release() end)
        child.name = "child"
        errors.raises_match("deadlock.*child", function() child:await() end)
      end):await()
    end)

    plainly("that a time-out of a condition closes hangs nobody", function()
      process.prints("ended\n", circle([[
        first = sluice.create_task(function()
          a:acquire()
          local condition <close> = sluice.Condition(b):acquire()
          condition:wait(1)
        end)
        sluice.sleep(0)
        second = sluice.create_task(function()
          b:acquire()
          a:acquire()
        end)
        sluice.sleep(2)]]))
    end)

    plainly("that a moved deadline closes hangs nobody", function()
      process.prints("ended\n", circle([[
        first = sluice.create_task(function()
          local _ <close> = sluice.timeout(10)
          limit = _
          a:acquire()
          sluice.sleep(1)
          b:acquire()
        end)
        second = sluice.create_task(function()
          b:acquire()
          sluice.sleep(2)
          a:acquire()
        end)
        sluice.sleep(3)
        limit:reschedule()]]))
    end)
  end)

  describe("that is collected", function()
    it("while a task owns it leaves the task alone", function()
      local lock = setmetatable({ sluice.Lock() }, { __mode = "v" })
      lock[1]:acquire()
      collectgarbage()
      collectgarbage()
      assert.is_nil(lock[1])
    end)

    plainly("after a finaliser saved it leaves the task alone", function()
      process.prints("done\n", [[
        sluice.on_error(function() end)
        setmetatable({ sluice.Lock() }, { __gc = function(t) saved = t[1] end })
        collectgarbage()
        collectgarbage()
        sluice.run(function()
          pcall(saved.acquire, saved)
          saved = nil
          collectgarbage()
          collectgarbage()
        end)
        print "done"]])
    end)
  end)
end)
