local errors = require "spec.support.errors"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, plainly = testing.it, it
local raises, start = errors.raises, tasks.start

-- n tasks that wait on the condition and write their numbers into the log.
local function waiters(n, condition, log)
  return tasks.start_each(n, function(i)
    local _ <close> = condition:acquire()
    condition:wait()
    log[#log + 1] = i
  end)
end

local function notify(condition, n)
  local _ <close> = condition:acquire()
  condition:notify(n)
end

describe("Condition", function()
  plainly("has a lock of its own unless given one", function()
    local condition = sluice.Condition()
    assert.is_false(condition:locked())
    assert.equal("sluice.Condition (free, 0 waiting)", tostring(condition))
  end)

  it("uses the lock that it is given", function()
    local lock = sluice.Lock()
    local condition = sluice.Condition(lock)
    lock:acquire()
    assert.is_true(condition:locked())
    condition:release()
    assert.is_false(lock:locked())
  end)

  plainly("refuses what is no lock", function()
    raises("bad argument #1 to 'Condition' (sluice.Lock expected, got "
      .. "table)", function() sluice.Condition({}) end)
    errors.raises_match("sluice.Lock expected, got sluice.Event",
      function() sluice.Condition(sluice.Event()) end)
  end)

  it("returns itself from acquire, a guard that releases", function()
    local condition = sluice.Condition()
    do
      local guard <close> = condition:acquire()
      assert.equal(condition, guard)
      assert.is_true(condition:locked())
      assert.equal("sluice.Condition (locked, 0 waiting)",
        tostring(condition))
    end
    assert.is_false(condition:locked())
  end)

  it("times out in acquire", function()
    local condition = sluice.Condition()
    local holder = start(function()
      local _ <close> = condition:acquire()
      sluice.sleep(10)
    end)
    assert.same({ nil, "timeout" }, { condition:acquire(1) })
    assert.same({ nil, "timeout" }, { condition:acquire(0) })
    assert.equal(1, sluice.time())
    tasks.cancel(holder)
  end)

  it("refuses what is no duration", function()
    local condition <close> = sluice.Condition():acquire()
    local function always() return true end
    errors.refuses_durations(1, "acquire",
      function(t) condition:acquire(t) end)
    errors.refuses_durations(1, "wait", function(t) condition:wait(t) end)
    errors.refuses_durations(2, "wait_for",
      function(t) condition:wait_for(always, t) end)
  end)

  describe("without its lock", function()
    local names = { "release", "wait", "notify", "notify_all" }

    for _, name in ipairs(names) do
      it("raises in " .. name, function()
        local condition = sluice.Condition()
        errors.raises_match("the lock is not held",
          function() condition[name](condition) end)
      end)

      it("held by another task raises in " .. name, function()
        local condition <close> = sluice.Condition():acquire()
        local err = sluice.create_task(function()
          return errors.of(condition[name], condition)
        end):await()
        assert.matches("not by this task", err)
        assert.is_true(condition:locked())
      end)
    end

    it("raises in wait_for before the predicate is called", function()
      local condition, called = sluice.Condition(), false
      errors.raises_match("the lock is not held",
        function() condition:wait_for(function() called = true end) end)
      assert.is_false(called)
    end)

    plainly("raises in release and notify outside a task", function()
      local condition = sluice.Condition()
      errors.raises_match("the lock is not held",
        function() condition:release() end)
      errors.raises_match("the lock is not held",
        function() condition:notify() end)
    end)
  end)

  describe("wait", function()
    it("releases the lock and returns true holding it", function()
      local condition = sluice.Condition()
      local task = start(function()
        local _ <close> = condition:acquire()
        local notified = condition:wait()
        return notified, condition:locked()
      end)
      assert.is_false(condition:locked())
      assert.equal("sluice.Condition (free, 1 waiting)", tostring(condition))
      notify(condition)
      assert.same({ true, true }, { task:await() })
    end)

    it("returns only once the notifier has released", function()
      local condition, log = sluice.Condition(), {}
      local list = waiters(1, condition, log)
      condition:acquire()
      condition:notify()
      testing.settle()
      assert.same({}, log)
      condition:release()
      list[1]:await()
      assert.same({ 1 }, log)
    end)

    it("returns nil and timeout holding the lock", function()
      local condition <close> = sluice.Condition():acquire()
      assert.same({ nil, "timeout" }, { condition:wait(2) })
      assert.equal(2, sluice.time())
      assert.equal("sluice.Condition (locked, 0 waiting)",
        tostring(condition))
    end)

    it("times out late when another task keeps the lock", function()
      local condition = sluice.Condition()
      local waiter = start(function()
        local _ <close> = condition:acquire()
        return condition:wait(1)
      end)
      condition:acquire()
      sluice.sleep(5)
      condition:release()
      assert.same({ nil, "timeout" }, { waiter:await() })
      assert.equal(5, sluice.time())
    end)

    it("tries once and does not wait with a timeout of 0", function()
      local condition <close> = sluice.Condition():acquire()
      assert.same({ nil, "timeout" }, { condition:wait(0) })
      assert.is_true(condition:locked())
    end)

    it("lets go of one lock only, its own", function()
      local lock, condition = sluice.Lock(), sluice.Condition()
      local task = start(function()
        local _ <close> = lock:acquire()
        local _ <close> = condition:acquire()
        condition:wait(1)
      end)
      assert.is_true(lock:locked())
      assert.is_false(condition:locked())
      task:await()
    end)
  end)

  describe("notify", function()
    it("wakes one unless told otherwise, in order", function()
      local condition, log = sluice.Condition(), {}
      local list = waiters(3, condition, log)
      for _ = 1, 3 do
        notify(condition)
        testing.settle()
      end
      sluice.gather(list)
      assert.same({ 1, 2, 3 }, log)
    end)

    it("wakes n, and no more than there are", function()
      local condition, log = sluice.Condition(), {}
      local list = waiters(3, condition, log)
      notify(condition, 2)
      testing.settle()
      assert.same({ 1, 2 }, log)
      notify(condition, 100)
      sluice.gather(list)
      assert.same({ 1, 2, 3 }, log)
    end)

    it("returns nothing and wakes nobody with 0", function()
      local condition, log = sluice.Condition(), {}
      local list = waiters(1, condition, log)
      condition:acquire()
      assert.equal(0, select("#", condition:notify(0)))
      condition:release()
      testing.settle()
      assert.same({}, log)
      tasks.cancel(list[1])
    end)

    it("is not kept for those who wait later", function()
      local condition = sluice.Condition()
      local _ <close> = condition:acquire()
      condition:notify(5)
      condition:notify_all()
      assert.same({ nil, "timeout" }, { condition:wait(1) })
    end)

    it("refuses what is no count", function()
      local condition <close> = sluice.Condition():acquire()
      raises("bad argument #1 to 'notify' (number expected, got string)",
        function() condition:notify("1") end)
      raises("bad argument #1 to 'notify' (number has no integer "
        .. "representation)", function() condition:notify(1.5) end)
      errors.raises_match("^bad argument #1 to 'notify'",
        function() condition:notify(-1) end)
    end)

    it("to all wakes all in order", function()
      local condition, log = sluice.Condition(), {}
      local list = waiters(5, condition, log)
      condition:acquire()
      assert.equal(0, select("#", condition:notify_all()))
      condition:release()
      sluice.gather(list)
      assert.same({ 1, 2, 3, 4, 5 }, log)
    end)

    it("puts the notified behind those who wait for the lock", function()
      local condition, log = sluice.Condition(), {}
      local list = waiters(1, condition, log)
      condition:acquire()
      list[2] = start(function()
        local _ <close> = condition:acquire()
        log[#log + 1] = "acquired"
      end)
      condition:notify()
      condition:release()
      sluice.gather(list)
      assert.same({ "acquired", 1 }, log)
    end)

    it("on one of two conditions of a lock leaves the other's", function()
      local lock, log = sluice.Lock(), {}
      local full, empty = sluice.Condition(lock), sluice.Condition(lock)
      local list = waiters(1, full, log)
      local other = waiters(1, empty, log)
      notify(full)
      list[1]:await()
      assert.matches("0 waiting", tostring(full))
      assert.matches("1 waiting", tostring(empty))
      tasks.cancel(other[1])
    end)
  end)

  describe("wait_for", function()
    it("returns the predicate's value at once if it is true", function()
      local condition <close> = sluice.Condition():acquire()
      assert.equal(42, condition:wait_for(function() return 42 end))
      assert.equal(0, sluice.time())
    end)

    it("waits until the predicate is true", function()
      local condition, n, calls = sluice.Condition(), 0, 0
      local task = start(function()
        local _ <close> = condition:acquire()
        return condition:wait_for(function()
          calls = calls + 1
          return n >= 3 and "three"
        end)
      end)
      for i = 1, 3 do
        n = i
        notify(condition)
        testing.settle()
      end
      assert.equal("three", task:await())
      assert.equal(4, calls)
    end)

    it("calls the predicate holding the lock", function()
      local condition <close> = sluice.Condition():acquire()
      local held = {}
      condition:wait_for(function()
        held[#held + 1] = condition:locked()
      end, 1)
      assert.same({ true, true }, held)
    end)

    it("returns nil and timeout holding the lock", function()
      local condition <close> = sluice.Condition():acquire()
      assert.same({ nil, "timeout" },
        { condition:wait_for(function() return false end, 3) })
      assert.equal(3, sluice.time())
      assert.is_true(condition:locked())
    end)

    it("looks once more when the time is up", function()
      local condition <close> = sluice.Condition():acquire()
      local function ripe() return sluice.time() >= 2 and "ripe" end
      assert.equal("ripe", condition:wait_for(ripe, 2))
    end)

    it("looks once with a timeout of 0", function()
      local condition <close> = sluice.Condition():acquire()
      local calls = 0
      local function count() calls = calls + 1 end
      assert.same({ nil, "timeout" }, { condition:wait_for(count, 0) })
      assert.equal(1, calls)
    end)

    it("keeps one deadline over many notifications", function()
      local condition = sluice.Condition()
      local task = start(function()
        local _ <close> = condition:acquire()
        return condition:wait_for(function() return false end, 5)
      end)
      for _ = 1, 4 do
        sluice.sleep(1)
        notify(condition)
      end
      assert.same({ nil, "timeout" }, { task:await() })
      assert.equal(5, sluice.time())
    end)

    it("raises the predicate's error holding the lock", function()
      local condition <close> = sluice.Condition():acquire()
      assert.equal("oops", errors.of(function()
        condition:wait_for(function() error("oops", 0) end)
      end))
      assert.is_true(condition:locked())
    end)

    it("lets the predicate wait", function()
      local condition <close> = sluice.Condition():acquire()
      local function slow()
        sluice.sleep(1)
        return sluice.time() >= 3
      end
      assert.is_true(condition:wait_for(slow, 2))
      assert.equal(3, sluice.time())
    end)

    it("raises when the predicate released the lock", function()
      local condition = sluice.Condition()
      condition:acquire()
      local function drop() condition:release() end
      errors.raises_match("lock is not held",
        function() condition:wait_for(drop) end)
    end)

    it("refuses what cannot be called", function()
      local condition <close> = sluice.Condition():acquire()
      raises("bad argument #1 to 'wait_for' (function expected, got nil)",
        function() condition:wait_for(nil) end)
      raises("bad argument #1 to 'wait_for' (function expected, got "
        .. "boolean)", function() condition:wait_for(true) end)
    end)

    it("calls a table with __call", function()
      local condition <close> = sluice.Condition():acquire()
      local yes = setmetatable({}, { __call = function() return "yes" end })
      assert.equal("yes", condition:wait_for(yes))
    end)
  end)

  describe("and cancellation", function()
    it("takes the lock again before it raises", function()
      local condition, locked = sluice.Condition(), nil
      local task = start(function()
        local _ <close> = condition:acquire()
        pcall(condition.wait, condition)
        locked = condition:locked()
      end)
      task:cancel()
      task:pawait()
      assert.is_true(locked)
      assert.is_false(condition:locked())
    end)

    it("waits shielded for a lock that another task holds", function()
      local condition, raised_at = sluice.Condition(), nil
      local task = start(function()
        local _ <close> = condition:acquire()
        pcall(condition.wait, condition)
        raised_at = sluice.time()
      end)
      local _ <close> = condition:acquire()
      task:cancel()
      sluice.sleep(3)
      task:cancel("again")
      assert.is_nil(raised_at)
      condition:release()
      task:pawait()
      assert.equal(3, raised_at)
      condition:acquire()
    end)

    -- gh-112202, and what trio still does: notified and cancelled in one
    -- turn, the waiter went and the notification with it.
    it("loses no notification of a waiter that is cancelled", function()
      local condition, log = sluice.Condition(), {}
      local list = waiters(2, condition, log)
      notify(condition)
      list[1]:cancel()
      sluice.wait(list, { timeout = 1 })
      assert.same({ 1 }, log)
      notify(condition)
      list[2]:await()
      assert.same({ 1, 2 }, log)
    end)

    it("returns true when it was notified first", function()
      local condition, log = sluice.Condition(), {}
      local list = waiters(1, condition, log)
      condition:acquire()
      condition:notify()
      list[1]:cancel()
      testing.settle()
      assert.same({}, log)
      condition:release()
      list[1]:await()
      assert.same({ 1 }, log)
    end)

    it("returns the timeout when the time was up first", function()
      local condition, got = sluice.Condition(), nil
      local task = start(function()
        local _ <close> = condition:acquire()
        got = { condition:wait(1) }
        got.locked = condition:locked()
      end)
      condition:acquire()
      sluice.sleep(2)
      task:cancel()
      condition:release()
      task:await()
      assert.same({ nil, "timeout", locked = true }, got)
    end)

    it("by a deadline after the notification comes too late", function()
      local condition, got = sluice.Condition(), nil
      local task = start(function()
        local _ <close> = condition:acquire()
        got = { sluice.wait_for(1, condition.wait, condition) }
      end)
      condition:acquire()
      condition:notify()
      sluice.sleep(2)
      condition:release()
      task:await()
      assert.same({ true }, got)
    end)

    it("notifies the next when a waiter was cancelled before", function()
      local condition, log = sluice.Condition(), {}
      local list = waiters(2, condition, log)
      list[1]:cancel()
      notify(condition)
      list[2]:await()
      tasks.ends_cancelled(list[1])
      assert.same({ 2 }, log)
    end)

    it("keeps no cancelled or timed-out waiter", function()
      local condition = sluice.Condition()
      local list = waiters(20, condition, {})
      tasks.cancel(table.unpack(list))
      assert.equal("sluice.Condition (free, 0 waiting)", tostring(condition))
    end)

    it("raises on entry of a cancelled task, and keeps the lock", function()
      local condition, kept = sluice.Condition(), nil
      local task = start(function()
        local _ <close> = condition:acquire()
        pcall(sluice.sleep, 1)
        pcall(condition.wait, condition, 1)
        kept = condition:locked()
      end)
      tasks.cancel(task)
      assert.is_true(kept)
    end)

    it("by a deadline around it takes the lock again", function()
      local condition = sluice.Condition()
      local task = start(function()
        local _ <close> = condition:acquire()
        local result, why = sluice.wait_for(1, condition.wait, condition)
        return result, why, condition:locked()
      end)
      assert.same({ nil, "timeout", true }, { task:await() })
    end)
  end)

  it("never wakes spuriously", function()
    local condition, log = sluice.Condition(), {}
    local list = waiters(3, condition, log)
    for _ = 1, 5 do
      condition:acquire()
      sluice.sleep(1)
      condition:release()
    end
    assert.same({}, log)
    tasks.cancel(table.unpack(list))
  end)

  plainly("can be used again in a later run", function()
    local condition, log = sluice.Condition(), {}
    for _ = 1, 2 do
      testing.run(function()
        local list = waiters(2, condition, log)
        notify(condition, 2)
        sluice.gather(list)
      end)
    end
    assert.same({ 1, 2, 1, 2 }, log)
  end)
end)
