-- sluice.dump: the tree of tasks as text; sluice.stats: the loop in figures.

local sluice = require "sluice"
local testing = require "sluice.testing"

local it, plainly = testing.it, it

-- The part of the dump about the task of that name: its line, its traceback.
local function about(name)
  local text, lines, indent = sluice.dump(), {}, nil
  for line in text:gmatch("[^\n]+") do
    local depth = #line:match("^ *")
    if indent and depth <= indent then break end
    if not indent and line:find(name, 1, true) then indent = depth end
    if indent then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

local function has(text, word)
  assert.truthy(text:find(word, 1, true), ("no %q in:\n%s"):format(word, text))
end

local function named(name, fn, ...)
  local task = sluice.create_task(fn, ...)
  task.name = name
  testing.settle()
  return task
end

local function cancel(...)
  for _, task in ipairs { ... } do task:cancel() task:pawait() end
end

describe("sluice.dump", function()
  plainly("is text outside a run too", function()
    assert.is_string(sluice.dump())
  end)

  it("names each task", function()
    local one = named("baker", sluice.sleep, 5)
    local other = named("eater", sluice.sleep, 5)
    has(sluice.dump(), "baker")
    has(sluice.dump(), "eater")
    has(sluice.dump(), sluice.current_task().name)
    cancel(one, other)
    assert.falsy(sluice.dump():find("baker", 1, true))
  end)

  it("tells where each task was created", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local task = sluice.create_task(sluice.sleep, 5)
    task.name = "baker"
    has(about("baker"), "dump_spec.lua:" .. line)
    cancel(task)
  end)

  it("tells where a task of a group was created", function()
    sluice.task_group(function(group)
      local line = debug.getinfo(1, "l").currentline + 1
      group:create_task(sluice.sleep, 5).name = "baker"
      has(about("baker"), "dump_spec.lua:" .. line)
      group:cancel()
    end)
  end)

  it("tells where gather was called for the tasks that it makes", function()
    local line
    local task = named("parent", function()
      line = debug.getinfo(1, "l").currentline + 1
      sluice.gather { function()
        sluice.current_task().name = "baker"
        sluice.sleep(5)
      end }
    end)
    has(about("baker"), "dump_spec.lua:" .. line)
    cancel(task)
  end)

  it("tells what each task waits for", function()
    local queue, lock = sluice.Queue(1), sluice.Lock()
    local holder = named("holder", function()
      local _ <close> = lock:acquire()
      sluice.sleep(9)
    end)
    local getter = named("getter", queue.get, queue)
    local locker = named("locker", lock.acquire, lock)
    local waiter = named("waiter", holder.await, holder)
    has(about("holder"), "sleep")
    has(about("getter"), "Queue:get")
    has(about("locker"), "Lock:acquire")
    has(about("waiter"), "Task:await")
    cancel(getter, locker, waiter, holder)
  end)

  it("tells who holds it", function()
    local lock = sluice.Lock()
    local holder = named("holder", function()
      local _ <close> = lock:acquire()
      sluice.sleep(9)
    end)
    local locker = named("locker", lock.acquire, lock)
    local waiter = named("waiter", holder.await, holder)
    has(about("locker"), "holder")
    has(about("waiter"), "holder")
    cancel(locker, waiter, holder)
  end)

  it("shows each task's traceback", function()
    local function eat_bread() sluice.sleep(5) end
    local task = named("eater", function() eat_bread() return 1 end)
    has(about("eater"), "eat_bread")
    has(about("eater"), "dump_spec.lua")
    cancel(task)
  end)

  it("is a tree: children below the task whose group they are in",
    function()
      local child_indent, parent_indent
      local task = named("parent", sluice.task_group, function(group)
        group:create_task(sluice.sleep, 5).name = "child"
      end)
      for line in sluice.dump():gmatch("[^\n]+") do
        if line:find("child,", 1, true) then
          child_indent = #line:match("^ *")
        elseif line:find("^ *parent") then
          parent_indent = #line:match("^ *")
        end
      end
      assert.is_true(child_indent > parent_indent)
      cancel(task)
    end)

  it("tells which tasks are cancelled, new and running", function()
    local task = named("stubborn", sluice.shield, sluice.sleep, 5)
    task:cancel()
    local new = sluice.create_task(sluice.sleep, 5)
    new.name = "newcomer"
    has(about("stubborn"), "cancelled")
    has(about("newcomer"), "not started")
    has(about(sluice.current_task().name), "running")
    cancel(task, new)
  end)

  it("can be called anywhere", function()
    assert.is_string(coroutine.wrap(sluice.dump)())
    assert.is_string((("x"):gsub("x", sluice.dump)))
    local task = named("baker", function()
      pcall(sluice.sleep, 9)
      return sluice.dump()
    end)
    task:cancel()
    assert.is_string(task:await())
  end)

  it("copes with many tasks and deep trees", function()
    local function nest(n)
      if n == 0 then return sluice.sleep(9) end
      sluice.task_group(function(group) group:create_task(nest, n - 1) end)
    end
    local task = sluice.create_task(nest, 300)
    for _ = 1, 2000 do sluice.create_task(sluice.sleep, 1) end
    testing.settle()
    assert.is_true(#sluice.dump() > 100000)
    cancel(task)
    sluice.sleep(2)
  end)

  it("copes with names of any kind", function()
    local task = named("100%s \n\0 \255", sluice.sleep, 5)
    has(sluice.dump(), "100%s")
    cancel(task)
  end)
end)

describe("sluice.stats", function()
  local function delta(before, key)
    return sluice.stats()[key] - before[key]
  end

  it("has a number for each figure", function()
    for _, key in ipairs { "tasks", "ready", "timers", "ticks", "switches" } do
      assert.equal("integer", math.type(sluice.stats()[key]))
    end
    assert.is_number(sluice.stats().lag)
  end)

  it("counts tasks, ready ones and timers", function()
    sluice.sleep(0)
    local before = sluice.stats()
    for i = 1, 5 do sluice.create_task(sluice.sleep, i) end
    assert.equal(5, delta(before, "tasks"))
    assert.equal(5, delta(before, "ready"))
    testing.settle()
    assert.equal(0, delta(before, "ready"))
    assert.equal(5, delta(before, "timers"))
    sluice.sleep(6)
    assert.equal(0, delta(before, "tasks"))
    assert.equal(0, delta(before, "timers"))
  end)

  it("counts switches", function()
    local before = sluice.stats()
    for _ = 1, 10 do sluice.sleep(0) end
    assert.equal(10, delta(before, "switches"))
  end)

  plainly("counts nothing outside a run", function()
    local stats = sluice.stats()
    assert.equal(0, stats.tasks)
    assert.equal(0, stats.ready)
    assert.equal(0, stats.timers)
  end)
end)
