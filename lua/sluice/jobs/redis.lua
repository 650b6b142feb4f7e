--- sluice.jobs.redis: the engine over Redis or Valkey, for many machines.
--
-- The one idea: every change is one script at the server, and every call may
-- be sent again: it has a key under which the server keeps what it answered,
-- or finds by itself that it was done. So a connection that is in doubt is
-- dropped, and the call repeated on a new one.
--
-- Waiting costs the server nothing: a second connection blocks at a key that
-- has a member as long as there is something to be had, at most five seconds.
--
-- Internal to sluice.jobs. The methods are those of an engine.

local address = require "sluice.jobs.redis.address"
local connection = require "sluice.jobs.redis.connection"
local keeper = require "sluice.jobs.redis.keeper"
local scripts = require "sluice.jobs.redis.scripts"
local server = require "sluice.jobs.redis.server"
local sluice = require "sluice"

-- The server does nothing else while it runs a script.
local Engine = { most_put = 10000 }
Engine.__index = Engine

local BLOCK = 5 -- seconds at most at the server
local MARGIN = 2 -- seconds that a reply may take beyond that
local FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1 -- seconds before a new attempt
local RENEW = 60 -- seconds; the server keeps replies for ten times that
local LEASED, DELAYED = "leased", "delayed"

-- -- connections --

-- A connection that may be used; or nil, message.
local function open_main(self)
  local guard <close> = self.opening:acquire() -- luacheck: ignore guard
  if self.closed then return nil, "closed" end
  local main = self.main
  if main and main:alive() then return main end
  local message, code
  self.main, message, code =
    connection.connect(self.address, self.reply_time)
  if not self.main then return nil, message, code end
  message = server.check(self.main, self.warned)
  if not message then return self.main end
  self.main:close()
  return nil, message
end

local function main_of(self)
  local main = self.main
  if main and main:alive() then return main end
  return open_main(self)
end

-- Errors of the server that go by: the call had no effect.
local PASSING = {
  LOADING = true, READONLY = true, OOM = true, MISCONF = true, BUSY = true,
  MASTERDOWN = true, CLUSTERDOWN = true, TRYAGAIN = true, NOREPLICAS = true,
}

-- Whether a reply says that the server has not got the script.
local function is_missing(reply)
  return reply and reply.err and reply.err:find "^NOSCRIPT"
end

-- Has the server run a script, which it is given if it has not got it. The
-- words are those of EVALSHA; the second is put in here. Returns as send.
local function evaluate(self, main, name, words)
  if self.shas[name] then
    words[2] = self.shas[name]
    local reply, why, sent = main:send(words)
    if not is_missing(reply) then return reply, why, sent end
  end
  local sha, why, sent = main:send { "SCRIPT", "LOAD", scripts[name] }
  if type(sha) ~= "string" then return sha, why, sent end
  self.shas[name], words[2] = sha, sha
  return main:send(words)
end

-- One attempt. Returns the reply; or nil, reason, message, where "unknown"
-- is what may have been done.
local function attempt(self, name, words)
  local main, message = main_of(self)
  if not main then return nil, "unavailable", message end
  local reply, why, sent = evaluate(self, main, name, words)
  if reply == nil then
    return nil, sent and "unknown" or "unavailable", why
  end
  local err = reply.err
  if not err then return reply end
  local kind = err:match "^%u+"
  if kind == "MISCONF" and name == "put" then
    return nil, "disk_full", err
  elseif PASSING[kind] then
    return nil, "unavailable", err
  end
  error("the Redis server refuses a script: " .. err, 0)
end

-- Attempts until one comes through, for as long as the engine is patient.
-- Returns the reply, and whether an earlier attempt may have been done.
local function persist(self, name, words)
  local due = sluice.time() + self.patience
  local pause, doubt = FIRST_PAUSE, false
  while true do
    local reply, reason, message = attempt(self, name, words)
    if reply then return reply, doubt end
    doubt = doubt or reason == "unknown"
    if reason == "disk_full" or self.closed or
      sluice.time() + pause > due then
      if self.closed then reason = "closed" end
      return nil, doubt and "unknown" or reason, message
    end
    sluice.sleep(pause * (0.5 + math.random() / 2))
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end

-- Runs a script whatever is cancelled. Returns as persist.
local function evaluate_words(self, name, words)
  if self.closed then return nil, "closed" end
  local reply, second, third = sluice.shield(persist, self, name, words)
  if reply then self.offset = reply[1] / 1000 - sluice.time() end
  return reply, second, third
end

local function run(self, name, key, ...)
  return evaluate_words(self, name, { "EVALSHA", "", 1, key, ... })
