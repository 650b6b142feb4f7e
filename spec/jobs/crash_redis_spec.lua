-- A Redis server that is killed, hangs, forgets its scripts, is full, and the
-- network before it. The controls keep nothing on the disk, or not at once.
local crash = require "spec.support.crash"
local images = require "tests.crash.images"
local jobs = require "sluice.jobs"
local model = require "tests.crash.model"
local redis = require "spec.support.redis"
local sluice = require "sluice"

local ALWAYS = "--appendfsync always"
local random = math.random

local function start_again(server)
  server:start(table.unpack(server.words, 1, server.words.n))
  crash.await("the data", 10,
    function() return server:cli "INFO":find "\nloading:0" end)
end

local function start_workers(place, n, first)
  local workers = {}
  for i = 1, n do
    workers[i] = crash.worker(place, place.env, (first or 0) + i, 1000000,
      "bad=yes")
  end
  return workers
end

local function kill_workers(workers)
  for _, worker in ipairs(workers) do worker:signal "KILL" end
  for _, worker in ipairs(workers) do worker:wait() end
end

local function compare(expected, place)
  local store <close> = assert(jobs.open(place.url))
  expected:read(place.notes)
  local _, seen = expected:compare(store)
  expected:settle(seen)
end

-- Rounds of three workers, during which something happens to the server.
-- What is wrong, and the model.
local function work_through(place, server, rounds, happens)
  local expected = model.new()
  place.url = server.url
  for round = 1, rounds do
    local workers = start_workers(place, 3, round * 10)
    crash.await("the first note", 10,
      function() return io.open(place.notes) end)
    sluice.sleep(0.05 + random() * 0.1)
    happens(server)
    sluice.sleep(random() * 0.1)
    kill_workers(workers)
    compare(expected, place)
  end
  return expected.wrong, expected
end

local function kill_and_start(server)
  server:kill "KILL"
  server:repair()
  start_again(server)
end

describe("a Redis server", function()
  crash.it("that is killed and syncs always loses nothing", function(place)
    local server <close> = redis.start(ALWAYS)
    local wrong, expected = work_through(place, server, crash.times(4, 100),
      kill_and_start)
    assert.same({}, wrong)
    assert.is_true(next(expected.ids) ~= nil)
  end)

  crash.it("that is killed and keeps nothing loses all", function(place)
    local server <close> = redis.start "--appendonly no"
    local wrong = work_through(place, server, 1, kill_and_start)
    assert.is_true(#wrong > 0)
  end)

  crash.it("that hangs for a while only delays", function(place)
    local server <close> = redis.start()
    assert.same({}, (work_through(place, server, crash.times(2, 40),
      function()
        server:kill "STOP"
        sluice.sleep(random() * 0.3)
        server:kill "CONT"
      end)))
  end)

  local BAD_DAYS = {
    "SCRIPT FLUSH", "CLIENT KILL TYPE normal", "CONFIG SET maxmemory 1",
    "DEBUG SLEEP 0.1", "CONFIG SET maxmemory 0", "CLIENT PAUSE 100",
  }

  crash.it("that has a bad day loses nothing", function(place)
    local server <close> = redis.start "--enable-debug-command yes"
    assert.same({}, (work_through(place, server, crash.times(3, 60),
      function()
        for _ = 1, 5 do
          server:cli(BAD_DAYS[random(#BAD_DAYS)])
          sluice.sleep(random() * 0.04)
        end
        server:cli "CONFIG SET maxmemory 0"
      end)))
  end)
end)

-- -- a power cut under the server --

-- Redis appends: what was not synced may be there up to a point.
local function choose_prefix(pending)
  return table.move(pending, 1, random(0, #pending), 1, {})
end

-- Lets workers go on for a while; a trace of what the server did with its
-- files from then on, and those files as they were.
local function trace_server(place, server)
  local trace, files = place.path .. "/trace", server.directory
    .. "/appendonlydir/"
  server:kill "TERM"
  -- The server opens them so, from its directory.
  server.env = crash.shim("appendonlydir/", { trace = trace })
  start_again(server)
  os.execute(("cp -r %s %s/start; : >%s"):format(files, place.path, trace))
  place.url, place.notes = server.url, "trace:" .. trace
  local workers = start_workers(place, 2)
  sluice.sleep(0.4)
  kill_workers(workers)
  server:kill "KILL"
  server.env = nil
  return trace, files
end

-- What is wrong after a cut at that record of a trace.
local function cut_at(place, server, files, names, disk, expected)
  disk:image(files, names, random, choose_prefix)
  start_again(server)
  place.url = server.url
  local store = assert(jobs.open(place.url))
  local before = #expected.wrong
  expected:compare(store)
  store:close()
  server:kill "KILL"
  return #expected.wrong - before
end

-- Cuts the power so often; how many cuts lost something.
local function cut_server(place, server, times)
  local trace, files = trace_server(place, server)
  local names, records, lost = {}, 0, 0
  for name in crash.sh("ls " .. place.path .. "/start"):gmatch "%S+" do
    names[#names + 1] = name
  end
  for _ in images.records(trace) do records = records + 1 end
  local disk, expected = images.disk(place.path), model.new()
  disk:start(place.path .. "/start/", names)
  local at, step = 0, records // times
  for kind, name, offset, data in images.records(trace) do
    at = at + 1
    if kind == "M" then
      expected:note(data)
    else
      disk:change(kind, name, offset, data)
    end
    if at % step == 0 and
      cut_at(place, server, files, names, disk, expected) > 0 then
      lost = lost + 1
    end
  end
  return lost
end

describe("a power cut under a Redis server", function()
  crash.it("that syncs always loses nothing", function(place)
    local server <close> = redis.start(ALWAYS)
    assert.equal(0, cut_server(place, server, crash.times(6, 200)))
  end)

  crash.it("that syncs each second loses the last", function(place)
    local server <close> = redis.start "--appendfsync everysec"
    assert.is_true(cut_server(place, server, 6) > 0)
  end)
end)

-- -- connections that are cut --

-- Cuts a new connection after so many bytes of a direction; puts, reserves
-- and acknowledges a job through it.
local function use_through(proxy, queue, which, bytes)
  queue.store.engine.main:close()
  proxy.next = { up = math.huge, down = math.huge }
  proxy.next[which] = bytes
  local body = which .. bytes
  assert.is_number((queue:put(body)))
  local job = queue:reserve(1)
  assert.same({ body, 1 }, { job.body, job.attempts })
  local done, why = job:ack()
  assert.is_true(done or why == "unknown", why)
end

describe("a connection that is cut", function()
  for _, which in ipairs { "up", "down" } do
    crash.it(which .. " at any byte neither loses nor doubles", function()
      local server <close> = redis.start()
      local proxy <close> = redis.proxy(server.port)
      local store <close> = assert(jobs.open(proxy.url))
      local queue = store:queue("orders", { lease = 60 })
      local info = which == "down" and #server:cli "INFO" or 0
      local times = crash.times(25, 1000)
      for i = 1, times do
        use_through(proxy, queue, which, info + i * (1000 // times))
      end
      local stats = queue:stats()
      assert.same({ times, times, 0, 0 },
        { stats.puts, stats.acks, stats.ready, stats.leased })
    end)
  end
end)
