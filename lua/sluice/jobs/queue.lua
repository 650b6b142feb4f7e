--- sluice.jobs.queue: a queue of a store, as scripts see it.
--
-- Checks arguments and says them in the engine's terms; who waits in reserve
-- is seen to in waiters.lua. A queue object belongs to its store; there is
-- one for each name, so that all who wait for a queue are in one line.

local address = require "sluice.jobs.redis.address"
local checkpoint = require("sluice.core").checkpoint
local Job = require "sluice.jobs.job"
local methods = require "sluice.methods"
local options = require "sluice.jobs.options"
local Waiters = require "sluice.jobs.waiters"

local Queue = {}
Queue.__index = Queue
Queue.__name = "sluice.jobs.Queue"

--- Ids begin above any number of jobs that a script could mean.
local FIRST_ID = 1000000001

--- A queue over what the engine calls it.
function Queue.new(store, name, q)
  local self = { store = store, engine = store.engine, name = name, q = q }
  self.waiters = Waiters.new(self.engine, q)
  return setmetatable(self, Queue)
end

function Queue:__tostring()
  return ("sluice.jobs.Queue ('%s' of %s)"):format(self.name,
    address.shown(self.store.url))
end

-- -- put --

local PUT = {
  priority = options.number,
  delay = options.seconds,
  at = options.number,
  ttl = options.positive_seconds,
  lease = options.positive_seconds,
  max_attempts = options.positive_count,
  unique = options.key,
  unique_for = options.seconds,
}

-- Says the checked options in the engine's terms.
local function complete(queue, entry, n, name)
  if entry.at then
    if entry.delay then
      options.bad(n, name, "options 'at' and 'delay' exclude each other")
    end
    local now = queue.engine:now()
    entry.delay = now and math.max(0, entry.at - now)
    entry.at = nil
  end
  if entry.unique_for and not entry.unique then
    options.bad(n, name, "option 'unique_for' needs 'unique'")
  end
  local most = entry.max_attempts
  if most then
    entry.max_attempts = most == math.huge and 0 or math.tointeger(most)
  end
end

-- `n` says which argument the options are; or which item of a list all is.
local function make_entry(queue, body, opts, n, name)
  if opts == nil and type(body) == "string"
    and #body <= queue.store.max_body then
    return body
  end
  local entry = options.check(opts, PUT, n, name)
  complete(queue, entry, n, name)
  entry.body, entry.format = options.encode_body(body,
    queue.store.max_body, type(n) == "table" and n or 1, name)
  return entry
end

