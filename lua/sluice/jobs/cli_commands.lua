--- sluice.jobs.cli_commands: what `sluice jobs URL` can do.
--
-- A command is a table: `run(context, words)` does it and returns true, or
-- nil and what to tell on stderr; `least` and `most` words; `needs` says in
-- words what they are; `check(words)` returns what is wrong with them. The
-- context has the store, its URL to be shown, and the options.
--
-- The commands look at jobs by the engine itself, so that a body is shown as
-- it is stored.
--
-- Internal to the command line.

local json = require "sluice.jobs.cli_json"
local layout = require "sluice.jobs.cli_layout"
local text = require "sluice.jobs.cli_text"
local watch = require "sluice.jobs.cli_watch"

local commands = {}

local FIRST_ID = 1000000001 -- ids begin above any number of jobs
local ALL = FIRST_ID - 1
local MOST_SHOWN = 20

local STATES = { ready = true, delayed = true, leased = true, dead = true }

local function is_id(word)
  local id = word and word:find "^%d+$" and math.tointeger(tonumber(word))
  return id and id >= FIRST_ID and id or nil
end

-- -- telling --

local function print_lines(lines)
  for _, line in ipairs(lines) do io.write(line, "\n") end
end

-- Tells the outcome: as JSON, or in a sentence.
local function tell(context, object, sentence, ...)
  if context.json then
    io.write(json.encode(object), "\n")
  else
    io.write(text.clean(sentence:format(...)), "\n")
  end
  return true
end

local PLAIN = {
  lease_lost = "the lease is lost",
  leased = "somebody works on it",
  not_found = "there is no such job",
  unavailable = "the store is unavailable",
  unknown = "it is not known whether it was done",
  disk_full = "the disk is full",
  damaged = "damaged",
}

local function explain(reason, message)
  local plain = PLAIN[reason] or reason
  return message and ("%s: %s"):format(plain, message) or plain
end

-- -- queues --

