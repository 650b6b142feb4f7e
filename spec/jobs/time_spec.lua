local engines = require "spec.support.engines"
local sluice = require "sluice"

engines.describe("a delay", function(it)
  it("keeps a job from being reserved", function(store)
    local queue, start = store:queue "mail", sluice.time()
    queue:put("a", { delay = 0.3 })
    assert.same({ nil, "timeout" }, { queue:reserve(0) })
    assert.equal("a", queue:reserve(5).body)
    assert.is_true(sluice.time() - start >= 0.3)
  end)

  it("may be given as the time when it ends", function(store)
    local queue, start = store:queue "mail", sluice.time()
    queue:put("a", { at = store.engine:now() + 0.3 })
    queue:put("b", { at = store.engine:now() - 100 })
    assert.equal("b", queue:reserve(0).body)
    assert.equal("a", queue:reserve(5).body)
    assert.is_true(sluice.time() - start >= 0.29)
  end)

  it("wakes who waits already, the shortest first", function(store)
    local queue = store:queue "mail"
    local task = sluice.create_task(queue.reserve, queue)
    sluice.sleep(0.01)
    queue:put("a", { delay = 10 })
    queue:put("b", { delay = 0.03 })
    assert.equal("b", task:await().body)
  end)

  it("may be as long as numbers are", function(store)
    local queue = store:queue "mail"
    for _, long in ipairs { 1e15, math.maxinteger, 1e300, math.huge } do
      queue:put("a", { delay = long, ttl = long, lease = long })
      queue:put("b", { ttl = long, lease = long })
      local job = queue:reserve(0)
      assert.is_true(job:touch(long))
      assert.is_true(job:nack { delay = long })
    end
    local stats = queue:stats()
    assert.same({ 8, 0, 0 }, { stats.delayed, stats.ready, stats.expired })
  end)

  it("does not cost a job its place", function(store)
    local queue = store:queue "mail"
    queue:put("a", { delay = 0.02 })
    queue:put "b"
    sluice.sleep(0.05)
    assert.equal("a", queue:reserve(0).body)
  end)
end)

engines.describe("a ttl", function(it)
  it("ends a job that is ready or delayed", function(store)
    local queue = store:queue "mail"
    queue:put("a", { ttl = 0.03 })
    queue:put("b", { ttl = 0.03, delay = 10 })
    queue:put "c"
    sluice.sleep(0.05)
    assert.equal("c", queue:reserve(0).body)
    local stats = queue:stats()
    assert.same({ 2, 0, 0 }, { stats.expired, stats.ready, stats.delayed })
  end)

  it("never ends a leased job, but when it comes back", function(store)
    local queue = store:queue("mail", { backoff = 0 })
    queue:put("a", { ttl = 0.3 })
    queue:put("b", { ttl = 0.3 })
    local first, second = queue:reserve(0), queue:reserve(0)
    sluice.sleep(0.4)
    assert.is_true(first:ack())
    assert.is_true(second:nack())
    assert.same({ nil, "timeout" }, { queue:reserve(0) })
    assert.equal(1, queue:stats().expired)
  end)

  it("does not hold a unique key", function(store)
    local queue = store:queue "mail"
    queue:put("a", { ttl = 0.02, unique = "k" })
    sluice.sleep(0.04)
    assert.is_nil(select(2, queue:put("b", { unique = "k" })))
  end)
end)

-- More than the server of Redis brings up to date at once.
engines.describe("thousands of jobs that are due together", function(it)
  local N = 2500

  local function put(queue, options_of)
    local list = {}
    for i = 1, N do
      list[i] = options_of(i)
      list[i].body = tostring(i)
    end
    assert(queue:put_many(list))
  end

  it("go in their order, and are seen as ready", function(store)
    local queue = store:queue "mail"
    put(queue, function(i) return { delay = 0.05, priority = -i } end)
    sluice.sleep(0.06)
    assert.equal(tostring(N), queue:reserve(0).body)
    assert.equal(N - 1, queue:stats().ready)
    assert.equal(N - 1, queue:purge "ready")
  end)

  it("are given to nobody when their ttl is over", function(store)
    local queue = store:queue "mail"
    put(queue, function() return { ttl = 0.05 } end)
    sluice.sleep(0.06)
    assert.same({ nil, "timeout" }, { queue:reserve(0) })
    assert.equal(N, queue:stats().expired)
  end)

  it("hold neither keys nor room when their ttl is over", function(store)
    local queue = store:queue("mail", { maxsize = N })
    put(queue, function(i) return { ttl = 0.05, unique = "k" .. i } end)
    sluice.sleep(0.06)
    local id, found = queue:put("b", { unique = "k" .. N })
    assert.is_number(id)
    assert.is_nil(found)
  end)

  it("are lost by who let their leases end", function(store)
    local queue = store:queue("mail", { lease = 0.05 })
    put(queue, function() return {} end)
    local list = queue:reserve_many(N, 0)
    sluice.sleep(0.1)
    assert.equal(N, queue:stats().ready)
    assert.same({ nil, "lease_lost" }, { list[N]:touch() })
  end)
end)

engines.describe("drain", function(it)
  it("returns at once when there is nothing to do", function(store)
    assert.is_true(store:queue("mail"):drain())
  end)

  it("waits until the last job is gone or dead", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    queue:put("b", { delay = 0.02 })
    local task = sluice.create_task(queue.drain, queue)
    queue:reserve(0):ack()
    local job = queue:reserve()
    assert.is_false(task:done())
    job:bury()
    assert.is_true(task:await(2))
  end)

  it("times out", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    assert.same({ nil, "timeout" }, { queue:drain(0.02) })
    assert.same({ nil, "timeout" }, { queue:drain(0) })
  end)

  it("sees the last job end by its ttl", function(store)
    local queue = store:queue "mail"
    queue:put("a", { ttl = 0.03 })
    assert.is_true(queue:drain(2))
  end)
end)
