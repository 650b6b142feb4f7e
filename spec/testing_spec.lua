-- sluice.testing: the virtual clock, explored schedules, cancellation at every
-- checkpoint, and busted's `it` in a task.

local errors = require "spec.support.errors"
local process = require "spec.support.process"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

describe("testing.run", function()
  plainly("returns main's results and raises its error", function()
    local packed = table.pack(testing.run(function() return 1, nil end))
    assert.same({ 1, nil, n = 2 }, packed)
    local object = {}
    assert.equal(object, errors.of(testing.run, function() error(object) end))
  end)

  plainly("starts at 0, or where it is told to", function()
    assert.equal(0, testing.run(sluice.time))
    assert.equal(100, testing.run(sluice.time, { start = 100 }))
    assert.equal(0, testing.run(sluice.time))
  end)

  plainly("lets time jump to the next deadline", function()
    assert.equal(86400, testing.run(function()
      sluice.sleep(86400)
      return sluice.time()
    end))
  end)

  plainly("waits for what really happens before time jumps", function()
    assert.same({ 5, 0 }, testing.run(function()
      local slow = sluice.wait_for(1000, sluice.to_thread, function()
        local stop = os.clock() + 0.05
        while os.clock() < stop do end
        return 5
      end)
      return { slow, sluice.time() }
    end))
  end)

  plainly("takes a seed, which gives the same schedule again", function()
    local function order(seed)
      return testing.run(function()
        local list = {}
        local function note(i) list[#list + 1] = i end
        for i = 1, 8 do sluice.create_task(note, i) end
        sluice.sleep(1)
        return table.concat(list, " ")
      end, { seed = seed })
    end
    assert.equal(order(5), order(5))
    assert.not_equal(order(5), order(6))
    assert.equal("1 2 3 4 5 6 7 8", order(nil))
  end)

  plainly("refuses wrong arguments at the caller's line", function()
    errors.raises("bad argument #1 to 'run' (function expected, got nil)",
      function() testing.run(nil) end)
    errors.raises("bad argument #2 to 'run' (table expected, got number)",
      function() testing.run(print, 5) end)
    errors.raises("bad argument #2 to 'run' (unknown option 'sead')",
      function() testing.run(print, { sead = 1 }) end)
    errors.raises("bad argument #2 to 'case' (option 'timeout' must be a "
      .. "number of seconds, 0 or more, got -1)",
      function() testing.case(print, { timeout = -1 }) end)
    errors.raises("bad argument #2 to 'explore' (option 'runs' must be a "
      .. "whole number above 0, got many)",
      function() testing.explore(print, { runs = "many" }) end)
  end)
end)

describe("testing.settle", function()
  it("waits until every other task is blocked", function()
    local steps = 0
    local task = sluice.create_task(function()
      for _ = 1, 100 do
        sluice.sleep(0)
        steps = steps + 1
      end
      sluice.Event():wait()
    end)
    testing.settle()
    assert.equal(100, steps)
    task:cancel()
    task:pawait()
  end)

  it("does not move the clock", function()
    local task = sluice.create_task(sluice.sleep, 1)
    testing.settle()
    assert.equal(0, sluice.time())
    assert.is_false(task:done())
    task:await()
  end)

  it("comes also when nobody else is there", function()
    testing.settle()
    testing.settle()
    assert.equal(0, sluice.time())
  end)

  it("comes to all who wait for it", function()
    local n = 0
    for _ = 1, 3 do
      sluice.create_task(function() testing.settle() n = n + 1 end)
    end
    testing.settle()
    sluice.sleep(0)
    assert.equal(3, n)
  end)
end)

describe("testing.explore", function()
  -- Loses an update when two tasks read before either writes.
  local function racy()
    local balance = 0
    local function deposit()
      local before = balance
      sluice.sleep(0)
      balance = before + 1
    end
    sluice.gather { deposit, function() sluice.sleep(0) deposit() end }
    if balance ~= 2 then error("an update was lost") end
  end

  plainly("passes a program that is right under any schedule", function()
    testing.explore(function()
      local lock, balance = sluice.Lock(), 0
      local function deposit()
        local _ <close> = lock:acquire()
        local before = balance
        sluice.sleep(0)
        balance = before + 1
      end
      sluice.gather { deposit, deposit, deposit }
      assert.equal(3, balance)
    end, { runs = 100 })
  end)

  plainly("finds a schedule that fails, and tells its seed", function()
    local err = errors.of(testing.explore, racy)
    assert.truthy(err:find("an update was lost", 1, true))
    local seed = tonumber(err:match("seed (%-?%d+)"))
    assert.is_number(seed)
    local again = errors.of(testing.run, racy, { seed = seed })
    assert.truthy(again:find("an update was lost", 1, true))
  end)

  plainly("tells the schedule too", function()
    assert.truthy(errors.of(testing.explore, racy):find("schedule", 1, true))
  end)

  plainly("runs main as often as it is told to", function()
    local n = 0
    testing.explore(function() n = n + 1 end, { runs = 17 })
    assert.equal(17, n)
  end)

  plainly("tells when a failure hangs on more than the schedule", function()
    local n = 0
    local err = errors.of(testing.explore, function()
      n = n + 1
      for _ = 1, n % 3 do
        for _ = 1, 3 do sluice.create_task(type, 1) end
        sluice.sleep(0)
      end
      error("always", 0)
    end)
    assert.truthy(err:find("other", 1, true), err)
  end)

  plainly("raises an error object as it is", function()
    local object = {}
    assert.equal(object, errors.of(testing.explore, function()
      error(object)
    end))
  end)
end)

describe("testing.cancel_everywhere", function()
  plainly("returns the number of checkpoints", function()
    assert.equal(3, testing.cancel_everywhere(function()
      sluice.sleep(1)
      sluice.sleep(0)
      sluice.Event():wait(1)
    end))
    assert.equal(0, testing.cancel_everywhere(function() end))
  end)

  plainly("cancels main at each of them, on entry and there", function()
    local reached = {}
    testing.cancel_everywhere(function()
      local n = 0
      local _ <close> = setmetatable({}, {
        __close = function() reached[n] = (reached[n] or 0) + 1 end,
      })
      for _ = 1, 3 do
        sluice.sleep(1)
        n = n + 1
      end
    end)
    assert.same({ [0] = 2, 2, 2, 1 }, reached)
  end)

  plainly("raises what a cancellation breaks", function()
    local lock = sluice.Lock()
    local err = errors.of(testing.cancel_everywhere, function()
      assert(not lock:locked(), "left locked")
      lock = sluice.Lock()
      lock:acquire()
      local ok = pcall(sluice.sleep, 1)
      lock:release()
      if not ok then error("cannot be cancelled", 0) end
    end)
    assert.truthy(err:find("cannot be cancelled", 1, true))
    assert.truthy(err:find("checkpoint", 1, true))
  end)

  plainly("raises the error of a main that fails anyway", function()
    assert.equal("fails", errors.of(testing.cancel_everywhere, function()
      error("fails", 0)
    end))
  end)

  plainly("leaves later runs alone", function()
    testing.cancel_everywhere(function() sluice.sleep(1) end)
    assert.equal(1, testing.run(function()
      sluice.sleep(1)
      return sluice.time()
    end))
    assert.equal(1, sluice.run(function() sluice.sleep(0) return 1 end))
  end)
end)

describe("testing.it", function()
  local seen

  it("runs the test in a task on a virtual clock", function()
    seen = sluice.current_task()
    sluice.sleep(50)
    assert.equal(50, sluice.time())
  end)

  plainly("ran it", function()
    assert.is_true(seen:done())
  end)

  -- What busted says of a spec with this test in it.
  local function outcome(test)
    local result = process.busted(([[
      local testing = require "sluice.testing"
      describe("a spec", function()
        testing.it("with a test", function() %s end)
      end)]]):format(test))
    return result.stdout .. result.stderr
  end

  local function fails(word, test)
    local text = outcome(test)
    assert.falsy(text:find("1 success", 1, true), text)
    assert.truthy(text:find(word, 1, true), text)
  end

  plainly("passes a test that passes", function()
    local text = outcome "sluice.sleep(1)"
    assert.truthy(text:find("1 success", 1, true), text)
  end)

  plainly("fails with the test's error and its traceback", function()
    fails("spoiled milk", "sluice.sleep(1) error 'spoiled milk'")
    fails("culprit", [[
      local function culprit() sluice.sleep(1) error "x" end
      culprit() return 1]])
  end)

  plainly("fails a test that hangs, by its timeout, with the dump", function()
    fails("Event:wait", "sluice.Event():wait()")
    fails("Queue:get", [[
      sluice.create_task(function() while true do sluice.sleep(1) end end)
      sluice.Queue():get()]])
  end)

  plainly("fails a test that leaves tasks over", function()
    fails("straggler", [[
      sluice.create_task(sluice.sleep, 1).name = "straggler"
      sluice.sleep(0)]])
  end)

  plainly("fails a test that leaves a server over", function()
    fails("left", [[
      local net = require "sluice.net"
      _G.kept = assert(net.serve(function() end, "127.0.0.1", 0))]])
  end)
end)
