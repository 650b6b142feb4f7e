--- sluice.jobs.redis.connection: commands to a Redis server, pipelined.
--
-- The one idea: no task reads in the background. A command is queued for the
-- next write, and who waits for a reply while nobody reads becomes the
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
  while true do
    local reply, message = self.parser:get()
    if reply == nil then
      if message then drop(self, message) end
      return
    end
    local slot = self.pending[self.first]
    if not slot then return drop(self, "a reply that nobody asked for") end
    self.pending[self.first] = nil
    self.first = self.first + 1
    slot.reply = reply
    wake(slot)
  end
end

-- Who reads holds this; there is one a connection.
local Reading = {}

-- Whoever still waits is to read on.
function Reading.__close(reading)
  local self = reading.connection
  self.reading = false
  local slot = self.pending[self.first]
  if slot then wake(slot) end
end

local function read_until(self, slot, due)
  local reading <close> = self.guard
  self.reading = true
  while slot.reply == nil and not slot.lost do
    local data, why = self.stream:read(nil, math.max(0, due - sluice.time()))
    if not data then return drop(self, why) end
    self.parser:feed(data)
    hand_out(self)
  end
  return reading
end

local function await(self, slot, due)
  while slot.reply == nil and not slot.lost do
    if not self.reading then
      read_until(self, slot, due)
    else
      slot.ready = slot.ready or sluice.Event()
      slot.ready:clear()
      if not slot.ready:wait(math.max(0, due - sluice.time())) then
        drop(self, "timeout")
      end
    end
  end
end

local function write(self, bytes)
  local ok, message = self.stream:write(bytes)
  if not ok then drop(self, message) end
end

-- Writes what was queued since the last time, in one piece.
local function flush(self)
  local bytes = table.concat(self.out)
  self.out = {}
  if not self.lost then write(self, bytes) end
end

local function append_slot(self)
  local slot = self.spare or {}
  self.spare = nil
  self.last = self.last + 1
  self.pending[self.last] = slot
  return slot
end

-- Sends a command: at once if nobody waits for anything, else with those of
-- the same turn. Returns the slot of its reply.
local function submit(self, command)
  local alone = self.last < self.first and #self.out == 0
  local slot = append_slot(self)
  if alone then
    write(self, command)
    return slot
  end
  if #self.out == 0 then sluice.call_soon(flush, self) end
  self.out[#self.out + 1] = command
  return slot
end

-- A connection that is not in use may have ended meanwhile: found out before
-- the command is sent, it is certain that it was not executed.
local function probe(self)
  if self.last >= self.first or self.reading then return end
  local data, why = self.stream:read(nil, 0)
  if data or why ~= "timeout" then drop(self, why) end
end

local function exchange(self, seconds, command)
  if not self.lost then probe(self) end
  if self.lost then return nil, self.lost, false end
  local slot = submit(self, command)
  await(self, slot, sluice.time() + seconds)
  local reply = slot.reply
  if reply == nil then return nil, slot.lost, true end
  slot.reply = nil
  self.spare = slot
  return reply
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

-- Sends two commands together, and waits for the reply of the second.
local function exchange_two(self, seconds, first, second)
  if not self.lost then probe(self) end
  if self.lost then return nil, self.lost, false end
  append_slot(self)
  local slot = append_slot(self)
  write(self, first .. second)
  await(self, slot, sluice.time() + seconds)
  if slot.reply == nil then return nil, slot.lost, true end
  return slot.reply
end

--- Sends a command that blocks at the server and one for afterwards, together,
-- so that both replies take one turn; may be cancelled, which drops the
-- connection. Nobody else uses it.
-- @param seconds how long the replies may take
-- @param first its bytes; its reply does not matter
-- @param second its bytes
-- @return as send, of the second
-- Waits.
function Connection:block(seconds, first, second)
  local guard <close> = setmetatable({}, { -- luacheck: ignore guard
    __close = function(_, err)
      if err ~= nil then drop(self, "cancelled") end
    end,
  })
  local reply, why, sent = exchange_two(self, seconds, first, second)
  return reply, why, sent
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
    pending = {}, first = 1, last = 0, out = {}, reading = false,
  }, Connection)
  self.guard = setmetatable({ connection = self }, Reading)
  message = greet(self, address)
  if not message then return self end
  self:close()
  return nil, message
end

return { connect = connect }
