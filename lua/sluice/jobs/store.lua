--- sluice.jobs.store: an open store: its queues, its workers, its end.

local address = require "sluice.jobs.redis.address"
local checkpoint = require("sluice.core").checkpoint
local backoff = require "sluice.jobs.backoff"
local methods = require "sluice.methods"
local options = require "sluice.jobs.options"
local Queue = require "sluice.jobs.queue"
local sluice = require "sluice"
local Worker = require "sluice.jobs.worker"

local Store = {}
Store.__index = Store
Store.__name = "sluice.jobs.Store"

--- A store over an engine.
function Store.new(engine, url, opts)
  return setmetatable({
    engine = engine, url = url, max_body = opts.max_body, open = {},
  }, Store)
end

function Store:__tostring()
  return ("sluice.jobs.Store (%s%s)"):format(address.shown(self.url),
    self.closed and ", closed" or "")
end

local QUEUE = {
  maxsize = options.count,
  lease = options.positive_seconds,
  max_attempts = options.positive_count,
  backoff = backoff.check,
}

-- The settings as engines store them: 0 is no limit.
local function settings_of(opts)
  local function count(value)
    if value == math.huge then return 0 end
    return value and math.tointeger(value)
  end
  return {
    maxsize = count(opts.maxsize), lease = opts.lease,
    max_attempts = count(opts.max_attempts),
  }
end

--- The queue of that name, made if it is new.
-- @param name 1 to 128 bytes
-- @param[opt] opts what is given is stored, what is not stays as it is
-- stored: `maxsize`: how many jobs may be ready or delayed (no limit; 0: no
-- limit); `lease`: seconds that a reserved job is the worker's (60);
-- `max_attempts`: how often it is tried (25). Not stored: `backoff`: seconds
-- until the next attempt, a function (attempts, job) -> seconds, or
-- `{ base = 1, factor = 2, max = 3600, jitter = 0.5 }`
-- @return the queue; or nil, reason, message
-- Waits for the commit.
function Store:queue(name, opts)
  options.check_name(name, 1, "queue")
  opts = options.check(opts, QUEUE, 2, "queue")
  checkpoint("queue")
  local q, reason, message = self.engine:queue(name, settings_of(opts))
  if not q then return nil, reason, message end
  local queue = self.open[name] or Queue.new(self, name, q)
  self.open[name] = queue
  if opts.backoff or not queue.backoff then
    queue.backoff = backoff.new(opts.backoff)
  end
  return queue
end

--- The names of the queues that there are, sorted.
-- @return a list; or nil, reason, message
-- Waits.
function Store:queues()
  checkpoint("queues")
  local names, reason, message = self.engine:queues()
  if not names then return nil, reason, message end
  table.sort(names)
  return names
end

--- Starts a worker: `handler(job)` runs for each job of a queue, in a task;
-- when it returns, the job is acknowledged, when it raises, it is tried again
-- later, with the error kept.
-- @param name of the queue
-- @param handler a function
-- @param[opt] opts `concurrency`: how many run at once (1); `prefetch`: how
-- many more are reserved ahead (0); `heartbeat`: leases are renewed while a
-- handler runs (true)
-- @return a worker; or nil, reason, message
-- Waits until the queue is open. Its tasks belong to the caller's group.
function Store:worker(name, handler, opts)
  options.check_name(name, 1, "worker")
  options.check_type(handler, "function", 2, "worker")
  opts = options.check(opts, Worker.OPTIONS, 3, "worker")
  checkpoint("worker")
  local queue, reason, message = self:queue(name)
  if not queue then return nil, reason, message end
  return Worker.start(queue, handler, opts)
end

--- Checks all that is stored.
-- @return true; or nil, "damaged" and what is wrong
-- Waits; may take long.
function Store:check()
  checkpoint("check")
  return self.engine:check()
end

local function finish(store)
  store.closed = true
  return sluice.shield(store.engine.close, store.engine)
end

--- Closes the store. What was begun is finished; who waits in reserve gets
-- nil, "closed".
-- @return true
-- Waits.
function Store:close()
  checkpoint("close")
  return finish(self)
end

Store.__close = finish

return methods.guard(Store, "new")
