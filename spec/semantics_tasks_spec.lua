-- The rules of tasks, scopes and turns of the loop under which the known bugs
-- of other libraries cannot be; each with the number of such a bug. Those of
-- one function only are in its own spec.

local effort = require "spec.support.effort"
local errors = require "spec.support.errors"
local random_program = require "spec.support.random_program"
local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

-- A cancellation that was raised once, of a task that has ended.
local function spent_cancellation()
  local task = sluice.create_task(sluice.sleep, 9)
  task:cancel("spent")
  return select(2, task:pawait())
end

describe("a scope that is not cancelled", function()
  -- trio 1175: it never swallows a cancellation.
  it("lets a stray cancellation through", function()
    local stray = spent_cancellation()
    assert.equal(stray, errors.of(sluice.wait_for, 5, error, stray))
    assert.equal(stray, errors.of(sluice.shield, error, stray))
    assert.equal(stray, errors.of(sluice.task_group, function()
      error(stray)
    end))
    assert.equal(stray, errors.of(function()
      local _ <close> = sluice.timeout(5)
      error(stray)
    end))
  end)

  it("does not let it count as the task's own", function()
    local stray = spent_cancellation()
    assert.same({ false, stray }, { sluice.pcall(error, stray) })
    local task = sluice.create_task(error, stray)
    task:pawait()
    assert.is_false(task:cancelled())
    assert.equal(stray, task:error())
  end)
end)

describe("which scope a cancellation belongs to", function()
  -- trio 860: it is decided at the edge, not when it is raised.
  it("is decided when it gets there", function()
    local went_on = false
    local task
    task = sluice.create_task(function()
      sluice.wait_for(1, function()
        local _ <close> = closing(function() task:cancel("outer") end)
        sluice.sleep(9)
      end)
      went_on = true
      sluice.sleep(0)
    end)
    assert.equal("outer", select(2, task:pawait()).reason)
    assert.is_false(went_on)
  end)

  it("may be an inner one though it was raised by an outer one", function()
    local steps = {}
    assert.equal(0, select("#", sluice.task_group(function(outer)
      sluice.task_group(function(inner)
        inner:cancel("inner")
        outer:cancel("outer")
        local err = errors.of(sluice.sleep, 9)
        steps[1] = err.reason
        error(err)
      end)
      steps[2] = "too far"
    end)))
    assert.same({ "outer" }, steps)
  end)
end)

describe("the end of a scope", function()
  -- gh-95289, gh-102780: no count of cancellations is left behind.
  it("ends its cancellation, however often it was raised", function()
    for _ = 1, 3 do
      sluice.wait_for(1, function()
        for _ = 1, 5 do pcall(sluice.sleep, 9) end
        sluice.sleep(9)
      end)
      sluice.task_group(function(group)
        group:cancel()
        for _ = 1, 5 do pcall(sluice.sleep, 9) end
      end)
      sluice.sleep(1)
    end
    assert.equal(6, sluice.time())
  end)

  it("leaves a clean-up free to use scopes of its own", function()
    local task = sluice.create_task(function()
      local _ <close> = closing(function()
        sluice.shield(function()
          assert.equal("timeout", select(2,
            sluice.wait_for(1, sluice.sleep, 9)))
          sluice.task_group(function(group)
            group:create_task(sluice.sleep, 1)
          end)
        end)
      end)
      sluice.sleep(9)
    end)
    sluice.sleep(1)
    task:cancel("why")
    assert.equal("why", select(2, task:pawait()).reason)
    assert.equal(3, sluice.time())
  end)
end)

