-- The engine over Redis on bad days; what all engines do is specified beside.
local engine = require "sluice.jobs.redis"
local jobs = require "sluice.jobs"
local net = require "sluice.net"
local redis = require "spec.support.redis"
local sluice = require "sluice"

-- Real time: a server is asked.
local busted_it = it
local function it(name, fn) -- luacheck: ignore it
  busted_it(name, function()
    sluice.run(function() sluice.wait_for(30, fn) end)
  end)
end

local function open(url)
  local store = assert(jobs.open(url))
  return store, assert(store:queue("orders", { lease = 2 }))
end

local function with_server(fn, ...)
  local server <close> = redis.start(...)
  local store <close>, queue = open(server.url)
  fn(server, queue, store)
end

describe("a store on Redis", function()
  it("goes on when the server forgets its scripts", function()
    with_server(function(server, queue)
      queue:put "a"
      server:cli "SCRIPT FLUSH"
      assert.is_number(queue:put "b")
      assert.equal("a", queue:reserve(0).body)
    end)
  end)

  it("goes on when the server starts again, with what it kept", function()
    with_server(function(server, queue)
      assert.is_number(queue:put "a")
      server:kill "KILL"
      server:start(table.unpack(server.words))
      assert.is_number(queue:put "b")
      assert.equal("a", queue:reserve(0).body)
      assert.equal("b", queue:reserve(0).body)
    end, "--appendfsync always")
  end)

  it("says that nothing happened while the server is gone", function()
    with_server(function(server, queue)
      server:kill "KILL"
      local id, reason = queue:put "a"
      assert.same({ nil, "unavailable" }, { id, reason })
      server:start(table.unpack(server.words))
      assert.equal(0, queue:stats().puts)
    end)
  end)

  it("waits for a job while the server starts again", function()
    with_server(function(server, queue)
      local task = sluice.create_task(queue.reserve, queue)
      sluice.sleep(0.05)
      server:kill "KILL"
      server:start(table.unpack(server.words))
      queue:put "late"
      assert.equal("late", task:await().body)
    end)
  end)

  it("refuses a server that throws keys out", function()
    local server <close> = redis.start("--maxmemory 100mb",
      "--maxmemory-policy allkeys-lru")
    local store, message = jobs.open(server.url)
    assert.is_nil(store)
    assert.matches("allkeys%-lru", message)
  end)

  it("refuses a replica", function()
    local server <close> = redis.start "--replicaof 127.0.0.1 1"
    local store, message = jobs.open(server.url)
    assert.is_nil(store)
    assert.matches("replica", message)
  end)

  it("takes no job when the server is full, and gives what it has", function()
    with_server(function(server, queue)
      assert.is_number(queue:put "a")
      server:cli "CONFIG SET maxmemory 1"
      local id, reason, message = queue:put "b"
      assert.same({ nil, "unavailable" }, { id, reason })
      assert.matches("OOM", message)
      local job = queue:reserve(0)
      assert.equal("a", job.body)
      assert.is_true(job:ack())
      server:cli "CONFIG SET maxmemory 0"
      assert.is_number(queue:put "b")
    end, "--maxmemory-policy noeviction")
  end)

  it("can be stopped and resumed when the server is full", function()
    with_server(function(server, queue, store)
      queue:put "a"
      local job = queue:reserve(0)
      server:cli "CONFIG SET maxmemory 1"
      assert.is_true(job:touch())
      assert.is_true(queue:pause())
      assert.is_true(queue:resume())
      assert.equal(queue, store:queue("orders", { lease = 2 }))
    end, "--maxmemory-policy noeviction")
  end)

  it("can be looked at when the server takes no writes", function()
    with_server(function(server, queue)
      queue:put "a"
      server:cli "CONFIG SET min-replicas-to-write 1"
      local store <close>, same = open(server.url)
      assert.equal(1, same:stats().ready, store)
      server:cli "CONFIG SET min-replicas-to-write 0"
      assert.equal("a", same:reserve(0).body)
    end)
  end)

  it("has its queues again when the server has forgotten all", function()
    with_server(function(server, queue)
      queue:put "a"
      local job = queue:reserve(0)
      server:cli "FLUSHALL"
      assert.same({ nil, "lease_lost" }, { job:ack() })
      assert.is_number(queue:put "b")
      assert.equal("b", queue:reserve(0).body)
    end)
  end)

  it("says that it is damaged when keys are not its own", function()
    with_server(function(server, queue, store)
      server:cli "SET {sluice:orders}:ready x"
      for _, name in ipairs { "put", "reserve", "stats", "drain" } do
        local _, reason, message = queue[name](queue, name == "put" and "a"
          or nil)
        assert.equal("damaged", reason)
        assert.matches("WRONGTYPE", message)
      end
      server:cli "SET sluice:queues x"
      assert.is_nil(store:queues())
      assert.is_nil(store:check())
    end)
  end)

  it("gives no more jobs at once than the server can in passing", function()
    with_server(function(_, queue)
      local list = {}
      for i = 1, 6000 do list[i] = "a" end
      for _ = 1, 2 do assert(queue:put_many(list)) end
      assert.equal(10000, #queue:peek("ready", 12000))
      assert.equal(10000, #queue:reserve_many(12000))
      assert.equal(2000, #queue:reserve_many(12000))
    end)
  end)

  it("keeps what a call returned only until its reply is there", function()
    with_server(function(server, queue)
      for i = 1, 50 do queue:put("job " .. i) end
      for _ = 1, 50 do queue:reserve(0):ack() end
      for _ = 1, 5 do sluice.wait_for(0.01, pcall, queue.reserve, queue) end
      for i = 1, 5 do queue:put("job " .. i) end
      local key = server:cli "KEYS '*:calls:*'"
      assert.is_true(tonumber((server:cli("HLEN " .. key))) <= 2)
      assert.is_true(tonumber((server:cli("TTL " .. key))) > 500)
    end)
  end)

  -- Starts a server that was put 50 jobs and loads them for a second.
  local function with_loading(fn)
    with_server(function(server, queue)
      for i = 1, 50 do queue:put(("x"):rep(1000) .. i) end
      server:cli "SAVE"
      server:kill "TERM"
      server:start(table.unpack(server.words))
      assert.matches("LOADING", server:cli "GET x")
      fn(server, queue)
    end, "--appendonly no", "--rdbcompression no", "--key-load-delay 20000",
      "--loading-process-events-interval-bytes 1024")
  end

  it("waits out a server that is loading", function()
    with_loading(function(_, queue)
      assert.is_number(queue:put "after")
      assert.equal(51, queue:stats().ready)
    end)
  end)

  it("is opened once a server that is loading has loaded", function()
    with_loading(function(server)
      local store <close>, queue = open(server.url)
      assert.equal(50, queue:stats().ready, store)
    end)
  end)

  it("is not opened at a server that loads for too long", function()
    with_loading(function(server)
      local store, message, code = engine.open(server.url:match "//.*",
        { patience = 0.1 }, server.url)
      assert.same({ nil, "EUNAVAILABLE" }, { store, code })
      assert.matches("loading", message)
    end)
  end)
end)

describe("a user of the server", function()
  local function with_user(rules, fn)
    local server <close> = redis.start()
    server:cli("ACL SETUSER ann on '>secret' '~*' +@all " .. rules)
    local url = server.url:gsub("//", "//ann:secret@")
    local store <close> = assert(jobs.open(url))
    fn(server, store)
  end

  it("who may not do enough is told at once", function()
    with_user("-evalsha", function(_, store)
      local began = sluice.time()
      local queue, reason, message = store:queue "orders"
      assert.same({ nil, "unavailable" }, { queue, reason })
      assert.matches("NOPERM", message)
      assert.is_true(sluice.time() - began < 2)
    end)
  end)

  it("who may not do all that is needed gets no queue", function()
    for _, command in ipairs { "hset", "hincrby", "zadd", "zrem", "zpopmin",
      "del", "hdel", "zscore", "zrangebyscore", "hmget", "expire" } do
      with_user("-" .. command, function(_, store)
        local queue, reason, message = store:queue "orders"
        assert.same({ nil, "unavailable" }, { queue, reason })
        assert.is_string(message)
      end)
    end
  end)

  it("who may not wait there does not keep it busy", function()
    with_user("-bzpopmin", function(server, store)
      local queue = store:queue "orders"
      local function calls()
        return tonumber(server:cli "INFO":match "commands_processed:(%d+)")
      end
      local before = calls()
      queue:put("later", { delay = 60 })
      queue:reserve(0.5)
      queue:drain(0.5)
      assert.is_true(calls() - before < 2000) -- those in scripts, too
    end)
  end)
end)

describe("Redis 6", function()
  -- As it tells an error that a command in a script met.
  local ERROR = "-ERR Error running script (call to f_0): @user_script:1: "
    .. "@user_script: 1: %s\r\n"

  local function reason_of(met)
    local server <close> = assert(net.serve(function(stream)
      stream:read()
      stream:write "$19\r\nredis_version:6.0.1\r\n"
      while stream:read() do stream:write(ERROR:format(met)) end
    end, "127.0.0.1", 0))
    local _, port = server:sockname()
    local store = assert(engine.open("//127.0.0.1:" .. port,
      { patience = 0.01 }, "redis://"))
    local _, reason = store:queue("orders", {})
    store:close()
    return reason
  end

  it("tells of a full memory and of damage in scripts, too", function()
    assert.equal("unavailable", reason_of "-OOM command not allowed")
    assert.equal("damaged", reason_of "WRONGTYPE Operation against a key")
  end)
end)

describe("what is not a Redis server", function()
  local REPLIES = {
    "$3\r\nfoo\r\n", "*0\r\n", ":5\r\n", "$-1\r\n", "+PONG\r\n+PONG\r\n",
    "HTTP/1.0 400 Bad Request\r\n\r\n", ("*1\r\n"):rep(100),
  }

  it("is refused, whatever it says", function()
    for _, reply in ipairs(REPLIES) do
      local server = assert(net.serve(function(stream)
        while stream:read() do stream:write(reply) end
      end, "127.0.0.1", 0))
      local _, port = server:sockname()
      local store, message = jobs.open("redis://127.0.0.1:" .. port)
      assert.is_nil(store)
      assert.is_string(message)
      server:close()
    end
  end)
end)

describe("a reply", function()
  local function read(bytes)
    local reader = require "sluice.native.hiredis".Reader()
    reader:feed(bytes)
    return reader:get()
  end

  it("nests seven arrays at most", function()
    assert.same({ { { { { { { 5 } } } } } } },
      (read(("*1\r\n"):rep(7) .. ":5\r\n")))
    for _, depth in ipairs { 8, 9, 10, 100000 } do
      local reply, message = read(("*1\r\n"):rep(depth) .. ":5\r\n")
      assert.same({ nil, "a reply is nested too deeply" }, { reply, message })
    end
  end)

  it("may have arrays beside each other, empty ones, too", function()
    assert.same({ {}, { 5 }, { {}, 6 } },
      (read "*3\r\n*0\r\n*1\r\n:5\r\n*2\r\n*0\r\n:6\r\n"))
  end)
end)

describe("a connection that is cut", function()
  -- Cuts the next connection after so many bytes of a direction, puts a job
  -- through it, and checks that there is exactly one.
  local function put_through(server, proxy, queue, which, bytes)
    queue.store.engine.main:close()
    proxy.next = { up = math.huge, down = math.huge }
    proxy.next[which] = bytes
    local before = tonumber((server:cli
      "HGET {sluice:orders}:meta puts")) or 0
    assert.is_number((queue:put("job " .. bytes)))
    local after = tonumber((server:cli "HGET {sluice:orders}:meta puts"))
    assert.equal(before + 1, after)
  end

  it("at any byte never doubles a put, nor loses one", function()
    local server <close> = redis.start()
    local proxy <close> = redis.proxy(server.port)
    local store <close>, queue = open(proxy.url)
    assert(store)
    for bytes = 1, 400, 13 do
      put_through(server, proxy, queue, "up", bytes)
    end
    local info = #server:cli "INFO"
    for bytes = info, info + 200, 7 do
      put_through(server, proxy, queue, "down", bytes)
    end
  end)

  it("while jobs are reserved gives the same jobs again", function()
    local server <close> = redis.start()
    local proxy <close> = redis.proxy(server.port)
    local store <close>, queue = open(proxy.url)
    for i = 1, 30 do queue:put("job " .. i) end
    local info = #server:cli "INFO"
    for i = 1, 30 do
      store.engine.main:close()
      proxy.next = { up = math.huge, down = info + i * 20 }
      local job = queue:reserve(1)
      assert.same({ "job " .. i, 1 }, { job.body, job.attempts })
      local done, why = job:ack()
      assert.is_true(done or why == "unknown")
    end
    assert.equal(30, queue:stats().acks)
  end)

  it("while a job is awaited only delays it", function()
    local server <close> = redis.start()
    local proxy <close> = redis.proxy(server.port)
    local store <close>, queue = open(proxy.url)
    assert(store)
    local task = sluice.create_task(queue.reserve, queue)
    sluice.sleep(0.05)
    proxy.budget.down = 0
    queue:put "late"
    assert.equal("late", task:await(10).body)
  end)
end)

describe("who waits for a job", function()
  it("may be cancelled, and the next gets it", function()
    with_server(function(_, queue)
      local first = sluice.create_task(queue.reserve, queue)
      local second = sluice.create_task(queue.reserve, queue)
      sluice.sleep(0.05)
      first:cancel()
      first:pawait()
      queue:put "a"
      assert.equal("a", second:await(5).body)
    end)
  end)

  it("wakes at once when another store puts one", function()
    with_server(function(server, queue)
      local other <close> = assert(jobs.open(server.url))
      local task = sluice.create_task(queue.reserve, queue)
      sluice.sleep(0.1)
      local began = sluice.time()
      other:queue("orders"):put "a"
      task:await()
      assert.is_true(sluice.time() - began < 0.5)
    end)
  end)

  it("is woken when a delayed job is due", function()
    with_server(function(_, queue)
      local began = sluice.time()
      queue:put("a", { delay = 0.3 })
      assert.equal("a", queue:reserve(5).body)
      local took = sluice.time() - began
      assert.is_true(took >= 0.3 and took < 1)
    end)
  end)
end)

describe("the server's engine", function()
  it("is reached through a Unix socket, too", function()
    local server <close> = redis.start()
    local store <close> = assert(jobs.open("unix:" .. server.directory
      .. "/socket"))
    local queue = store:queue "orders"
    assert.is_number(queue:put "a")
  end)

  it("needs a password where there is one", function()
    local server <close> = redis.start "--requirepass secret"
    local store, message = jobs.open(server.url)
    assert.is_nil(store)
    assert.matches("NOAUTH", message)
    local with = server.url:gsub("//", "//:secret@")
    store = assert(jobs.open(with))
    assert.is_nil(tostring(store):find "secret")
    assert.is_nil(tostring(store:queue "mail"):find "secret")
    store:close()
  end)

  it("tells at the URL what is wrong with it", function()
    for _, url in ipairs { "redis:", "redis://h:x", "redis://h/x", "unix:" } do
      local store, message, code = jobs.open(url)
      assert.same({ nil, "EINVAL" }, { store, code })
      assert.is_string(message)
    end
  end)
end)
