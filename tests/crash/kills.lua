--[[
The campaign of kills: in each round some workers start on the same store,
are killed in the middle of it, and the store is looked at.

Every second round the kill comes at a time, soon after the start or in the
work; else one of the workers kills itself before or within a change of a
file, or while it holds the lock of writers, and the others a while later.
]]

local crash = require "spec.support.crash"
local jobs = require "sluice.jobs"
local model = require "tests.crash.model"
local sluice = require "sluice"

local kills = {}

local LONG = 1000000 -- operations: until it is killed
local random = math.random

--- What a worker does to itself: kind of call -> up to which.
local FAULTS = {
  { "lock:%d:KILL", 40 },
  { "any:%d:KILL", 500 },
  { "write:%d:TEAR", 500 },
}

local function fault()
  local kind, most = table.unpack(FAULTS[random(#FAULTS)])
  return kind:format(random(most))
end

local function start(place, round, n, settings)
  local workers = {}
  for i = 1, n do
    local own = { fault = i == 1 and round % 2 == 0 and fault() or nil }
    for name, value in pairs(settings) do own[name] = value end
    workers[i] = crash.worker(place, crash.shim(place.db, own),
      round * 10 + i, LONG)
  end
  return workers
end

local function size_of(path)
  local file <close> = io.open(path)
  return file and file:seek("end") or 0
end

local function kill(place, workers, round)
  local before = size_of(place.notes)
  if round % 4 ~= 1 then
    crash.await("the first note", 10, function()
      return size_of(place.notes) > before or not workers[1]:state()
    end)
  end
  sluice.sleep(random() * 0.06)
  local pids = {}
  for i, worker in ipairs(workers) do pids[i] = worker.pid end
  os.execute("kill -KILL " .. table.concat(pids, " ") .. " 2>/dev/null")
  for _, worker in ipairs(workers) do worker:wait() end
end

-- SQLite's own program counts, too.
local COUNTERS = [[
  SELECT q.name, s.state
  FROM queue q, (SELECT 0 state UNION VALUES (1), (2), (3)) s
  WHERE (SELECT count(*) FROM job WHERE queue = q.id AND job.state = s.state)
    <> CASE s.state WHEN 0 THEN ready WHEN 1 THEN delayed WHEN 2 THEN leased
       ELSE dead END]]

local function count_by_sqlite(expected, place)
  local told = crash.sh(("sqlite3 %s '%s' 2>&1"):format(place.db, COUNTERS))
  if told ~= "" then expected:complain("sqlite3 counts: %s", told) end
end

-- Those who had a lease are dead: it is over when the store is open.
local function check_rescue(expected, store)
  for _, name in ipairs(model.QUEUES) do
    local leased = assert(store:queue(name)):stats().leased
    if leased ~= 0 then
      expected:complain("%s: %d jobs are leased by the dead", name, leased)
    end
  end
end

local function look(place, expected)
  local store <close>, message = jobs.open(place.url)
  if not store then return expected:complain("open: %s", message) end
  check_rescue(expected, store)
  local _, seen = expected:compare(store)
  expected:settle(seen)
  count_by_sqlite(expected, place)
end

--- Runs so many rounds of n workers. In a task.
-- @param settings of the shim, for all
-- @return a list of what is wrong, and what was promised in all
function kills.run(place, rounds, n, settings)
  local expected = model.new()
  for round = 1, rounds do
    local workers = start(place, round, n, settings or {})
    kill(place, workers, round)
    if size_of(place.notes) > 0 then expected:read(place.notes) end
    look(place, expected)
    if #expected.wrong > 0 then break end
  end
  return expected.wrong, expected
end

return kills