--- Puts a job.
-- @param body a string, or a table that can be said in JSON
-- @param[opt] opts `priority` (0; the lowest goes first), `delay` in seconds
-- or `at` in seconds since 1970; `ttl`: seconds after which it is dropped
-- unless somebody works on it; `lease`, `max_attempts` (the queue's);
-- `unique`: a key that only one job can have, `unique_for`: seconds for which
-- it stays taken, even when the job is gone
-- @return its id, and true if `unique` found that job there already; or nil
-- and "full", "disk_full", "unavailable", "unknown", "closed"
-- Waits for the commit.
function Queue:put(body, opts)
  local entry = make_entry(self, body, opts, 2, "put")
  checkpoint("put")
  local ids, found, message = self.engine:put(self.q, { entry })
  if not ids then return nil, found, message end
  if found then return ids[1], found[1] end
  return ids[1]
end

-- A table with a field `body` is a body with options, any other a body.
local function entry_of(queue, item, at)
  if type(item) ~= "table" or item.body == nil then
    return make_entry(queue, item, nil, at, "put_many")
  end
  local opts = {}
  for key, value in pairs(item) do
    if key ~= "body" then opts[key] = value end
  end
  return make_entry(queue, item.body, opts, at, "put_many")
end

--- Puts jobs, all of them or none, in one commit.
-- @param list of bodies, or of tables with `body` and the options of put
-- @return a list of ids, and nil or a table with true at the index of each
-- that `unique` found there already; or nil and a reason as of put
-- Waits for the commit.
function Queue:put_many(list)
  options.check_type(list, "table", 1, "put_many")
  local most = self.engine.most_put
  if most and #list > most then
    options.bad(1, "put_many", ("%d jobs, at most %d are allowed"):format(
      #list, most))
  end
  local entries, at = {}, { arg = 1 }
  for i, item in ipairs(list) do
    at.item = i
    entries[i] = entry_of(self, item, at)
  end
  options.check_list(list, #entries, 1, "put_many")
  checkpoint("put_many")
  if #entries == 0 then return {} end
  local ids, found, message = self.engine:put(self.q, entries)
  if not ids then return nil, found, message end
  return ids, found
end

-- -- reserve --

local function wrap_all(queue, raws)
  for i, raw in ipairs(raws) do raws[i] = Job.wrap(raw, queue) end
  return raws
end

--- Waits for a job, and leases it.
-- @param[opt] timeout in seconds; nil is for ever
-- @return a job; or nil and "timeout", "closed"
-- Waits.
function Queue:reserve(timeout)
  options.check_timeout(timeout, 1, "reserve")
  checkpoint("reserve")
  local raws, reason, message = self.waiters:take(1, timeout)
  if not raws then return nil, reason, message end
  return Job.wrap(raws[1], self)
end

--- Waits for a job, and leases it and what else is there.
-- @param n how many at most
-- @param[opt] timeout in seconds; nil is for ever
-- @return a list of 1 to n jobs; or nil and "timeout", "closed"
-- Waits.
function Queue:reserve_many(n, timeout)
  options.check_count(n, 1, "reserve_many")
  options.check_timeout(timeout, 2, "reserve_many")
  checkpoint("reserve_many")
  local raws, reason, message =
    self.waiters:take(math.tointeger(n), timeout)
  if not raws then return nil, reason, message end
  return wrap_all(self, raws)
end

local function check_jobs(jobs, queue, name)
  options.check_type(jobs, "table", 1, name)
  local count = 0
  for i, job in ipairs(jobs) do
    count = i
    if getmetatable(job) ~= Job or job.queue ~= queue then
      options.bad(1, name, ("item %d is not a job of this queue"):format(i))
    end
  end
  options.check_list(jobs, count, 1, name)
end

-- The jobs at those indexes; marks the others as ended.
local function part(jobs, indexes)
  local lost, is_lost = {}, {}
  for i, index in ipairs(indexes) do
    lost[i], is_lost[index] = jobs[index], true
  end
  for i, job in ipairs(jobs) do
    if not is_lost[i] then job.ended = true end
  end
  return lost
end

--- Acknowledges jobs in one commit.
-- @param jobs a list
-- @return true; or nil, "lease_lost" and the list of those that were lost
-- (the others are gone)
-- Waits for the commit.
function Queue:ack_many(jobs)
  check_jobs(jobs, self, "ack_many")
  checkpoint("ack_many")
  if #jobs == 0 then return true end
  local done, reason, detail = self.engine:ack(self.q, jobs)
  if done then
    part(jobs, {})
    return true
  end
  if reason == "lease_lost" then return nil, reason, part(jobs, detail) end
  return nil, reason, detail
end

-- -- from outside --

--- Takes a job out that nobody works on.
-- @return true; or nil and "not_found", "leased"
-- Waits for the commit.
function Queue:cancel(id)
  options.check_id(id, 1, "cancel")
  checkpoint("cancel")
  return self.engine:cancel(self.q, id)
end

--- Makes dead jobs ready, with all their attempts.
-- @param which how many, the longest dead first, or an id
-- @return how many there were
-- Waits for the commit.
function Queue:kick(which)
  options.check_count(which, 1, "kick")
  checkpoint("kick")
  which = math.tointeger(which)
  if which < FIRST_ID then return self.engine:kick(self.q, which) end
  return self.engine:kick(self.q, nil, which)
end

--- Looks at jobs in the order in which they would go.
-- @param state "ready", "delayed", "leased" or "dead"
-- @param[opt] n how many at most (100)
-- @return a list of jobs that are not leased by this
-- Waits.
function Queue:peek(state, n)
  options.check_state(state, 1, "peek")
  if n ~= nil then options.check_count(n, 2, "peek") end
  checkpoint("peek")
  local raws, reason, message =
    self.engine:peek(self.q, state, math.tointeger(n or 100))
  if not raws then return nil, reason, message end
  return wrap_all(self, raws)
end

--- Looks at the job with that id.
-- @return a job that is not leased by this; or nil, "not_found"
-- Waits.
function Queue:job(id)
  options.check_id(id, 1, "job")
  checkpoint("job")
  local raw, reason, message = self.engine:job(self.q, id)
  if not raw then return nil, reason, message end
  return Job.wrap(raw, self)
end

--- Nobody gets a job until `resume`, in any process.
-- @return true
-- Waits for the commit.
function Queue:pause()
  checkpoint("pause")
  return self.engine:pause(self.q)
end

--- Ends `pause`.
-- @return true
-- Waits for the commit.
function Queue:resume()
  checkpoint("resume")
  return self.engine:resume(self.q)
end

--- Takes all jobs of a state out.
-- @param state "ready", "delayed" or "dead"
-- @return how many there were
-- Waits for the commit.
function Queue:purge(state)
  options.check_state(state, 1, "purge")
  if state == "leased" then
    options.bad(1, "purge", "leased jobs belong to who works on them")
  end
  checkpoint("purge")
  return self.engine:purge(self.q, state)
end

--- Waits until nothing is left to do: no job is ready, delayed or leased.
-- @param[opt] timeout in seconds; nil is for ever
-- @return true; or nil and "timeout", "closed"
-- Waits.
function Queue:drain(timeout)
  options.check_timeout(timeout, 1, "drain")
  checkpoint("drain")
  return self.engine:drain(self.q, timeout)
end

--- Figures, in constant time.
-- @return `{ ready =, delayed =, leased =, dead =, puts =, acks =,
-- retries =, expired =, cancelled =, paused = }`
-- Waits.
function Queue:stats()
  checkpoint("stats")
  return self.engine:stats(self.q)
end

return methods.guard(Queue, "new")
