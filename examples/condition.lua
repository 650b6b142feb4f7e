-- A condition: two workers wait until they are notified, both at once, and
-- then work one after the other, as the work is done holding the lock.
--
--   sluice examples/condition.lua
--
-- Options: --rounds 2, --every 5 seconds between notifications, --work 1
-- second of work.

local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  rounds = 2, every = 5, work = 1,
}

local condition = sluice.Condition()

local function work(name)
  for _ = 1, options.rounds do
    local _ <close> = condition:acquire()
    say("%s has the lock, lets it go and waits", name)
    condition:wait()
    say("%s was notified, has the lock again and works", name)
    sluice.sleep(options.work)
    say("%s is done", name)
  end
end

local function notify()
  for _ = 1, options.rounds do
    sluice.sleep(options.every)
    local _ <close> = condition:acquire()
    say("all are notified")
    condition:notify_all()
  end
end

sluice.gather {
  sluice.create_task(work, "worker 1"),
  sluice.create_task(work, "worker 2"),
  sluice.create_task(notify),
}
