--- sluice.jobs.redis.connection: commands to a Redis server, pipelined.
--
-- The one idea: no task reads in the background. A command goes out with the
-- others of its turn, and who waits for a reply while nobody reads becomes the
-- reader: it hands each reply to whom it belongs, in order, until its own is
-- there, and passes the reading on. So a connection belongs to no task.
--
-- What was sent is waited for, at most the reply time: a reply that does not
-- come means that the outcome is unknown, and the connection is dropped, with
-- everything that waits for it.
--
-- Internal to sluice.jobs.

local net = require "sluice.net"
local sluice = require "sluice"

local Connection = {}
Connection.__index = Connection

-- Who waits for a slot while another reads sleeps on its event.
local function wake(slot)
  if slot.ready then slot.ready:set() end
end

-- Fails whatever waits: the connection is of no use any more.
local function drop(self, message)
  if self.lost then return end
  self.lost = message or "the connection was closed"
  self.stream:close()
  for i = self.first, self.last do
    local slot = self.pending[i]
    self.pending[i] = nil
    slot.lost = self.lost
    wake(slot)
  end
  self.first, self.last = 1, 0
end

-- Gives the replies that have arrived to those who wait for them.
local function hand_out(self)
  local more
  repeat
    local reply
    reply, more = self.parser:get()
    if reply == nil then
      if more then drop(self, more) end
      return
    end
    local first = self.first
    local slot = self.pending[first]
    if not slot then return drop(self, "a reply that nobody asked for") end
    self.pending[first] = nil
    self.first = first + 1
    slot.reply = reply
    wake(slot)
  until not more
end

-- Reads until the reply of a slot is there. Whoever still waits then is to
-- read on.
local function read_until(self, slot, seconds, due)
  self.reading = true
  while slot.reply == nil and not slot.lost do
    local data, why = self.stream:read(nil, seconds)
    if not data then return drop(self, why) end
    self.parser:feed(data)
    hand_out(self)
    seconds = math.max(0, due - sluice.time())
  end
  self.reading = false
  local next_slot = self.pending[self.first]
  if next_slot then wake(next_slot) end
end

local function await(self, slot, seconds)
  local due = sluice.time() + seconds
  self.used = due - seconds
  if not self.reading then read_until(self, slot, seconds, due) end
  while slot.reply == nil and not slot.lost do
    local left = math.max(0, due - sluice.time())
    if not self.reading then
      read_until(self, slot, left, due)
    else
      slot.ready = slot.ready or sluice.Event()
      slot.ready:clear()
      if not slot.ready:wait(left) then drop(self, "timeout") end
    end
  end
end

-- Writes bytes, then what was queued meanwhile. Only one task does: a write
-- may let others run before it has begun.
local function write(self, bytes)
  self.writing = true
  repeat
    local ok, message = self.stream:write(bytes)
    if not ok then drop(self, message) end
    local more = #self.out > 0 and not self.lost
    if more then
      bytes = table.concat(self.out)
      self.out = {}
    end
  until not more
  self.writing = false
end

-- Writes what was queued since the last time, in one piece.
local function flush(self)
  if self.writing or self.lost or #self.out == 0 then return end
  local bytes = table.concat(self.out)
  self.out = {}
  write(self, bytes)
end

local function append_slot(self, slot)
  local last = self.last + 1
  if not slot then slot, self.spare = self.spare or {}, nil end
  self.last = last
  self.pending[last] = slot
  return slot
end

-- The reply in a slot, which is free then; or as send.
local function result_of(self, slot)
  local reply = slot.reply
  if reply == nil then return nil, slot.lost, true end
  slot.reply = nil
  self.spare = slot
  return reply
end

