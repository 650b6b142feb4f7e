-- A process that is killed; the control is told of a commit before it is one.
local crash = require "spec.support.crash"
local jobs = require "sluice.jobs"
local kills = require "tests.crash.kills"
local sluice = require "sluice"

local ROUNDS = 10 -- the long form: 400 of each, 2000 kills

describe("kill -9", function()
  crash.it("of one process at any time loses no promise", function(place)
    local rounds = math.max(4, crash.times(ROUNDS, 400))
    local wrong, expected = kills.run(place, rounds, 1)
    assert.same({}, wrong)
    assert.is_true(next(expected.ids) ~= nil)
  end)

  crash.it("of four processes at any time loses no promise", function(place)
    assert.same({}, (kills.run(place, crash.times(ROUNDS, 400), 4)))
  end)

  crash.it("loses what is promised before it is committed", function(place)
    local wrong = kills.run(place, 100, 1, { commit = "late" })
    assert.is_true(#wrong > 0)
  end)
end)

-- A process that has the only job.
local function hold(place, env)
  local holder = crash.program(place, [[
    assert(queue:reserve(5))
    tell "holds it"
    while true do sluice.sleep(1) end
  ]], env)
  holder:await "holds it"
  return holder
end

-- Kills who has the only job, leased for an hour; seconds until another, who
-- waits, has it, or nil.
local function rescue(place, store)
  local queue = store:queue("mail", { lease = 3600 })
  queue:put "precious"
  local holder <close> = hold(place)
  local waiting = sluice.create_task(queue.reserve, queue, 2)
  sluice.sleep(0.05)
  local began = sluice.time()
  holder:kill()
  local job = waiting:await()
  return job and sluice.time() - began, job
end

describe("the lease of a process that is killed", function()
  crash.it("is over at once, for those who wait", function(place)
    local store <close> = assert(jobs.open(place.url))
    for _ = 1, crash.times(3, 50) do
      local took, job = rescue(place, store)
      assert.is_true(took and took < 0.5)
      assert.equal(2, job.attempts)
      assert.is_true(job:ack())
    end
  end)

  crash.it("is over at once, for who opens the store later", function(place)
    local first <close> = assert(jobs.open(place.url))
    first:queue("mail", { lease = 3600 }):put "precious"
    local holder = hold(place)
    first:close()
    holder:kill()
    local second <close> = assert(jobs.open(place.url))
    assert.equal("precious", second:queue("mail"):reserve(0).body)
  end)
end)

describe("the lease of a process of which it is not known", function()
  crash.it("is not over when it is killed", function(place)
    local store = assert(jobs.open(place.url))
    store:queue("mail", { lease = 3600 }):put "precious"
    store:close()
    hold(place):kill()
    local deceived = crash.program(place, "tell(queue:reserve(0.3) or 'none')",
      crash.shim(place.db, { lives = "always" }))
    assert.equal("none\n", deceived:wait())
  end)
end)
