-- Whether reserving gets slower as the store fills: the time of a call of
-- reserve with a million ready, a million delayed and a hundred thousand
-- leased jobs, beside one with a thousand, a thousand and a hundred. Commits
-- are not carried to the disk, which would hide it.
--
-- usage: deep.lua DIRECTORY
-- Prints the time with many as a part of that with few, and both in
-- microseconds: medians of interleaved rounds.

local sluice = require "sluice"
local jobs = require "sluice.jobs"
local clock = require "bench_clock"

local directory = arg[1]
local MANY, FEW, PART = 1000000, 1000, 1000
local ROUNDS, EACH = 15, 200

local function fill(queue, n, opts)
  local list = {}
  for i = 1, PART do
    list[i] = { body = ("x"):rep(200), priority = i % 7 }
    for name, value in pairs(opts) do list[i][name] = value end
  end
  for _ = 1, n, PART do assert(queue:put_many(list)) end
end

local function make(name, n)
  local store = assert(jobs.open(
    ("sqlite:%s/%s.db"):format(directory, name), { durable = false }))
  local queue = assert(store:queue("deep", { lease = 100000 }))
  fill(queue, n + n // 10, {})
  fill(queue, n, { delay = 100000 })
  for _ = 1, n // 10, PART do assert(queue:reserve_many(PART, 0)) end
  return queue
end

-- Microseconds a call; what was reserved goes back.
local function measure(queue, list)
  local taken = {}
  for i = 1, EACH do
    local began = clock.wall()
    taken[i] = assert(queue:reserve(0))
    list[#list + 1] = (clock.wall() - began) / 1e3
  end
  for _, job in ipairs(taken) do job:release() end
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

sluice.run(function()
  local few, many = make("few", FEW), make("many", MANY)
  local with_few, with_many = {}, {}
  measure(few, {})
  measure(many, {})
  for _ = 1, ROUNDS do
    measure(few, with_few)
    measure(many, with_many)
  end
  print(("%.2f %.1f %.1f"):format(median(with_many) / median(with_few),
    median(with_many), median(with_few)))
  few.store:close()
  many.store:close()
end)
