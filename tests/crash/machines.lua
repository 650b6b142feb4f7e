--[[
Several machines on one Redis server: programs that run in the network of
network.sh, each printing "well" at its end, or what is wrong.

usage: network.sh lua machines.lua NAME [ROUNDS]
]]

local crash = require "spec.support.crash"
local jobs = require "sluice.jobs"
local model = require "tests.crash.model"
local redis = require "spec.support.redis"
local sluice = require "sluice"

local ROUNDS = tonumber(arg[2] or "") or 1
local LEASE = 0.4

local function start_server()
  return redis.start "--bind 0.0.0.0 --protected-mode no"
end

-- The place as the i-th machine sees it, and how a program is started there.
local function machine(place, server, i)
  local own = setmetatable({
    url = ("redis://10.77.%d.1:%d/0"):format(i, server.port),
  }, { __index = place })
  return own, ("ip netns exec m%d env"):format(i)
end

local function program(place, server, i, text)
  local own, env = machine(place, server, i)
  return crash.program(own, text, env)
end

local function cable(i, state)
  crash.sh(("ip link set cable%d %s"):format(i, state))
end

local programs = {}

-- One waits, the other puts; each has an address of its own.
function programs.wake(place, server)
  local first <close> = program(place, server, 1, [[
    tell "waits"
    tell(queue:reserve(10).body)
  ]])
  first:await "waits"
  sluice.sleep(0.1)
  local began = sluice.time()
  local second <close> = program(place, server, 2, 'queue:put "hello"')
  first:await("hello", 5)
  second:wait()
  assert(sluice.time() - began < 1, "it takes long")
end

function programs.addresses(place, server)
  local first <close> = program(place, server, 1, "queue:reserve(10)")
  local second <close> = program(place, server, 2, "queue:reserve(10)")
  crash.await("both machines", 5, function()
    local list = server:cli "CLIENT LIST"
    return list:find("addr=10.77.1.2:", 1, true)
      and list:find("addr=10.77.2.2:", 1, true)
  end)
  assert(first:state() and second:state())
end

-- The first works on a job, the second asks for it; what it gets.
local function work_and_ask(place, server, pulled)
  local store <close> = assert(jobs.open(server.url))
  store:queue("mail", { lease = LEASE }):put "precious"
  local first <close> = program(place, server, 1, ([[
    local worker = store:worker("mail", function(job)
      tell "works"
      sluice.sleep(%g)
    end)
    sluice.sleep(%g)
    worker:stop()
    tell "ends"
  ]]):format(LEASE * 5, LEASE * 4))
  first:await "works"
  if pulled then cable(1, "down") end
  local second <close> = program(place, server, 2, ([[
    local job = queue:reserve(%g)
    tell(job and job.body .. " again" or "nothing")
    if job then job:ack() end
  ]]):format(LEASE * 3))
  local printed = second:wait()
  cable(1, "up")
  first:wait(20)
  return printed, store:queue("mail"):stats().acks
end

-- Whose cable is pulled out loses what he works on.
function programs.pulled(place, server)
  local printed, acks = work_and_ask(place, server, true)
  assert(printed == "precious again\n", printed)
  assert(acks == 1, acks)
end

function programs.plugged(place, server)
  local printed, acks = work_and_ask(place, server, false)
  assert(printed == "nothing\n", printed)
  assert(acks == 1, acks)
end

local function start_worker(place, server, i, seed)
  local own, env = machine(place, server, i)
  return crash.worker(own, env, seed, 1000000, "bad=yes")
end

-- The dead say no more: what they had sent over a cable that was out, their
-- systems would go on sending for a while.
local function silence(workers, server)
  for _, worker in ipairs(workers) do worker:kill() end
  server:cli "CLIENT KILL TYPE normal"
end

-- What two machines were promised is there, though cables come and go.
function programs.work(place, server)
  local expected = model.new()
  for round = 1, ROUNDS do
    local workers = {}
    for i = 1, 2 do
      workers[i] = start_worker(place, server, i, round * 10 + i)
    end
    sluice.sleep(0.3)
    for _ = 1, 4 do
      local which = math.random(2)
      cable(which, "down")
      sluice.sleep(math.random() * 0.3)
      cable(which, "up")
      sluice.sleep(math.random() * 0.2)
    end
    silence(workers, server)
    expected:read(place.notes)
    local store <close> = assert(jobs.open(server.url))
    local wrong, seen = expected:compare(store)
    assert(#wrong == 0, table.concat(wrong, "\n", 1, math.min(9, #wrong)))
    expected:settle(seen)
  end
  assert(next(expected.ids), "nothing was done")
end

sluice.run(function()
  local place <close> = crash.place()
  local server <close> = start_server()
  programs[arg[1]](place, server)
  print "well"
end)
