-- What the engine over Redis makes of a server that somebody else changed,
-- that is full, or whose replies were lost.
local jobs = require "sluice.jobs"
local redis = require "spec.support.redis"
local sluice = require "sluice"

local server

-- Real time: a server is asked.
local busted_it = it
local function it(name, fn) -- luacheck: ignore it
  busted_it(name, function()
    sluice.run(function()
      server = redis.start("--maxmemory-policy noeviction")
      local started <close> = server -- luacheck: ignore started
      local store <close> = assert(jobs.open(server.url))
      sluice.wait_for(30, fn, store:queue("orders", { lease = 60 }), store)
    end)
  end)
end

-- A key of the queue, or of a job by its id.
local function key(name)
  if math.type(name) == "integer" then name = ("j:%016d"):format(name) end
  return "{sluice:orders}:" .. name
end

-- Ends the lease of a job at the server.
local function end_lease(id)
  server:cli(("ZADD %s XX 1 %016d"):format(key "leased", id))
end

-- Has the next call lose its reply once the server has done it; what happens
-- then comes before it is sent again.
local function lose_reply(store, happens)
  local main = store.engine.main
  local send = main.send
  function main:send(command)
    local reply = send(self, command)
    if reply.err then return reply end -- it has not got the script yet
    main.send = nil
    happens()
    return nil, "the reply is lost", true
  end
end

describe("a reply that is lost", function()
  it("of a reserve is given again", function(queue, store)
    local id = queue:put "a"
    lose_reply(store, function() queue:put "b" end)
    local job = queue:reserve(1)
    assert.same({ id, 1 }, { job.id, job.attempts })
  end)

  it("of a reserve whose lease then ended stops nothing",
    function(queue, store)
      local id = queue:put "a"
      lose_reply(store, function() end_lease(id) end)
      local job = queue:reserve(1)
      assert.same({ id, 2 }, { job.id, job.attempts })
      assert.is_true(job:ack())
    end)
end)

