--- sluice.jobs.redis.calls: scripts that a server runs, however the connection
-- fares.
--
-- The one idea: a call is the bytes of a command that runs a script; they may
-- be sent again on another connection, since the scripts see to it that what
-- was done is not done twice. So a connection that is in doubt is dropped,
-- and the call repeated for as long as the engine is patient.
--
-- An engine (`self` here) has `address`, `patience`, `reply_time`, `opening`,
-- `shas`, `calls`, `name`, `warned`, `writer`, `flight`, `closing` once its
-- end has begun, `closed` after that; a queue has `key`, `heads`, `done`,
-- `renew`. Internal to sluice.jobs.

local connection = require "sluice.jobs.redis.connection"
local scripts = require "sluice.jobs.redis.scripts"
local server = require "sluice.jobs.redis.server"
local sluice = require "sluice"

local calls = {}

local FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1 -- seconds before a new attempt
local RENEW = 60 -- seconds; the server keeps replies for ten times that

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

--- The connection for calls; or nil, message.
-- Waits.
function calls.main(self)
  local main = self.main
  if main and not main.lost then return main end
  return open_main(self)
end

-- -- commands --

-- In the place of a script's name at the server, as long as it is not known.
local UNKNOWN = ("0"):rep(40)
local NAME = "^(%*%d+\r\n%$7\r\nEVALSHA\r\n%$40\r\n)%x+"

--- The first four words of a command that runs a script, as bytes.
function calls.head(self, queue, name)
  local head = queue.heads[name]
  if head then return head end
  local sha = self.shas[name]
  head = self.writer:words { "EVALSHA", sha or UNKNOWN, "1", queue.key }
  if sha then queue.heads[name] = head end
  return head
end

