--[[
A full disk: programs that run on the small disk of disk.sh, each printing
"well" at its end, or what is wrong. A filler leaves them little room.

usage: disk.sh DIRECTORY 24m lua full.lua NAME DIRECTORY
]]

local crash = require "spec.support.crash"
local jobs = require "sluice.jobs"
local model = require "tests.crash.model"
local sluice = require "sluice"

local DIRECTORY = arg[2]
local BODY = ("x"):rep(5000)

local function fill(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  file:write(("f"):rep(bytes))
end

-- Puts until there is no room. How many there are.
local function put_all(queue)
  local n = 0
  while true do
    local id, reason, message = queue:put(BODY)
    if not id then
      assert(reason == "disk_full", ("%s: %s"):format(reason, message))
      return n
    end
    n = n + 1
  end
end

-- Acknowledges all that is there. How many; and why there are no more.
local function ack_all(queue)
  local n = 0
  while true do
    local job, reason = queue:reserve(0)
    local done = job
    if job then done, reason = job:ack() end
    if not done then return n, reason end
    n = n + 1
  end
end

local programs = {}

-- What is there is worked on to the end; then there is room in the file.
function programs.acks(place)
  local store <close> = assert(jobs.open(place.url))
  local queue = store:queue "mail"
  local n = put_all(queue)
  assert(n > 500, n)
  local acks, reason = ack_all(queue)
  assert(acks == n and reason == "timeout", ("%d of %d acks, %s"):format(acks,
    n, reason))
  assert(store:check())
  local again = put_all(queue)
  assert(again > n / 2, ("%d puts, then %d"):format(n, again))
  assert(store:check())
end

-- The control: nothing to give up, since no ballast can be made.
function programs.no_ballast(place)
  os.execute(("mkdir -p %s-ballast"):format(place.db))
  local store <close> = assert(jobs.open(place.url))
  local queue = store:queue "mail"
  local n = put_all(queue)
  local acks = ack_all(queue)
  assert(acks < n, "nothing was given up, and yet all went on")
end

function programs.room(place)
  local filler = place.path .. "/filler"
  fill(filler, 8000000)
  local store <close> = assert(jobs.open(place.url))
  local queue = store:queue "mail"
  local n = put_all(queue)
  os.remove(filler)
  local more = put_all(queue)
  assert(more > n / 2, ("%d puts, then %d"):format(n, more))
  assert(queue:stats().ready == n + more)
  assert(store:check())
end

-- Several processes, that are killed then.
function programs.processes(place)
  local filler, expected = place.path .. "/filler", model.new()
  place.notes = DIRECTORY .. "-notes"
  fill(filler, 14000000)
  local workers = {}
  for i = 1, 3 do
    workers[i] = crash.worker(place, nil, i, 1000000, "bad=yes",
      "greedy=yes")
  end
  sluice.sleep(1.5)
  for _, worker in ipairs(workers) do worker:kill() end
  expected:read(place.notes)
  local store <close> = assert(jobs.open(place.url))
  local full = select(2, store:queue("mail"):put(("y"):rep(3000000)))
  local wrong, seen = expected:compare(store)
  assert(#wrong == 0, table.concat(wrong, "\n"))
  expected:settle(seen)
  os.remove(filler)
  assert(store:queue("mail"):put "a")
  assert(full == "disk_full", "it was not full")
end

sluice.run(function()
  local place = crash.place(DIRECTORY)
  programs[arg[1]](place)
  print "well"
end)
