--[[
What sluice's engine sqlite: takes, in the forms that raw_sqlite.c has.
usage: lua sluice_sqlite.lua URL put OUTSTANDING JOBS BYTES
       lua sluice_sqlite.lua URL take PER_COMMIT JOBS BYTES
Prints: name, outstanding or per commit, jobs a second.
]]

local jobs = require "sluice.jobs"
local sluice = require "sluice"

local url, what, size, n, bytes = arg[1], arg[2], tonumber(arg[3]),
  tonumber(arg[4]), tonumber(arg[5] or 200)

-- `size` tasks put n jobs together, each one at a time.
local function put(queue, body)
  local left = n
  local function putter()
    while left > 0 do
      left = left - 1
      assert(queue:put(body))
    end
  end
  local tasks = {}
  for i = 1, size do tasks[i] = putter end
  local start = sluice.time()
  sluice.gather(tasks)
  return n / (sluice.time() - start)
end

local function take(queue, body)
  local bodies = {}
  for i = 1, 1000 do bodies[i] = body end
  for _ = 1, n // 1000 do assert(queue:put_many(bodies)) end
  local start, taken = sluice.time(), 0
  while taken < n do
    local list = assert(queue:reserve_many(size, 0))
    assert(queue:ack_many(list))
    taken = taken + #list
  end
  return taken / (sluice.time() - start)
end

sluice.run(function()
  local store <close> = assert(jobs.open(url))
  local queue = assert(store:queue "bench")
  local run = what == "put" and put or take
  print(("%s %d %.0f"):format(what, size, run(queue, ("x"):rep(bytes))))
end)
