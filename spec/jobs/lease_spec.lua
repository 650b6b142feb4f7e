local engines = require "spec.support.engines"
local errors = require "spec.support.errors"
local sluice = require "sluice"

engines.describe("a lease", function(it)
  it("ends with ack: the job is gone", function(store)
    local queue = store:queue "mail"
    local id = queue:put "a"
    assert.is_true(queue:reserve(0):ack())
    assert.same({ nil, "not_found" }, { queue:job(id) })
    assert.equal(1, queue:stats().acks)
  end)

  it("is lost by a second ack", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    local job = queue:reserve(0)
    job:ack()
    for _, method in ipairs { "ack", "nack", "release", "bury", "touch" } do
      assert.same({ nil, "lease_lost" }, { job[method](job) })
    end
  end)

  it("is lost to the next who reserves: the token fences", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    local old = queue:reserve(0)
    old:release()
    local new = queue:reserve(0)
    assert.is_true(new.token > old.token)
    assert.same({ nil, "lease_lost" }, { old:ack() })
    assert.is_true(new:ack())
  end)

  it("that expires makes the job ready, and counts", function(store)
    local queue = store:queue("mail", { lease = 0.05 })
    queue:put "a"
    local old = queue:reserve(0)
    local new = queue:reserve(2)
    assert.same({ old.id, 2 }, { new.id, new.attempts })
    assert.same({ nil, "lease_lost" }, { old:ack() })
    assert.equal(1, queue:stats().retries)
  end)

  it("that expires kills a job without attempts left", function(store)
    local queue = store:queue("mail", { lease = 0.03, max_attempts = 1 })
    queue:put "a"
    queue:reserve(0)
    sluice.sleep(0.05)
    assert.same({ nil, "timeout" }, { queue:reserve(0) })
    assert.equal(1, queue:stats().dead)
    assert.equal("the lease expired", queue:peek("dead")[1].error)
  end)

  it("that is ended stays ended when it is acknowledged again",
    function(store)
      local queue = store:queue "mail"
      queue:put "a"
      local job = queue:reserve(0)
      job:ack()
      assert.same({ nil, "lease_lost", { job } }, { queue:ack_many { job } })
      assert.is_true(job.ended)
    end)

  it("that ends without an error leaves the one before", function(store)
    local queue = store:queue("mail", { backoff = 0 })
    local id = queue:put "a"
    queue:reserve(0):nack()
    assert.is_nil(queue:job(id).error)
    queue:reserve(0):nack { error = "no paper" }
    queue:reserve(0):bury()
    assert.equal("no paper", queue:job(id).error)
  end)

  it("is prolonged by touch", function(store)
    local queue = store:queue("mail", { lease = 0.3 })
    queue:put "a"
    local job = queue:reserve(0)
    local before = job.deadline
    assert.is_true(job:touch(5))
    assert.is_true(job.deadline > before + 4)
    sluice.sleep(0.4)
    assert.is_true(job:ack())
  end)

  it("is renewed while it is kept", function(store)
    local queue = store:queue("mail", { lease = 0.3 })
    queue:put "a"
    local job = queue:reserve(0)
    queue.engine:keep(queue.q, { job })
    sluice.sleep(0.6)
    assert.is_true(job:ack())
  end)

  it("ends with release: the attempt is given back", function(store)
    local queue = store:queue("mail", { max_attempts = 1 })
    queue:put "a"
    for _ = 1, 3 do
      local job = queue:reserve(0)
      assert.equal(1, job.attempts)
      assert.is_true(job:release())
    end
    assert.equal(0, queue:stats().retries)
  end)

  it("may be released with a delay", function(store)
    local queue, start = store:queue "mail", sluice.time()
    queue:put "a"
    queue:reserve(0):release { delay = 0.3 }
    assert.equal(1, queue:stats().delayed)
    queue:reserve(5)
    assert.is_true(sluice.time() - start >= 0.3)
  end)

  it("ends with nack: the job is tried again, in its place", function(store)
    local queue = store:queue("mail", { backoff = 0 })
    queue:put_many { "a", "b" }
    queue:reserve(0):nack { error = "oops" }
    local job = queue:reserve(0)
    assert.same({ "a", 2, "oops" }, { job.body, job.attempts, job.error })
  end)

  it("waits for the backoff after nack", function(store)
    local queue = store:queue("mail", { backoff = 0.3 })
    queue:put "a"
    local start = sluice.time()
    queue:reserve(0):nack()
    assert.equal(1, queue:stats().delayed)
    queue:reserve(5)
    assert.is_true(sluice.time() - start >= 0.3)
  end)

  it("refuses a backoff function's result that is no time", function(store)
    local result
    local queue = store:queue("mail", { backoff = function()
      return result
    end })
    queue:put "a"
    local job = queue:reserve(0)
    for _, value in ipairs { -1, 0 / 0, "1" } do
      result = value
      assert.matches("lease_spec.lua:%d+: bad result of a backoff function",
        errors.of(job.nack, job))
    end
    assert.is_true(job:ack())
  end)

  it("takes an empty error for none", function(store)
    local queue = store:queue("mail", { backoff = 0 })
    queue:put "a"
    assert.is_true(queue:reserve(0):nack { error = "" })
    assert.is_nil(queue:peek("ready")[1].error)
    assert.is_true(queue:reserve(0):bury "")
    assert.is_nil(queue:peek("dead")[1].error)
  end)

  it("waits for nothing with no base, however often it fails", function(store)
    local queue = store:queue("mail", { max_attempts = math.huge,
      backoff = { base = 0 } })
    queue:put "a"
    for _ = 1, 1100 do assert.is_true(queue:reserve(0):nack()) end
    assert.equal(1, queue:stats().ready)
  end)

  it("asks a function for the backoff", function(store)
    local seen = {}
    local queue = store:queue("mail", { backoff = function(attempts)
      seen[#seen + 1] = attempts
      return 0
    end })
    queue:put "a"
    for _ = 1, 3 do queue:reserve(0):nack() end
    assert.same({ 1, 2, 3 }, seen)
  end)

  it("of many ends at once, but for those lost", function(store)
    local queue = store:queue "mail"
    queue:put_many { "a", "b", "c" }
    local jobs = queue:reserve_many(3, 0)
    jobs[2]:ack()
    assert.same({ nil, "lease_lost", { jobs[2] } },
      { queue:ack_many(jobs) })
    assert.equal(3, queue:stats().acks)
    assert.is_true(queue:ack_many {})
  end)

  it("may be longer for one job", function(store)
    local queue = store:queue("mail", { lease = 0.02 })
    queue:put("a", { lease = 10 })
    local job = queue:reserve(0)
    sluice.sleep(0.04)
    assert.is_true(job:ack())
  end)
end)

engines.describe("a dead job", function(it)
  it("is one whose attempts are used up", function(store)
    local queue = store:queue("mail", { max_attempts = 2, backoff = 0 })
    local id = queue:put "a"
    queue:reserve(0):nack { error = "first" }
    queue:reserve(0):nack { error = "second" }
    assert.same({ nil, "timeout" }, { queue:reserve(0) })
    local job = queue:job(id)
    assert.same({ "dead", "second", 2 }, { job.state, job.error,
      job.attempts })
  end)

  it("is one that was buried", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    assert.is_true(queue:reserve(0):bury "no use")
    assert.equal("no use", queue:peek("dead")[1].error)
  end)

  it("has all attempts again when it is kicked", function(store)
    local queue = store:queue("mail", { max_attempts = 1 })
    queue:put "a"
    queue:reserve(0):nack()
    assert.equal(1, queue:kick(10))
    assert.equal(1, queue:reserve(0).attempts)
    assert.equal(0, queue:kick(10))
  end)

  it("is kicked by its id, or the longest dead first", function(store)
    local queue = store:queue "mail"
    queue:put_many { "a", "b", "c" }
    local jobs = queue:reserve_many(3, 0)
    for i = 3, 1, -1 do
      jobs[i]:bury()
      sluice.sleep(0.002)
    end
    assert.equal(1, queue:kick(jobs[1].id))
    assert.equal("a", queue:reserve(0).body)
    assert.equal(1, queue:kick(1))
    assert.equal("c", queue:reserve(0).body)
    assert.equal(0, queue:kick(jobs[1].id))
  end)

  it("wakes who waits when it is kicked", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    queue:reserve(0):bury()
    local task = sluice.create_task(queue.reserve, queue)
    sluice.sleep(0.02)
    queue:kick(1)
    assert.equal("a", task:await().body)
  end)

  it("may have no limit of attempts", function(store)
    local queue = store:queue("mail", { max_attempts = 1, backoff = 0 })
    queue:put("a", { max_attempts = math.huge })
    for _ = 1, 5 do queue:reserve(0):nack() end
    local job = queue:reserve(0)
    assert.same({ 6, math.huge }, { job.attempts, job.max_attempts })
  end)
end)
