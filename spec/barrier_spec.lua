local errors = require "spec.support.errors"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, plainly = testing.it, it
local start = tasks.start

-- n tasks that wait at the barrier; their results go into the list `got`.
local function arrive(n, barrier, got, timeout)
  return tasks.start_each(n, function(i)
    got[i] = table.pack(barrier:wait(timeout))
    got[i].n = nil
  end)
end

describe("Barrier", function()
  plainly("is empty at first", function()
    local barrier = sluice.Barrier(3)
    assert.equal(0, barrier:n_waiting())
    assert.is_false(barrier:broken())
    assert.equal("sluice.Barrier (0 of 3 waiting)", tostring(barrier))
  end)

  plainly("refuses what is no number of tasks", function()
    local function refuses(why, n)
      local err = errors.of(function() sluice.Barrier(n) end)
      assert.equal("bad argument #1 to 'Barrier' (" .. why .. ")",
        (err:gsub("^[^:]+:%d+: ", "")))
    end
    refuses("a barrier needs at least 1 task", 0)
    refuses("a barrier needs at least 1 task", -1)
    refuses("number has no integer representation", 2.5)
    refuses("number expected, got string", "3")
    refuses("number expected, got nil", nil)
    errors.raises("bad argument #1 to 'Barrier' (number expected, got no "
      .. "value)", function() sluice.Barrier() end)
  end)

  it("lets nobody pass before all are there", function()
    local barrier, got = sluice.Barrier(3), {}
    local list = arrive(2, barrier, got)
    assert.equal(2, barrier:n_waiting())
    assert.equal("sluice.Barrier (2 of 3 waiting)", tostring(barrier))
    assert.same({}, got)
    assert.equal(3, barrier:wait())
    assert.equal(0, barrier:n_waiting())
    sluice.gather(list)
    assert.same({ { 1 }, { 2 } }, got)
  end)

  it("of one task never waits", function()
    local barrier = sluice.Barrier(1)
    assert.equal(1, barrier:wait())
    assert.equal(1, barrier:wait(0))
  end)

  it("gives indices in the order of arrival", function()
    local barrier, got = sluice.Barrier(5), {}
    sluice.gather(arrive(5, barrier, got))
    assert.same({ { 1 }, { 2 }, { 3 }, { 4 }, { 5 } }, got)
  end)

  -- gh-155233: an index was given twice, and another not at all.
  it("gives each index once though a waiter left meanwhile", function()
    local barrier, got = sluice.Barrier(3), {}
    local list = arrive(2, barrier, got)
    tasks.cancel(list[1])
    local third = start(function() return barrier:wait() end)
    assert.equal(3, barrier:wait())
    list[2]:await()
    assert.same({ 1 }, got[2])
    assert.equal(2, third:await())
  end)

  it("serves one generation after the other", function()
    local barrier, log = sluice.Barrier(2), {}
    sluice.gather(tasks.start_each(2, function(i)
      for round = 1, 3 do
        barrier:wait()
        log[#log + 1] = round
        sluice.sleep(i)
      end
    end))
    assert.same({ 1, 1, 2, 2, 3, 3 }, log)
  end)

  it("starts a new generation while the last still wakes up", function()
    local barrier, got = sluice.Barrier(2), {}
    local list = arrive(1, barrier, got)
    assert.equal(2, barrier:wait())
    assert.same({ nil, "timeout" }, { barrier:wait(0) })
    local fourth = start(barrier.wait, barrier)
    assert.equal(1, barrier:n_waiting())
    list[1]:await()
    assert.same({ 1 }, got[1])
    tasks.cancel(fourth)
  end)

  it("tries once and does not wait with a timeout of 0", function()
    local barrier, got = sluice.Barrier(2), {}
    assert.same({ nil, "timeout" }, { barrier:wait(0) })
    assert.equal(0, barrier:n_waiting())
    local list = arrive(1, barrier, got)
    assert.equal(2, barrier:wait(0))
    list[1]:await()
  end)

  plainly("refuses what is no duration", function()
    testing.run(function()
      local barrier = sluice.Barrier(1)
      errors.refuses_durations(1, "wait", function(t) barrier:wait(t) end)
    end)
  end)

  describe("does not break when a waiter", function()
    it("times out, who leaves", function()
      local barrier, got = sluice.Barrier(2), {}
      sluice.gather(arrive(1, barrier, got, 1))
      assert.same({ { nil, "timeout" } }, got)
      assert.equal(0, barrier:n_waiting())
      assert.is_false(barrier:broken())
      local list = arrive(1, barrier, got)
      assert.equal(2, barrier:wait())
      list[1]:await()
    end)

    it("is cancelled, who leaves", function()
      local barrier, got = sluice.Barrier(2), {}
      tasks.cancel(arrive(1, barrier, got)[1])
      assert.equal(0, barrier:n_waiting())
      assert.is_false(barrier:broken())
      local list = arrive(1, barrier, got)
      assert.equal(2, barrier:wait())
      list[1]:await()
    end)

    it("is cancelled after it was let pass", function()
      local barrier, index = sluice.Barrier(2), nil
      local task = start(function()
        index = barrier:wait()
        sluice.sleep(1)
      end)
      barrier:wait()
      task:cancel()
      tasks.ends_cancelled(task)
      assert.equal(1, index)
    end)
  end)

  describe("abort", function()
    it("breaks the barrier for who waits and who comes", function()
      local barrier, got = sluice.Barrier(3), {}
      local list = arrive(2, barrier, got)
      assert.equal(0, select("#", barrier:abort()))
      assert.is_true(barrier:broken())
      assert.equal(0, barrier:n_waiting())
      sluice.gather(list)
      assert.same({ { nil, "broken" }, { nil, "broken" } }, got)
      assert.same({ nil, "broken" }, { barrier:wait() })
      assert.same({ nil, "broken" }, { barrier:wait(0) })
      assert.equal("sluice.Barrier (0 of 3 waiting, broken)",
        tostring(barrier))
    end)

    it("takes back no pass that was given", function()
      local barrier, got = sluice.Barrier(2), {}
      local list = arrive(1, barrier, got)
      barrier:wait()
      barrier:abort()
      list[1]:await()
      assert.same({ { 1 } }, got)
    end)
  end)

  describe("reset", function()
    it("sends away who waits, and the barrier is as new", function()
      local barrier, got = sluice.Barrier(2), {}
      local list = arrive(1, barrier, got)
      assert.equal(0, select("#", barrier:reset()))
      assert.is_false(barrier:broken())
      local next_one = start(barrier.wait, barrier)
      assert.equal(2, barrier:wait())
      sluice.gather(list)
      assert.same({ { nil, "broken" } }, got)
      assert.equal(1, next_one:await())
    end)

    it("mends a barrier that was aborted", function()
      local barrier, got = sluice.Barrier(2), {}
      barrier:abort()
      barrier:reset()
      assert.is_false(barrier:broken())
      local list = arrive(1, barrier, got)
      assert.equal(2, barrier:wait())
      sluice.gather(list)
    end)
  end)

  plainly("works without a task where it never waits", function()
    local barrier = sluice.Barrier(2)
    barrier:abort()
    assert.is_true(barrier:broken())
    barrier:reset()
    assert.is_false(barrier:broken())
    assert.equal(0, barrier:n_waiting())
  end)
end)
