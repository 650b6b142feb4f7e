local children = require "spec.support.children"
local engines = require "spec.support.engines"
local jobs = require "sluice.jobs"
local sluice = require "sluice"

-- Runs blocking work of a child's while the loop goes on.
local function wait_until(predicate)
  local due = sluice.time() + 10
  while not predicate() do
    assert(sluice.time() < due, "it does not happen")
    sluice.sleep(0.005)
  end
end

-- As engines.describe, over those that other processes can open.
local function describe_shared(title, body)
  engines.describe(title, function(it, engine)
    if engine.lasting then body(it, engine) end
  end)
end

describe_shared("several processes", function(it)
  it("see each other's jobs", function(store)
    local child = children.start([[
      store:queue("mail"):put("from the child", { priority = 2 })
    ]], store.url)
    local rest = child:finish()
    assert.equal("", rest)
    assert.equal("from the child", store:queue("mail"):reserve(0).body)
  end)

  it("wake each other", function(store)
    local queue = store:queue "mail"
    local child = children.start([[
      local queue = store:queue "mail"
      say "ready"
      local job = queue:reserve(10)
      say(job.body)
      job:ack()
    ]], store.url)
    assert.equal("ready", child:line())
    sluice.sleep(0.05)
    local start = sluice.time()
    queue:put "hello"
    assert.equal("hello", child:line())
    assert.is_true(sluice.time() - start < 2)
    child:finish()
    assert.equal(1, queue:stats().acks)
  end)

  it("share the work, each job once", function(store)
    local queue = store:queue "mail"
    local consumers = {}
    for i = 1, 3 do
      consumers[i] = children.start([[
        local queue = store:queue "mail"
        while true do
          local job = queue:reserve(3)
          if not job or job.body == "stop" then
            if job then job:ack() end
            break
          end
          say(job.body)
          assert(job:ack())
        end
      ]], store.url)
    end
    local bodies = {}
    for i = 1, 60 do bodies[i] = tostring(i) end
    queue:put_many(bodies)
    for _ = 1, 3 do queue:put("stop", { priority = 1 }) end
    local seen = {}
    for _, child in ipairs(consumers) do
      for body in child:finish():gmatch "%S+" do
        assert.is_nil(seen[body], body)
        seen[body] = true
      end
    end
    for i = 1, 60 do assert.is_true(seen[tostring(i)], i) end
    assert.equal(63, queue:stats().acks)
  end)

  it("see pause, resume and settings of each other", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    children.start('store:queue("mail", { maxsize = 1 }):pause()',
      store.url):finish()
    assert.same({ nil, "full" }, { queue:put "b" })
    assert.same({ nil, "timeout" }, { queue:reserve(0) })
    local task = sluice.create_task(queue.reserve, queue, 5)
    sluice.sleep(0.05)
    children.start('store:queue("mail"):resume()', store.url):finish()
    assert.equal("a", task:await().body)
  end)

  it("see a queue drained by another", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    local child = children.start([[
      local job = store:queue("mail"):reserve(5)
      say "got"
      sluice.sleep(0.1)
      job:ack()
    ]], store.url)
    assert.equal("got", child:line())
    assert.is_true(queue:drain(5))
    child:finish()
  end)

  it("learn of a shorter delay that another puts", function(store)
    local queue = store:queue "mail"
    queue:put("late", { delay = 60 })
    local task = sluice.create_task(queue.reserve, queue, 10)
    sluice.sleep(0.05)
    children.start('store:queue("mail"):put("early", { delay = 0.1 })',
      store.url):finish()
    assert.equal("early", task:await().body)
  end)

  it("fence each other: a lease that expired is lost", function(store)
    local queue = store:queue("mail", { lease = 0.2 })
    queue:put "a"
    local child = children.start([[
      local job = store:queue("mail"):reserve(5)
      say "got"
      sluice.sleep(0.6)
      say(select(2, job:ack()))
    ]], store.url)
    assert.equal("got", child:line())
    local job = queue:reserve(5)
    assert.equal(2, job.attempts)
    job:touch(30)
    assert.equal("lease_lost", child:line())
    child:finish()
    assert.is_true(job:ack())
  end)
end)