-- The queue of that name, which is not made if there is none. Or nil, message.
local function find_queue(context, name)
  local names, reason, message = context.store:queues()
  if not names then return nil, explain(reason, message) end
  for _, known in ipairs(names) do
    if known == name then
      local queue, why, detail = context.store:queue(name)
      if queue then return queue end
      return nil, explain(why, detail)
    end
  end
  local list = #names > 0 and "has " .. table.concat(names, ", ", 1,
    math.min(#names, 10)) or "is empty"
  return nil, text.clean(("there is no queue '%s'; the store %s"):format(name,
    list))
end

local function all_queues(context)
  local names, reason, message = context.store:queues()
  if not names then return nil, explain(reason, message) end
  local queues = {}
  for i, name in ipairs(names) do
    local queue, why, detail = context.store:queue(name)
    if not queue then return nil, explain(why, detail) end
    queues[i] = queue
  end
  return queues
end

-- The queues of these names, or all if there are none. Or nil, message.
local function find_queues(context, names)
  if #names == 0 then return all_queues(context) end
  local queues = {}
  for i, name in ipairs(names) do
    local queue, message = find_queue(context, name)
    if not queue then return nil, message end
    queues[i] = queue
  end
  return queues
end

-- -- stats --

local function stats_of(queues)
  local all = {}
  for i, queue in ipairs(queues) do
    local stats, reason, message = queue:stats()
    if not stats then return nil, explain(reason, message) end
    all[i] = { name = queue.name, stats = stats }
  end
  return all
end

commands.stats = { least = 0, most = 1 }

function commands.stats.run(context, words)
  local queues, message = find_queues(context, words)
  if not queues then return nil, message end
  local all, trouble = stats_of(queues)
  if not all then return nil, trouble end
  if context.json then
    io.write(json.encode(layout.stats_object(context.url, all)), "\n")
  elseif words[1] then
    print_lines(layout.stats_of_one(all[1]))
  elseif #all == 0 then
    io.write("there are no queues\n")
  else
    print_lines(layout.stats_table(all))
  end
  return true
end

-- -- peek, dead --

local function peek_one(context, queue, id)
  local raw, reason, message = queue.engine:job(queue.q, id)
  if not raw then
    return nil, ("job %d of %s: %s"):format(id, queue.name,
      explain(reason, message))
  end
  if context.json then
    io.write(json.encode(json.job(raw)), "\n")
  else
    print_lines(layout.job(raw, queue.name, queue.engine:now()))
  end
  return true
end

-- The first jobs of a state. Or nil, message.
local function look(context, queue, state)
  local raws, reason, message = queue.engine:peek(queue.q, state,
    context.count or MOST_SHOWN)
  if not raws then return nil, explain(reason, message) end
  return raws
end

commands.peek = {
  least = 1, most = 2, needs = "the name of a queue",
  check = function(words)
    local what = words[2]
    if what == nil or STATES[what] or is_id(what) then return nil end
    return ("'%s' is neither ready, delayed, leased, dead, nor the id of a "
      .. "job"):format(what)
  end,
}

function commands.peek.run(context, words)
  local queue, message = find_queue(context, words[1])
  if not queue then return nil, message end
  local id, state = is_id(words[2]), words[2] or "ready"
  if id then return peek_one(context, queue, id) end
  local raws, trouble = look(context, queue, state)
  if not raws then return nil, trouble end
  if context.json then
    io.write(json.encode(layout.jobs_object(queue.name, state, raws)), "\n")
  elseif #raws == 0 then
    io.write(text.clean(("no job of %s is %s"):format(queue.name, state)),
      "\n")
  else
    print_lines(layout.jobs(raws, state, queue.engine:now()))
  end
  return true
end

commands.dead = { least = 0, most = 1 }

-- Tells the dead jobs of a queue. Returns how many there were.
local function tell_dead(context, queue, objects, titled)
  local raws, trouble = look(context, queue, "dead")
  if not raws then return nil, trouble end
  if context.json then
    objects[#objects + 1] = layout.jobs_object(queue.name, "dead", raws)
  elseif #raws > 0 then
    if titled then io.write(text.clean(queue.name), "\n") end
    print_lines(layout.jobs(raws, "dead", queue.engine:now()))
  end
  return #raws
end

function commands.dead.run(context, words)
  local queues, message = find_queues(context, words)
  if not queues then return nil, message end
  local objects, total = {}, 0
  for _, queue in ipairs(queues) do
    local n, trouble = tell_dead(context, queue, objects, not words[1])
    if not n then return nil, trouble end
    total = total + n
  end
  if context.json then
    io.write(json.encode(words[1] and objects[1] or objects), "\n")
  elseif total == 0 then
    io.write("no job is dead\n")
  end
  return true
end

-- -- what changes something --

local function number_or_id(word)
  if word == "all" then return ALL end
  local n = word:find "^%d+$" and math.tointeger(tonumber(word))
  return n and n > 0 and n or nil
end

commands.kick = {
  least = 2, most = 2,
  needs = "the name of a queue, and a number of jobs, an id or 'all'",
  check = function(words)
    if number_or_id(words[2]) then return nil end
    return ("'%s' is neither a number of jobs nor an id nor 'all'")
      :format(words[2])
  end,
}

function commands.kick.run(context, words)
  local queue, message = find_queue(context, words[1])
  if not queue then return nil, message end
  local which = number_or_id(words[2])
  local n, reason, detail = queue:kick(which)
  if not n then return nil, explain(reason, detail) end
  if n == 0 and is_id(words[2]) then
    return nil, ("no dead job of %s has the id %d"):format(queue.name, which)
  end
  return tell(context, json.object("kicked", n), "kicked %s of %s",
    text.jobs(n, "dead"), queue.name)
end

commands.cancel = {
  least = 2, most = math.huge,
  needs = "the name of a queue, and the ids of jobs",
  check = function(words)
    for i = 2, #words do
      if not is_id(words[i]) then
        return ("'%s' is not the id of a job"):format(words[i])
      end
    end
  end,
}

function commands.cancel.run(context, words)
  local queue, message = find_queue(context, words[1])
  if not queue then return nil, message end
  local cancelled, refused = {}, {}
  for i = 2, #words do
    local id = is_id(words[i])
    local done, reason, detail = queue:cancel(id)
    if done then
      cancelled[#cancelled + 1] = id
    else
      refused[#refused + 1] = ("job %d: %s"):format(id,
        explain(reason, detail))
    end
  end
  tell(context, json.object("cancelled", cancelled), "cancelled %s of %s",
    text.jobs(#cancelled), queue.name)
  if #refused == 0 then return true end
  return nil, table.concat(refused, "\nsluice jobs: ")
end

commands.purge = {
  least = 2, most = 2,
  needs = "the name of a queue, and ready, delayed or dead",
  check = function(words)
    if words[2] == "leased" then
      return "leased jobs belong to who works on them"
    elseif not STATES[words[2]] then
      return ("'%s' is not ready, delayed or dead"):format(words[2])
    end
  end,
}

function commands.purge.run(context, words)
  local queue, message = find_queue(context, words[1])
  if not queue then return nil, message end
  local n, reason, detail = queue:purge(words[2])
  if not n then return nil, explain(reason, detail) end
  return tell(context, json.object("purged", n), "took %s out of %s",
    text.jobs(n, words[2]), queue.name)
end

-- Pauses or resumes; all names are looked for before any is touched.
local function switch(context, words, method, past)
  local queues, message = find_queues(context, words)
  if not queues then return nil, message end
  for _, queue in ipairs(queues) do
    local done, reason, detail = queue[method](queue)
    if not done then return nil, explain(reason, detail) end
  end
  return tell(context, json.object(past, words), "%s %s", past,
    table.concat(words, ", "))
end

commands.pause = {
  least = 1, most = math.huge, needs = "the name of a queue",
}

function commands.pause.run(context, words)
  return switch(context, words, "pause", "paused")
end

commands.resume = {
  least = 1, most = math.huge, needs = "the name of a queue",
}

function commands.resume.run(context, words)
  return switch(context, words, "resume", "resumed")
end

-- -- check, watch --

commands.check = { least = 0, most = 0 }

function commands.check.run(context)
  local whole, reason, message = context.store:check()
  if whole then
    return tell(context, json.object("whole", true), "%s is whole",
      context.url)
  end
  if context.json then
    io.write(json.encode(json.object("whole", false, "reason", reason,
      "message", message)), "\n")
  end
  return nil, ("%s: %s"):format(context.url, explain(reason, message))
end

commands.watch = { least = 0, most = math.huge }

function commands.watch.run(context, words)
  local _, message = find_queues(context, words)
  if message then return nil, message end
  return watch.run(context, words, explain)
end

return commands
