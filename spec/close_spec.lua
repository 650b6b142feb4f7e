-- The state is closed with everything in flight. Each program runs in a
-- process of its own; under ASan, whose reports end it with another status.

local process = require "spec.support.process"

-- Tasks parked at everything there is, inside nested scopes; then the rest.
local EVERYWHERE = [[
  sluice.on_error(function() end)
  local function everywhere()
    local queue, full = sluice.Queue(), sluice.PriorityQueue(1)
    local lock, event = sluice.Lock(), sluice.Event()
    local condition, barrier = sluice.Condition(), sluice.Barrier(3)
    full:put(setmetatable({}, { __lt = function() return false end }))
    local function go(fn, ...) return sluice.create_task(fn, ...) end
    go(function() local _ <close> = lock:acquire() sluice.sleep(9) end)
    go(function() local _ <close> = lock:acquire() end)
    go(function() for _ in queue do end end)
    go(full.put, full, "x")
    go(full.join, full)
    go(event.wait, event, 100)
    go(barrier.wait, barrier)
    go(function()
      local _ <close> = condition:acquire()
      condition:wait_for(function() return false end)
    end)
    local future = sluice.Future()
    local waiter = go(future.await, future)
    go(waiter.await, waiter)
    go(waiter.pawait, waiter, 50)
    go(sluice.gather, { function() sluice.sleep(7) end, waiter })
    go(sluice.wait, { waiter })
    go(function()
      sluice.task_group(function(group)
        group:create_task(sluice.sleep, 100)
        local _ <close> = sluice.timeout(50)
        sluice.wait_for(20, sluice.shield, function()
          local _ <close> = sluice.timeout(30)
          event:wait(0.05)
        end)
        sluice.sleep(10)
      end)
    end)
    go(function() for _ in sluice.as_completed { waiter } do end end)
    sluice.call_later(3600, print, "never")
    sluice.sleep(0.01)
  end
  local function close_all()
    return setmetatable({}, { __close = function() print "closed" end })
  end
]]

-- An object that is there before the library: its finaliser comes last.
local FINALISED_LAST = [[
  local sluice
  local calls = { "time", "stats", "all_tasks", "dump", "current_task",
    "traceback", "Queue", "Lock", "Event", "Future", "Heap", "Runner" }
  kept = setmetatable({}, { __gc = function()
    for _, name in ipairs(calls) do pcall(sluice[name]) end
    pcall(sluice.run, print)
    pcall(sluice.create_task, print)
    queue:put_nowait(2)
    event:set()
    print "finalised"
  end })
  sluice = require "sluice"
  queue, event = sluice.Queue(), sluice.Event()
  sluice.run(function()
    sluice.create_task(queue.get, queue)
    sluice.create_task(event.wait, event)
    sluice.sleep(0)
    os.exit(0, true)
  end)]]

-- A task that gives in to nothing, in three runs.
local SWALLOWING = [[
  warn "@off"
  local barrier, swallowed = sluice.Barrier(2), 0
  for seed = 1, 3 do
    sluice.Runner({ clock = "virtual", seed = seed }):run(function()
      sluice.create_task(sluice.shield, function()
        while true do
          pcall(barrier.wait, barrier)
          swallowed = swallowed + 1
        end
      end)
      sluice.sleep(1)
    end)
    assert(sluice.stats().ready == 0 and sluice.stats().tasks == 0)
    assert(barrier:n_waiting() == 0)
  end
  assert(swallowed > 0)
  print "done"]]

-- A test that a program which begins with EVERYWHERE writes `output` and
-- ends with `status`.
local function closes(name, output, body, status)
  it("is clean when " .. name, function()
    local result = process.lua(EVERYWHERE .. body)
    assert.equal("", result.stderr)
    assert.equal(output, result.stdout)
    assert.equal(status or 0, result.status)
  end)
end