describe_shared("a process", function(it, engine)
  it("that is killed loses no job that it was told is stored", function(store)
    local queue, told, n = store:queue "mail", {}, 0
    for round = 1, 3 do
      local child = children.start([[
        local queue = store:queue "mail"
        local function put()
          while true do say((queue:put "x")) end
        end
        sluice.gather { put, put, put, put }
      ]], store.url)
      for _ = 1, round * 7 do told[#told + 1] = child:line() end
      for id in child:kill():gmatch "(%d+)\n" do told[#told + 1] = id end
    end
    for _, id in ipairs(told) do
      assert.is_truthy(queue:job(math.tointeger(id)), id)
      n = n + 1
    end
    assert.is_true(n >= 42)
    assert.is_true(queue:stats().ready >= n)
    assert.is_true(store:check())
  end)

  it("that is killed brings back no job that it ended", function(store)
    local queue = store:queue "mail"
    for i = 1, 300 do queue:put(tostring(i)) end
    local child = children.start([[
      local queue = store:queue "mail"
      local function work()
        while true do
          local job = queue:reserve()
          assert(job:ack())
          say(job.id)
        end
      end
      sluice.gather { work, work, work }
    ]], store.url)
    local acked = {}
    for i = 1, 20 do acked[i] = child:line() end
    for id in child:kill():gmatch "(%d+)\n" do acked[#acked + 1] = id end
    for _, id in ipairs(acked) do
      assert.same({ nil, "not_found" }, { queue:job(math.tointeger(id)) })
    end
    local stats = queue:stats()
    assert.equal(300, stats.acks + stats.ready + stats.leased)
  end)

  if engine.name ~= "sqlite" then return end

  it("that computes for long keeps a lease alive", function(store)
    local queue = store:queue("mail", { lease = 0.3 })
    queue:put "a"
    local child = children.start([[
      local done = sluice.Event()
      local worker = store:worker("mail", function()
        say "begun"
        local stop = os.clock() + 1
        while os.clock() < stop do end
        done:set()
      end)
      done:wait()
      worker:stop()
    ]], store.url)
    assert.equal("begun", child:line())
    assert.same({ nil, "timeout" }, { queue:reserve(0.8) })
    child:finish()
    assert.equal(1, queue:stats().acks)
  end)

  it("that is killed has its jobs taken over at once", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    local child = children.start([[
      local job = store:queue("mail"):reserve(5)
      say "got"
      sluice.sleep(100)
    ]], store.url)
    assert.equal("got", child:line())
    local task = sluice.create_task(queue.reserve, queue, 10)
    sluice.sleep(0.05)
    local start = sluice.time()
    child:kill()
    local job = task:await()
    assert.same({ "a", 2 }, { job.body, job.attempts })
    assert.is_true(sluice.time() - start < 2)
  end)

  it("that was killed has its jobs taken over at opening", function(store)
    local queue = store:queue "mail"
    queue:put "a"
    local child = children.start([[
      local job = store:queue("mail"):reserve(5)
      say "got"
      sluice.sleep(100)
    ]], store.url)
    assert.equal("got", child:line())
    store:close()
    child:kill()
    local again <close> = assert(jobs.open(store.url))
    assert.equal("a", again:queue("mail"):reserve(0).body)
  end)

  it("that sleeps with the lock lets calls be cancelled", function(store)
    local queue = store:queue "mail"
    local lock = store.url:gsub("^sqlite:", "") .. "-lock"
    local holder = io.popen("echo $$; exec flock " .. lock .. " sleep 1")
    holder:read "l"
    sluice.sleep(0.1)
    assert.same({ nil, "timeout" },
      { sluice.wait_for(0.1, queue.put, queue, "never") })
    local task = sluice.create_task(queue.put, queue, "later")
    wait_until(function() return task:done() end)
    holder:close()
    assert.equal(1, queue:stats().puts)
    assert.equal("later", queue:reserve(0).body)
  end)

  it("that is stopped holds up nobody for ever", function(store)
    local queue = store:queue "mail"
    local child = children.start([[
      local queue = store:queue "mail"
      say "begun"
      while true do queue:put "x" end
    ]], store.url)
    assert.equal("begun", child:line())
    sluice.sleep(0.05)
    child:signal "STOP"
    local task = sluice.create_task(queue.put, queue, "mine")
    sluice.sleep(0.2) -- it may hold the lock or not
    child:kill()
    assert.is_number(task:await(5))
    assert.is_true(store:check())
  end)
end)
