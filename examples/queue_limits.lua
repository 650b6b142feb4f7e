-- The two ends of a queue: what get_nowait returns when it is empty,
-- put_nowait when it is full, and both, with a time-out, when waiting was
-- in vain. None of these is an error: a program goes on from them.
--
--   sluice examples/queue_limits.lua
--
-- Options: --timeout 0.5 seconds.

local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  timeout = 0.5,
}

local queue = sluice.Queue(1)

local function try(name, ...)
  local result, reason = queue[name](queue, ...)
  say("%s returns %s%s", name, result, reason and ", " .. reason or "")
end

say("%s", queue)
try("get_nowait")
try("get", options.timeout)

try("put_nowait", "first")
say("%s", queue)
try("put_nowait", "second")
try("put", "second", options.timeout)

try("get_nowait")
queue:shutdown()
try("get_nowait")
