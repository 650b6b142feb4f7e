-- How often a process wakes up whose worker waits for jobs and gets none.
--
-- usage: idle.lua URL SECONDS
-- Prints the wake-ups in five seconds: the voluntary context switches of all
-- threads of the process, counted from outside once it has settled.

local url, seconds, role = arg[1], tonumber(arg[2]), arg[3]
local SETTLING = 6 -- seconds

local function wait_for_jobs()
  local sluice = require "sluice"
  local jobs = require "sluice.jobs"
  local store <close> = assert(jobs.open(url))
  store:worker("idle", print, { concurrency = 4 })
  print "ready"
  io.stdout:flush()
  sluice.sleep(math.huge)
end

local function sh(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

local function switches(pid)
  local total = 0
  local text = sh(("cat /proc/%d/task/*/status"):format(pid))
  for count in text:gmatch "\nvoluntary_ctxt_switches:%s*(%d+)" do
    total = total + tonumber(count)
  end
  return total
end

if role == "wait" then
  require("sluice").run(wait_for_jobs)
  return
end
local child <close> = assert(io.popen(
  ("echo $$; exec lua5.4 '%s' '%s' %d wait"):format(arg[0], url, seconds)))
local pid = assert(math.tointeger(child:read "n"))
child:read "l"
assert(child:read "l" == "ready")
os.execute("sleep " .. SETTLING)
local before = switches(pid)
os.execute("sleep " .. seconds)
print(("%.2f"):format((switches(pid) - before) * 5 / seconds))
os.execute(("kill -KILL %d"):format(pid))
