-- sluice.wait and sluice.as_completed: waiting for tasks without a say in
-- what becomes of them.

local effort = require "spec.support.effort"
local errors = require "spec.support.errors"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

-- Tasks that sleep for so many seconds each, named by their place.
local function sleepers(...)
  local tasks = {}
  for i, seconds in ipairs { ... } do
    tasks[i] = sluice.create_task(sluice.sleep, seconds)
    tasks[i].name = tostring(i)
  end
  return tasks
end

local function names(tasks)
  local list = {}
  for i, task in ipairs(tasks) do list[i] = task.name end
  return table.concat(list, " ")
end

local function cancel_all(tasks)
  for _, task in ipairs(tasks) do task:cancel() end
  for _, task in ipairs(tasks) do task:pawait() end
end

-- The first task to end; leaves the loop early.
local function first_of(tasks)
  local first
  for task in sluice.as_completed(tasks) do
    first = first or task
    if first then break end
  end
  return first
end

local function failing(seconds, value)
  return sluice.create_task(function()
    sluice.sleep(seconds)
    error(value, 0)
  end)
end

describe("sluice.wait", function()
  it("waits for all and returns them as done", function()
    local done, pending = sluice.wait(sleepers(3, 1, 2))
    assert.equal("1 2 3", names(done))
    assert.same({}, pending)
    assert.equal(3, sluice.time())
  end)

  it("returns at once when there is nothing to wait for", function()
    local tasks = sleepers(1)
    tasks[1]:await()
    assert.equal("1", names((sluice.wait(tasks))))
    assert.same({ {}, {} }, { sluice.wait {} })
    assert.equal(1, sluice.time())
  end)

  it("gives up after its timeout and cancels nobody", function()
    local tasks = sleepers(1, 5)
    local done, pending = sluice.wait(tasks, { timeout = 2 })
    assert.equal("1", names(done))
    assert.equal("2", names(pending))
    assert.equal(2, sluice.time())
    tasks[2]:await()
    assert.equal(5, sluice.time())
  end)

  it("with a timeout of 0 tells how things are", function()
    local tasks = sleepers(1, 5)
    sluice.sleep(1.5)
    local done, pending = sluice.wait(tasks, { timeout = 0 })
    assert.equal("1", names(done))
    assert.equal("2", names(pending))
    cancel_all(tasks)
  end)

  it("raises nothing of the tasks'", function()
    local bad, fine = failing(1, "x"), sleepers(2)[1]
    local cancelled = sleepers(9)[1]
    cancelled:cancel()
    local done = sluice.wait { bad, fine, cancelled }
    assert.equal(3, #done)
    assert.equal("x", bad:error())
  end)

  it("counts a task once that is twice in the list", function()
    local task = sleepers(1)[1]
    assert.equal(1, #sluice.wait { task, task })
  end)

  it("leaves the tasks alone when its caller is cancelled", function()
    local tasks = sleepers(5, 5)
    local caller = sluice.create_task(sluice.wait, tasks)
    sluice.sleep(1)
    caller:cancel()
    assert.is_false((caller:pawait()))
    sluice.wait(tasks)
    assert.equal(5, sluice.time())
    assert.is_false(tasks[1]:cancelled())
  end)
end)

describe("sluice.wait with return_when", function()
  it("FIRST_COMPLETED returns at the first end", function()
    local tasks = sleepers(3, 1, 2)
    local done, pending = sluice.wait(tasks, {
      return_when = "FIRST_COMPLETED",
    })
    assert.equal("2", names(done))
    assert.equal("1 3", names(pending))
    assert.equal(1, sluice.time())
    cancel_all(tasks)
  end)

  it("FIRST_COMPLETED returns at once if one is done", function()
    local tasks = sleepers(1, 9)
    sluice.sleep(2)
    sluice.wait(tasks, { return_when = "FIRST_COMPLETED" })
    assert.equal(2, sluice.time())
    cancel_all(tasks)
  end)

  it("FIRST_ERROR returns at the first error", function()
    local tasks = sleepers(1, 9)
    tasks[3] = failing(2, "x")
    local done, pending = sluice.wait(tasks, { return_when = "FIRST_ERROR" })
    assert.equal(2, #done)
    assert.equal("2", names(pending))
    assert.equal(2, sluice.time())
    cancel_all(pending)
  end)

  it("FIRST_ERROR knows an error of nil", function()
    local tasks = sleepers(9)
    tasks[2] = failing(2, nil)
    sluice.wait(tasks, { return_when = "FIRST_ERROR" })
    assert.equal(2, sluice.time())
    cancel_all(tasks)
  end)

  it("FIRST_ERROR waits for all if there is none", function()
    sluice.wait(sleepers(1, 3), { return_when = "FIRST_ERROR" })
    assert.equal(3, sluice.time())
  end)

  it("ALL_COMPLETED waits for all, also after an error", function()
    local tasks = sleepers(3)
    tasks[2] = failing(1, "x")
    sluice.wait(tasks, { return_when = "ALL_COMPLETED" })
    assert.equal(3, sluice.time())
  end)

  it("takes a timeout too", function()
    local tasks = sleepers(3)
    local done = sluice.wait(tasks, {
      return_when = "FIRST_COMPLETED", timeout = 1,
    })
    assert.same({}, done)
    assert.equal(1, sluice.time())
    cancel_all(tasks)
  end)
end)

describe("waiting for tasks that have ended", function()
  it("lets others run, however often it is done", function()
    local done = sluice.create_task(function() end)
    local list = { done:await() or done }
    for _, wait in ipairs { sluice.wait, sluice.gather, function()
      for _ in sluice.as_completed(list) do end -- luacheck: ignore
    end } do
      local ran = false
      sluice.call_soon(function() ran = true end)
      for _ = 1, 10000 do wait(list) end
      assert.is_true(ran)
    end
  end)
end)

describe("wrong arguments of sluice.wait", function()
  it("are raised at the caller's line", function()
    errors.raises("bad argument #1 to 'wait' (table expected, got nil)",
      function() sluice.wait(nil) end)
    errors.raises("bad argument #2 to 'wait' (table expected, got number)",
      function() sluice.wait({}, 5) end)
    errors.raises("bad argument #2 to 'wait' (unknown option 'time_out')",
      function() sluice.wait({}, { time_out = 1 }) end)
    errors.raises_match("^bad argument #1 to 'wait' ",
      function() sluice.wait { print } end)
    errors.raises_match("^bad argument #2 to 'wait' ",
      function() sluice.wait({}, { return_when = "SOMETIME" }) end)
  end)

  it("include a timeout that is no duration", function()
    for _, timeout in ipairs { -1, 0 / 0, "1", false, {} } do
      errors.raises_match("^bad argument #2 to 'wait' ",
        function() sluice.wait({}, { timeout = timeout }) end)
    end
  end)

  plainly("and its call outside a task too", function()
    errors.raises_match("wait", function() sluice.wait {} end)
  end)
end)

describe("sluice.as_completed", function()
  it("gives each task once, in the order of their ends", function()
    local order = {}
    for task in sluice.as_completed(sleepers(3, 1, 2)) do
      order[#order + 1] = task.name .. " at " .. sluice.time()
    end
    assert.same({ "2 at 1.0", "3 at 2.0", "1 at 3.0" }, order)
  end)

  it("gives a task once that is twice in the list", function()
    local task, n = sleepers(1)[1], 0
    for _ in sluice.as_completed { task, task } do n = n + 1 end
    assert.equal(1, n)
  end)

  it("gives those that are done already", function()
    local tasks, order = sleepers(1, 2, 3), {}
    sluice.sleep(2.5)
    for task in sluice.as_completed(tasks) do
      order[#order + 1] = task.name
    end
    assert.equal(3, #order)
    assert.equal("3", order[3])
  end)

  it("gives nothing for an empty list", function()
    for _ in sluice.as_completed {} do error("given") end
  end)

  it("raises nothing of the tasks'", function()
    local n = 0
    for task in sluice.as_completed { failing(1, "x"), failing(2, nil) } do
      n = n + 1
      assert.is_false((task:pawait()))
    end
    assert.equal(2, n)
  end)

  it("raises timeout after so many seconds for all", function()
    local tasks, seen = sleepers(1, 2, 9), 0
    local err = errors.of(function()
      for _ in sluice.as_completed(tasks, 3) do seen = seen + 1 end
    end)
    assert.equal("timeout", err)
    assert.equal(2, seen)
    assert.equal(3, sluice.time())
    tasks[3]:await()
  end)

  it("with a timeout of 0 gives those that are done", function()
    local tasks, seen = sleepers(1, 9), 0
    sluice.sleep(1.5)
    assert.equal("timeout", errors.of(function()
      for _ in sluice.as_completed(tasks, 0) do seen = seen + 1 end
    end))
    assert.equal(1, seen)
    cancel_all(tasks)
  end)

  it("may be left early", function()
    local tasks = sleepers(1, 2)
    assert.equal(tasks[1], first_of(tasks))
    tasks[2]:await()
    assert.equal(2, sluice.time())
  end)

  it("may be called again for the same tasks", function()
    local tasks, n = sleepers(1, 2), 0
    for _ = 1, 2 do
      for _ in sluice.as_completed(tasks) do n = n + 1 end
    end
    assert.equal(4, n)
  end)

  it("raises the caller's cancellation", function()
    local tasks = sleepers(5)
    local caller = sluice.create_task(function()
      for _ in sluice.as_completed(tasks) do sluice.sleep(0) end
    end)
    sluice.sleep(1)
    caller:cancel("own")
    assert.equal("own", select(2, caller:pawait()).reason)
    tasks[1]:await()
  end)

  it("refuses wrong arguments", function()
    errors.raises(
      "bad argument #1 to 'as_completed' (table expected, got nil)",
      function() sluice.as_completed(nil) end)
    errors.raises_match("^bad argument #1 to 'as_completed' ",
      function() sluice.as_completed { 5 } end)
    errors.refuses_durations(2, "as_completed", function(x)
      sluice.as_completed({}, x)
    end)
  end)
end)

describe("as_completed called where it cannot wait", function()
  plainly("raises outside a task at the caller's line", function()
    errors.raises_match("as_completed",
      function() for _ in sluice.as_completed {} do error() end end)
  end)

  it("raises in a plain coroutine", function()
    local tasks = sleepers(1)
    local ok, err = coroutine.wrap(function()
      return pcall(function()
        for _ in sluice.as_completed(tasks) do error("given") end
      end)
    end)()
    assert.is_false(ok)
    assert.truthy(err:find("plain coroutine", 1, true))
    tasks[1]:await()
  end)
end)

describe("what waits for many tasks", function()
  it("leaves nothing that keeps them alive", function()
    local weak = setmetatable({}, { __mode = "k" })
    local function use()
      local tasks = sleepers(1, 2)
      weak[tasks[1]], weak[tasks[2]] = true, true
      sluice.wait(tasks, { timeout = 0.5 })
      first_of(tasks)
      sluice.gather(tasks)
    end
    use()
    sluice.sleep(1)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)

  it("may be asked again and again for what is pending", function()
    local tasks = {}
    for i = 1, 3000 do tasks[i] = sluice.create_task(sluice.sleep, i) end
    for _ = 1, effort(50) do
      local _, pending = sluice.wait(tasks, {
        return_when = "FIRST_COMPLETED", timeout = 0,
      })
      assert.equal(3000, #pending)
    end
    cancel_all(tasks)
  end)
end)
