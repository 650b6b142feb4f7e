--- sluice.jobs.redis.keeper: renews the leases of jobs that are in work.
--
-- The one idea: one timer a queue, at a third of the shortest lease, touches
-- all that are kept in one call. It runs in the loop: a handler that computes
-- for longer than its lease without waiting loses its job, which engines with
-- a thread of their own do better.
--
-- Internal to sluice.jobs.

local sluice = require "sluice"

local Keeper = {}
Keeper.__index = Keeper

local PART = 3 -- of a lease, after which it is renewed

local function shortest_lease(jobs)
  local shortest = math.huge
  for _, job in pairs(jobs) do
    shortest = math.min(shortest, job.lease or 60)
  end
  return shortest
end

local function stop(self)
  if self.timer then self.timer:cancel() end
  self.timer = nil
end

local schedule

local function renew(self)
  self.timer = nil
  local list = {}
  for _, job in pairs(self.jobs) do list[#list + 1] = job end
  if #list == 0 or self.engine.closing then return end
  local ok, reason, lost = self.engine:touch(self.queue, list)
  if not ok and reason == "lease_lost" then
    for _, i in ipairs(lost) do self.jobs[list[i].id] = nil end
  end
  schedule(self, self.jobs)
end

-- Sees to it that the timer is not too late for these.
function schedule(self, jobs)
  if next(jobs) == nil or self.engine.closing then return end
  local wait = shortest_lease(jobs) / PART
  local due = sluice.time() + wait
  if self.timer and self.due <= due then return end
  stop(self)
  self.timer, self.due = sluice.call_later(wait, renew, self), due
end

--- Renews the leases of these until they are forgotten. Never waits.
function Keeper:keep(queue, jobs)
  self.queue = queue
  self.engine.keepers[self] = true
  for _, job in ipairs(jobs) do self.jobs[job.id] = job end
  schedule(self, jobs)
end

--- Their leases are not renewed any more. Never waits.
function Keeper:forget(jobs)
  for _, job in ipairs(jobs) do self.jobs[job.id] = nil end
  if next(self.jobs) == nil then stop(self) end
end

--- No lease is renewed any more. Never waits.
function Keeper:close()
  self.jobs = {}
  stop(self)
end

--- A keeper of a queue of the engine, which knows it once it keeps something.
local function new(engine)
  return setmetatable({ engine = engine, jobs = {} }, Keeper)
end

return { new = new }
