--- sluice.jobs.redis: the engine over Redis or Valkey, for many machines.
--
-- The one idea: every change is one script at the server, and every call may
-- be sent again (redis/calls.lua): the server keeps what it answered, or
-- finds by itself that it was done.
--
-- Waiting costs the server nothing: a second connection blocks at a key that
-- has a member as long as there is something to be had, at most five seconds.
--
-- Internal to sluice.jobs. The methods are those of an engine.

local address = require "sluice.jobs.redis.address"
local calls = require "sluice.jobs.redis.calls"
local connection = require "sluice.jobs.redis.connection"
local keeper = require "sluice.jobs.redis.keeper"
local native = require "sluice.native"
local server = require "sluice.jobs.redis.server"
local sluice = require "sluice"

local command_of, perform, run = calls.command, calls.perform, calls.run

-- Jobs of a call: the server does nothing else while it runs a script.
local MOST = 10000

local Engine = { most_put = MOST }
Engine.__index = Engine

local BLOCK = 5 -- seconds at most at the server
local MARGIN = 2 -- seconds that a reply may take beyond that
local PAUSE = 0.1 -- seconds after a connection that was in doubt

local hiredis -- once it is needed: not everybody has it

-- -- what goes in and comes out --

local function milliseconds(seconds, default)
  if seconds == nil then return default or "" end
  return ("%.0f"):format(math.min(math.ceil(seconds * 1000.0), 2^52))
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
  local job = hiredis.job(record, reserved)
  if type(job.priority) == "string" then
    job.priority = INFINITE[job.priority]
  end
  return job
end

local function jobs_of(records, reserved)
  local list = {}
  for i, record in ipairs(records) do list[i] = job_of(record, reserved) end
  return list
end

-- -- the engine's methods --

local function new_queue(self, name)
  return {
    key = ("{sluice:%s}"):format(name), name = name,
    keeper = keeper.new(self),
    leased = {}, -- id to token, of what this store has reserved
    heads = {}, -- name of a script to how a command that runs it begins
    done = {}, -- the numbers of calls whose reply is here
    renew = 0, -- when the server is to be told to keep replies longer
  }
end

-- Where the key of all names is out of reach (see redis/scripts.lua on ids).
local OUT_OF_REACH = { MOVED = true, NOPERM = true }

-- Adds a name to those of all queues. A queue whose name is out of place works
-- all the same.
local function enlist(self, name)
  local reply, reason, message = run(self, "enlist", self.names, name)
  if reply then return true end
  if not OUT_OF_REACH[message and message:match "^%u+"] then
    return nil, reason, message
  end
  server.warn_once(self.warned, ("the queue '%s' is not among those that "
    .. "queues() and check() find: %s"):format(name, message))
  return true
end

function Engine:queue(name, settings)
  local queue = self.queues_open[name] or new_queue(self, name)
  local reply, reason, message = run(self, "queue", queue,
    settings.maxsize or "", milliseconds(settings.lease),
    settings.max_attempts or "")
  if reply then reply, reason, message = enlist(self, name) end
  if not reply then return nil, reason, message end
  queue = self.queues_open[name] or queue -- somebody was faster
  self.queues_open[name] = queue
  return queue
end

-- What a body that is put without options has.
local DEFAULTS = { "0", "0", "", "", "", "", "", "" }

local function append_entry(words, n, entry)
  if type(entry) == "string" then
    words[n + 1] = entry
    table.move(DEFAULTS, 1, 8, n + 2, words)
    return
  end
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

local function put_command(self, queue, call, entries)
  local first = entries[1]
  if type(first) == "string" and not entries[2] then -- mostly, so at once
    return self.writer:format(calls.head(self, queue, "put"), self.defaults,
      12, self.name, call.number, call.done, call.renew, first)
  end
  local list = {}
  for i, entry in ipairs(entries) do append_entry(list, 9 * i - 9, entry) end
  return command_of(self, queue, "put", list, self.name, call.number,
    call.done, call.renew)
end

function Engine:put(queue, entries)
  local call <close> = calls.next(self, queue)
  local reply, reason, message =
    perform(self, "put", put_command(self, queue, call, entries))
  if reply and reply[2] == "full" then return nil, "full" end
  call.kept, call.doubt = reply ~= nil, reason == "unknown"
  if not reply then return nil, reason, message end
  return ids_of(reply)
end

-- -- waiting --

local function open_waiter(self)
  local waiter = table.remove(self.waiters)
  if waiter and waiter:alive() then return waiter end
  return connection.connect(self.address, self.reply_time)
end