describe("closing the state", function()
  closes("main exits with tasks parked everywhere", "", [[
    sluice.run(function()
      everywhere()
      os.exit(0, true)
    end)]])

  closes("main exits with a status", "", [[
    sluice.run(function()
      everywhere()
      os.exit(7, true)
    end)]], 7)

  closes("a child exits deep in its scopes", "", [[
    sluice.run(function()
      everywhere()
      sluice.task_group(function(group)
        group:create_task(function()
          sluice.wait_for(5, function()
            local _ <close> = sluice.timeout(3)
            sluice.shield(os.exit, 0, true)
          end)
        end)
        sluice.sleep(100)
      end)
    end)]])

  closes("a scheduled call exits", "", [[
    sluice.run(function()
      everywhere()
      sluice.call_soon(os.exit, 0, true)
      sluice.sleep(1)
    end)]])

  closes("a comparison of a queue exits", "", [[
    sluice.run(function()
      everywhere()
      local queue = sluice.PriorityQueue()
      queue:put(setmetatable({}, { __lt = function() os.exit(0, true) end }))
      queue:put(1)
    end)]])

  closes("the predicate of a condition exits", "", [[
    sluice.run(function()
      everywhere()
      local condition <close> = sluice.Condition():acquire()
      condition:wait_for(function() os.exit(0, true) end)
    end)]])

  closes("a plain coroutine in a task exits", "", [[
    sluice.run(function()
      everywhere()
      coroutine.wrap(function() os.exit(0, true) end)()
    end)]])

  closes("a to-be-closed variable of a cancelled task exits", "", [[
    sluice.run(function()
      everywhere()
      local task = sluice.create_task(function()
        local _ <close> = setmetatable({}, { __close = function()
          os.exit(0, true)
        end })
        sluice.sleep(10)
      end)
      sluice.sleep(0)
      task:cancel()
      task:await()
    end)]])

  closes("on_error exits", "", [[
    sluice.on_error(function() os.exit(0, true) end)
    sluice.run(function()
      everywhere()
      sluice.create_task(error, "oops")
      sluice.sleep(10)
    end)]])

  closes("a run on a virtual clock exits", "", [[
    sluice.Runner({ clock = "virtual", seed = 3 }):run(function()
      everywhere()
      sluice.sleep(0.5)
      os.exit(0, true)
    end)]])

  closes("a thread of the pool is at work", "", [[
    sluice.run(function()
      everywhere()
      sluice.create_task(sluice.to_thread, function()
        local n = 0
        for i = 1, 3000000 do n = n + i end
        return n
      end)
      sluice.sleep(0.01)
      os.exit(0, true)
    end)]])

  closes("variables wait to be closed outside the run", "closed\n", [[
    local _ <close> = close_all()
    sluice.run(function()
      everywhere()
      os.exit(0, true)
    end)]])

  closes("what is closed outside the run uses it", "false\tfalse\n", [[
    local queue, lock = sluice.Queue(), sluice.Lock()
    local _ <close> = setmetatable({}, { __close = function()
      queue:put_nowait(1)
      sluice.dump()
      sluice.stats()
      sluice.all_tasks()
      print((pcall(sluice.run, print)), (pcall(queue.get, queue)))
    end })
    sluice.run(function()
      lock:acquire()
      everywhere()
      os.exit(0, true)
    end)]])

  closes("a run was left by an error", "false\toops\n", [[
    print(pcall(sluice.run, function()
      everywhere()
      error("oops", 0)
    end))]])

  it("is clean when an error of a run ends the program", function()
    local result = process.lua(EVERYWHERE .. [[
      local _ <close> = close_all()
      sluice.run(function()
        everywhere()
        error("oops", 0)
      end)]])
    assert.equal("closed\n", result.stdout)
    assert.matches("^%S*lua%S*: oops\n", result.stderr)
    assert.equal(1, result.status)
  end)

  closes("objects were used after a run that failed", "done\n", [[
    local queue, lock = sluice.Queue(1), sluice.Lock()
    for _ = 1, 3 do
      pcall(sluice.run, function()
        sluice.create_task(function()
          lock:acquire()
          queue:put(1)
          queue:put(2)
        end)
        sluice.sleep(0)
        error "left"
      end)
      queue:get_nowait()
    end
    sluice.run(function()
      local _ <close> = lock:acquire()
      queue:put_nowait(3)
    end)
    print "done"
    os.exit(0, true)]])

  closes("finalisers use the library while it is closed", "", [[
    local queue, lock, heap = sluice.Queue(), sluice.Lock(), sluice.Heap()
    local function use()
      for i = 1, 100 do
        queue:put_nowait(i)
        heap:push(i)
      end
      pcall(lock.release, lock)
      pcall(sluice.run, os.time)
      pcall(sluice.sleep, 1)
      pcall(sluice.create_task, print)
      pcall(sluice.call_soon, print)
      assert(tostring(queue) and tostring(lock))
      sluice.stats()
      sluice.all_tasks()
      sluice.time()
      sluice.dump()
      sluice.Queue(3)
    end
    kept = setmetatable({}, { __gc = use })
    sluice.run(everywhere)
    last = setmetatable({}, { __gc = use })]])

  it("is clean when finalisers come after the library's", function()
    assert.same({ stdout = "finalised\n", stderr = "", status = 0 },
      process.bare(FINALISED_LAST))
  end)

  it("is clean when the state is closed in a second run", function()
    process.prints("", [[
      for i = 1, 3 do
        sluice.Runner({ clock = "virtual" }):run(function()
          for _ = 1, 50 do sluice.create_task(sluice.sleep, 1) end
          sluice.sleep(0.5)
          if i == 3 then os.exit(0, true) end
        end)
      end]])
  end)

  it("leaves the loop sound when a task swallows everything", function()
    local result = process.lua(SWALLOWING)
    assert.matches("dropped", result.stderr)
    assert.equal("done\n", result.stdout)
    assert.equal(0, result.status)
  end)
end)
