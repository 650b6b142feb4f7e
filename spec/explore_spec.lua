-- Small programs under many schedules: whatever runs next, what must hold
-- holds after each step. And the same programs cancelled at every checkpoint.

local effort = require "spec.support.effort"
local errors = require "spec.support.errors"
local queues = require "spec.support.queues"
local random_sync = require "spec.support.random_sync"
local sluice = require "sluice"
local testing = require "sluice.testing"

local RUNS = effort(1000)

-- A test of main under RUNS schedules.
local function explores(name, main)
  it(name, function()
    assert.equal(RUNS, testing.explore(main, { runs = RUNS }))
  end)
end

-- Starts n tasks fn(i); returns them.
local function spawn(n, fn)
  local list = {}
  for i = 1, n do list[i] = sluice.create_task(fn, i) end
  return list
end

local function await_all(list)
  for _, task in ipairs(list) do task:pawait() end
end

-- Cancels the task at some step of its life.
local function cancel_some_time(task)
  return sluice.create_task(function()
    sluice.sleep(0)
    task:cancel()
  end)
end

-- Starts two readers of the queue, which mark in `seen` what they get.
local function readers(queue, seen)
  return spawn(2, function()
    for item in queue do
      queues.check(queue)
      assert.is_nil(seen[item])
      seen[item] = true
    end
  end)
end

-- A counter of tasks inside, of which there may be `most`.
local function room(most)
  local inside = 0
  local leave = setmetatable({}, { __close = function()
    inside = inside - 1
  end })
  return function()
    inside = inside + 1
    local _ <close> = leave
    assert.is_true(inside <= most)
    sluice.sleep(0)
  end
end