-- Who is cancelled while it waits may just have taken the member: it is put
-- back, or others would wait although there are jobs.
local function put_back(self, queue)
  return setmetatable({}, { __close = function(_, err)
    if err ~= nil then sluice.call_soon(run, self, "settle", queue) end
  end })
end

-- Waits until a key of the queue has a member, which it takes, or until
-- seconds have passed; then looks. Returns the reply of the script "due"; or
-- nil: there is none, or the server did not let it wait.
local function block(self, queue, key, seconds)
  if not self.shas.due then return run(self, "due", queue) end -- loads it
  local waiter = open_waiter(self)
  if not waiter then return nil end
  if self.closing then return waiter:close() end
  self.blocked[waiter] = true
  local guard <close> = put_back(self, queue) -- luacheck: ignore guard
  local reply, refused = waiter:block(seconds + MARGIN,
    self.writer:format("", "", 0, "BZPOPMIN", queue.key .. key,
      ("%.3f"):format(math.max(0.001, seconds))),
    command_of(self, queue, "due"))
  self.blocked[waiter] = nil
  if not reply then return nil end
  self.waiters[#self.waiters + 1] = waiter
  if refused then
    server.warn_once(self.warned, "the Redis server does not let wait: "
      .. refused)
    return nil
  end
  if type(reply) == "table" and not reply.err then return reply end
  return run(self, "due", queue)
end

local function left(due)
  return due and math.max(0, due - sluice.time()) or math.huge
end

local function seconds_until(milliseconds_left)
  return milliseconds_left < 0 and math.huge or milliseconds_left / 1000
end

-- Waits until there may be jobs, or time is up. False: or nobody knows.
local function await_jobs(self, queue, wait, due)
  repeat
    local reply = block(self, queue, ":wake", math.min(wait, left(due), BLOCK))
    if not reply then return false end
    wait = seconds_until(reply[2])
  until reply[3] > 0 or left(due) <= 0
  return true
end

-- One look for jobs. Returns a list; or nil, reason, message, seconds until
-- the next look is worth it.
local function look(self, queue, command)
  local reply, reason, message = perform(self, "reserve", command)
  if not reply then return nil, reason, message, 0 end
  if #reply[4] == 0 then
    return nil, "timeout", nil, seconds_until(reply[2])
  end
  local jobs = jobs_of(reply[4], true)
  for _, job in ipairs(jobs) do queue.leased[job.id] = job.token end
  return jobs
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

-- What does not pass, however long one waits.
local FINAL = { closed = true, damaged = true }

local function reserve(self, queue, command, due)
  while true do
    local jobs, reason, message, wait = look(self, queue, command)
    if self.closing then return nil, "closed" end -- which gives them back
    if jobs then return jobs end
    if FINAL[reason] or left(due) <= 0 then return nil, reason, message end
    tell(self, reason, message)
    local asked = reason == "timeout" and await_jobs(self, queue, wait, due)
    if not asked and not self.closing then
      sluice.sleep(math.min(PAUSE, left(due)))
    end
  end
end

function Engine:reserve(queue, n, timeout)
  local due = timeout and sluice.time() + timeout
  local call <close> = calls.next(self, queue)
  local command = command_of(self, queue, "reserve", nil, self.name,
    call.number, call.done, call.renew, math.min(n, MOST))
  local jobs, reason, message = reserve(self, queue, command, due)
  call.kept, call.doubt = jobs ~= nil, reason == "unknown"
  return jobs, reason, message
end

function Engine:drain(queue, timeout)
  local due = timeout and sluice.time() + timeout
  while true do
    local reply, reason, message = run(self, "stats", queue)
    if not reply then return nil, reason, message end
    if reply[2] + reply[3] + reply[4] == 0 then return true end
    if left(due) <= 0 then return nil, "timeout" end
    local wait = math.min(seconds_until(reply[6]), left(due), 1)
    if not block(self, queue, ":idle", wait) then
      sluice.sleep(math.min(PAUSE, left(due)))
    end
  end
end

-- -- the end of a lease --

local function finish_command(self, queue, verb, jobs, seconds, why)
  local list = {}
  for i, job in ipairs(jobs) do
    list[2 * i - 1], list[2 * i] = id_of(job.id), job.token
  end
  return command_of(self, queue, "finish", list, verb, milliseconds(seconds),
    why or "")
end

local function finish(self, queue, verb, jobs, seconds, why)
  if verb ~= "touch" then
    queue.keeper:forget(jobs)
    for _, job in ipairs(jobs) do queue.leased[job.id] = nil end
  end
  local reply, doubt, message = perform(self, "finish",
    finish_command(self, queue, verb, jobs, seconds, why))
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
  local reply, reason, message = run(self, "cancel", queue, id_of(id))
  if not reply then return nil, reason, message end
  if reply[2] == "ok" then return true end
  return nil, reply[2]
end

function Engine:kick(queue, n, id)
  local total = 0
  while true do
    local reply, reason, message =
      run(self, "kick", queue, n and n - total or 1, id and id_of(id) or "")
    if not reply then return nil, reason, message end
    total = total + reply[2]
    if id or reply[2] == 0 or total >= n then return total end
  end
end

function Engine:peek(queue, state, n)
  local reply, reason, message =
    run(self, "peek", queue, state, math.min(n, MOST))
  if not reply then return nil, reason, message end
  return jobs_of(reply[2])
end

function Engine:job(queue, id)
  local reply, reason, message = run(self, "job", queue, id_of(id))
  if not reply then return nil, reason, message end
  if not reply[2] then return nil, "not_found" end
  return job_of(reply[2])
end

function Engine:pause(queue)
  local reply, reason, message = run(self, "pause", queue, 1)
  if not reply then return nil, reason, message end
  return true
end

function Engine:resume(queue)
  local reply, reason, message = run(self, "pause", queue, 0)
  if not reply then return nil, reason, message end
  return true
end

function Engine:purge(queue, state)
  local total = 0
  repeat
    local reply, reason, message = run(self, "purge", queue, state)
    if not reply then return nil, reason, message end
    total = total + reply[2]
  until reply[3] == 0
  return total
end

function Engine:stats(queue)
  local reply, reason, message = run(self, "stats", queue)
  if not reply then return nil, reason, message end
  return {
    ready = reply[2], delayed = reply[3], leased = reply[4], dead = reply[5],
    paused = reply[7] == 1, puts = reply[8], acks = reply[9],
    retries = reply[10], expired = reply[11], cancelled = reply[12],
  }
end

function Engine:queues()
  if self.closing then return nil, "closed" end
  local main, message = calls.main(self)
  if not main then return nil, "unavailable", message end
  local reply, why = main:call("SMEMBERS", "sluice:queues")
  if self.closing then return nil, "closed" end
  if not reply or reply.err then
    return nil, "unavailable", reply and reply.err or why
  end
  table.sort(reply)
  return reply
end

-- Whether the counters of a queue agree with what is there.
local function check_queue(self, name)
  local stats, reason, message = self:stats(new_queue(self, name))
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
  for _, queue in pairs(self.queues_open) do
    local jobs = {}
    for id, token in pairs(queue.leased) do
      jobs[#jobs + 1] = { id = id, token = token }
    end
    if #jobs > 0 then
      calls.perform_last(self, "finish",
        finish_command(self, queue, "release", jobs))
    end
  end
end

-- Who waits at the server ends at once, other calls when they are done.
local function finish_calls(self)
  for waiter in pairs(self.blocked) do waiter:close() end
  calls.land(self)
  give_back(self)
end

function Engine:close()
  local guard <close> = self.ending:acquire() -- luacheck: ignore guard
  if self.closed then return true end
  self.closing = true
  finish_calls(self)
  self.closed = true
  if self.main then self.main:close() end
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

-- The first connection. A server that has just started is waited for.
local function connect(self)
  local due = sluice.time() + self.patience
  local main, why, code
  repeat
    if why then sluice.sleep(PAUSE) end
    main, why, code = calls.main(self)
  until main or not why:find "^LOADING" or sluice.time() >= due
  return main, why, code
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
    return nil, ("'%s': %s"):format(address.shown(url), message), "EINVAL"
  end
  local missing, unsupported
  hiredis, missing, unsupported =
    native.load("hiredis", "hiredis", "libhiredis-dev")
  if not hiredis then return nil, missing, unsupported end
  local self = setmetatable({
    address = where, patience = options.patience or 5,
    reply_time = options.reply_time or 5, opening = sluice.Lock(),
    ending = sluice.Lock(), flight = calls.flight(), shas = {}, calls = 0,
    name = random_name(), offset = 0, warned = {},
    waiters = {}, keepers = {}, queues_open = {},
    names = { key = "sluice:queues", heads = {} }, -- of all queues
    blocked = setmetatable({}, { __mode = "k" }),
    writer = hiredis.Reader(),
  }, Engine)
  self.defaults = self.writer:words(DEFAULTS)
  local main, why, code = connect(self)
  if not main then return nil, why, code or "EUNAVAILABLE" end
  return self
end

return { open = open }
