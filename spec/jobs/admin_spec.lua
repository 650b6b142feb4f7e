local engines = require "spec.support.engines"
local sluice = require "sluice"

-- One job in each state: a ready, b delayed, c leased, d dead.
local function one_of_each(store)
  local queue = store:queue "mail"
  queue:put_many { "d", "c" }
  queue:reserve(0):bury()
  local leased = queue:reserve(0)
  queue:put "a"
  queue:put("b", { delay = 100 })
  return queue, leased
end

engines.describe("a queue, from outside,", function(it)
  it("is counted", function(store)
    local queue, leased = one_of_each(store)
    leased:ack()
    queue:put "c"
    queue:reserve_many(2, 0)[1]:nack()
    assert.same({ ready = 0, delayed = 2, leased = 1, dead = 1, puts = 5,
      acks = 1, retries = 1, expired = 0, cancelled = 0, paused = false },
      queue:stats())
  end)

  it("shows its jobs by state, without reserving", function(store)
    local queue = one_of_each(store)
    for state, body in pairs { ready = "a", delayed = "b", leased = "c",
      dead = "d" } do
      local list = queue:peek(state)
      assert.equal(1, #list)
      assert.same({ body, state }, { list[1].body, list[1].state })
      assert.is_nil(list[1].token)
    end
    assert.equal(1, queue:stats().leased)
  end)

  it("shows the first n, in order", function(store)
    local queue = store:queue "mail"
    for i = 1, 5 do queue:put(tostring(i), { priority = -i }) end
    local list = queue:peek("ready", 2)
    assert.same({ "5", "4", 2 }, { list[1].body, list[2].body, #list })
    assert.equal("5", queue:reserve(0).body)
  end)

  it("shows all, however many are asked for", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    assert.equal(1, #queue:peek("ready", math.maxinteger))
  end)

  it("has any priority that is a number", function(store)
    local queue = store:queue "mail"
    for _, priority in ipairs { math.huge, 1e308, 0.1, -1e308, -math.huge } do
      local id = queue:put("a", { priority = priority })
      assert.equal(priority, queue:job(id).priority)
      assert.equal(id, queue:reserve(0).id)
    end
  end)

  it("shows one job by its id", function(store)
    local queue = store:queue "mail"
    local id = queue:put("a", { unique = "k", delay = 50 })
    local job = queue:job(id)
    assert.same({ id, "a", "delayed", "k" }, { job.id, job.body, job.state,
      job.unique })
    assert.is_true(job.due > job.created + 49)
    assert.same({ nil, "not_found" }, { queue:job(id + 100) })
    assert.same({ nil, "not_found" }, { store:queue("news"):job(id) })
  end)

  it("does not let who looks at a job end its lease", function(store)
    local queue = one_of_each(store)
    local seen = queue:peek("leased")[1]
    assert.same({ nil, "lease_lost" }, { seen:ack() })
  end)

  it("gives up a job that is cancelled", function(store)
    local queue, leased = one_of_each(store)
    assert.is_true(queue:cancel(queue:peek("ready")[1].id))
    assert.is_true(queue:cancel(queue:peek("delayed")[1].id))
    assert.is_true(queue:cancel(queue:peek("dead")[1].id))
    assert.same({ nil, "leased" }, { queue:cancel(leased.id) })
    assert.same({ nil, "not_found" }, { queue:cancel(leased.id + 100) })
    assert.equal(3, queue:stats().cancelled)
    assert.same({ nil, "timeout" }, { queue:reserve(0) })
  end)

  -- Far beyond the limit of a test, if each had to be looked for in all.
  it("may have any number that die and are kicked together", function(store)
    local queue = store:queue("mail", { lease = 0.3, max_attempts = 1 })
    local bodies, n = {}, 0
    for i = 1, 10000 do bodies[i] = "a" end
    for _ = 1, 2 do queue:put_many(bodies) end
    while n < 20000 do n = n + #queue:reserve_many(20000, 5) end
    while queue:stats().dead < 20000 do sluice.sleep(0.05) end
    assert.equal(20000, queue:kick(20000))
    assert.equal(20000, queue:stats().ready)
  end)

  it("is emptied of a state by purge", function(store)
    local queue = one_of_each(store)
    for i = 1, 20 do queue:put(tostring(i)) end
    assert.equal(21, queue:purge "ready")
    assert.equal(1, queue:purge "delayed")
    assert.equal(1, queue:purge "dead")
    assert.equal(0, queue:purge "dead")
    assert.equal(23, queue:stats().cancelled)
    assert.equal(1, queue:stats().leased)
  end)

  it("gives nothing while it is paused", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    assert.is_true(queue:pause())
    assert.same({ nil, "timeout" }, { queue:reserve(0) })
    assert.is_number(queue:put "b")
    assert.is_true(queue:stats().paused)
    local task = sluice.create_task(queue.reserve, queue)
    sluice.sleep(0.02)
    assert.is_false(task:done())
    assert.is_true(queue:resume())
    assert.equal("a", task:await().body)
    assert.is_false(queue:stats().paused)
  end)

  it("lets leased jobs end while it is paused", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    local job = queue:reserve(0)
    queue:pause()
    assert.is_true(job:ack())
  end)

  it("balances: what was put is somewhere", function(store)
    local queue = store:queue("mail", { backoff = 0, max_attempts = 2 })
    math.randomseed(7)
    for i = 1, 200 do
      queue:put(tostring(i), { priority = math.random(3),
        delay = math.random(4) == 1 and 100 or nil })
      local job = math.random(2) == 1 and queue:reserve(0)
      if job then
        local how = math.random(5)
        if how == 1 then job:ack() elseif how == 2 then job:nack()
        elseif how == 3 then job:release() elseif how == 4 then job:bury()
        end
      end
    end
    local s = queue:stats()
    assert.equal(200, s.puts)
    assert.equal(s.puts, s.acks + s.expired + s.cancelled + s.ready
      + s.delayed + s.leased + s.dead)
    assert.is_true(store:check())
  end)
end)

engines.describe("a store", function(it, engine)
  it("has every method of an engine", function(store)
    require("sluice.jobs.engine").check(store.engine)
  end)

  it("may be closed twice", function(store)
    assert.is_true(store:close())
    assert.is_true(store:close())
    assert.same({ nil, "closed" }, { store:queue "mail" })
  end)

  it("finishes what was begun when it is closed", function(store)
    local queue, tasks = store:queue "mail", {}
    for i = 1, 20 do tasks[i] = sluice.create_task(queue.put, queue, "a") end
    sluice.sleep(0)
    assert.is_true(store:close())
    for i = 1, 20 do assert.is_number(tasks[i]:await()) end
  end)

  it("is closed for good when its closing is cancelled", function(store)
    local queue = store:queue "mail"
    local task = sluice.create_task(store.close, store)
    sluice.sleep(0)
    task:cancel()
    assert.is_true(task:await())
    assert.equal("closed", select(2, queue:put "a"))
  end)

  if not engine.lasting then return end

  it("gives back what is reserved while it is closed", function(store)
    local jobs = require "sluice.jobs"
    local queue = store:queue "mail"
    queue:put "a"
    local task = sluice.create_task(queue.reserve, queue)
    sluice.sleep(0)
    store:close()
    task:await()
    local again <close> = assert(jobs.open(store.url))
    assert.equal("a", again:queue("mail"):reserve(0).body)
  end)

  it("has everything when it is opened again", function(store)
    local jobs = require "sluice.jobs"
    local queue = one_of_each(store)
    local before = queue:stats()
    store:close()
    local again <close> = assert(jobs.open(store.url))
    queue = again:queue "mail"
    local after = queue:stats()
    -- Who leased it is gone, so the job may be ready again.
    after.leased, after.ready = before.leased, before.ready
    after.retries = before.retries
    assert.same(before, after)
    local got = queue:reserve_many(2, 1)
    assert.equal("a", got[#got].body)
  end)

  it("never uses an id again", function(store)
    local jobs = require "sluice.jobs"
    local queue = store:queue "mail"
    local id = queue:put "a"
    queue:reserve(0):ack()
    store:close()
    local again <close> = assert(jobs.open(store.url))
    assert.is_true(again:queue("mail"):put "b" > id)
  end)

  it("keeps pause and settings", function(store)
    local jobs = require "sluice.jobs"
    store:queue("mail", { maxsize = 1 }):pause()
    store:close()
    local again <close> = assert(jobs.open(store.url))
    local queue = again:queue "mail"
    assert.is_true(queue:stats().paused)
    queue:put "a"
    assert.same({ nil, "full" }, { queue:put "b" })
  end)
end)
