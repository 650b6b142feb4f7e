-- Last in, first out: workers walk the links of a small site. A worker that
-- finds links is a producer too, so only join can tell that the walk is
-- over. The queue alone decides the order: with a LifoQueue the walk goes
-- deep first, the last link of a page before the others; with a Queue level
-- by level.
--
--   sluice examples/lifo.lua
--   sluice examples/lifo.lua --workers 3
--
-- Options: --workers 1, --delay 0.1 seconds a page.

local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  workers = 1, delay = 0.1,
}

local site = {
  ["/"] = { "/news", "/products", "/about" },
  ["/news"] = { "/news/today", "/news/archive" },
  ["/news/today"] = { "/products/lamp", "/" },
  ["/news/archive"] = {},
  ["/products"] = { "/products/chair", "/products/lamp" },
  ["/products/chair"] = { "/products" },
  ["/products/lamp"] = { "/products/lamp/manual" },
  ["/products/lamp/manual"] = {},
  ["/about"] = { "/" },
}

local function walk(queue)
  local seen = { ["/"] = true }

  local function work(name)
    for visit in queue do
      say("worker %d: %s%s", name, ("  "):rep(visit.depth), visit.page)
      sluice.sleep(options.delay)
      for _, link in ipairs(site[visit.page]) do
        if not seen[link] then
          seen[link] = true
          queue:put({ page = link, depth = visit.depth + 1 })
        end
      end
      queue:task_done()
    end
  end

  queue:put({ page = "/", depth = 0 })
  local workers = {}
  for name = 1, options.workers do
    workers[name] = sluice.create_task(work, name)
  end
  queue:join()
  for _, worker in ipairs(workers) do worker:cancel() end
end

say("last in, first out")
walk(sluice.LifoQueue())

say("first in, first out")
walk(sluice.Queue())
