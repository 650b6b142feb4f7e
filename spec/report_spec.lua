-- Errors that nobody awaits: told at once, on stderr or to sluice.on_error,
-- once, and the loop goes on.

local errors = require "spec.support.errors"
local process = require "spec.support.process"
local sluice = require "sluice"
local testing = require "sluice.testing"

-- Runs main with a handler that notes errors; returns their list.
local function reports(main)
  local list = {}
  local before = sluice.on_error(function(task, err, traceback)
    list[#list + 1] = {
      task = task, err = err, traceback = traceback, time = sluice.time(),
    }
  end)
  local ok, err = pcall(testing.run, main)
  sluice.on_error(before)
  if not ok then error(err, 0) end
  return list
end

local function failing(seconds, value)
  return sluice.create_task(function()
    sluice.sleep(seconds)
    error(value, 0)
  end)
end

describe("an error that nobody awaits", function()
  it("is told to the function of on_error, when it is raised", function()
    local task, object = nil, {}
    local list = reports(function()
      task = failing(1, object)
      sluice.sleep(5)
    end)
    assert.equal(1, #list)
    assert.equal(task, list[1].task)
    assert.equal(object, list[1].err)
    assert.equal(1, list[1].time)
  end)

  it("comes with the traceback of the raise", function()
    local list = reports(function()
      local function culprit() error("x") end
      sluice.create_task(function() culprit() return 1 end)
      sluice.sleep(1)
    end)
    assert.truthy(list[1].traceback:find("culprit", 1, true))
  end)

  it("may be nil or false", function()
    local list = reports(function()
      failing(1, nil)
      failing(2, false)
      sluice.sleep(5)
    end)
    assert.equal(2, #list)
    assert.equal(errors.NIL, list[1].err)
    assert.equal(false, list[2].err)
  end)

  it("does not stop the loop", function()
    local ended
    reports(function()
      for i = 1, 5 do failing(i, "x") end
      sluice.sleep(9)
      ended = sluice.time()
    end)
    assert.equal(9, ended)
  end)

  it("is raised all the same in whoever awaits it later", function()
    local list = reports(function()
      local task = failing(1, "x")
      sluice.sleep(5)
      assert.equal("x", errors.of(task.await, task))
    end)
    assert.equal(1, #list)
  end)

  it("is told once", function()
    local list = reports(function()
      local task = failing(1, "x")
      sluice.sleep(5)
      task:pawait()
      pcall(sluice.gather, { task })
    end)
    assert.equal(1, #list)
  end)

  it("is told after the one who awaited it has left", function()
    local list = reports(function()
      local task = failing(5, "x")
      task:await(1)
      sluice.wait({ task }, { timeout = 1 })
      sluice.sleep(9)
    end)
    assert.equal(1, #list)
  end)

  it("is also a cancellation that was not the task's own", function()
    local list = reports(function()
      local other = sluice.create_task(sluice.sleep, 9)
      sluice.create_task(function() other:await() end)
      sluice.sleep(1)
      other:cancel()
      sluice.sleep(1)
    end)
    assert.equal(1, #list)
    assert.is_true(sluice.is_cancelled(list[1].err))
  end)
end)

describe("an error that somebody awaits", function()
  it("is not reported", function()
    assert.same({}, reports(function()
      pcall(function() failing(1, "x"):await() end)
      failing(1, "x"):pawait()
      sluice.wait { failing(1, "x") }
      pcall(sluice.gather, { failing(1, "x") })
      for task in sluice.as_completed { failing(1, "x") } do
        assert.is_true(task:done())
      end
    end))
  end)

  it("is not reported when it ends the run", function()
    local list
    assert.equal("x", errors.of(function()
      list = reports(function() error("x", 0) end)
    end))
    assert.is_nil(list)
  end)
end)

describe("what is no error", function()
  it("is not reported: results and the task's own cancellation", function()
    assert.same({}, reports(function()
      sluice.create_task(function() return nil, "failed" end)
      sluice.create_task(sluice.sleep, 9):cancel()
      sluice.create_task(sluice.sleep, 9)
      sluice.sleep(1)
    end))
  end)
end)

describe("sluice.on_error", function()
  it("returns the function before it", function()
    local one, other = function() end, function() end
    local before = sluice.on_error(one)
    assert.equal(one, sluice.on_error(other))
    assert.equal(other, sluice.on_error(nil))
    assert.is_nil(sluice.on_error(before))
  end)

  it("takes what is callable", function()
    local seen
    local before = sluice.on_error(setmetatable({}, {
      __call = function(_, _, err) seen = err end,
    }))
    testing.run(function()
      failing(0, "x")
      sluice.sleep(1)
    end)
    sluice.on_error(before)
    assert.equal("x", seen)
  end)

  it("refuses what is no function", function()
    errors.raises(
      "bad argument #1 to 'on_error' (function expected, got number)",
      function() sluice.on_error(5) end)
  end)

  it("may call what never waits", function()
    local queue = sluice.Queue()
    local before = sluice.on_error(function(task, err)
      queue:put_nowait(task.name .. err)
      sluice.create_task(queue.put, queue, "from a task")
    end)
    testing.run(function()
      failing(0, "x").name = "baker"
      assert.equal("bakerx", queue:get())
      assert.equal("from a task", queue:get())
    end)
    sluice.on_error(before)
  end)
end)

describe("the report on stderr", function()
  it("tells the task, the error and where it was raised", function()
    local result = process.lua [[
      sluice.run(function()
        local function culprit() error("spoiled milk") end
        sluice.create_task(function() culprit() return 1 end).name = "baker"
        sluice.sleep(0)
      end)]]
    assert.equal(0, result.status)
    for _, word in ipairs { "baker", "spoiled milk", "culprit" } do
      assert.truthy(result.stderr:find(word, 1, true), result.stderr)
    end
  end)

  it("tells of every kind of value", function()
    local result = process.lua [[
      sluice.run(function()
        sluice.create_task(error, {})
        sluice.create_task(error, nil)
        sluice.create_task(error, setmetatable({}, {
          __tostring = function() return "described" end }))
        sluice.sleep(0)
      end)]]
    assert.equal(0, result.status)
    assert.truthy(result.stderr:find("table: ", 1, true))
    assert.truthy(result.stderr:find(tostring(errors.NIL), 1, true))
    assert.truthy(result.stderr:find("described", 1, true))
  end)

  it("is written even if the error cannot be told", function()
    local result = process.lua [[
      local bad = setmetatable({}, { __tostring = function() error "no" end })
      local worse = setmetatable({}, { __tostring = function() return 5 end })
      sluice.run(function()
        local tasks = {
          sluice.create_task(error, bad), sluice.create_task(error, worse) }
        tasks[1].name, tasks[2].name = "one", "other"
        sluice.sleep(0)
        assert(tasks[1]:error() == bad and tasks[2]:error() == worse)
      end)]]
    assert.equal(0, result.status, result.stderr)
    assert.truthy(result.stderr:find("one", 1, true))
    assert.truthy(result.stderr:find("other", 1, true))
  end)

  it("is written if the function of on_error fails or waits", function()
    local result = process.lua [[
      sluice.run(function()
        sluice.on_error(function() error("handler broke") end)
        sluice.create_task(error, "first", 0)
        sluice.sleep(0)
        sluice.on_error(function() sluice.sleep(1) end)
        sluice.create_task(error, "second", 0)
        sluice.sleep(0)
      end)]]
    assert.equal(0, result.status)
    assert.truthy(result.stderr:find("handler broke", 1, true))
    assert.truthy(result.stderr:find("cannot yield", 1, true))
    assert.truthy(result.stderr:find("which nobody awaits: first", 1, true))
    assert.truthy(result.stderr:find("which nobody awaits: second", 1, true))
  end)

  it("follows what was printed before", function()
    local result = process.lua [[
      io.stdout:setvbuf("full")
      sluice.run(function()
        print("before")
        sluice.create_task(error, "x", 0)
        sluice.sleep(0)
      end)]]
    assert.equal("before\n", result.stdout)
    assert.truthy(result.stderr:find("x", 1, true))
  end)
end)

describe("sluice script.lua", function()
  it("runs the script as the first task", function()
    local result = process.sluice [[
      sluice.sleep(0.001)
      print(sluice.current_task() ~= nil, ...)]]
    assert.equal("true\n", result.stdout)
    assert.equal(0, result.status)
  end)

  it("ends with status 1, the error and its traceback", function()
    local result = process.sluice [[
      local function culprit() error("spoiled milk") end
      sluice.sleep(0)
      culprit()]]
    assert.equal(1, result.status)
    assert.truthy(result.stderr:find("spoiled milk", 1, true))
    assert.truthy(result.stderr:find("culprit", 1, true))
  end)

  it("tells which cancellation has ended it", function()
    local result = process.sluice [[
      local task = sluice.create_task(sluice.sleep, 5)
      task:cancel("enough")
      task:await()]]
    assert.equal(1, result.status)
    assert.truthy(result.stderr:find("sluice: cancelled: enough", 1, true))
  end)

  it("shows the warning about a swallowed cancellation", function()
    local result = process.sluice [[
      local n = 0
      local task = sluice.create_task(function()
        while n < 1000 do pcall(sluice.sleep, 1) n = n + 1 end
      end)
      task.name = "stubborn"
      task:cancel()
      task:await()]]
    assert.equal(0, result.status)
    assert.truthy(result.stderr:find("stubborn", 1, true))
  end)
end)