end

-- The first words of a call whose reply the server keeps, in case that it is
-- asked again; they name one whose reply has come, which is kept no longer.
local function numbered(self, queue)
  local now, renew = sluice.time(), ""
  self.calls = self.calls + 1
  if now >= queue.renew then
    queue.renew = now + RENEW
    renew = 1
  end
  local done = table.remove(queue.done) or ""
  return { "EVALSHA", "", 1, queue.key, self.name, self.calls, done, renew }
end

local function have_reply(queue, words)
  queue.done[#queue.done + 1] = words[6]
end

-- -- what goes in and comes out --

local function milliseconds(seconds, default)
  if seconds == nil then return default or "" end
  return ("%.0f"):format(math.min(math.ceil(seconds * 1000), 2^52))
end

local function id_of(id)
  return ("%016d"):format(id)
end

local function seconds_of(text)
  return text and tonumber(text) / 1000 or nil
end

-- As Redis writes what Lua does not read.
local INFINITE = { inf = math.huge, ["-inf"] = -math.huge }

-- The raw job of a script's record. Who only looks at a job gets no token.
local function job_of(record, reserved)
  local state = record[13]
  local job = {
    id = tonumber(record[12]), state = state,
    body = record[1], format = tonumber(record[2]),
    priority = tonumber(record[3]) or INFINITE[record[3]],
    attempts = tonumber(record[4]), max_attempts = tonumber(record[5]),
    token = reserved and tonumber(record[6]) or nil,
    created = seconds_of(record[7]), lease = seconds_of(record[8]),
    unique = record[9] or nil, error = record[10] or nil,
  }
  if state == LEASED then job.deadline = seconds_of(record[14]) end
  if state == DELAYED then job.due = seconds_of(record[14]) end
  return job
end

local function jobs_of(records, reserved)
  local list = {}
  for i, record in ipairs(records) do list[i] = job_of(record, reserved) end
  return list
end

-- -- the engine's methods --

function Engine:queue(name, settings)
  local key = ("{sluice:%s}"):format(name)
  local reply, reason, message = run(self, "queue", key,
    settings.maxsize or "", milliseconds(settings.lease),
    settings.max_attempts or "")
  if not reply then return nil, reason, message end
  reply, message = self.main:call("SADD", "sluice:queues", name)
  if not reply then return nil, "unknown", message end
  local queue = {
    key = key, name = name, keeper = keeper.new(self),
    leased = {}, -- id to token, of what this store has reserved
    done = {}, -- the numbers of calls whose reply is here
    renew = 0, -- when the server is to be told to keep replies longer
  }
  self.queues_open[queue] = true
  return queue
end

-- A body and nothing else has the defaults of its queue.
local function append_body(words, body)
  local n = #words
  words[n + 1], words[n + 2], words[n + 3] = body, 0, 0
  for i = n + 4, n + 9 do words[i] = "" end
end

local function append_entry(words, entry)
  if type(entry) == "string" then return append_body(words, entry) end
  local n = #words
  words[n + 1] = entry.body
  words[n + 2] = entry.format or 0
  words[n + 3] = ("%.17g"):format(entry.priority or 0)
  words[n + 4] = milliseconds(entry.delay)
  words[n + 5] = milliseconds(entry.ttl)
  words[n + 6] = milliseconds(entry.lease)
  words[n + 7] = entry.max_attempts or ""
  words[n + 8] = entry.unique or ""
  words[n + 9] = milliseconds(entry.unique_for)
end

-- The ids of a reply, where one that was found is negative.
local function ids_of(reply)
  local ids, found = {}, nil
  for i = 2, #reply do
    local id = reply[i]
    ids[i - 1] = math.abs(id)
    if id < 0 then
      found = found or {}
      found[i - 1] = true
    end
  end
  return ids, found
end

function Engine:put(queue, entries)
  local words = numbered(self, queue)
  for _, entry in ipairs(entries) do append_entry(words, entry) end
  local reply, reason, message = evaluate_words(self, "put", words)
  if not reply then return nil, reason, message end
  if reply[2] == "full" then return nil, "full" end
  have_reply(queue, words)
  return ids_of(reply)
end

-- -- waiting --

local function open_waiter(self)
  local waiter = table.remove(self.waiters)
  if waiter and waiter:alive() then return waiter end
  return connection.connect(self.address, self.reply_time)
end

-- Waits until the key has a member, takes it; or until seconds have passed.
-- Returns false if the connection is in doubt.
local function block(self, key, seconds)
  local waiter = open_waiter(self)
  if not waiter then return false end
  self.blocked[waiter] = true
  local reply = waiter:block(seconds + MARGIN, "BZPOPMIN", key,
    ("%.3f"):format(math.max(0.001, seconds)))
  self.blocked[waiter] = nil
  if reply == nil then return false end
  if not self.closed then self.waiters[#self.waiters + 1] = waiter end
  return true
end

local function left(due)
  return due and math.max(0, due - sluice.time()) or math.huge
end

-- One look for jobs. Returns a list; or nil, reason, message, seconds until
-- the next look is worth it.
local function look(self, queue, words)
  local reply, reason, message = evaluate_words(self, "reserve", words)
  if not reply then return nil, reason, message, 0 end
  if #reply[4] > 0 then
    have_reply(queue, words)
    local jobs = jobs_of(reply[4], true)
    for _, job in ipairs(jobs) do queue.leased[job.id] = job.token end
    return jobs
  end
  local wait = reply[2] < 0 and math.huge or reply[2] / 1000
  return nil, "timeout", nil, wait
end

-- A day may be bad: told once, until it is better.
local function tell(self, reason, message)
  if reason == "timeout" then
    self.bad = false
  elseif not self.bad then
    self.bad = true
    warn(("sluice.jobs: the Redis server is %s: %s"):format(reason,
      tostring(message)))
  end
end

function Engine:reserve(queue, n, timeout)
  local due = timeout and sluice.time() + timeout
  local words = numbered(self, queue)
  words[#words + 1] = n
  while true do
    local jobs, reason, message, wait = look(self, queue, words)
    if jobs then return jobs end
    if reason == "closed" then return nil, reason end
    if left(due) <= 0 then return nil, reason, message end
    tell(self, reason, message)
    local seconds = math.min(wait, left(due), BLOCK)
    if reason ~= "timeout" or
      not block(self, queue.key .. ":wake", seconds) then
      sluice.sleep(math.min(LONGEST_PAUSE / 10, left(due)))
    end
  end
end

function Engine:drain(queue, timeout)
  local due = timeout and sluice.time() + timeout
  while true do
    local reply, reason, message = run(self, "stats", queue.key)
    if not reply then return nil, reason, message end
    if reply[2] + reply[3] + reply[4] == 0 then return true end
    if left(due) <= 0 then return nil, "timeout" end
    local wait = reply[6] < 0 and math.huge or reply[6] / 1000
    block(self, queue.key .. ":idle", math.min(wait, left(due), 1))
  end
end

-- -- the end of a lease --

local function finish(self, queue, verb, jobs, seconds, why)
  local words = { "EVALSHA", "", 1, queue.key, verb, milliseconds(seconds),
    why or "" }
  for _, job in ipairs(jobs) do
    words[#words + 1] = id_of(job.id)
    words[#words + 1] = job.token
  end
  if verb ~= "touch" then
    queue.keeper:forget(jobs)
    for _, job in ipairs(jobs) do queue.leased[job.id] = nil end
  end
  local reply, doubt, message = evaluate_words(self, "finish", words)
  if not reply then return nil, doubt, message end
  if #reply[2] == 0 then return true, seconds_of(reply[3]) end
  -- It was there before the connection was lost, and may be our own doing.
  if doubt and verb ~= "touch" then return nil, "unknown" end
  return nil, "lease_lost", reply[2]
end

function Engine:ack(queue, jobs)
  return finish(self, queue, "ack", jobs)
end

function Engine:release(queue, jobs, delay)
  return finish(self, queue, "release", jobs, delay)
end

function Engine:nack(queue, jobs, delay, why)
  return finish(self, queue, "nack", jobs, delay, why)
end

function Engine:bury(queue, jobs, why)
  return finish(self, queue, "bury", jobs, nil, why)
end

function Engine:touch(queue, jobs, seconds)
  return finish(self, queue, "touch", jobs, seconds)
end

function Engine:keep(queue, jobs)
  queue.keeper:keep(queue, jobs)
end

-- -- managing --

function Engine:cancel(queue, id)
  local reply, reason, message = run(self, "cancel", queue.key, id_of(id))
  if not reply then return nil, reason, message end
  if reply[2] == "ok" then return true end
  return nil, reply[2]
end

function Engine:kick(queue, n, id)
  local total = 0
  while true do
    local reply, reason, message =
      run(self, "kick", queue.key, n and n - total or 1, id and id_of(id) or "")
    if not reply then return nil, reason, message end
    total = total + reply[2]
    if id or reply[2] == 0 or total >= n then return total end
  end
end

function Engine:peek(queue, state, n)
  local reply, reason, message =
    run(self, "peek", queue.key, state, math.min(n, 2^31 | 0))
  if not reply then return nil, reason, message end
  return jobs_of(reply[2])
end

function Engine:job(queue, id)
  local reply, reason, message = run(self, "job", queue.key, id_of(id))
  if not reply then return nil, reason, message end
  if not reply[2] then return nil, "not_found" end
  return job_of(reply[2])
end

function Engine:pause(queue)
  local reply, reason, message = run(self, "pause", queue.key, 1)
  if not reply then return nil, reason, message end
  return true
end

function Engine:resume(queue)
  local reply, reason, message = run(self, "pause", queue.key, 0)
  if not reply then return nil, reason, message end
  return true
end

function Engine:purge(queue, state)
  local total = 0
  repeat
    local reply, reason, message = run(self, "purge", queue.key, state)
    if not reply then return nil, reason, message end
    total = total + reply[2]
  until reply[3] == 0
  return total
end

function Engine:stats(queue)
  local reply, reason, message = run(self, "stats", queue.key)
  if not reply then return nil, reason, message end
  return {
    ready = reply[2], delayed = reply[3], leased = reply[4], dead = reply[5],
    paused = reply[7] == 1, puts = reply[8], acks = reply[9],
    retries = reply[10], expired = reply[11], cancelled = reply[12],
  }
end

function Engine:queues()
  if self.closed then return nil, "closed" end
  local main, message = main_of(self)
  if not main then return nil, "unavailable", message end
  local reply, why = main:call("SMEMBERS", "sluice:queues")
  if not reply then return nil, "unavailable", why end
  table.sort(reply)
  return reply
end

-- Whether the counters of a queue agree with what is there.
local function check_queue(self, name)
  local stats, reason, message = self:stats { key = "{sluice:" .. name .. "}" }
  if not stats then return nil, reason, message end
  local there = stats.ready + stats.delayed + stats.leased + stats.dead
  if stats.puts == stats.acks + stats.expired + stats.cancelled + there then
    return true
  end
  return nil, "damaged", ("the counters of the queue '%s' do not agree "
    .. "with its jobs"):format(name)
end

function Engine:check()
  local names, reason, message = self:queues()
  if not names then return nil, reason, message end
  for _, name in ipairs(names) do
    local ok, why, text = check_queue(self, name)
    if not ok then return nil, why, text end
  end
  return true
end

function Engine:now()
  return sluice.time() + self.offset
end

-- What is still reserved is the next worker's at once.
local function give_back(self)
  for queue in pairs(self.queues_open) do
    local jobs = {}
    for id, token in pairs(queue.leased) do
      jobs[#jobs + 1] = { id = id, token = token }
    end
    if #jobs > 0 then self:release(queue, jobs) end
  end
end

function Engine:close()
  if self.closed then return true end
  give_back(self)
  self.closed = true
  if self.main then self.main:close() end
  for waiter in pairs(self.blocked) do waiter:close() end
  for _, waiter in ipairs(self.waiters) do waiter:close() end
  for one in pairs(self.keepers) do one:close() end
  return true
end

-- A name for this engine, which no other has.
local function random_name()
  local source <close> = io.open("/dev/urandom", "rb")
  local bytes = source and source:read(12)
  if not bytes then return ("%x:%x"):format(os.time(), math.random(0)) end
  return (bytes:gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
end

--- Opens the engine.
-- @param rest of the URL: `//USER:PASSWORD@HOST:PORT/DATABASE`, or the path of
-- a Unix socket
-- @param options `patience`: seconds that a call goes on trying (5);
-- `reply_time`: seconds that a reply may take (5)
-- @param url whole
-- @return an engine; or nil, message, code
-- Waits.
local function open(rest, options, url)
  local where, message = address.parse(rest, url:match("^%a+"):lower())
  if not where then
    return nil, ("'%s': %s"):format(url, message), "EINVAL"
  end
  if not sluice.pcall(require, "sluice.native.hiredis") then
    return nil, "Redis is not built in: sluice was built without hiredis",
      "ENOTSUP"
  end
  local self = setmetatable({
    address = where, patience = options.patience or 5,
    reply_time = options.reply_time or 5, opening = sluice.Lock(),
    shas = {}, calls = 0, name = random_name(), offset = 0, warned = {},
    waiters = {}, keepers = {}, queues_open = {},
    blocked = setmetatable({}, { __mode = "k" }),
  }, Engine)
  local main, why, code = open_main(self)
  if not main then return nil, why, code or "EUNAVAILABLE" end
  return self
end

return { open = open }
