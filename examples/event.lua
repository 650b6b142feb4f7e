-- An event: two tasks wait for it, a timer sets it, both go on at once.
--
--   sluice examples/event.lua
--
-- Options: --delay 5 seconds until it is set, --work 1 second of work.

local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  delay = 5, work = 1,
}

local event = sluice.Event()

local function trigger()
  say("the event is set")
  event:set()
end

local function work(name)
  say("%s waits for the event", name)
  event:wait()
  say("%s works", name)
  sluice.sleep(options.work)
  say("%s is done", name)
end

sluice.call_later(options.delay, trigger)
sluice.gather {
  sluice.create_task(work, "worker 1"),
  sluice.create_task(work, "worker 2"),
}
