-- Processes that are stopped for a while, and a clock that is set.
local crash = require "spec.support.crash"
local jobs = require "sluice.jobs"
local sluice = require "sluice"

-- A process that stops itself while it holds the lock of writers.
local function stop_with_lock(place)
  local process = crash.program(place, [[
    tell "begins"
    for i = 1, 100 do queue:put "theirs" end
    tell "goes on"
  ]], crash.shim(place.db, { fault = "lock:6:STOP" }))
  crash.await("the stop", 10, function() return process:state() == "T" end)
  return process
end

describe("a process that is stopped with the lock", function()
  crash.it("has others wait, who go on when it goes on", function(place)
    local store <close> = assert(jobs.open(place.url))
    local queue = store:queue "mail"
    for _ = 1, crash.times(1, 20) do
      local process <close> = stop_with_lock(place)
      local task = sluice.create_task(queue.put, queue, "mine")
      sluice.sleep(0.1)
      assert.is_false(task:done())
      process:signal "CONT"
      assert.is_number((task:await(5)))
      process:await "goes on"
    end
    assert.is_true(store:check())
  end)

  crash.it("has others wait for the lock only", function(place)
    local store <close> = assert(jobs.open(place.url))
    local queue = store:queue "mail"
    local process <close> = stop_with_lock(place)
    assert.is_number(queue:stats().ready)
    assert.is_table(queue:peek "ready")
    assert.same({ nil, "timeout" },
      { sluice.wait_for(0.1, queue.put, queue, "never") })
    process:signal "CONT"
    process:await "goes on"
    assert.equal(100, queue:stats().ready)
  end)

  crash.it("holds nobody up once it is killed", function(place)
    local store <close> = assert(jobs.open(place.url))
    local queue = store:queue "mail"
    local process <close> = stop_with_lock(place)
    local task = sluice.create_task(queue.put, queue, "mine")
    process:kill()
    assert.is_number((task:await(5)))
  end)
end)

-- A process that works on a job, whose lease it renews, until a file is gone.
local function work(place)
  local stop = place.path .. "/work"
  io.open(stop, "w"):close()
  return crash.program(place, ([[
    local worker = store:worker("mail", function(job)
      tell "works"
      while io.open "%s" do sluice.sleep(0.01) end
    end)
    while io.open "%s" do sluice.sleep(0.01) end
    worker:stop()
    tell "ends"
  ]]):format(stop, stop)), stop
end

describe("the lease of a process that is stopped", function()
  local LEASE = 0.4

  -- Another asks for its job in the meantime. What he gets; the store's
  -- acks at the end.
  local function steal(place, stopped)
    local store <close> = assert(jobs.open(place.url))
    local queue = store:queue("mail", { lease = LEASE })
    queue:put "precious"
    local process <close>, stop = work(place)
    process:await "works"
    if stopped then process:signal "STOP" end
    local job = queue:reserve(2 * LEASE)
    process:signal "CONT"
    os.remove(stop)
    process:await "ends"
    return job, queue:stats().acks
  end

  crash.it("ends, and what it does then is refused", function(place)
    local job, acks = steal(place, true)
    assert.equal(2, job.attempts)
    assert.equal(0, acks)
  end)

  crash.it("does not if it goes on", function(place)
    local job, acks = steal(place, false)
    assert.is_nil(job)
    assert.equal(1, acks)
  end)
end)

local HOUR = 3600

local function set_clock(place, seconds)
  local file <close> = assert(io.open(place.path .. "/clock", "r+b"))
  file:write(string.pack("<i8", seconds * 1000000000))
end

-- A process with a clock that can be set, and what is due in half a second.
local function live(place, settings)
  local path = place.path .. "/clock"
  local file <close> = assert(io.open(path, "wb"))
  file:write(string.pack("<i8", 0))
  file:flush()
  settings.clock = path
  return crash.program(place, [[
    queue = store:queue("mail", { lease = 0.5 })
    queue:put "leased"
    queue:reserve(0)
    queue:put("delayed", { delay = 0.5 })
    queue:put("short", { ttl = 0.5, priority = 9 })
    local began = os.time()
    tell "begins"
    repeat sluice.sleep(0.01) until math.abs(os.time() - began) > 1000
    queue:put("at", { at = os.time() + 2 })
    local start, seen = sluice.time(), {}
    while #seen < 3 do
      local job = queue:reserve(4)
      if not job then break end
      seen[#seen + 1] = ("%s %.1f"):format(job.body, sluice.time() - start)
      job:ack()
    end
    tell(table.concat(seen, ", "))
  ]], crash.shim(place.db, settings))
end

-- What it has seen when, in seconds from when the clock was set.
local function jump(place, seconds, settings)
  local process <close> = live(place, settings or {})
  process:await "begins"
  set_clock(place, seconds)
  process:wait(10)
  local seen = {}
  for body, at in process:printed():gmatch "(%a+) (%d+%.%d)" do
    seen[body] = tonumber(at)
  end
  return seen
end

describe("a clock that is set", function()
  for name, seconds in pairs { forwards = HOUR, backwards = -HOUR } do
    crash.it(name .. " moves no delay, lease or ttl", function(place)
      local seen = jump(place, seconds)
      assert.equal(0, seen.short)
      assert.is_true(seen.leased > 0.2 and seen.leased < 1)
      assert.is_true(seen.delayed > 0.2 and seen.delayed < 1)
    end)
  end

  crash.it("would, with the machine's own time", function(place)
    local seen = jump(place, HOUR, { jumps = "boot" })
    assert.is_nil(seen.short)
    assert.equal(0, seen.leased)
    assert.equal(0, seen.delayed)
  end)
end)
