local errors = require "spec.support.errors"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, plainly = testing.it, it
local raises, start = errors.raises, tasks.start

-- Takes a permit, tells it, and gives it back after some seconds.
local function use(semaphore, seconds, log, name)
  local _ <close> = semaphore:acquire()
  log[#log + 1] = name
  sluice.sleep(seconds)
end

for _, class in ipairs { "Semaphore", "BoundedSemaphore" } do
  local new = sluice[class]

  describe(class, function()
    it("has one permit unless told otherwise", function()
      assert.equal(1, new():value())
      assert.equal(1, new(nil):value())
      assert.equal(3, new(3):value())
      assert.equal(0, new(0):value())
      assert.equal(4, new(4.0):value())
    end)

    it("tells its permits and its waiters in tostring", function()
      local semaphore = new(2)
      assert.equal(("sluice.%s (2 free, 0 waiting)"):format(class),
        tostring(semaphore))
      semaphore:acquire()
      semaphore:acquire()
      local waiter = start(semaphore.acquire, semaphore)
      assert.equal(("sluice.%s (0 free, 1 waiting)"):format(class),
        tostring(semaphore))
      tasks.cancel(waiter)
    end)

    plainly("refuses what is no count", function()
      local function refuses(why, n)
        local err = errors.of(function() new(n) end)
        assert.equal(("bad argument #1 to 'new' (%s)"):format(why),
          (err:gsub("^[^:]+:%d+: ", "")))
      end
      refuses("a semaphore cannot start below 0", -1)
      refuses("number has no integer representation", 1.5)
      refuses("number has no integer representation", math.huge)
      refuses("number expected, got string", "1")
      refuses("number expected, got table", {})
    end)

    it("gives and takes permits", function()
      local semaphore = new(2)
      assert.equal(semaphore, semaphore:acquire())
      assert.equal(1, semaphore:value())
      assert.is_false(semaphore:locked())
      semaphore:acquire()
      assert.equal(0, semaphore:value())
      assert.is_true(semaphore:locked())
      assert.equal(0, select("#", semaphore:release()))
      assert.equal(1, semaphore:value())
    end)

    it("lets at most n tasks in at a time", function()
      local semaphore, inside, most = new(3), 0, 0
      sluice.gather(tasks.start_each(10, function()
        local _ <close> = semaphore:acquire()
        inside = inside + 1
        most = math.max(most, inside)
        sluice.sleep(1)
        inside = inside - 1
      end))
      assert.equal(3, most)
      assert.equal(4, sluice.time())
      assert.equal(3, semaphore:value())
    end)

    -- bpo-45997, gh-90155: permits were given out of order.
    it("is served first come, first served", function()
      local semaphore, log = new(1), {}
      sluice.gather(tasks.start_each(5, function(i)
        use(semaphore, 1, log, i)
        use(semaphore, 1, log, i + 10)
      end))
      assert.same({ 1, 2, 3, 4, 5, 11, 12, 13, 14, 15 }, log)
    end)

    -- anyio 1170: who did not wait got a permit that was another's.
    it("hands the permit over in the call to release", function()
      local semaphore, log = new(1), {}
      semaphore:acquire()
      local waiter = start(use, semaphore, 0, log, "waiter")
      semaphore:release()
      assert.equal(0, semaphore:value())
      assert.is_true(semaphore:locked())
      assert.same({ nil, "timeout" }, { semaphore:acquire(0) })
      waiter:await()
      assert.same({ "waiter" }, log)
    end)

    it("is not overtaken by who released it", function() -- gh-83055
      local semaphore, log = new(1), {}
      semaphore:acquire()
      local waiter = start(use, semaphore, 1, log, "waiter")
      semaphore:release()
      use(semaphore, 0, log, "main")
      assert.same({ "waiter", "main" }, log)
      waiter:await()
    end)

    it("belongs to no task: another may release", function()
      local semaphore = new(1)
      start(semaphore.acquire, semaphore):await()
      assert.equal(0, semaphore:value())
      semaphore:release()
      assert.equal(1, semaphore:value())
    end)

    it("returns nil and timeout when the time is up", function()
      local semaphore = new(0)
      assert.same({ nil, "timeout" }, { semaphore:acquire(2.5) })
      assert.equal(2.5, sluice.time())
      assert.matches("0 free, 0 waiting", tostring(semaphore))
    end)

    it("tries once and does not wait with a timeout of 0", function()
      local semaphore = new(1)
      assert.equal(semaphore, semaphore:acquire(0))
      assert.same({ nil, "timeout" }, { semaphore:acquire(0) })
      assert.equal(0, sluice.time())
      assert.matches("0 waiting", tostring(semaphore))
    end)

    it("refuses what is no duration", function()
      local semaphore = new(1)
      errors.refuses_durations(1, "acquire",
        function(t) semaphore:acquire(t) end)
      assert.equal(1, semaphore:value())
    end)

    plainly("works without a task where it never waits", function()
      local semaphore = new(1)
      assert.is_false(semaphore:locked())
      assert.equal(1, semaphore:value())
      testing.run(function() semaphore:acquire() end)
      semaphore:release()
      assert.equal(1, semaphore:value())
    end)

    plainly("can be used again in a later run", function()
      local semaphore = new(2)
      for _ = 1, 3 do
        testing.run(function() use(semaphore, 1, {}, "main") end)
      end
      assert.equal(2, semaphore:value())
    end)

    describe("guard", function()
      it("gives the permit back at the end of the block", function()
        local semaphore = new(1)
        do
          local _ <close> = semaphore:acquire()
          assert.equal(0, semaphore:value())
        end
        assert.equal(1, semaphore:value())
      end)

      it("gives the permit back when the block raises", function()
        local semaphore = new(1)
        assert.equal("oops", errors.of(function()
          local _ <close> = semaphore:acquire()
          error("oops", 0)
        end))
        assert.equal(1, semaphore:value())
      end)

      it("gives the permit back when the block is cancelled", function()
        local semaphore = new(1)
        local task = start(use, semaphore, 10, {}, "user")
        assert.equal(0, semaphore:value())
        tasks.cancel(task)
        assert.equal(1, semaphore:value())
      end)
    end)

    describe("and cancellation", function()
      -- gh-90155, anyio 387, anyio 947: the permit was lost.
      it("serves the next when the waiter it woke is cancelled", function()
        local semaphore, log = new(1), {}
        semaphore:acquire()
        local first = start(use, semaphore, 1, log, "first")
        local second = start(use, semaphore, 1, log, "second")
        semaphore:release()
        first:cancel()
        tasks.ends_cancelled(first)
        second:await()
        assert.same({ "first", "second" }, log)
        assert.equal(1, semaphore:value())
      end)

      it("passes over a waiter that was cancelled before", function()
        local semaphore, log = new(1), {}
        semaphore:acquire()
        local first = start(use, semaphore, 0, log, "first")
        local second = start(use, semaphore, 0, log, "second")
        first:cancel()
        semaphore:release()
        second:await()
        assert.same({ "second" }, log)
        assert.equal(1, semaphore:value())
        tasks.ends_cancelled(first)
      end)

      it("keeps no cancelled waiter in its queue", function()
        local semaphore = new(0)
        local list = tasks.start_each(100, function() semaphore:acquire() end)
        for _, task in ipairs(list) do task:cancel() end
        assert.matches("0 free, 0 waiting", tostring(semaphore))
        tasks.cancel(table.unpack(list))
      end)

      it("loses no permit when all who wait are cancelled", function()
        local semaphore = new(1)
        semaphore:acquire()
        local list = tasks.start_each(9, function()
          use(semaphore, 1, {}, "")
        end)
        semaphore:release()
        tasks.cancel(table.unpack(list))
        assert.equal(1, semaphore:value())
      end)

      it("raises on entry of a cancelled task, takes nothing", function()
        local semaphore = new(1)
        local task = start(function()
          pcall(sluice.sleep, 1)
          semaphore:acquire()
        end)
        task:cancel()
        tasks.ends_cancelled(task)
        assert.equal(1, semaphore:value())
      end)

      it("lets a cancelled task release", function()
        local semaphore = new(1)
        local task = start(function()
          semaphore:acquire()
          pcall(sluice.sleep, 1)
          semaphore:release()
        end)
        tasks.cancel(task)
        assert.equal(1, semaphore:value())
      end)
    end)
  end)
end

describe("Semaphore", function()
  it("may hold more permits than at its start", function()
    local semaphore = sluice.Semaphore(0)
    semaphore:release()
    semaphore:release()
    assert.equal(2, semaphore:value())
  end)
end)

describe("BoundedSemaphore", function()
  it("refuses to exceed its start value", function()
    local semaphore = sluice.BoundedSemaphore(2)
    raises("semaphore released too many times",
      function() semaphore:release() end)
    assert.equal(2, semaphore:value())
    semaphore:acquire()
    semaphore:release()
    raises("semaphore released too many times",
      function() semaphore:release() end)
  end)

  it("of 0 has no permit to give, not even to a waiter", function()
    local semaphore = sluice.BoundedSemaphore(0)
    local waiter = start(semaphore.acquire, semaphore, 5)
    raises("semaphore released too many times",
      function() semaphore:release() end)
    assert.same({ nil, "timeout" }, { waiter:await() })
  end)
end)
