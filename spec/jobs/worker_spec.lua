local engines = require "spec.support.engines"
local errors = require "spec.support.errors"
local sluice = require "sluice"

engines.describe("a worker", function(it)
  it("handles each job and acknowledges it", function(store)
    local queue, seen = store:queue "mail", {}
    queue:put_many { "a", "b", "c" }
    local worker = store:worker("mail", function(job)
      seen[#seen + 1] = job.body
    end)
    assert.is_true(queue:drain(5))
    assert.is_true(worker:stop())
    assert.same({ "a", "b", "c" }, seen)
    assert.equal(3, queue:stats().acks)
  end)

  it("tries again what raises, with the error kept", function(store)
    local queue = store:queue("mail", { max_attempts = 2, backoff = 0 })
    queue:put "a"
    local worker = store:worker("mail", function() error("oops", 0) end)
    assert.is_true(queue:drain(5))
    worker:stop()
    local job = queue:peek("dead")[1]
    assert.same({ "oops", 2 }, { job.error, job.attempts })
  end)

  it("keeps the handler's error where the backoff raises", function(store)
    local told, finished = {}, sluice.Event()
    local before = sluice.on_error(function(_, err) told[#told + 1] = err end)
    local queue = store:queue("mail", { max_attempts = 3,
      backoff = function() error("no idea", 0) end })
    queue:put "a"
    local worker = store:worker("mail", function()
      finished:set()
      error("oops", 0)
    end)
    finished:wait()
    assert.is_true(worker:stop())
    sluice.on_error(before)
    assert.equal("oops", queue:peek("delayed")[1].error)
    assert.same({ "no idea" }, told)
  end)

  it("keeps an error that is nil or false as what it is", function(store)
    local queue = store:queue("mail", { max_attempts = 1 })
    queue:put_many { "a", "b" }
    local worker = store:worker("mail", function(job)
      if job.body == "a" then error(nil) end
      error(false)
    end)
    assert.is_true(queue:drain(5))
    worker:stop()
    local dead = queue:peek "dead"
    assert.same({ "nil", "false" }, { dead[1].error, dead[2].error })
  end)

  it("runs as many at once as it is told", function(store)
    local queue, running, most = store:queue "mail", 0, 0
    for i = 1, 12 do queue:put(tostring(i)) end
    local worker = store:worker("mail", function()
      running = running + 1
      most = math.max(most, running)
      sluice.sleep(0.01)
      running = running - 1
    end, { concurrency = 3, prefetch = 2 })
    assert.is_true(queue:drain(5))
    worker:stop()
    assert.equal(3, most)
  end)

  it("takes no more than concurrency and prefetch", function(store)
    local queue, go = store:queue "mail", sluice.Event()
    for i = 1, 10 do queue:put(tostring(i)) end
    local worker = store:worker("mail", function() go:wait() end,
      { concurrency = 2, prefetch = 3 })
    while queue:stats().leased < 5 do sluice.sleep(0.005) end
    sluice.sleep(0.02)
    assert.equal(5, queue:stats().leased)
    go:set()
    queue:drain(5)
    worker:stop()
  end)

  it("leaves a job alone that its handler has ended", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    local worker = store:worker("mail", function(job)
      assert(job:bury "by hand")
      error "after that"
    end)
    assert.is_true(queue:drain(5))
    worker:stop()
    assert.equal("by hand", queue:peek("dead")[1].error)
  end)

  it("gives back what it has not begun when it stops", function(store)
    local queue, begun = store:queue "mail", sluice.Event()
    queue:put_many { "a", "b", "c" }
    local worker = store:worker("mail", function()
      begun:set()
      sluice.sleep(0.05)
    end, { prefetch = 5 })
    begun:wait()
    assert.is_true(worker:stop())
    local stats = queue:stats()
    assert.same({ 1, 2, 0 }, { stats.acks, stats.ready, stats.leased })
    assert.equal(1, queue:reserve(0).attempts)
  end)

  it("gives back what a cancelled handler was at", function(store)
    local queue, begun = store:queue "mail", sluice.Event()
    queue:put "a"
    local worker = store:worker("mail", function()
      begun:set()
      sluice.sleep(1000)
    end)
    begun:wait()
    assert.same({ nil, "timeout" }, { worker:stop(0.02) })
    assert.equal(1, queue:reserve(0).attempts)
  end)

  it("gives jobs back when its group is cancelled", function(store)
    local queue, begun = store:queue "mail", sluice.Event()
    queue:put_many { "a", "b" }
    sluice.task_group(function(group)
      store:worker("mail", function()
        begun:set()
        sluice.sleep(1000)
      end, { prefetch = 1 })
      begun:wait()
      group:cancel()
    end)
    assert.equal(2, queue:stats().ready)
  end)

  it("ends with a handler that cancels its task", function(store)
    local queue = store:queue "mail"
    queue:put_many { "a", "b", "c" }
    local worker = store:worker("mail", function()
      sluice.current_task():cancel()
      sluice.sleep(0)
    end, { prefetch = 1 })
    sluice.wait(worker.tasks)
    worker.fetcher:pawait()
    assert.equal(3, queue:stats().ready)
    assert.equal(0, queue:stats().leased)
  end)

  it("cannot be waited for by its own handler", function(store)
    local queue, err = store:queue "mail", nil
    queue:put "a"
    local worker
    worker = store:worker("mail", function()
      err = errors.of(worker.stop, worker)
    end)
    assert.is_true(queue:drain(5))
    worker:stop()
    assert.matches("a handler cannot wait for the end of its own worker", err)
  end)

  it("renews the leases of handlers that take long", function(store)
    local queue = store:queue("mail", { lease = 0.3 })
    queue:put "a"
    local runs = 0
    local worker = store:worker("mail", function()
      runs = runs + 1
      sluice.sleep(0.7)
    end, { concurrency = 2 })
    assert.is_true(queue:drain(5))
    worker:stop()
    assert.same({ 1, 1 }, { runs, queue:stats().acks })
  end)

  it("renews a short lease as often as that needs, beside a long one",
    function(store)
      local queue, runs = store:queue("mail", { lease = 60 }), 0
      local begun, short_is_done = sluice.Event(), sluice.Event()
      queue:put "long"
      local worker = store:worker("mail", function(job)
        begun:set()
        if job.body == "long" then return short_is_done:wait() end
        runs = runs + 1
        sluice.sleep(0.7)
        short_is_done:set()
      end, { concurrency = 3 })
      begun:wait()
      queue:put("short", { lease = 0.3 })
      assert.is_true(queue:drain(5))
      worker:stop()
      assert.same({ 1, 2 }, { runs, queue:stats().acks })
    end)

  it("tells also that nil was raised", function(store)
    local queue, errs = store:queue("mail", { max_attempts = 2, backoff = 0 }),
      { "first" }
    queue:put "a"
    local worker = store:worker("mail", function()
      error(table.remove(errs), 0)
    end)
    assert.is_true(queue:drain(5))
    worker:stop()
    assert.equal("nil", queue:peek("dead")[1].error)
  end)

  it("waits for jobs that come later", function(store)
    local queue, seen = store:queue "mail", sluice.Queue()
    local worker = store:worker("mail", function(job) seen:put(job.body) end)
    sluice.sleep(0.02)
    queue:put "a"
    assert.equal("a", seen:get())
    worker:stop()
  end)

  it("ends with an error when it cannot reserve any more", function(store)
    local queue = store:queue "mail"
    queue.reserve_many = function() return nil, "damaged", "a bad page" end
    local worker = store:worker("mail", function() end)
    local ok, err = worker.fetcher:pawait()
    assert.is_false(ok)
    assert.equal("the worker of 'mail' ends: a bad page", err)
    worker:stop()
  end)

  it("ends when the store is closed", function(store)
    store:queue "mail"
    local worker = store:worker("mail", function() end)
    sluice.sleep(0.01)
    store:close()
    assert.is_true(worker:stop(5))
  end)
end)
