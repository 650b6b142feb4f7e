-- What allocates nothing: memory is counted over many rounds with the
-- collector stopped, after as many rounds to warm up.

local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local ROUNDS = 200

-- How many bytes ROUNDS calls of `round` leave behind.
local function bytes(round)
  for i = 1, ROUNDS do round(i) end
  collectgarbage()
  collectgarbage("stop")
  local before = collectgarbage("count")
  for i = 1, ROUNDS do round(i) end
  local after = collectgarbage("count")
  collectgarbage("restart")
  return (after - before) * 1024
end

-- A test that round() allocates nothing; `new` makes what it works on, and
-- may start tasks, which are cancelled afterwards.
local function allocates_nothing(name, new, round)
  testing.it(name, function()
    local at = new()
    assert.equal(0, bytes(function(i) round(at, i) end))
    if at.task then tasks.cancel(at.task) end
  end, { timeout = 1e6 })
end

-- The other side of a pair: does `step` over and over.
local function partner(at, step)
  at.task = sluice.create_task(function()
    while true do step(at) end
  end)
  return at
end

describe("no memory is allocated by", function()
  local items = {
    numbers = function(i) return i end,
    floats = function(i) return i + 0.5 end,
    strings = function(i) return i % 2 == 0 and "even" or "odd" end,
  }

  for _, class in ipairs { "Queue", "LifoQueue", "PriorityQueue" } do
    for _, kind in ipairs { "numbers", "floats", "strings" } do
      allocates_nothing(("put and get of %s in a %s"):format(kind, class),
        function()
          local queue = sluice[class]()
          for i = 1, 100 do queue:put_nowait(items[kind](i)) end
          return { queue = queue }
        end,
        function(at, i)
          at.queue:put(items[kind](i))
          at.queue:get()
          at.queue:put_nowait(items[kind](i))
          at.queue:get_nowait()
        end)
    end

    allocates_nothing("a hand-over to a getter of a " .. class, function()
      return partner({ queue = sluice[class]() }, function(at)
        at.queue:get()
      end)
    end, function(at, i)
      at.queue:put(i)
      sluice.sleep(0)
    end)

    allocates_nothing("a putter that waits at a " .. class, function()
      return partner({ queue = sluice[class](1) }, function(at)
        at.queue:put("item")
      end)
    end, function(at)
      at.queue:get()
      sluice.sleep(0)
    end)

    allocates_nothing("a get of a " .. class .. " that times out", function()
      return { queue = sluice[class]() }
    end, function(at)
      at.queue:get(0.5)
      at.queue:get(0)
      at.queue:get_nowait()
    end)
  end

  allocates_nothing("put of tables with priorities", function()
    return { queue = sluice.PriorityQueue(), item = {} }
  end, function(at, i)
    at.queue:put(at.item, i)
    at.queue:put(at.item, -i)
    at.queue:get()
    at.queue:get()
  end)

  allocates_nothing("task_done and join", function()
    return { queue = sluice.Queue() }
  end, function(at)
    at.queue:put(1)
    at.queue:get()
    at.queue:task_done()
    at.queue:join()
  end)

  allocates_nothing("iteration over a queue", function()
    return partner({ queue = sluice.Queue(2) }, function(at)
      for _ in at.queue do at.n = 1 end
    end)
  end, function(at, i) at.queue:put(i) end)

  allocates_nothing("acquire and release of a lock", function()
    return { lock = sluice.Lock() }
  end, function(at)
    at.lock:acquire()
    at.lock:release()
    local _ <close> = at.lock:acquire()
  end)

  allocates_nothing("a lock that two tasks want", function()
    return partner({ lock = sluice.Lock() }, function(at)
      local _ <close> = at.lock:acquire()
      sluice.sleep(0)
    end)
  end, function(at)
    local _ <close> = at.lock:acquire()
    sluice.sleep(0)
  end)

  allocates_nothing("a semaphore that two tasks want", function()
    return partner({ semaphore = sluice.Semaphore(1) }, function(at)
      local _ <close> = at.semaphore:acquire()
      sluice.sleep(0)
    end)
  end, function(at)
    at.semaphore:acquire()
    sluice.sleep(0)
    at.semaphore:release()
  end)

  allocates_nothing("set, clear and wait of an event", function()
    return partner({ event = sluice.Event() }, function(at)
      at.event:wait()
    end)
  end, function(at)
    at.event:set()
    at.event:clear()
    sluice.sleep(0)
    at.event:wait(0.5)
  end)

  allocates_nothing("wait and notify of a condition", function()
    local at = { condition = sluice.Condition() }
    function at.yes() return true end
    return partner(at, function()
      local _ <close> = at.condition:acquire()
      at.condition:wait()
      at.condition:wait_for(at.yes, 1)
    end)
  end, function(at)
    do
      local _ <close> = at.condition:acquire()
      at.condition:notify()
      at.condition:notify_all()
    end
    sluice.sleep(0)
  end)

  allocates_nothing("a barrier", function()
    return partner({ barrier = sluice.Barrier(2) }, function(at)
      at.barrier:wait()
    end)
  end, function(at) at.barrier:wait(1) end)

  allocates_nothing("sleep", function() return {} end, function(_, i)
    sluice.sleep(0)
    sluice.sleep(i / 1000)
  end)
end)

describe("what a task leaves behind when it has ended", function()
  testing.it("is nothing, once it was collected", function()
    local function round()
      for _ = 1, 50 do
        sluice.create_task(function() sluice.sleep(1) end)
      end
      sluice.sleep(2)
    end
    for _ = 1, 20 do round() end
    collectgarbage()
    local before = collectgarbage("count")
    for _ = 1, 50 do round() end
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 1)
  end, { timeout = 1e6 })
end)
