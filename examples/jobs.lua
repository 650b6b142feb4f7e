-- Jobs that survive: one process puts mails into a job store, several others
-- send them. One of those is killed (kill -9) in the middle of a mail, which
-- another one sends again. The mail server is busy for some mails: they are
-- tried again a little later. One address does not exist: that mail is dead
-- after three attempts, and kept. At the end come the figures.
--
--   sluice examples/jobs.lua
--   sluice examples/jobs.lua --store redis://127.0.0.1
--   sluice examples/jobs.lua --store sqlite:mails.db
--   sluice jobs sqlite:mails.db dead
--
-- Options: --mails 12, one put every --every 0.1 seconds; --processes 3 that
-- each send two at a time, a mail in --work 0.25 seconds; --store URL (a new
-- SQLite file, which is removed at the end).

local jobs = require "sluice.jobs"
local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  mails = 12, every = 0.1, processes = 3, work = 0.25, store = "", role = "",
}
local child = dofile(arg[0]:gsub("[^/]*$", "lib/child.lua"))

local NAMES = { "Ann", "Bob", "Cid", "Dora", "Eve" }
local NOBODY = "nobody@nowhere"

local function fail(message)
  io.stderr:write(arg[0], ": --store: ", message, "\n")
  os.exit(1)
end

local function open_queue()
  local store, message = jobs.open(options.store)
  if not store then fail(message) end
  return store, assert(store:queue("mails", {
    lease = 2, max_attempts = 3, backoff = { base = 0.2 },
  }))
end

-- -- the process that puts --

local function produce()
  local _ <close>, queue = open_queue()
  for n = 1, options.mails do
    local to = n == 7 and NOBODY or NAMES[n % #NAMES + 1]
    assert(queue:put({ number = n, to = to }))
    print(("puts mail %d to %s"):format(n, to))
    sluice.sleep(options.every)
  end
end

-- -- the processes that work --

--- Sends a mail; raises if that fails. The job is then tried again.
local function send(job)
  local mail = job.body
  print(("sends mail %d to %s, attempt %d"):format(mail.number, mail.to,
    job.attempts))
  sluice.sleep(options.work)
  local trouble = mail.to == NOBODY and "there is no such address"
    or mail.number % 5 == 3 and job.attempts == 1 and "the server is busy"
  if trouble then
    print(("fails with mail %d: %s"):format(mail.number, trouble))
    error(trouble, 0)
  end
  print(("sent mail %d"):format(mail.number))
end

local function work()
  local signal <close> = sluice.Signal "SIGTERM"
  local store <close> = open_queue()
  local worker = assert(store:worker("mails", send, { concurrency = 2 }))
  signal:wait()
  worker:stop(5)
end

-- -- the process that watches them --

local function start(name, role)
  local process = child.start {
    arg[-1], arg[0], "--store", options.store, "--role", role,
    "--mails", options.mails, "--every", options.every,
    "--work", options.work,
  }
  process.name = name
  return process
end

--- Tells what a process has told since the last time.
local function follow(process)
  for _, line in ipairs(process:new_lines()) do
    say("%-9s %s", process.name, line)
    if line:find "^sends" then process.sends = (process.sends or 0) + 1 end
  end
end

-- Kills the first worker that sends its third mail.
local function kill_one(processes)
  for i = 2, #processes do
    local process = processes[i]
    if (process.sends or 0) >= 3 then
      process:signal "KILL"
      say("%-9s is killed", process.name)
      return true
    end
  end
end

local function follow_all(processes)
  local killed = #processes < 3
  while not processes.closed do
    for _, process in ipairs(processes) do follow(process) end
    killed = killed or kill_one(processes)
    sluice.sleep(0.02)
  end
end

local function sum_up(queue)
  local stats = assert(queue:stats())
  say("figures   put %d, done %d, tried again %d times, dead %d", stats.puts,
    stats.acks, stats.retries, stats.dead)
  for _, job in ipairs(assert(queue:peek("dead"))) do
    say("dead      mail %d to %s after %d attempts: %s", job.body.number,
      job.body.to, job.attempts, job.error)
  end
end

local function stop(processes, following)
  for i = 2, #processes do processes[i]:signal "TERM" end
  for i = 2, #processes do processes[i]:wait(10) end
  following:cancel()
  following:pawait()
  for _, process in ipairs(processes) do follow(process) end
end

local Processes = {
  __close = function(processes)
    processes.closed = true -- they are not followed any more
    for _, process in ipairs(processes) do process:__close() end
  end,
}

local function watch()
  local _ <close>, queue = open_queue()
  local processes <close> = setmetatable({}, Processes)
  processes[1] = start("producer", "producer")
  for n = 1, options.processes do
    processes[n + 1] = start("worker " .. n, "worker")
  end
  local following = sluice.create_task(follow_all, processes)
  assert(processes[1]:wait(60) == 0, "the producer failed")
  assert(queue:drain(60))
  stop(processes, following)
  sum_up(queue)
end

local function watch_on_new_file()
  local pipe <close> = assert(io.popen "mktemp -d")
  local directory = assert(pipe:read "l", "mktemp -d failed")
  options.store = "sqlite:" .. directory .. "/jobs.db"
  local _ <close> = setmetatable({}, { __close = function()
    os.execute("rm -rf '" .. directory .. "'")
  end })
  watch()
end

if options.role == "producer" then
  produce()
elseif options.role == "worker" then
  work()
elseif options.store:find "^memory:" then
  fail "memory: lies in one process, the others would not see it"
elseif options.store == "" then
  watch_on_new_file()
else
  watch()
end