describe("a job whose hash is gone", function()
  local DAMAGES = {
    "DEL %s", "HDEL %s b f p n m t c l", "SET %s x",
  }

  -- Damages all but the last of some jobs.
  local function damage(ids)
    for i = 1, #ids - 1 do
      server:cli(DAMAGES[i]:format(key(ids[i])))
    end
    return ids[#ids]
  end

  it("holds up no other that is ready", function(queue)
    local good = damage(queue:put_many { "a", "b", "c", "d" })
    assert.equal(1, #queue:peek "ready")
    assert.equal(good, queue:reserve(0).id)
    assert.equal(0, queue:stats().ready)
  end)

  it("does not keep those that are reserved with it", function(queue)
    local ids = queue:put_many { "a", "b", "c", "d", "e" }
    server:cli("DEL " .. key(ids[2]))
    server:cli("DEL " .. key(ids[4]))
    assert.equal(3, #queue:reserve_many(10, 0))
    assert.equal(3, queue:stats().leased)
  end)

  it("holds up no other that is delayed", function(queue)
    local list = {}
    for i = 1, 4 do list[i] = { body = "a", delay = 0.02, ttl = 60 } end
    local good = damage(queue:put_many(list))
    assert.equal(good, queue:reserve(1).id)
    assert.equal(0, queue:stats().delayed)
  end)

  it("holds up no other whose lease ends", function(queue)
    local ids = queue:put_many { "a", "b", "c", "d" }
    queue:reserve_many(4)
    local good = damage(ids)
    for _, id in ipairs(ids) do end_lease(id) end
    assert.equal(good, queue:reserve(0).id)
    assert.equal(1, queue:stats().leased)
  end)

  it("is lost to who acknowledges it, the others are not", function(queue)
    queue:put_many { "a", "b", "c", "d" }
    local list = queue:reserve_many(4)
    damage { list[1].id, list[2].id, list[3].id, list[4].id }
    local ok, reason, lost = queue:ack_many(list)
    assert.same({ nil, "lease_lost", 3 }, { ok, reason, #lost })
    assert.equal(1, queue:stats().acks)
  end)

  it("holds up no other that is kicked or purged", function(queue)
    queue:put_many { "a", "b", "c", "d" }
    local ids = {}
    for i, job in ipairs(queue:reserve_many(4)) do
      ids[i] = job.id
      job:bury "why"
    end
    damage(ids)
    assert.equal(1, queue:kick(1))
    damage(queue:put_many { "e", "f", "g", "h" })
    assert.equal(5, queue:purge "ready")
  end)

  it("is not one that may not be read for a while", function(queue)
    local id = queue:put("a", { delay = 60 })
    server:cli(("ZADD %s 1 %016d"):format(key "delayed", id))
    server:cli "ACL SETUSER default -hget"
    local stats, reason = queue:stats()
    assert.same({ nil, "unavailable" }, { stats, reason })
    server:cli "ACL SETUSER default +hget"
    assert.equal(id, queue:reserve(0).id)
  end)

  it("is told of by a check", function(queue, store)
    local id = queue:put "a"
    server:cli("DEL " .. key(id))
    assert.is_nil((queue:reserve(0)))
    local ok, reason = store:check()
    assert.same({ nil, "damaged" }, { ok, reason })
  end)
end)

describe("a key that is not the queue's own", function()
  -- Jobs in all states, with names and without, with a ttl and without; those
  -- that are leased.
  local function fill(queue)
    local list = {}
    for i = 1, 12 do
      local named = i % 3 == 0
      list[i] = { body = "a", ttl = i % 2 == 0 and 60 or nil,
        unique = named and "name " .. i or nil, unique_for = named and 60
        or nil, delay = i > 9 and 60 or nil }
    end
    queue:put_many(list)
    for _ = 1, 2 do queue:reserve(0):bury "why" end
    return queue:reserve_many(4)
  end

  -- What each call does to it, and what comes due.
  local function use(queue, list)
    queue:put "b"
    queue:put_many { { body = "c", delay = 60, ttl = 60 } }
    queue:put("d", { unique = "other", unique_for = 60 })
    for i, verb in ipairs { "ack", "nack", "release", "bury" } do
      list[i][verb](list[i], verb == "nack" and { delay = 0 } or nil)
    end
    queue:cancel(list[4].id + 1)
    queue:kick(1)
    for _, name in ipairs { "leased", "delayed", "ttl" } do
      server:cli(("EVAL %q 1 %s"):format("for _, id in ipairs(redis.call("
        .. "'ZRANGE', KEYS[1], 0, 1)) do redis.call('ZADD', KEYS[1], 1, id) "
        .. "end", key(name)))
      for _ = 1, 2 do queue:stats() end
    end
    for _, state in ipairs { "delayed", "dead" } do queue:purge(state) end
  end

  -- Whether each job is in one state, and none is where no job is.
  local function assert_whole(queue, store)
    local stats = queue:stats()
    local _, hashes = server:cli "KEYS '*:j:*'":gsub("%S+", "")
    assert.equal(hashes,
      stats.ready + stats.delayed + stats.leased + stats.dead)
    assert.is_true(store:check())
  end

  for _, name in ipairs { "ready", "delayed", "leased", "dead", "ttl", "meta",
    "unique", "hold", "wake", "idle" } do
    it(("as %s loses no job"):format(name), function(queue, store)
      local list = fill(queue)
      server:cli(("RENAME %s kept"):format(key(name)))
      server:cli(("SET %s x"):format(key(name)))
      use(queue, list)
      server:cli("DEL " .. key(name))
      server:cli(("RENAME kept %s"):format(key(name)))
      assert_whole(queue, store)
    end)
  end

  it("does not keep jobs from being had without waiting", function(queue)
    server:cli(("SET %s x"):format(key "wake"))
    local ids = queue:put_many { "a", "b" }
    assert.equal(ids[1], queue:reserve(0).id)
    server:cli(("SET %s x"):format(key "wake"))
    assert.equal(ids[2], queue:reserve(0).id)
  end)

  it("does not keep a drain from its end", function(queue)
    queue:put "a"
    queue:reserve(0):nack { delay = 1 }
    server:cli(("SET %s x"):format(key "idle"))
    assert.equal(1, queue:purge "delayed")
    assert.is_true(queue:drain(1))
  end)
end)

describe("the ids of a queue", function()
  -- Puts a job once something has happened to the counter of ids.
  local function put_after(queue, ...)
    queue.store:queue("other"):put_many { "x", "y", "z" }
    local first = queue:put("first", { delay = 60 })
    for _, command in ipairs { ... } do server:cli(command) end
    local second = queue:put("second", { delay = 60 })
    assert.is_true(second > first)
    assert.equal("first", queue:job(first).body)
    assert.equal(2, queue:stats().delayed)
  end

  it("rise when the counter of ids is deleted", function(queue)
    put_after(queue, "DEL sluice:ids")
  end)

  it("rise when the counter of ids is no number any more", function(queue)
    put_after(queue, "SET sluice:ids x")
  end)

  it("rise when the counter of ids may not be used any more",
    function(queue)
      put_after(queue, "ACL SETUSER default resetkeys '~{sluice:*'")
    end)

  it("are not taken by a put that a full server refuses", function(queue)
    queue:put "a"
    server:cli "CONFIG SET maxmemory 1"
    queue.store.engine.patience = 0
    assert.same({ nil, "unavailable" }, { (queue:put "b"),
      (select(2, queue:put "b")) })
    server:cli "CONFIG SET maxmemory 0"
    assert.equal(1, queue:stats().puts)
    assert.equal("1", server:cli "GET sluice:ids")
  end)
end)

describe("a server that is full", function()
  local function fill(queue)
    server:cli "CONFIG SET maxmemory 1"
    queue.store.engine.patience = 0
  end

  it("tells that a lease is lost", function(queue)
    queue:put_many { "a", "b", "c", "d", "e", "f" }
    local list = queue:reserve_many(5)
    for _, job in ipairs(list) do end_lease(job.id) end
    assert.equal(5, #queue:reserve_many(5)) -- somebody else has them now
    fill(queue)
    for i, verb in ipairs { "touch", "release", "nack", "bury", "ack" } do
      assert.same({ nil, "lease_lost" }, { list[i][verb](list[i]) })
    end
  end)

  it("ends what is still leased of a list", function(queue)
    local first = queue:put_many { "a", "b" }[1]
    local list = queue:reserve_many(2)
    end_lease(first)
    fill(queue)
    local ok, reason, lost = queue:ack_many(list)
    assert.same({ nil, "lease_lost", 1 }, { ok, reason, #lost })
    assert.equal(1, queue:stats().acks)
  end)

  it("kicks and purges what there is, also nothing", function(queue)
    queue:put_many { "a", "b" }
    queue:reserve(0):bury "why"
    fill(queue)
    assert.equal(0, queue:purge "delayed")
    assert.equal(1, queue:kick(10))
    assert.equal(0, queue:kick(10))
    assert.equal(2, queue:purge "ready")
  end)

  it("finds a job that is there by its name", function(queue)
    local id = queue:put("a", { unique = "name" })
    fill(queue)
    assert.equal(id, (queue:put("b", { unique = "name" })))
    assert.same({ nil, "unavailable" }, { (queue:put "c"),
      (select(2, queue:put "c")) })
  end)
end)

describe("the name of a queue", function()
  it("is not taken where names are damaged", function(_, store)
    server:cli "SET sluice:queues x"
    local queue, reason, message = store:queue "other"
    assert.same({ nil, "damaged" }, { queue, reason })
    assert.matches("WRONGTYPE", message)
  end)

  it("is taken on a new connection when one is lost", function(_, store)
    local main = store.engine.main
    local send = main.send
    function main:send(command)
      local reply = send(self, command)
      if not reply.err then self:close() end
      return reply
    end
    assert(store:queue "other")
    assert.same({ "orders", "other" }, store:queues())
  end)

  it("may be missing where names are out of reach", function(_, store)
    server:cli "ACL SETUSER default resetkeys '~{sluice:*'"
    local warnings = {}
    store.engine.warned = setmetatable({}, {
      __newindex = function(_, text) warnings[#warnings + 1] = text end,
    })
    local queue = assert(store:queue "other")
    assert.is_number(queue:put "a")
    assert.matches("'other' is not among", warnings[1])
  end)

  it("is opened once by tasks that open it together", function(_, store)
    local engine = store.engine
    local function open() return engine:queue("other", {}) end
    local first, second = table.unpack(sluice.gather { open, open })
    assert.is_table(first)
    assert.equal(first, second)
  end)
end)

describe("a check", function()
  it("leaves nothing behind in the process", function(queue, store)
    queue:put "a"
    store:check()
    assert.is_nil(next(store.engine.keepers))
  end)
end)

describe("who waits for a job while another store changes it", function()
  -- How long a reserve takes once it waits and something happens elsewhere.
  local function wait_while(queue, happens)
    local task = sluice.create_task(queue.reserve, queue, 10)
    sluice.sleep(0.05)
    local began = sluice.time()
    happens()
    assert.equal("a", task:await().body)
    return sluice.time() - began
  end

  -- Makes a delayed job ready without telling anybody.
  local function make_ready(id)
    server:cli(("ZREM %s %016d"):format(key "delayed", id))
    server:cli(("ZADD %s 0 %016d"):format(key "ready", id))
  end

  for _, verb in ipairs { "nack", "release" } do
    it("wakes when it is due after a " .. verb, function(queue)
      local other <close> = assert(jobs.open(server.url))
      queue:put "a"
      local job = other:queue("orders"):reserve(0)
      local took = wait_while(queue,
        function() job[verb](job, { delay = 0.1 }) end)
      assert.is_true(took >= 0.1 and took < 1)
    end)
  end

  it("wakes when the last job is dead, for a drain", function(queue)
    queue:put("a", { max_attempts = 1 })
    local job = queue:reserve(0)
    local task = sluice.create_task(queue.drain, queue)
    sluice.sleep(0.05)
    local began = sluice.time()
    job:nack { delay = 60 }
    assert.is_true(task:await())
    assert.is_true(sluice.time() - began < 0.5)
  end)

  it("wakes when who only looks finds that it is due", function(queue, store)
    local id = queue:put("a", { delay = 60 })
    assert.is_true(wait_while(queue, function()
      server:cli(("ZADD %s 1 %016d"):format(key "delayed", id))
      assert.equal(1, store:queue("orders"):stats().ready)
    end) < 1)
  end)

  it("wakes when who was woken is cancelled", function(queue)
    local other <close> = assert(jobs.open(server.url))
    local id = queue:put("a", { delay = 60 })
    local same = other:queue "orders"
    same:reserve(0)
    local first = sluice.create_task(same.reserve, same)
    sluice.sleep(0.05)
    assert.is_true(wait_while(queue, function()
      make_ready(id)
      server:cli(("ZADD %s 0 w"):format(key "wake"))
      first:cancel()
    end) < 1)
  end)
end)