describe("one turn of the loop", function()
  -- R7: what becomes ready meanwhile waits for the next turn.
  it("runs those who were ready when it began, once", function()
    local order = {}
    local function spawn(n)
      order[#order + 1] = n
      if n < 3 then sluice.create_task(spawn, n + 1) end
    end
    sluice.create_task(spawn, 1)
    for _ = 1, 3 do
      sluice.sleep(0)
      order[#order + 1] = "main"
    end
    assert.equal("1 main 2 main 3 main", table.concat(order, " "))
  end)

  plainly("comes to an end though tasks create tasks for ever", function()
    local n = 0
    sluice.run(function()
      local function spawn()
        n = n + 1
        if n > 0 then sluice.create_task(spawn) end
      end
      spawn()
      sluice.sleep(0.01)
      assert.is_true(n > 1)
      n = -1
    end)
  end)

  it("gives deadlines in the order of their times", function()
    local order = {}
    local function note(name) order[#order + 1] = name end
    sluice.call_at(2, note, "second")
    sluice.call_at(1, note, "first")
    sluice.call_at(2, note, "third")
    sluice.sleep(2)
    sluice.sleep(0)
    assert.same({ "first", "second", "third" }, order)
  end)

  -- R7: I/O beats a deadline of the same turn.
  plainly("takes results before deadlines", function()
    local mark = os.tmpname()
    os.remove(mark)
    local function exists()
      local file = io.open(mark)
      return file and file:close()
    end
    local result = sluice.run(function()
      local task = sluice.create_task(sluice.wait_for, 0.01, sluice.to_thread,
        function(path) io.open(path, "w"):close() return "result" end, mark)
      sluice.sleep(0)
      while not exists() do end
      local stop = os.clock() + 0.1
      while os.clock() < stop do end
      return task:await()
    end)
    os.remove(mark)
    assert.equal("result", result)
  end)

  it("can be entered by a coroutine.yield, which is no checkpoint",
    function()
      local task = sluice.create_task(function()
        for _ = 1, 3 do coroutine.yield("ignored") end
        return "not cancelled"
      end)
      sluice.sleep(0)
      task:cancel()
      assert.equal("not cancelled", task:await())
    end)
end)

describe("where Lua cannot yield", function()
  local places = {
    ["table.sort"] = function(fn) table.sort({ 2, 1 }, fn) end,
    ["string.gsub"] = function(fn) local _ = ("x"):gsub("x", fn) end,
    ["load"] = function(fn) assert(load(fn)) end,
    ["require"] = function(fn)
      package.preload["spec.a_module"] = fn
      package.loaded["spec.a_module"] = nil
      require "spec.a_module"
    end,
    ["tostring"] = function(fn)
      tostring(setmetatable({}, { __tostring = fn }))
    end,
    ["a message handler"] = function(fn)
      local ok, err = xpcall(error, fn, "x")
      error(not ok and err, 0)
    end,
  }

  for name, place in pairs(places) do
    -- R8: refused before anything is queued.
    it("a wait is refused, in " .. name, function()
      local queue, seen = sluice.Queue(), nil
      pcall(place, function()
        seen = seen or errors.of(queue.get, queue)
        return nil
      end)
      assert.matches("cannot be called where Lua cannot yield", seen)
      assert.equal(0, queue:stats().getters)
      assert.is_true(queue:put_nowait("x"))
      assert.equal("x", queue:get())
    end)
  end

  it("a wait is refused, in a finaliser", function()
    local seen
    setmetatable({}, { __gc = function()
      seen = errors.of(sluice.sleep, 1)
    end })
    collectgarbage()
    assert.matches("cannot be called where Lua cannot yield", seen)
  end)

  it("a wait is refused in a hook", function()
    local seen
    debug.sethook(function()
      debug.sethook()
      seen = errors.of(sluice.sleep, 1)
    end, "l")
    local _ = 1
    debug.sethook()
    assert.is_string(seen)
    sluice.sleep(1)
  end)
end)

describe("where Lua can yield", function()
  it("a wait works, whatever the call goes through", function()
    local proxy = setmetatable({}, {
      __index = function() sluice.sleep(1) return 1 end,
      __add = function() sluice.sleep(1) return 1 end,
      __call = function() sluice.sleep(1) return 1 end,
      __lt = function() sluice.sleep(1) return true end,
      __concat = function() sluice.sleep(1) return "" end,
      __close = function() sluice.sleep(1) end,
      __pairs = function() sluice.sleep(1) return next, {} end,
    })
    local _ <close> = proxy
    assert.equal(3, proxy.x + (proxy + 1) + proxy())
    assert.is_true(proxy < proxy)
    assert.equal("", proxy .. "x")
    for _ in pairs(proxy) do error() end
    assert.equal(6, sluice.time())
  end)

  it("a wait works in pcall, xpcall, dofile, select and iterators",
    function()
      assert.is_true(pcall(sluice.sleep, 1))
      assert.is_true(xpcall(sluice.sleep, error, 1))
      for _ in function(_, i) sluice.sleep(1) return i < 3 and i + 1 or nil end,
        nil, 1 do assert.is_true(true) end
      assert.equal(5, sluice.time())
    end)
end)

describe("a to-be-closed variable that fails", function()
  -- R10: it can replace an error, never swallow it.
  it("replaces the cancellation of its task", function()
    local task = sluice.create_task(function()
      local _ <close> = closing(function() error("replaced", 0) end)
      sluice.sleep(9)
    end)
    sluice.sleep(1)
    task:cancel()
    assert.equal("replaced", select(2, task:pawait()))
    assert.is_false(task:cancelled())
  end)

  it("replaces a timeout", function()
    assert.equal("replaced", errors.of(sluice.wait_for, 1, function()
      local _ <close> = closing(function() error("replaced", 0) end)
      sluice.sleep(9)
    end))
  end)
end)

describe("a program of nested scopes", function()
  local function worker(queue, done)
    for item in queue do
      local _ <close> = closing(function()
        sluice.shield(sluice.sleep, 0.5)
        done[item] = (done[item] or 0) + 1
      end)
      sluice.sleep(1)
    end
  end

  local function pipeline()
    local queue, done = sluice.Queue(2), {}
    sluice.task_group(function(group)
      for _ = 1, 2 do group:create_task(worker, queue, done) end
      sluice.wait_for(20, function()
        for i = 1, 6 do queue:put(i) end
        queue:shutdown()
      end)
    end)
    return done
  end

  local function scopes()
    local _ <close> = sluice.timeout(50)
    sluice.gather {
      function() sluice.wait_for(1, sluice.sleep, 2) end,
      function()
        sluice.task_group(function(group)
          group:create_task(sluice.sleep, 1)
          sluice.sleep(0)
        end)
      end,
    }
    for _ in sluice.as_completed { sluice.create_task(sluice.sleep, 1) } do
      sluice.sleep(0)
    end
    sluice.shield(sluice.sleep, 1)
    sluice.wait { sluice.create_task(sluice.sleep, 1) }
  end

  plainly("gives the same results under any schedule", function()
    local n = effort(500)
    testing.explore(function()
      assert.same({ 1, 1, 1, 1, 1, 1 }, pipeline())
      scopes()
    end, { runs = n })
  end)

  plainly("may be cancelled at any checkpoint", function()
    local n = testing.cancel_everywhere(function()
      pipeline()
      assert.equal(1, #sluice.all_tasks())
    end)
    assert.is_true(n >= 8)
    assert.is_true(testing.cancel_everywhere(scopes) > 5)
    assert.equal(0, sluice.stats().tasks)
    assert.equal(0, sluice.stats().timers)
  end)
end)

describe("a random program", function()
  plainly("ends, keeps the rules and leaves nothing", function()
    for seed = 1, effort(1000) do
      local program = random_program(seed)
      local stats = sluice.stats()
      local left = { stats.tasks, stats.ready, stats.timers,
        program.lock:locked(), program.condition:locked(),
        program.semaphore:value() }
      assert.same({ 0, 0, 0, false, false, 2 }, left)
      assert.same({}, program.faults)
    end
  end)
end)