describe("under any schedule", function()
  for _, class in ipairs(queues.classes) do
    explores("a " .. class .. " gives each item to one getter", function()
      local queue, seen = sluice[class](2), {}
      local consumers = readers(queue, seen)
      await_all(spawn(2, function(i)
        for n = 1, 3 do
          queue:put(i * 10 + n)
          queues.check(queue)
        end
      end))
      queue:shutdown()
      sluice.gather(consumers)
      for i = 11, 13 do assert.is_true(seen[i] and seen[i + 10]) end
      queues.check_idle(queue)
    end)

    explores("a " .. class .. " loses nothing to cancellations", function()
      local queue, put, got = sluice[class](1), 0, 0
      local getters = spawn(2, function()
        while queue:get(1) do got = got + 1 end
      end)
      local putters = spawn(2, function(i)
        for n = 1, 2 do
          if queue:put(i * 10 + n) then put = put + 1 end
        end
      end)
      cancel_some_time(getters[1])
      cancel_some_time(putters[1])
      await_all(putters)
      await_all(getters)
      queues.check(queue)
      assert.same({ put, got }, { queue:stats().puts, queue:stats().gets })
    end)

    explores("a " .. class .. " is shut down with nothing lost", function()
      local queue, put, got = sluice[class](1), 0, 0
      local list = spawn(2, function(i)
        if pcall(queue.put, queue, i) then put = put + 1 end
      end)
      list[3] = sluice.create_task(function()
        if queue:get() then got = got + 1 end
      end)
      sluice.sleep(0)
      local dropped = #queue:shutdown(true)
      await_all(list)
      assert.equal(put, got + dropped)
      queues.check(queue, 0, dropped)
    end)
  end

  explores("a Queue keeps the order of each putter", function()
    local queue, last = sluice.Queue(1), { 0, 0 }
    local consumer = sluice.create_task(function()
      for item in queue do
        assert.is_true(item[2] == last[item[1]] + 1)
        last[item[1]] = item[2]
      end
    end)
    await_all(spawn(2, function(i)
      for n = 1, 3 do queue:put { i, n } end
    end))
    queue:shutdown()
    consumer:await()
    assert.same({ 3, 3 }, last)
  end)

  explores("timed puts and gets lose nothing", function()
    local queue, put, got = sluice.Queue(1), 0, 0
    local list = spawn(3, function(i)
      if queue:put(i, i / 2) then put = put + 1 end
      queues.check(queue)
    end)
    list[4] = sluice.create_task(function()
      for _ = 1, 3 do
        sluice.sleep(0.5)
        if queue:get(0.5) then got = got + 1 end
        queues.check(queue)
      end
    end)
    await_all(list)
    assert.equal(put, got + #queue)
    queues.check_idle(queue)
  end)

  explores("an item put at a getter's deadline is not lost", function()
    local queue = sluice.Queue()
    sluice.call_later(1, function() queue:put_nowait("item") end)
    local item = sluice.wait_for(1, queue.get, queue)
    sluice.sleep(0.1)
    assert.equal(item == nil and 1 or 0, #queue)
    queues.check_idle(queue)
  end)

  explores("join returns when all is done", function()
    local queue, done = sluice.Queue(), 0
    local workers = spawn(2, function()
      for _ in queue do
        sluice.sleep(0)
        done = done + 1
        queue:task_done()
      end
    end)
    for i = 1, 4 do queue:put(i) end
    queue:join()
    assert.equal(4, done)
    queue:shutdown()
    await_all(workers)
  end)

  explores("a Lock lets one in at a time", function()
    local lock, enter = sluice.Lock(), room(1)
    local list = spawn(3, function()
      for _ = 1, 2 do
        local _ <close> = lock:acquire()
        enter()
      end
    end)
    cancel_some_time(list[2])
    local _, err = list[1]:pawait()
    assert.is_nil(err)
    await_all(list)
    assert.equal("sluice.Lock (free)", tostring(lock))
  end)

  explores("a Lock with time-outs lets one in at a time", function()
    local lock, enter = sluice.Lock(), room(1)
    await_all(spawn(4, function(i)
      local guard <close> = lock:acquire(i % 2)
      if guard then
        assert.equal(sluice.current_task(), lock:owner())
        enter()
        sluice.sleep(0.5)
      end
    end))
    assert.equal("sluice.Lock (free)", tostring(lock))
  end)

  explores("a Semaphore keeps its permits", function()
    local semaphore, enter = sluice.BoundedSemaphore(2), room(2)
    local list = spawn(4, function(i)
      local guard <close> = semaphore:acquire(i == 4 and 0 or nil)
      if guard then enter() end
    end)
    cancel_some_time(list[1])
    cancel_some_time(list[3])
    await_all(list)
    assert.equal(2, semaphore:value())
    assert.matches("0 waiting", tostring(semaphore))
  end)

  explores("a Condition loses no notification", function()
    local condition, items, got = sluice.Condition(), 0, 0
    local list = spawn(2, function()
      for _ = 1, 2 do
        local _ <close> = condition:acquire()
        condition:wait_for(function() return items > 0 end)
        items, got = items - 1, got + 1
      end
    end)
    for _ = 1, 4 do
      local _ <close> = condition:acquire()
      items = items + 1
      condition:notify()
    end
    await_all(list)
    assert.equal(4, got)
  end)

  explores("a notification outlives a cancelled waiter", function()
    local condition, woken = sluice.Condition(), 0
    local function wait()
      local _ <close> = condition:acquire()
      if condition:wait() then woken = woken + 1 end
    end
    local list = spawn(2, wait)
    while not tostring(condition):find "2 waiting" do sluice.sleep(0) end
    cancel_some_time(list[1])
    condition:acquire()
    condition:notify()
    condition:release()
    list[1]:pawait(1)
    list[2]:pawait(1)
    assert.equal(1, woken)
  end)

  explores("a Barrier gives each index once", function()
    local barrier, seen = sluice.Barrier(2), {}
    local list = spawn(3, function()
      local index = barrier:wait()
      if index then seen[#seen + 1] = index end
    end)
    cancel_some_time(list[1])
    list[4] = sluice.create_task(function()
      sluice.sleep(1)
      seen[#seen + 1] = barrier:wait(1)
    end)
    sluice.sleep(3)
    barrier:abort()
    await_all(list)
    table.sort(seen)
    assert.same(#seen == 4 and { 1, 1, 2, 2 } or { 1, 2 }, seen)
  end)

  explores("an Event wakes whoever waits at a set", function()
    local event, passed = sluice.Event(), 0
    local list = spawn(3, function()
      event:wait()
      passed = passed + 1
    end)
    testing.settle()
    event:set()
    event:clear()
    await_all(list)
    assert.equal(3, passed)
  end)

  explores("a group ends with all its children ended", function()
    local enter, children = room(3), {}
    local err = errors.of(sluice.task_group, function(group)
      for i = 1, 3 do
        children[i] = group:create_task(function()
          enter()
          if i == 2 then error("two", 0) end
          sluice.sleep(i)
        end)
      end
    end)
    assert.equal("two", err)
    for _, child in ipairs(children) do assert.is_true(child:done()) end
  end)

  explores("gather gives what its functions return", function()
    local queue = sluice.Queue(1)
    local results = sluice.gather {
      function() return queue:get() + queue:get() end,
      function() queue:put(1) return "put" end,
      function() queue:put(2) return sluice.time() end,
    }
    assert.same({ 3, "put", 0 }, results)
  end)
end)

it("random programs of queues and primitives lose nothing", function()
  for seed = 1, RUNS do testing.run(random_sync(seed), { seed = seed }) end
end)

-- A test of main cancelled at each of its checkpoints; `new` makes what it
-- works on, and `check` looks at that in the end, cancelled or not.
local function withstands(name, new, main, check)
  it(name .. " withstands a cancellation anywhere", function()
    local n = testing.cancel_everywhere(function()
      local at = new()
      local _ <close> = setmetatable({}, { __close = function()
        for _, task in ipairs(at) do task:cancel() end
        sluice.shield(await_all, at)
        check(at)
      end })
      main(at)
    end)
    assert.is_true(n >= 3, n .. " checkpoints")
  end)
end

describe("a program", function()
  for _, class in ipairs(queues.classes) do
    withstands("that puts into a " .. class, function()
      local at = { queue = sluice[class](1), put = 0, got = 0 }
      at[1] = sluice.create_task(function()
        for _ in at.queue do at.got = at.got + 1 end
      end)
      return at
    end, function(at)
      for i = 1, 4 do
        if at.queue:put(i) then at.put = at.put + 1 end
      end
      at.queue:shutdown()
      at[1]:await()
    end, function(at)
      assert.equal(at.put, at.queue:stats().puts)
      assert.equal(at.put, at.got + #at.queue)
      queues.check(at.queue)
      queues.check_idle(at.queue)
    end)

    withstands("that gets from a " .. class, function()
      local at = { queue = sluice[class](1), put = 0, got = 0 }
      at[1] = sluice.create_task(function()
        for i = 1, 4 do
          at.queue:put(i)
          at.put = at.put + 1
          sluice.sleep(i % 2)
        end
      end)
      return at
    end, function(at)
      for _ = 1, 4 do
        if at.queue:get() then at.got = at.got + 1 end
      end
    end, function(at)
      assert.equal(at.put, at.got + #at.queue)
      queues.check(at.queue)
      queues.check_idle(at.queue)
    end)
  end

  withstands("that takes a Lock", function()
    local at = { lock = sluice.Lock() }
    for i = 1, 2 do
      at[i] = sluice.create_task(function()
        local _ <close> = at.lock:acquire()
        sluice.sleep(1)
      end)
    end
    return at
  end, function(at)
    sluice.sleep(0)
    for _ = 1, 2 do
      local _ <close> = at.lock:acquire()
      sluice.sleep(1)
      assert.equal(sluice.current_task(), at.lock:owner())
    end
    at.lock:acquire(1):release()
  end, function(at)
    assert.equal("sluice.Lock (free)", tostring(at.lock))
  end)

  withstands("that takes a Semaphore", function()
    local at = { semaphore = sluice.BoundedSemaphore(1) }
    at[1] = sluice.create_task(function()
      local _ <close> = at.semaphore:acquire()
      sluice.sleep(1)
    end)
    return at
  end, function(at)
    sluice.sleep(0)
    for _ = 1, 2 do
      local _ <close> = at.semaphore:acquire()
      sluice.sleep(0)
    end
  end, function(at)
    assert.equal(1, at.semaphore:value())
  end)

  withstands("that waits on a Condition", function()
    local at = { condition = sluice.Condition(), n = 0 }
    at[1] = sluice.create_task(function()
      for i = 1, 3 do
        sluice.sleep(1)
        local _ <close> = at.condition:acquire()
        at.n = i
        at.condition:notify_all()
        sluice.sleep(0.5)
      end
    end)
    return at
  end, function(at)
    local _ <close> = at.condition:acquire()
    at.condition:wait()
    assert.is_true(at.condition:locked())
    at.condition:wait_for(function() return at.n >= 2 end)
    assert.is_true(at.condition:locked())
    at.condition:wait(5)
  end, function(at)
    assert.equal("sluice.Condition (free, 0 waiting)",
      tostring(at.condition))
  end)

  withstands("that notifies a Condition", function()
    local at = { condition = sluice.Condition(), woken = 0, notified = 0 }
    for i = 1, 2 do
      at[i] = sluice.create_task(function()
        local _ <close> = at.condition:acquire()
        if at.condition:wait() then at.woken = at.woken + 1 end
      end)
    end
    return at
  end, function(at)
    for _ = 1, 2 do
      sluice.sleep(0)
      local _ <close> = at.condition:acquire()
      at.condition:notify()
      at.notified = at.notified + 1
    end
  end, function(at)
    assert.equal(at.notified, at.woken)
  end)

  withstands("that waits at a Barrier", function()
    local at = { barrier = sluice.Barrier(2), passed = 0 }
    at[1] = sluice.create_task(function()
      while at.barrier:wait() do at.passed = at.passed + 1 end
    end)
    return at
  end, function(at)
    for _ = 1, 3 do
      at.barrier:wait()
      at.passed = at.passed - 1
      sluice.sleep(1)
    end
  end, function(at)
    assert.equal(0, at.barrier:n_waiting())
    assert.is_false(at.barrier:broken())
  end)
end)

describe("explore", function()
  -- Two tasks that read, wait and write: one of them may write over the
  -- other's.
  local function race()
    local n = 0
    await_all(spawn(2, function()
      sluice.sleep(0)
      local read = n
      sluice.sleep(0)
      n = read + 1
    end))
    if n ~= 2 then error("an update was lost", 0) end
  end

  local function sometimes()
    local order = {}
    await_all(spawn(4, function(i) order[#order + 1] = i end))
    if order[1] == 3 and order[2] == 1 then error("3 before 1", 0) end
  end

  it("finds what one schedule of many breaks", function()
    local err = errors.of(testing.explore, sometimes, { runs = 1000 })
    assert.matches("3 before 1", err)
    assert.matches("seed %d+, schedule %d+/%d+", err)
    testing.run(sometimes)
  end)

  it("tells the seed that repeats the failure", function()
    local err = errors.of(testing.explore, sometimes, { runs = 1000 })
    local seed = tonumber(err:match "seed (%d+)")
    for _ = 1, 3 do
      assert.matches("3 before 1",
        errors.of(testing.run, sometimes, { seed = seed }))
    end
  end)

  it("finds a lost update", function()
    assert.matches("an update was lost",
      errors.of(testing.explore, race, { runs = 100 }))
  end)

  it("tells of a program that chooses by something else", function()
    local round = 0
    local err = errors.of(testing.explore, function()
      round = round + 1
      await_all(spawn(2 + round, function() sluice.sleep(0) end))
      error("failed", 0)
    end, { runs = 1 })
    assert.matches("met other choices", err)
  end)

  it("begins with the seed it is given", function()
    local seeds = {}
    for _, seed in ipairs { 5, 100 } do
      local err = errors.of(testing.explore, function() error("x", 0) end,
        { runs = 3, seed = seed })
      seeds[#seeds + 1] = tonumber(err:match "seed (%d+)")
    end
    assert.same({ 5, 100 }, seeds)
  end)
end)

describe("cancel_everywhere", function()
  it("finds a release that a cancellation skips", function()
    local err = errors.of(testing.cancel_everywhere, function()
      local semaphore = sluice.Semaphore(1)
      local ok, err = pcall(function()
        semaphore:acquire()
        sluice.sleep(1)
        semaphore:release()
      end)
      if semaphore:value() == 0 then error("a permit is lost", 0) end
      if not ok then error(err, 0) end
    end)
    assert.matches("a permit is lost.*checkpoint", err)
  end)

  it("raises an error that is no cancellation, with its place", function()
    local err = errors.of(testing.cancel_everywhere, function()
      local ok = pcall(sluice.sleep, 1)
      if not ok then error("broke", 0) end
    end)
    assert.matches("^broke", err)
    assert.matches("checkpoint 1", err)
  end)
end)
