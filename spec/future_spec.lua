-- sluice.Future: a result that code outside the tasks will set.

local errors = require "spec.support.errors"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

describe("Future:await", function()
  it("waits for the result", function()
    local future = sluice.Future()
    sluice.call_later(1, function() future:set_result(1, nil, "x", nil) end)
    assert.same({ 1, nil, "x", nil, n = 4 }, table.pack(future:await()))
    assert.equal(1, sluice.time())
  end)

  it("returns a result that was set before, any number of times", function()
    local future = sluice.Future()
    local object = {}
    future:set_result(object)
    assert.equal(object, future:await())
    assert.equal(object, future:await(0))
  end)

  it("returns nothing if nothing was set", function()
    local future = sluice.Future()
    future:set_result()
    assert.equal(0, select("#", future:await()))
  end)

  it("raises the error that was set, unchanged", function()
    for _, value in ipairs { "text", 7, false, {}, print } do
      local future = sluice.Future()
      sluice.call_soon(function() future:set_error(value) end)
      assert.equal(value, errors.of(future.await, future))
      assert.equal(value, errors.of(future.await, future))
    end
  end)

  it("raises an error of nil", function()
    local future = sluice.Future()
    future:set_error(nil)
    assert.same({ false, errors.NIL, n = 2 },
      table.pack(pcall(future.await, future)))
  end)

  it("wakes all who wait, in the order they came", function()
    local future, order = sluice.Future(), {}
    tasks.start_each(4, function(i)
      local result = future:await()
      order[#order + 1] = i .. result
    end)
    future:set_result("x")
    sluice.sleep(0)
    assert.same({ "1x", "2x", "3x", "4x" }, order)
  end)

  it("gives up after its timeout", function()
    local future = sluice.Future()
    local result, reason = future:await(2)
    assert.is_nil(result)
    assert.equal("timeout", reason)
    assert.equal(2, sluice.time())
    assert.equal("timeout", select(2, future:await(0)))
    future:set_result("x")
    assert.equal("x", future:await())
  end)

  it("does not touch the future when its waiter is cancelled", function()
    local future = sluice.Future()
    local waiter = tasks.start(future.await, future)
    local other = tasks.start(future.await, future)
    waiter:cancel()
    tasks.ends_cancelled(waiter)
    assert.is_false(future:done())
    future:set_result("x")
    assert.equal("x", other:await())
  end)

  it("refuses a timeout that is no duration", function()
    local future = sluice.Future()
    errors.refuses_durations(1, "await", function(x) future:await(x) end)
  end)
end)

describe("a Future", function()
  it("can be set once only", function()
    local future = sluice.Future()
    future:set_result(1)
    errors.raises_match("done", function() future:set_result(2) end)
    errors.raises_match("done", function() future:set_error("x") end)
    assert.equal(1, future:await())
    local failed = sluice.Future()
    failed:set_error("x")
    errors.raises_match("done", function() failed:set_error("y") end)
    errors.raises_match("done", function() failed:set_result(1) end)
    assert.equal("x", errors.of(failed.await, failed))
  end)

  it("is done once it was set, either way", function()
    local fine, bad = sluice.Future(), sluice.Future()
    assert.is_false(fine:done() or bad:done())
    fine:set_result()
    bad:set_error("x")
    assert.is_true(fine:done() and bad:done())
  end)

  plainly("can be set outside a run and awaited in a later one", function()
    local future = sluice.Future()
    future:set_result("x")
    assert.is_true(future:done())
    assert.equal("x", testing.run(function() return future:await() end))
  end)

  it("can be set from a plain coroutine and where Lua cannot yield",
    function()
      local one, other = sluice.Future(), sluice.Future()
      coroutine.wrap(one.set_result)(one, "x")
      local _ = ("x"):gsub("x", function() other:set_result("y") end)
      assert.equal("xy", one:await() .. other:await())
    end)

  it("tells what it is and how it is", function()
    local future = sluice.Future()
    assert.truthy(tostring(future):find("^sluice%.Future %("))
    local pending = tostring(future)
    future:set_result(1)
    assert.not_equal(pending, tostring(future))
  end)

  it("keeps nothing alive but its result", function()
    local weak = setmetatable({}, { __mode = "k" })
    local function use()
      local future, result = sluice.Future(), {}
      weak[future], weak[result] = true, true
      tasks.start(future.await, future)
      future:set_result(result)
      sluice.sleep(0)
    end
    use()
    sluice.sleep(1)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)

  it("takes more results than fit on a small stack", function()
    local many, future = {}, sluice.Future()
    for i = 1, 50000 do many[i] = i end
    future:set_result(table.unpack(many))
    assert.equal(50000, select("#", future:await()))
  end)

  it("refuses methods of what is no future", function()
    local await = sluice.Future().await
    errors.raises("bad argument #1 to 'await' (sluice.Future expected, got "
      .. "table)", function() await({}) end)
  end)
end)
