--- sluice.jobs.engine: what an engine is.
--
-- An engine has the jobs and their states; the policy above it (arguments,
-- order among those who wait, retries, workers) is the same for all. It is an
-- object with the methods below. They are called in a task and may wait. One
-- raises nothing but a cancellation, and that only if it had no effect: an
-- effect under way is waited for. On a bad day it returns nil, a reason and
-- perhaps a message: "closed"; "disk_full" (put); "unavailable" (nothing
-- happened); "unknown" (it may have happened); and what the method names.
-- What it returns otherwise is committed. Durations in are seconds from now;
-- times out are seconds since 1970 on the engine's own clock.
--
-- A field `most_put`, if there is one, is the most entries of one put.
-- `q` is what `queue` returned; a job is a table with `id` and `token`.

local engine = {}

--- Method -> its arguments and results.
engine.METHODS = {
  -- Settings that are nil stay as they are stored; of a new queue: no
  -- maxsize (0), lease 60, max_attempts 25 (0: no limit).
  queue = "(name, { maxsize, lease, max_attempts }) -> q",
  -- An entry: a string, which is a body and nothing else, or { body, format,
  -- priority, delay, ttl, lease, max_attempts, unique, unique_for }. All of
  -- them or none, in one commit. `found` is nil, or has true at the index of
  -- each whose unique key was taken; its id is that of the job that has it.
  -- nil, "full"; nil, "disk_full".
  put = "(q, entries) -> ids, found",
  -- Waits for one job at least; best first. There is never more than one call
  -- for a queue at a time in a process. nil, "timeout".
  reserve = "(q, n, timeout) -> jobs",
  -- Renews their leases until one of the next four ends them, or fails; an
  -- engine may go on as long as that may be tried again. Never waits.
  keep = "(q, jobs)",
  -- Each of these five: nil, "lease_lost", the indexes of those lost; the
  -- others are done.
  ack = "(q, jobs) -> true",
  release = "(q, jobs, delay) -> true",
  nack = "(q, jobs, delay, error) -> true",
  bury = "(q, jobs, error) -> true",
  touch = "(q, jobs, seconds) -> true, deadline",
  cancel = "(q, id) -> true", -- nil, "not_found"; nil, "leased"
  kick = "(q, n, id) -> count", -- n of the dead, or the one with the id
  peek = "(q, state, n) -> jobs", -- in the order in which they would go
  job = "(q, id) -> job", -- nil, "not_found"
  pause = "(q) -> true",
  resume = "(q) -> true",
  purge = "(q, state) -> count",
  drain = "(q, timeout) -> true", -- nil, "timeout"
  stats = "(q) -> { ready, delayed, leased, dead, puts, acks, retries, "
    .. "expired, cancelled, paused }",
  queues = "() -> names",
  check = "() -> true", -- nil, "damaged", text
  now = "() -> seconds", -- never waits
  close = "() -> true", -- waiting calls return nil, "closed"
}

--- Checks that an object has every method, for the specs of an engine.
-- @return the object
function engine.check(object)
  for name in pairs(engine.METHODS) do
    if type(object[name]) ~= "function" then
      error("the engine has no method " .. name, 2)
    end
  end
  return object
end

return engine