-- Sends a command with those of the same turn.
local function exchange_busily(self, seconds, command)
  if #self.out == 0 then sluice.call_soon(flush, self) end
  self.out[#self.out + 1] = command
  local slot = append_slot(self)
  await(self, slot, seconds)
  return result_of(self, slot)
end

-- Whether nobody waits for anything.
local function is_quiet(self)
  return self.last < self.first and not self.reading and not self.writing
end

-- Sends the bytes of a command at once, or of two, of which the first has a
-- slot, since nobody waits for anything. The connection may have ended
-- meanwhile: found out before that, it is certain that they were not executed.
local function exchange_alone(self, seconds, bytes, first)
  local data, why = self.stream:read(nil, 0)
  if not is_quiet(self) then return exchange_busily(self, seconds, bytes) end
  if data or why ~= "timeout" then drop(self, why) end
  if self.lost then return nil, self.lost, false end
  if first then append_slot(self, first) end
  local slot = append_slot(self)
  write(self, bytes)
  await(self, slot, seconds)
  return result_of(self, slot)
end

local function exchange(self, seconds, command)
  if self.lost then return nil, self.lost, false end
  if is_quiet(self) then
    return exchange_alone(self, seconds, command)
  end
  return exchange_busily(self, seconds, command)
end

--- Sends a command and waits for its reply. To be called shielded: a
-- cancellation would leave the reply to nobody.
-- @param command its bytes, as the parser's `format` makes them
-- @return the reply ({ err = text } if it is an error); or nil, message, and
-- whether it may have been executed
-- Waits, at most the reply time.
function Connection:send(command)
  return exchange(self, self.reply_time, command)
end

--- Sends a command and waits for its reply, whatever is cancelled meanwhile.
-- @param ... the command's words
-- @return as send
-- Waits, at most the reply time.
function Connection:call(...)
  return sluice.shield(exchange, self, self.reply_time,
    self.parser:format("", "", 0, ...))
end

--- Sends a command that blocks at the server and one for afterwards, together,
-- so that both replies take one turn; may be cancelled, which drops the
-- connection. Nobody else uses it.
-- @param seconds how long the replies may take
-- @param first its bytes
-- @param second its bytes
-- @return the reply of the second, and the error that the first met if it
-- did; or as send
-- Waits.
function Connection:block(seconds, first, second)
  local guard <close> = setmetatable({}, { -- luacheck: ignore guard
    __close = function(_, err)
      if err ~= nil then drop(self, "cancelled") end
    end,
  })
  if self.lost then return nil, self.lost, false end
  local slot = {}
  local reply, why, sent =
    exchange_alone(self, seconds, first .. second, slot)
  local met = slot.reply
  if reply == nil or type(met) ~= "table" then return reply, why, sent end
  return reply, met.err
end

--- Whether it can be used.
function Connection:alive()
  return not self.lost
end

--- Ends it. Never waits.
function Connection:close()
  drop(self)
end

-- Whether a reply to the handshake is good: returns the message if not.
local function check(reply, message)
  if reply == nil then return message end
  return type(reply) == "table" and reply.err or nil
end

local function greet(self, address)
  local message
  if address.password then
    if address.user then
      message = check(self:call("AUTH", address.user, address.password))
    else
      message = check(self:call("AUTH", address.password))
    end
  end
  if not message and address.database ~= 0 then
    message = check(self:call("SELECT", address.database))
  end
  return message
end

--- Connects.
-- @param address `path`, or `host` and `port`, `tls`; `user`, `password`,
-- `database`
-- @param seconds for connecting, and for each reply
-- @return a connection; or nil, message, perhaps a code
-- Waits.
local function connect(address, seconds)
  local hiredis = require "sluice.native.hiredis"
  local options = { timeout = seconds, tls = address.tls }
  local stream, message, code
  if address.path then
    stream, message, code = net.connect_unix(address.path, options)
  else
    stream, message, code =
      net.connect(address.host, address.port, options)
  end
  if not stream then return nil, message, code end
  local self = setmetatable({
    stream = stream, parser = hiredis.Reader(), reply_time = seconds,
    pending = {}, first = 1, last = 0, out = {},
    reading = false, writing = false,
    used = sluice.time(), -- when the last command was sent
  }, Connection)
  message = greet(self, address)
  if not message then return self end
  self:close()
  return nil, message
end

return { connect = connect }
