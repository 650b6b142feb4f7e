-- One table of hazards, run against every call that can wait.

local awaitables = require "spec.support.awaitables"
local errors = require "spec.support.errors"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

-- A task that waits at `at`, parked; its outcome is in task.got.
local function waiter(one, at, timeout)
  local got = { done = false }
  got.task = tasks.start(function()
    got.results = { pcall(one.wait, at, timeout) }
    got.done = true
    sluice.sleep(0) -- where a cancellation that came too late is raised
  end)
  return got
end

-- Ends what is left and checks that nothing is.
local function settle(one, at, ...)
  for _, got in ipairs { ... } do got.task:pawait() end
  one.finish(at)
  one.idle(at)
end

local function check_success(one, results)
  if not results[1] then error(results[2], 0) end
  if one.want then
    assert.same({ true, table.unpack(one.want, 1, 4) }, results)
  end
end

local function check_cancelled(results)
  assert.is_false(results[1])
  assert.is_true(sluice.is_cancelled(results[2]))
end

-- That it still works: a new waiter is served.
local function check_alive(one, at)
  local got = waiter(one, at)
  one.wake(at)
  got.task:await()
  check_success(one, got.results)
end

-- Refusals: `why` is in the message, at the line of the call; then the
-- object works as if nothing had been.
local function check_refused(why, err)
  assert.matches(why, err)
  assert.matches("^[^:]*awaitables.lua:%d+: ", err)
end

for _, one in ipairs(awaitables) do
  describe(one.name, function()
    it("returns when it is woken", function()
      local at = one.new()
      local got = waiter(one, at)
      if not one.by_itself then assert.is_false(got.done) end
      one.wake(at)
      got.task:await()
      check_success(one, got.results)
      settle(one, at)
    end)

    if one.ready then
      it("returns at once when it need not wait", function()
        local at = one.new()
        one.wake(at)
        local got = waiter(one, at)
        got.task:await()
        check_success(one, got.results)
        settle(one, at)
      end)
    end

    if one.timed then
      it("times out, and is served the next time", function()
        local at = one.new()
        local began, got = sluice.time(), waiter(one, at, 2)
        got.task:await()
        assert.same({ true, nil, "timeout" }, got.results)
        assert.near(began + 2, sluice.time(), 1e-6)
        one.idle(at)
        check_alive(one, at)
        settle(one, at)
      end)

      it("does not wait with a timeout of 0", function()
        local at = one.new()
        local began, got = sluice.time(), waiter(one, at, 0)
        got.task:await()
        assert.same({ true, nil, "timeout" }, got.results)
        assert.equal(began, sluice.time())
        one.idle(at)
        settle(one, at)
      end)
    end

    if not one.by_itself then
      it("is ended by a deadline around it", function()
        local at, began = one.new(), sluice.time()
        assert.same({ nil, "timeout" },
          { sluice.wait_for(3, one.wait, at) })
        assert.near(began + 3, sluice.time(), 1e-6)
        one.idle(at)
        if not one.spent then check_alive(one, at) end
        settle(one, at)
      end)
    end

    if one.name ~= "settle" then
      it("raises when cancelled while it waits, at once", function()
        local at, began = one.new(), sluice.time()
        local got = waiter(one, at)
        got.task:cancel()
        if not one.indirect then one.idle(at) end
        tasks.ends_cancelled(got.task)
        check_cancelled(got.results)
        assert.equal(began, sluice.time())
        one.idle(at)
        if not one.spent then check_alive(one, at) end
        settle(one, at)
      end)
    end

    if not one.by_itself and not one.io then
      it("succeeds when woken first and cancelled then", function()
        local at = one.new()
        local got = waiter(one, at)
        one.wake(at)
        got.task:cancel()
        tasks.ends_cancelled(got.task)
        check_success(one, got.results)
        settle(one, at)
      end)

      it("raises when cancelled first and woken then", function()
        local at = one.new()
        local got = waiter(one, at)
        got.task:cancel()
        one.wake(at)
        tasks.ends_cancelled(got.task)
        check_cancelled(got.results)
        settle(one, at)
      end)
    end

    it("raises on entry of a cancelled task, without effect", function()
      local at, got = one.new(), {}
      if one.ready then one.wake(at) end
      got.task = tasks.start(function()
        pcall(sluice.sleep, 1)
        got.results = { pcall(one.wait, at) }
      end)
      got.task:cancel()
      got.task:pawait()
      check_cancelled(got.results)
      one.idle(at)
      if one.ready then check_success(one, { pcall(one.wait, at) }) end
      settle(one, at)
    end)

    plainly("is cancelled when the run ends", function()
      local at, got
      testing.run(function()
        at = one.new()
        got = waiter(one, at)
      end)
      if not one.by_itself then check_cancelled(got.results) end
      one.idle(at)
      assert.equal(0, sluice.stats().tasks)
    end)

    plainly("is cancelled when the run ends by an error", function()
      local at
      assert.equal("oops", errors.of(testing.run, function()
        at = one.new()
        waiter(one, at)
        error("oops", 0)
      end))
      one.idle(at)
      assert.equal(0, sluice.stats().tasks)
    end)

    if not (one.by_itself or one.limited or one.io) then
      plainly("is told of a deadlock when nothing can wake it", function()
        local at
        local err = errors.of(testing.run, function()
          at = one.new()
          one.wait(at)
        end)
        assert.matches("deadlock", err)
        one.idle(at)
        assert.equal(0, sluice.stats().tasks)
      end)
    end

    if one.close then
      it("is told when it is closed", function()
        local at = one.new()
        local got = waiter(one, at)
        one.close(at)
        got.task:await()
        if one.closed then
          assert.same({ true, table.unpack(one.closed, 1, 2) }, got.results)
        else
          assert.matches(one.closed_raises, got.results[2])
        end
        settle(one, at)
      end)

      it("succeeds when woken first and closed then", function()
        local at = one.new()
        local got = waiter(one, at)
        one.wake(at)
        one.close(at)
        got.task:await()
        check_success(one, got.results)
        settle(one, at)
      end)
    end

    it("waits on when nobody else knows what it waits at", function()
      local weak = setmetatable({ one.new() }, { __mode = "v" })
      local got = waiter(one, weak[1])
      collectgarbage()
      collectgarbage()
      got.task:cancel()
      got.task:pawait()
      if weak[1] then one.finish(weak[1]) end
      got.task = nil
      collectgarbage()
      collectgarbage()
      assert.is_nil(weak[1])
    end)

    plainly("raises outside a task, without effect", function()
      local at = testing.run(one.new)
      check_refused("must be called in a task", errors.of(one.wait, at))
      one.idle(at)
    end)

    it("raises in a plain coroutine, without effect", function()
      local at = one.new()
      local err = errors.of(coroutine.wrap(one.wait), at)
      check_refused("inside a plain coroutine", err)
      one.idle(at)
      if not one.by_itself then check_alive(one, at) end
      settle(one, at)
    end)

    it("raises where Lua cannot yield, without effect", function()
      local at, err = one.new(), nil
      table.sort({ 1, 2 }, function()
        err = err or errors.of(one.wait, at)
        return false
      end)
      check_refused("where Lua cannot yield", err)
      one.idle(at)
      if not one.by_itself then check_alive(one, at) end
      settle(one, at)
    end)
  end)
end
