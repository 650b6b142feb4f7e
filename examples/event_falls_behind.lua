-- What an event is not for. It is set every second, and each worker needs
-- five seconds for what it saw: most sets are never seen, because an event
-- tells that something happened, not how often. A queue in its place keeps
-- them all until somebody has time.
--
--   sluice examples/event_falls_behind.lua
--   sluice examples/event_falls_behind.lua --work 0.5    # keeps up
--
-- Options: --sets 10, one every --every 1 second; --workers 2, which work
-- --work 5 seconds each time.

local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  sets = 10, every = 1, workers = 2, work = 5,
}

local function start_workers(group, work)
  for i = 1, options.workers do group:create_task(work, "worker " .. i) end
end

local function with_an_event(group)
  local event, latest, seen = sluice.Event(), 0, {}

  start_workers(group, function(name)
    while true do
      event:wait()
      event:clear()
      say("%s sees set %d", name, latest)
      seen[latest] = true
      sluice.sleep(options.work)
    end
  end)

  for n = 1, options.sets do
    say("set %d", n)
    latest = n
    event:set()
    sluice.sleep(options.every)
  end
  group:cancel()
  return seen
end

local function with_a_queue(group)
  local queue, seen = sluice.Queue(), {}

  start_workers(group, function(name)
    for n in queue do
      say("%s sees set %d", name, n)
      seen[n] = true
      sluice.sleep(options.work)
    end
  end)

  for n = 1, options.sets do
    say("set %d", n)
    queue:put(n)
    sluice.sleep(options.every)
  end
  queue:shutdown()
  return seen
end

local function count_lost(seen)
  local lost = 0
  for n = 1, options.sets do
    if not seen[n] then lost = lost + 1 end
  end
  return lost
end

local seen = sluice.task_group(with_an_event)
say("with an event: %d of %d sets lost", count_lost(seen), options.sets)

seen = sluice.task_group(with_a_queue)
say("with a queue: %d of %d sets lost", count_lost(seen), options.sets)
