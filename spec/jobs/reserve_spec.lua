local engines = require "spec.support.engines"
local jobs = require "sluice.jobs"
local sluice = require "sluice"
local testing = require "sluice.testing"

local function bodies(reserved)
  local list = {}
  for i, job in ipairs(reserved) do list[i] = job.body end
  return table.concat(list, " ")
end

engines.describe("reserve", function(it)
  it("tries for each of many that do not wait", function(store)
    local queue = store:queue "mail"
    queue:put_many { "a", "b", "c" }
    local got = {}
    sluice.task_group(function(group)
      for i = 1, 4 do
        group:create_task(function()
          local job = queue:reserve(0)
          got[i] = job and job.body or "nothing"
        end)
      end
    end)
    assert.same({ "a", "b", "c", "nothing" }, got)
  end)

  it("gives jobs in the order they were put", function(store)
    local queue = store:queue "mail"
    for i = 1, 12 do queue:put(tostring(i)) end
    assert.equal("1 2 3 4 5 6 7 8 9 10 11 12",
      bodies(queue:reserve_many(20, 0)))
  end)

  it("gives the lowest priority first, equals in order", function(store)
    local queue = store:queue "mail"
    for i, priority in ipairs { 5, -1.5, 0, 5, -1.5, math.huge } do
      queue:put(tostring(i), { priority = priority })
    end
    assert.equal("2 5 3 1 4 6", bodies(queue:reserve_many(20, 0)))
  end)

  it("tells what a job is", function(store)
    local queue = store:queue("mail", { lease = 30, max_attempts = 7 })
    local id = queue:put("a", { priority = 3 })
    local job = queue:reserve(0)
    assert.same({ id, "a", 1, 3, "leased", 7 }, { job.id, job.body,
      job.attempts, job.priority, job.state, job.max_attempts })
    assert.equal("integer", math.type(job.priority))
    assert.is_true(math.abs(job.deadline - job.created - 30) < 2)
    assert.equal("integer", math.type(job.token))
  end)

  it("gives all that are there to who asks for any number", function(store)
    local queue, most = store:queue "mail", math.maxinteger
    queue:put_many { "a", "b", "c" }
    local got = sluice.gather {
      function() return bodies(queue:reserve_many(most, 0)) end,
      function() return queue:reserve_many(most, 0) end,
      function() return queue:reserve(0) end,
    }
    assert.same({ "a b c" }, got)
  end)

  it("returns at once with a timeout of 0", function(store)
    local queue = store:queue "mail"
    assert.same({ nil, "timeout" }, { queue:reserve(0) })
    assert.same({ nil, "timeout" }, { queue:reserve_many(3, 0) })
  end)

  it("times out, never early", function(store)
    local queue, start = store:queue "mail", sluice.time()
    assert.same({ nil, "timeout" }, { queue:reserve(0.05) })
    assert.is_true(sluice.time() - start >= 0.05)
  end)

  it("waits for a put", function(store)
    local queue = store:queue "mail"
    local task = sluice.create_task(queue.reserve, queue)
    sluice.sleep(0.02)
    local id = queue:put "a"
    assert.equal(id, task:await().id)
  end)

  it("gives fewer than n as soon as there are any", function(store)
    local queue = store:queue "mail"
    local task = sluice.create_task(queue.reserve_many, queue, 10)
    sluice.sleep(0.02)
    queue:put_many { "a", "b" }
    assert.equal("a b", bodies(task:await()))
  end)

  it("serves those who wait in order", function(store)
    local queue, order = store:queue "mail", {}
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = sluice.create_task(function()
        local job = queue:reserve()
        order[#order + 1] = i .. job.body
      end)
    end
    sluice.sleep(0.02)
    for _, body in ipairs { "a", "b", "c", "d", "e" } do queue:put(body) end
    sluice.gather(tasks)
    assert.same({ "1a", "2b", "3c", "4d", "5e" }, order)
  end)

  it("lets nobody overtake who waits", function(store)
    local queue = store:queue "mail"
    local first = sluice.create_task(queue.reserve, queue)
    sluice.sleep(0.02)
    local second = sluice.create_task(queue.reserve, queue, 0)
    assert.same({ nil, "timeout" }, { second:await() })
    queue:put "a"
    assert.equal("a", first:await().body)
  end)

  it("serves several at once from one put_many", function(store)
    local queue = store:queue "mail"
    local tasks = {}
    for i = 1, 3 do tasks[i] = sluice.create_task(queue.reserve, queue) end
    sluice.sleep(0.02)
    queue:put_many { "a", "b", "c" }
    assert.equal("a b c", bodies(sluice.gather(tasks)))
  end)

  it("gives the lead to the next when the first leaves", function(store)
    local queue = store:queue "mail"
    local first = sluice.create_task(queue.reserve, queue)
    local second = sluice.create_task(queue.reserve, queue)
    sluice.sleep(0.02)
    first:cancel()
    assert.is_false(first:pawait())
    queue:put "a"
    assert.equal("a", second:await().body)
  end)

  it("loses no job with a waiter that is cancelled", function(store)
    local queue = store:queue "mail"
    local first = sluice.create_task(queue.reserve, queue)
    local second = sluice.create_task(queue.reserve, queue)
    sluice.sleep(0.02)
    local put = sluice.create_task(queue.put_many, queue, { "a", "b" })
    second:cancel()
    assert.is_false(second:pawait())
    put:await()
    assert.equal("a", first:await().body)
    local job = queue:reserve(1)
    assert.same({ "b", 1 }, { job.body, job.attempts })
  end)

  it("loses no job with a waiter that times out", function(store)
    local queue = store:queue "mail"
    for i = 1, 10 do
      local task = sluice.create_task(queue.reserve, queue, 0.003)
      sluice.sleep(i * 0.0005)
      queue:put "a"
      local job = task:await() or queue:reserve(1)
      assert.equal(1, job.attempts)
      assert.is_true(job:ack())
    end
    assert.equal(10, queue:stats().acks)
  end)

  it("gives nothing twice", function(store)
    local queue, seen = store:queue "mail", {}
    for i = 1, 100 do queue:put(tostring(i)) end
    local function take()
      for _ = 1, 10 do
        local job = queue:reserve()
        assert.is_nil(seen[job.id])
        seen[job.id] = true
        job:ack()
      end
    end
    local takers = {}
    for i = 1, 10 do takers[i] = take end
    sluice.gather(takers)
    assert.equal(100, queue:stats().acks)
  end)

  it("ends when the store is closed", function(store)
    local queue = store:queue "mail"
    local tasks = {}
    for i = 1, 3 do tasks[i] = sluice.create_task(queue.reserve, queue) end
    sluice.sleep(0.02)
    store:close()
    for i = 1, 3 do assert.same({ nil, "closed" }, { tasks[i]:await() }) end
    assert.same({ nil, "closed" }, { queue:reserve() })
    assert.same({ nil, "closed" }, { queue:put "a" })
  end)
end)

describe("reserve over memory:", function()
  it("is a deadlock when nobody can put", function()
    local ok, err = pcall(testing.run, function()
      local store <close> = jobs.open "memory:"
      store:queue("mail"):reserve()
    end)
    assert.is_false(ok)
    assert.matches("^deadlock", tostring(err))
  end)

  it("may be cancelled anywhere", function()
    testing.cancel_everywhere(function()
      local store <close> = jobs.open "memory:"
      local queue = store:queue "mail"
      queue:put "a"
      queue:reserve(1):release()
      queue:reserve(1):ack()
      queue:reserve(1)
    end)
  end)

  it("loses nothing under any schedule", function()
    testing.explore(function()
      local store <close> = jobs.open "memory:"
      local queue = store:queue "mail"
      local tasks = {}
      for i = 1, 4 do
        local timeout = i == 2 and 1 or nil
        tasks[i] = sluice.create_task(queue.reserve, queue, timeout)
      end
      tasks[5] = sluice.create_task(queue.put_many, queue, { "a", "b", "c" })
      sluice.sleep(0)
      tasks[1]:cancel()
      sluice.sleep(2)
      local stats = queue:stats()
      local waits = not tasks[4]:done()
      assert.equal(3, stats.leased + stats.ready)
      assert.is_true(stats.ready == 0 or not waits)
      tasks[4]:cancel()
    end, { runs = 200 })
  end)
end)
