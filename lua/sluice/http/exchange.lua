--- sluice.http.exchange: a request on its way, and the answer to it.
--
-- The one idea: the task that wants the answer does all the waiting. It looks
-- what the native transfer is at, feeds it the next piece of a body when it
-- asks for one, and waits at it until something changes, the request's time
-- is over, or nothing has moved for too long. So an exchange needs no task of
-- its own, and leaving it is closing it.
--
-- Internal to sluice.http. Owns a transfer and a place among the client's
-- connections.

local sluice = require "sluice"

local exchange = {}

local Exchange = {}
Exchange.__index = Exchange

local function too_late(self)
  return nil, ("the request took longer than %g s (%s)"):format(
    self.spec.timeout, self.transfer:phase()), "ETIMEDOUT"
end

-- Waits until something has changed.
local function await(self)
  local transfer, idle = self.transfer, self.spec.idle_timeout
  local pause = idle
  while true do
    local left = math.max(self.deadline - sluice.time(), 0)
    local ok, message, code =
      self.client._reactor:wait(transfer, math.min(left, pause))
    if ok then return true end
    if code then return nil, message, code end
    if sluice.time() >= self.deadline then return too_late(self) end
    local silence = transfer:silence()
    if silence and silence >= idle then
      return nil, ("nothing came or went for %g s (%s)"):format(idle,
        transfer:phase()), "ETIMEDOUT"
    end
    pause = silence and idle - silence or idle
  end
end

-- -- the body of the request --

local function mark(body) return true, body() end

-- The next piece of the body, within the request's time.
local function next_piece(self)
  local left = self.deadline - sluice.time()
  if left == math.huge then return mark(self.spec.body) end
  return sluice.wait_for(math.max(left, 0), mark, self.spec.body)
end

local function check_length(self, piece)
  local length = self.spec.length
  if not length then return end
  self.given = (self.given or 0) + #(piece or "")
  if self.given > length or (not piece and self.given < length) then
    error(("the body has %d bytes and not %d"):format(self.given, length), 0)
  end
end

-- A function that gives nothing again and again never waits for the network:
-- then it waits here, for its time and for all others.
local function feed(self)
  if sluice.time() >= self.deadline then return too_late(self) end
  local done, piece = next_piece(self)
  if not done then return too_late(self) end
  if piece ~= nil and type(piece) ~= "string" then
    error(("the body's function must return a string or nil, not a %s")
      :format(type(piece)), 0)
  end
  check_length(self, piece)
  if piece == "" then
    sluice.sleep(0)
  else
    self.transfer:send(piece)
  end
  return true
end

-- Goes on until there is something for the reader. `past`: the head is not.
local function advance(self, past)
  while true do
    local state = self.transfer:state()
    local ok, message, code
    if state == "send" then
      ok, message, code = feed(self)
    elseif state and not (past and state == "head") then
      return state
    else
      ok, message, code = await(self)
    end
    if not ok then return nil, message, code end
  end
end

-- -- what the client and the response call --

-- Whether a task is reading: until the end of the block that marked it.
local Reading = {}
function Reading:__close() self.busy = false end

--- Makes one, which gives back its places when it is closed.
function exchange.new(client, spec, deadline)
  return setmetatable({
    client = client, spec = spec, deadline = deadline, transfer = false,
    ended = false, placed = false, gate = nil, host = nil,
    reading = spec.stream and setmetatable({ busy = false }, Reading),
  }, Exchange)
end

--- Sends the request, when the loop next turns.
-- @return true; or nil, message, code
function Exchange:start()
  local message, code
  self.transfer, message, code = self.client._multi:start(self.spec)
  if self.transfer then return true end
  return nil, message, code
end

--- Waits for the head of the answer and, unless it streams, all of it.
-- @return status, head, URL, version, whether to follow; or nil, message, code
-- Waits.
function Exchange:finish()
  local state, message, code = advance(self, false)
  if not state then return nil, message, code end
  return self.transfer:head()
end

--- The body of an answer that did not stream.
function Exchange:body()
  return self.transfer:take() or ""
end

--- Whether a task is reading.
function Exchange:is_read() return self.reading.busy end

--- The next piece of the body of an answer that streams. No task is
-- reading.
-- Waits.
function Exchange:read(n)
  if self.ended then return nil, table.unpack(self.ended) end
  local reading <close> = self.reading
  reading.busy = true
  local state, message, code = advance(self, true)
  if state == "body" then return self.transfer:take(n) end
  if state and not self.ended then -- else somebody has closed it
    local _
    _, message, code = self.transfer:take()
  end
  self.ended = self.ended or { message or "eof", code }
  self:close()
  return nil, table.unpack(self.ended)
end

local CLOSED = { "the response is closed", "EBADF" }

--- Ends it, once. Allocates nothing, so that it cannot fail.
function Exchange:close()
  self.ended = self.ended or CLOSED
  if self.transfer then self.transfer:close() end
  self.client._places:leave(self)
end

-- An exchange that outlives the block that began it. That the collector
-- closes it is marked by setting this metatable.
local Kept = {
  __index = Exchange, __gc = Exchange.close, __close = function() end,
}

--- From now on it is closed by hand, or when it is collected.
function Exchange:keep()
  setmetatable(self, Kept)
end

Exchange.__close = Exchange.close

return exchange
