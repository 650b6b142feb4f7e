-- Several processes on one file: none meets an error, each goes on. The
-- control takes the lock of writers away: SQLite's own waiting is not fair.
local crash = require "spec.support.crash"
local jobs = require "sluice.jobs"

-- Works for so many seconds; tells how often.
local function program(seconds)
  return ([[
    local done, stop = 0, sluice.time() + %s
    local function check(value, reason, ...)
      if value == nil and reason ~= "timeout" then
        tell("error", reason, tostring((...)))
        os.exit(1)
      end
      return value
    end
    tell "begins"
    while sluice.time() < stop do
      check(queue:put("x", { delay = done %% 2 / 500 }))
      local job = check(queue:reserve(0))
      if job then check(job:ack()) end
      check(queue:stats())
      check(queue:peek("delayed", 3))
      done = done + 1
    end
    tell("did", done)
  ]]):format(seconds)
end

-- Runs n processes at once. How often each did something, sorted.
local function run(place, n, seconds, settings)
  local processes, done = {}, {}
  for i = 1, n do
    processes[i] = crash.program(place, program(seconds),
      settings and crash.shim(place.db, settings))
  end
  for i, process in ipairs(processes) do
    local printed = process:wait(seconds + 30)
    done[i] = tonumber(printed:match "^begins\ndid (%d+)\n$") or printed
  end
  for _, count in ipairs(done) do assert.is_number(count, count) end
  table.sort(done)
  return done
end

local function sum(list)
  local total = 0
  for _, value in ipairs(list) do total = total + value end
  return total
end

describe("processes on one file", function()
  for _, n in ipairs { 2, 4, 8 } do
    crash.it(n .. " of them share it without an error", function(place)
      local store <close> = assert(jobs.open(place.url)) -- to make it
      local done = run(place, n, crash.seconds(0.6, 10))
      assert.is_true(done[1] >= sum(done) / (4 * n), table.concat(done, " "))
      assert.is_true(store:check())
    end)
  end
end)

-- A disk that takes its time keeps the lock taken.
local SLOW = 4 -- milliseconds

describe("processes that wait for a slow disk", function()
  -- What the slowest did, of what the fastest did.
  local function fairness(place, flock)
    local store <close> = assert(jobs.open(place.url))
    local done = run(place, 8, 1, { sync = SLOW, flock = flock })
    assert.is_true(store:check())
    return done[1] / done[#done]
  end

  crash.it("go on in turn", function(place)
    assert.is_true(fairness(place) > 0.25)
  end)

  crash.it("starve each other without the lock of writers", function(place)
    local least = math.huge
    for _ = 1, 3 do -- luck may divide it evenly
      if least < 0.25 then break end
      least = fairness(place, "off")
    end
    assert.is_true(least < 0.25)
  end)
end)