--- The bytes of a command that runs a script with these arguments, and those
-- of a list, if there is one, after them.
function calls.command(self, queue, name, list, ...)
  local writer = self.writer
  if list then
    return writer:format(calls.head(self, queue, name), writer:words(list),
      4 + #list, ...)
  end
  return writer:format(calls.head(self, queue, name), "", 4, ...)
end

-- A call whose reply the server keeps, in case that it is asked again.
local Call = {}

--- A call, to be closed: its `number`; `done`, the number of one whose reply
-- has come, which is kept no longer; `renew`, "1" if the server is to keep
-- replies longer. To be set to true: `kept` once its reply is here, `doubt` if
-- the server may have kept one that is not.
function calls.next(self, queue)
  local list, spare = queue.done, queue.spare
  local n = #list
  local call = spare or setmetatable({ queue = queue }, Call)
  if spare then queue.spare = nil end
  self.calls = self.calls + 1
  call.number, call.done = self.calls, list[n] or ""
  call.renew = sluice.time() >= queue.renew and "1" or ""
  call.kept, call.doubt = false, false
  list[n] = nil
  return call
end

function Call.__close(call)
  local queue = call.queue
  local list = queue.done
  if call.kept or call.doubt then list[#list + 1] = call.number end
  if call.kept then
    if call.renew ~= "" then queue.renew = sluice.time() + RENEW end
  elseif call.done ~= "" then
    list[#list + 1] = call.done
  end
  queue.spare = call
end

-- -- calls --

-- Whether a reply says that the server has not got the script.
local function is_missing(reply)
  return type(reply) == "table" and reply.err
    and reply.err:find "^NOSCRIPT"
end

-- Has the server run a script that it has not got yet. Returns as send.
local function introduce(self, main, name, command)
  local reply, why, sent = main:call("SCRIPT", "LOAD", scripts[name])
  if type(reply) ~= "string" then return reply, why, sent end
  self.shas[name] = reply
  return main:send((command:gsub(NAME, "%1" .. reply)))
end

-- Errors of the server that go by: the call had no effect.
local PASSING = {
  LOADING = true, READONLY = true, OOM = true, MISCONF = true, BUSY = true,
  MASTERDOWN = true, CLUSTERDOWN = true, TRYAGAIN = true, NOREPLICAS = true,
}

-- The word that an error begins with, also one that a script met, which
-- Redis 6 tells as an error of the script.
local function kind_of(err)
  return err:match "^ERR .*@user_script: ?%d+: %-?(%u%u+) "
    or err:match "^%u+"
end

-- What an error of the server means: nil, reason, message, and whether it is
-- of no use to try again. Beside what goes by there is what a user may not
-- do, and what a script does not find as it left it.
local function judge(name, err)
  local kind = kind_of(err)
  if kind == "MISCONF" and name == "put" then
    return nil, "disk_full", err, true
  elseif PASSING[kind] then
    return nil, "unavailable", err, false
  end
  local met = err:find("user_script", 1, true) and kind ~= "NOPERM"
    and not err:find("can't run this command", 1, true) -- before Redis 7.2
  return nil, met and "damaged" or "unavailable", err, true
end

-- One attempt. Returns the reply; or nil, reason, message, where "unknown"
-- is what may have been done, and whether it is of no use to try again.
local function attempt(self, name, command)
  local main, message = calls.main(self)
  if not main then return nil, "unavailable", message end
  local reply, why, sent = main:send(command)
  if is_missing(reply) then
    reply, why, sent = introduce(self, main, name, command)
  end
  if reply == nil then
    return nil, sent and "unknown" or "unavailable", why
  elseif reply == "AGAIN" then
    return attempt(self, name, command) -- a batch was brought up to date
  elseif type(reply) == "table" and reply.err then
    return judge(name, reply.err)
  elseif type(reply) ~= "table" or math.type(reply[1]) ~= "integer" then
    return nil, "unknown", "the reply is not that of a script", true
  end
  self.offset = reply[1] / 1000 - main.used
  return reply
end

-- Attempts until one comes through, for as long as the engine is patient.
-- The last call of an engine is made while it closes, others end then.
-- Returns the reply, and whether an earlier attempt may have been done.
local function persist(self, name, command, last)
  local flight <close> = self.flight -- luacheck: ignore flight
  self.flight.n = self.flight.n + 1
  local reply, reason, message, final = attempt(self, name, command)
  if reply then return reply, false end
  local due = sluice.time() + self.patience
  local pause, doubt = FIRST_PAUSE, reason == "unknown"
  while not final and (last or not self.closing)
    and sluice.time() + pause <= due do
    sluice.sleep(pause * (0.5 + math.random() / 2))
    pause = math.min(pause * 2, LONGEST_PAUSE)
    reply, reason, message, final = attempt(self, name, command)
    if reply then return reply, doubt end
    doubt = doubt or reason == "unknown"
  end
  if self.closing then reason = "closed" end
  return nil, doubt and "unknown" or reason, message
end

-- How many calls are under way; `over`, an event, is set when none is.
local Flight = {
  __close = function(flight)
    flight.n = flight.n - 1
    if flight.n == 0 and flight.over then flight.over:set() end
  end,
}

--- What an engine needs to count its calls: its `flight`.
function calls.flight()
  return setmetatable({ n = 0 }, Flight)
end

--- Waits until no call is under way.
function calls.land(self)
  local flight = self.flight
  flight.over = sluice.Event()
  if flight.n > 0 then flight.over:wait() end
end

--- As perform, while the engine closes.
function calls.perform_last(self, name, command)
  return sluice.shield(persist, self, name, command, true)
end

--- Has a command run a script, whatever is cancelled.
-- @return the reply, and whether an earlier attempt may have been done; or
-- nil, reason, message
-- Waits.
function calls.perform(self, name, command)
  if self.closing then return nil, "closed" end
  return sluice.shield(persist, self, name, command)
end

--- Runs a script with these arguments. Returns as perform.
-- Waits.
function calls.run(self, name, queue, ...)
  return calls.perform(self, name, calls.command(self, queue, name, nil, ...))
end

return calls
