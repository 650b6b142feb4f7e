--[[
A process of the crash tests: works on a store at random and notes what it is
promised, see model.lua.

usage: worker.lua URL NOTES SEED OPERATIONS [OPTION=VALUE]...
  NOTES      the file that lines are appended to; "trace:FILE": records of a
             trace (trace.c), so that they stand among the changes of files
  durable=no opens the store so
  tasks=N    that work at once (4)
  greedy=yes does nothing but put as long as there is room
  bad=yes    its day: what fails is no mistake; it is told on stdout whether
             a last put does
]]

local jobs = require "sluice.jobs"
local model = require "tests.crash.model"
local sluice = require "sluice"

local url, notes, seed, operations = table.unpack(arg, 1, 4)
local options = { tasks = 4 }
for i = 5, #arg do
  local name, value = arg[i]:match("^(%a+)=(.*)$")
  options[name] = value
end
math.randomseed(math.tointeger(tonumber(seed)), 0)

-- -- notes --

local traced = notes:match("^trace:(.*)$")
local file = assert(io.open(traced or notes, "ab"))
file:setvbuf("full", 1 << 16)

local function note(format, ...)
  local line = format:format(...)
  if traced then
    file:write(string.pack("<c1 s1 I8 s4", "M", "", 0, line))
  else
    file:write(line, "\n")
  end
  file:flush()
end

-- -- what is done --

local random = math.random
local count = 0

local function chance(n) return random(n) == 1 end

local function new_tag()
  local size = chance(4) and random(1000, 6000) or random(1, 400)
  count = count + 1
  return ("w%s.%d-%d%s"):format(seed, count, size, chance(5) and "j" or "")
end

local function new_entry()
  local tag = new_tag()
  note("put %s", tag)
  return tag, {
    body = model.body_of(tag),
    priority = random(3),
    delay = chance(6) and random() / 20 or nil,
    ttl = chance(10) and 3600 or nil,
    max_attempts = chance(3) and 2 or nil,
    unique = chance(8) and "key " .. random(20) or nil,
  }
end

-- Reasons that promise that nothing happened.
local NOTHING = { unavailable = true, disk_full = true, full = true }

local sated = 0 -- until it puts again

-- What is not promised may have happened, or not. `found`: or the reason.
local function settled(queue, tag, id, found)
  if found == "disk_full" then sated = 100 end
  if id and not found then
    note("has %s %s:%d", tag, queue.name, id)
  elseif id or NOTHING[found] then
    note("not %s", tag)
  end
end

-- Takes jobs out by a function: first notes that it will, then what is said.
local function take_out(list, fn)
  for _, job in ipairs(list) do note("end %s", model.id_of(job)) end
  local done, reason = fn()
  for _, job in ipairs(list) do
    if done then
      note("ended %s", model.id_of(job))
    elseif NOTHING[reason] then
      note("kept %s", model.id_of(job))
    end
  end
end

local actions = {}

function actions.put(queue)
  local tag, entry = new_entry()
  local body = entry.body
  entry.body = nil
  settled(queue, tag, queue:put(body, entry))
end

function actions.put_many(queue)
  local tags, entries = {}, {}
  for i = 1, random(2, 8) do tags[i], entries[i] = new_entry() end
  local ids, found = queue:put_many(entries)
  for i, tag in ipairs(tags) do
    if ids then
      settled(queue, tag, ids[i], found and found[i])
    else
      settled(queue, tag, nil, found)
    end
  end
end

local endings = {}

function endings.ack(job)
  take_out({ job }, function() return job:ack() end)
end
endings.again = endings.ack

function endings.nack(job)
  job:nack { delay = random() / 50, error = "it went wrong" }
end

function endings.release(job)
  job:release { delay = chance(2) and 0.01 or 0 }
end

function endings.bury(job) job:bury "hopeless" end
function endings.forget() end -- the lease stays

function endings.touch(job)
  job:touch(random(5, 500))
  endings.ack(job)
end

local function pick(list)
  local names = {}
  for name in pairs(list) do names[#names + 1] = name end
  table.sort(names)
  return list[names[random(#names)]]
end

function actions.work(queue)
  local job = queue:reserve(0.01)
  if not job then return end
  note("got %s", model.id_of(job))
  pick(endings)(job)
end

function actions.ack_many(queue)
  local list = queue:reserve_many(random(10), 0)
  if not list then return end
  for _, job in ipairs(list) do note("got %s", model.id_of(job)) end
  take_out(list, function() return queue:ack_many(list) end)
end
actions.work_more = actions.work

function actions.cancel(queue)
  for _, state in ipairs { "delayed", "dead" } do
    for _, job in ipairs(queue:peek(state, 3) or {}) do
      take_out({ job }, function() return queue:cancel(job.id) end)
    end
  end
end

function actions.kick(queue) queue:kick(random(3)) end

-- -- going on --

local function work(queues, n)
  for _ = 1, n do
    sated = sated - 1
    local action = options.greedy and sated < 0 and actions.put_many
      or pick(actions)
    action(queues[random(#queues)])
  end
end

local function open_queues(store)
  local queues = {}
  for i, name in ipairs(model.QUEUES) do
    local reason, message
    queues[i], reason, message = store:queue(name, { lease = 3600 })
    if not queues[i] then return nil, reason .. ": " .. tostring(message) end
  end
  return queues
end

local function run(store)
  local queues, message = open_queues(store)
  if not queues then return nil, message end
  sluice.task_group(function(group)
    for _ = 1, options.tasks do
      group:create_task(work, queues, operations // options.tasks)
    end
  end)
  local tag, entry = new_entry()
  local id, reason = queues[1]:put(entry.body)
  settled(queues[1], tag, id)
  return id, reason
end

local function main()
  local store <close>, message = jobs.open(url,
    { durable = options.durable ~= "no" })
  local done, reason
  if store then
    done, reason = run(store)
  else
    done, reason = nil, "open: " .. message
  end
  if options.bad then
    print(done and "well" or reason)
  else
    assert(done, reason)
  end
end

sluice.run(main)
