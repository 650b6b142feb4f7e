--[[
What a store of jobs must have, by what was promised: the model of the crash
tests. A process that works on a store (worker.lua) notes lines of events;
whatever happened to it then, the store is looked at and compared:

  put TAG      it is going to put the job of that tag
  has TAG ID   it was told that the job is there
  not TAG      it was told that the job is not (there is one with its unique
               key, or nothing happened)
  end ID       it is going to take the job out (ack, cancel)
  ended ID     it was told that it is out
  kept ID      it was told that it is not
  got ID       it has reserved the job

An ID has the queue's name before it: a Redis server numbers each queue's jobs.
Every job that was promised is there, once, with its body, unless it was going
to be taken out; none that was taken out returns; nothing is there that nobody
put. A job's body follows from its tag, so that a wrong one is seen.
]]

local model = {}
model.__index = model

local LARGE = 1000000000 -- jobs to peek at

--- Where workers put: both queues of each store.
model.QUEUES = { "mail", "orders" }

function model.new()
  return setmetatable({ jobs = {}, ids = {}, ended = {}, wrong = {} }, model)
end

--- The body that belongs to a tag, whose last part is its size.
function model.body_of(tag)
  local size, kind = tag:match("%-(%d+)(%a?)$")
  local text = (tag .. "|"):rep(tonumber(size) // (#tag + 1) + 1)
  if kind == "j" then return { tag = tag, text = text } end
  return text
end

local function tag_of(body)
  if type(body) == "table" then return body.tag end
  return type(body) == "string" and body:match("^([^|]*)|") or nil
end

local function same_body(body, wanted)
  if type(wanted) ~= "table" then return body == wanted end
  return type(body) == "table" and body.text == wanted.text
end

function model:complain(format, ...)
  self.wrong[#self.wrong + 1] = format:format(...)
end

-- -- what was noted --

local events = {}

function events:put(tag) self.jobs[tag] = self.jobs[tag] or {} end

function events:has(tag, id)
  if self.ids[id] then self:complain("id %s was given twice", id) end
  self.ids[id] = tag
  self.jobs[tag].id = id
end

events["not"] = function(self, tag) self.jobs[tag].refused = true end

events["end"] = function(self, id) self.ended[id] = "perhaps" end

function events:ended(id)
  if self.ended[id] == "yes" then
    self:complain("job %s was taken out twice", id)
  end
  self.ended[id] = "yes"
end

function events:kept(id) self.ended[id] = nil end

function events:got(id)
  if self.ended[id] == "yes" then
    self:complain("job %s was reserved after it was out", id)
  end
end

--- Takes a line that a worker has noted.
function model:note(line)
  local event, first, second = line:match("^(%a+) (%S+) ?(%S*)$")
  if not event then error("no event: " .. line) end
  events[event](self, first, second)
end

--- Takes what was appended to a file of lines since the last time; a line
-- that was cut off by a kill was no promise.
function model:read(path)
  local file <close> = assert(io.open(path, "rb"))
  file:seek("set", self.position or 0)
  for line in file:lines("L") do
    if line:sub(-1) ~= "\n" then break end
    self:note(line:sub(1, -2))
    self.position = file:seek()
  end
end

-- -- what is there --

--- The job's id with the name of its queue.
function model.id_of(job) return ("%s:%d"):format(job.queue.name, job.id) end

local function look(self, seen, job)
  local tag, id = tag_of(job.body), model.id_of(job)
  local known = tag and self.jobs[tag]
  if not known then
    self:complain("job %s is nobody's: %s", id,
      tostring(job.body):sub(1, 60))
  elseif not same_body(job.body, model.body_of(tag)) then
    self:complain("the body of job %s is not that of %s", id, tag)
  elseif seen[tag] or known.refused or (known.id or id) ~= id then
    self:complain("%s is there once more, as job %s", tag, id)
  elseif self.ended[id] == "yes" then
    self:complain("job %s returns", id)
  end
  if tag then seen[tag] = id end
end

local function count(self, queue, found)
  local stats, why = queue:stats()
  if not stats then return self:complain("stats: %s", why) end
  local there = stats.ready + stats.delayed + stats.leased + stats.dead
  if there ~= found then
    self:complain("%s: %d jobs are counted, %d are there", queue.name, there,
      found)
  end
  if stats.puts ~= stats.acks + stats.expired + stats.cancelled + there then
    self:complain("%s: the counters do not add up", queue.name)
  end
end

-- In that order: what is due in the meantime is met twice, not missed.
local STATES = { "leased", "delayed", "ready", "dead" }

local function look_at_queue(self, seen, queue)
  local found, ids = 0, {}
  for _, state in ipairs(STATES) do
    local jobs, why = queue:peek(state, LARGE)
    if not jobs then self:complain("peek: %s", why) end
    for _, job in ipairs(jobs or {}) do
      if not ids[job.id] then
        ids[job.id] = true
        look(self, seen, job)
        found = found + 1
      end
    end
  end
  count(self, queue, found)
end

-- Every promise.
local function look_for_lost(self, seen)
  for tag, job in pairs(self.jobs) do
    if job.id and not seen[tag] and not self.ended[job.id] then
      self:complain("%s, job %s, is lost", tag, job.id)
    end
  end
end

--- Compares an open store with what was promised. No process may be working
-- on it.
-- @return a list of what is wrong, from the beginning; what was seen
function model:compare(store)
  local seen = {}
  local sound, _, damage = store:check()
  if not sound then self:complain("check: %s", tostring(damage)) end
  for _, name in ipairs(model.QUEUES) do
    local queue, why = store:queue(name)
    if queue then
      look_at_queue(self, seen, queue)
    else
      self:complain("queue %s: %s", name, why)
    end
  end
  look_for_lost(self, seen)
  return self.wrong, seen
end

--- What was not certain is certain now that it was seen: what is there must
-- be there from now on.
function model:settle(seen)
  for tag, job in pairs(self.jobs) do
    local id = seen[tag]
    if id then
      job.id, self.ids[id], self.ended[id] = id, tag, nil
    else
      if job.id then self.ended[job.id] = "yes" end
      self.jobs[tag] = nil
    end
  end
end

return model
