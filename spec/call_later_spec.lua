-- sluice.call_soon, call_later and call_at: functions that the loop calls in
-- tasks of their own, and the handles that call them off.

local errors = require "spec.support.errors"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

-- A function that notes the time of its call and its arguments.
local function noter()
  local log = {}
  return log, function(...)
    log[#log + 1] = { sluice.time(), ... }
  end
end

describe("sluice.call_soon", function()
  it("calls the function with its arguments, not at once", function()
    local log, note = noter()
    sluice.call_soon(note, 1, nil, "x")
    assert.same({}, log)
    sluice.sleep(0)
    assert.same({ { 0, 1, nil, "x" } }, log)
  end)

  it("calls in the order of the calls", function()
    local order = {}
    for i = 1, 5 do
      sluice.call_soon(function() order[#order + 1] = i end)
    end
    sluice.sleep(0)
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end)

  it("runs the function in a task, where it may wait", function()
    local task, ended
    sluice.call_soon(function()
      task = sluice.current_task()
      sluice.sleep(1)
      ended = sluice.time()
    end)
    sluice.sleep(2)
    assert.equal(1, ended)
    assert.not_equal(sluice.current_task(), task)
  end)
end)

describe("sluice.call_later", function()
  it("calls the function when the time has passed", function()
    local log, note = noter()
    sluice.call_later(2, note, "late")
    sluice.call_later(1, note, "early")
    sluice.sleep(1.5)
    assert.same({ { 1, "early" } }, log)
    sluice.sleep(1)
    assert.same({ { 1, "early" }, { 2, "late" } }, log)
  end)

  it("calls at the next turn when the time is 0", function()
    local log, note = noter()
    sluice.call_later(0, note)
    assert.same({}, log)
    sluice.sleep(0)
    sluice.sleep(0)
    assert.equal(1, #log)
  end)

  plainly("does not keep a run alive", function()
    testing.run(function() sluice.call_later(1000, error, "called") end)
  end)

  it("refuses what is no duration", function()
    errors.refuses_durations(1, "call_later", function(x)
      sluice.call_later(x, print)
    end)
  end)
end)

describe("sluice.call_at", function()
  it("calls the function at a time of the loop's clock", function()
    local log, note = noter()
    sluice.call_at(sluice.time() + 3, note, "x")
    sluice.sleep(5)
    assert.same({ { 3, "x" } }, log)
  end)

  it("calls as soon as it can when the time has passed", function()
    local log, note = noter()
    sluice.sleep(5)
    sluice.call_at(1, note)
    sluice.sleep(1)
    assert.equal(5, log[1][1])
  end)

  it("keeps the order of times that have passed", function()
    local log, note = noter()
    sluice.sleep(5)
    sluice.call_at(3, note, "third")
    sluice.call_at(-1, note, "first")
    sluice.call_at(2, note, "second")
    sluice.sleep(0.1)
    assert.same({ { 5, "first" }, { 5, "second" }, { 5, "third" } }, log)
  end)

  it("takes now and the past for soon, also at the time 0", function()
    local log, note = noter()
    sluice.call_at(sluice.time(), note, "now")
    sluice.call_at(-5, note, "before the start")
    sluice.sleep(0)
    assert.same({ { 0, "now" }, { 0, "before the start" } }, log)
  end)

  it("refuses what is no time", function()
    errors.raises("bad argument #1 to 'call_at' (number expected, got nil)",
      function() sluice.call_at(nil, print) end)
    assert.is_false(pcall(sluice.call_at, 0 / 0, print))
  end)
end)

describe("a call that is scheduled", function()
  it("belongs to the run, not to the caller's group", function()
    local log, note = noter()
    sluice.task_group(function() sluice.call_later(5, note) end)
    assert.equal(0, sluice.time())
    sluice.sleep(5)
    assert.equal(1, #log)
  end)

  it("goes on when the caller is cancelled", function()
    local log, note = noter()
    local task = sluice.create_task(function()
      sluice.call_later(1, note)
      sluice.sleep(9)
    end)
    sluice.sleep(0)
    task:cancel()
    sluice.sleep(2)
    assert.equal(1, #log)
  end)

  plainly("is reported when it fails", function()
    local seen
    local before = sluice.on_error(function(_, err) seen = err end)
    testing.run(function()
      sluice.call_later(1, error, "failed", 0)
      sluice.sleep(2)
    end)
    sluice.on_error(before)
    assert.equal("failed", seen)
  end)

  it("takes what is callable", function()
    local seen
    sluice.call_soon(setmetatable({}, {
      __call = function(_, x) seen = x end,
    }), 7)
    sluice.sleep(0)
    assert.equal(7, seen)
  end)

  it("refuses what is no function", function()
    errors.raises(
      "bad argument #1 to 'call_soon' (function expected, got nil)",
      function() sluice.call_soon(nil) end)
    errors.raises(
      "bad argument #2 to 'call_later' (function expected, got no value)",
      function() sluice.call_later(1) end)
    errors.raises(
      "bad argument #2 to 'call_at' (function expected, got string)",
      function() sluice.call_at(1, "x") end)
  end)

  plainly("needs a run", function()
    errors.raises_match("run", function() sluice.call_soon(print) end)
    errors.raises_match("run", function() sluice.call_later(1, print) end)
    errors.raises_match("run", function() sluice.call_at(1, print) end)
  end)
end)

describe("the handle of a scheduled call", function()
  it("calls it off", function()
    local log, note = noter()
    local soon = sluice.call_soon(note)
    local later = sluice.call_later(1, note)
    local at = sluice.call_at(1, note)
    soon:cancel()
    later:cancel()
    at:cancel()
    sluice.sleep(2)
    assert.same({}, log)
  end)

  it("leaves no timer when it calls it off", function()
    local before = sluice.stats()
    local handles = {}
    for i = 1, 100 do handles[i] = sluice.call_later(i, print) end
    for i = 1, 100 do handles[i]:cancel() end
    assert.equal(before.timers, sluice.stats().timers)
    assert.equal(before.tasks, sluice.stats().tasks)
  end)

  it("can be cancelled twice, and after the call", function()
    local log, note = noter()
    local handle = sluice.call_soon(note)
    sluice.sleep(0)
    handle:cancel()
    handle:cancel()
    assert.equal(1, #log)
  end)

  it("cancels the task of a call that has begun", function()
    local err
    local handle = sluice.call_soon(function()
      err = select(2, pcall(sluice.sleep, 9))
    end)
    sluice.sleep(1)
    handle:cancel()
    sluice.sleep(0)
    assert.is_true(sluice.is_cancelled(err))
  end)

  it("can be cancelled by its own call", function()
    local handle, after
    handle = sluice.call_soon(function()
      handle:cancel()
      after = pcall(sluice.sleep, 1)
    end)
    sluice.sleep(0)
    sluice.sleep(0)
    assert.is_false(after)
  end)

  it("may be dropped: the call is made all the same", function()
    local log, note = noter()
    sluice.call_later(1, note)
    collectgarbage()
    sluice.sleep(2)
    assert.equal(1, #log)
  end)

  it("refuses to cancel what is no handle", function()
    local handle = sluice.call_soon(print)
    local cancel = handle.cancel
    handle:cancel()
    errors.raises_match("^bad argument #1 to 'cancel' ",
      function() cancel({}) end)
  end)

  plainly("is useless, not dangerous, after the run", function()
    local handle = testing.run(function()
      return sluice.call_later(1, print)
    end)
    handle:cancel()
    collectgarbage()
    assert.is_string(tostring(handle))
  end)
end)
