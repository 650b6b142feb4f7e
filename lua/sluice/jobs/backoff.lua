--- sluice.jobs.backoff: how long a job that failed waits for its next
-- attempt.
--
-- By default 1 s after the first failure, then twice as long each time, up
-- to an hour; of that, a random half is taken off, so that jobs that failed
-- together do not come back together.

local options = require "sluice.jobs.options"

local backoff = {}

local CHECKS = {
  base = options.seconds,
  factor = options.seconds,
  max = options.seconds,
  jitter = options.seconds,
}

--- Checks a `backoff` option. Returns what is wrong with it, or nil.
function backoff.check(value)
  if type(value) == "function" then return nil end
  if type(value) == "number" then return options.seconds(value) end
  if type(value) ~= "table" then
    return "number, table or function expected, got " .. type(value)
  end
  for key, part in pairs(value) do
    local check = CHECKS[key]
    local wrong = check and check(part)
    if not check then return ("unknown field '%s'"):format(tostring(key)) end
    if wrong then return ("field '%s': %s"):format(key, wrong) end
  end
  if value.jitter and value.jitter > 1 then
    return "field 'jitter': from 0 to 1 expected"
  end
end

local function exponential(spec)
  local base, factor = spec.base or 1, spec.factor or 2
  local max, jitter = spec.max or 3600, spec.jitter or 0.5
  return function(attempts)
    -- A power may be infinite, and 0 times that is no number.
    local grown = base == 0 and 0 or base * factor ^ (attempts - 1)
    local delay = math.min(grown, max)
    return delay * (1 - jitter * math.random())
  end
end

-- A script's function, whose results are checked; what is wrong is said of
-- the line where it begins.
local function checked(fn)
  return function(attempts, job)
    local seconds = fn(attempts, job)
    local wrong = options.seconds(seconds)
    if not wrong then return seconds end
    local at = debug.getinfo(fn, "S")
    error(("%s:%d: bad result of a backoff function (%s)"):format(
      at.short_src, at.linedefined, wrong), 0)
  end
end

--- Where nothing else is said: attempts -> seconds.
backoff.default = exponential {}

--- The function attempts -> seconds that a checked option stands for.
function backoff.new(value)
  if type(value) == "function" then return checked(value) end
  if type(value) == "number" then
    return function() return value end
  end
  return value and exponential(value) or backoff.default
end

return backoff
