--- sluice.jobs.job: a job that was reserved, or looked at.
--
-- A job is the table that the engine made, with these methods. Its lease is
-- proved by its token: when another reserve has had the job since, or the
-- lease was ended, each of them returns nil, "lease_lost".
--
-- Fields: id, body, attempts, max_attempts, priority, created, state, queue;
-- token, deadline of a reserved one; due of a delayed one; error, unique
-- where there are. `ended` is true once one of the methods has ended it.

local checkpoint = require("sluice.core").checkpoint
local methods = require "sluice.methods"
local options = require "sluice.jobs.options"

local Job = {}
Job.__index = Job
Job.__name = "sluice.jobs.Job"

--- Makes the engine's table a job.
function Job.wrap(raw, queue)
  raw.queue = queue
  if raw.format then
    raw.body = options.decode_body(raw.body, raw.format)
    raw.format = nil
  end
  if raw.max_attempts == 0 then raw.max_attempts = math.huge end
  return setmetatable(raw, Job)
end

function Job:__tostring()
  return ("sluice.jobs.Job (%d of '%s', %s, attempt %d)"):format(self.id,
    self.queue.name, self.ended and "ended" or self.state, self.attempts)
end

-- Calls a method of the engine that ends the lease.
local function finish(job, method, ...)
  local queue = job.queue
  local engine = queue.engine
  local done, reason, message = engine[method](engine, queue.q, { job }, ...)
  if done then
    job.ended = true
    return true
  end
  if reason == "lease_lost" then return nil, reason end
  return nil, reason, message
end

--- The work is done: the job is gone.
-- @return true; or nil, "lease_lost"
-- Waits for the commit.
function Job:ack()
  checkpoint("ack")
  return finish(self, "ack")
end

local NACK = {
  delay = options.seconds,
  error = function() end,
}

-- An error as text, "" as none; what a table says about itself may raise.
local function error_text(err)
  if err == nil or err == "" then return nil end
  local ok, text = pcall(tostring, err)
  return ok and text or "(an error that cannot be told)"
end

--- The work failed: the job is tried again after a while, or dead once its
-- attempts are used up.
-- @param[opt] opts `delay` in seconds until the next attempt (the queue's
-- backoff), `error`: what went wrong
-- @return true; or nil, "lease_lost"
-- Waits for the commit.
function Job:nack(opts)
  opts = options.check(opts, NACK, 1, "nack")
  checkpoint("nack")
  local delay = opts.delay or self.queue.backoff(self.attempts, self)
  return finish(self, "nack", delay, error_text(opts.error))
end

local RELEASE = { delay = options.seconds }

--- Gives the job back untried: the attempt does not count.
-- @param[opt] opts `delay` in seconds (0)
-- @return true; or nil, "lease_lost"
-- Waits for the commit.
function Job:release(opts)
  opts = options.check(opts, RELEASE, 1, "release")
  checkpoint("release")
  return finish(self, "release", opts.delay)
end

--- The job is dead, however many attempts it has left.
-- @param[opt] err why
-- @return true; or nil, "lease_lost"
-- Waits for the commit.
function Job:bury(err)
  checkpoint("bury")
  return finish(self, "bury", error_text(err))
end

--- Prolongs the lease.
-- @param[opt] seconds from now (the job's lease)
-- @return true, and `deadline` is moved; or nil, "lease_lost"
-- Waits for the commit.
function Job:touch(seconds)
  options.check_timeout(seconds, 1, "touch")
  checkpoint("touch")
  local queue = self.queue
  local done, second, message =
    queue.engine:touch(queue.q, { self }, seconds)
  if done then
    self.deadline = second
    return true
  end
  if second == "lease_lost" then return nil, second end
  return nil, second, message
end

return methods.guard(Job, "wrap")
