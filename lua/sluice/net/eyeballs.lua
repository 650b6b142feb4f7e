--- sluice.net.eyeballs: connecting to the first of several addresses that
-- answers ("happy eyeballs", RFC 8305).
--
-- Each address is tried in a task of its own: the next one when one has
-- failed, or has not answered for a while. The first connection wins; the
-- group's end cancels the other attempts, and a cancelled attempt closes its
-- socket. Nothing of it outlives the call, however it is left.

local sluice = require "sluice"
local core = require "sluice.core.net"
local addresses = require "sluice.net.addresses"

local eyeballs = {}

local DELAY = 0.25 -- seconds; "Connection Attempt Delay"

-- Errors that tell of this machine rather than of the host: another address
-- of the host has more to say.
local LOCAL = {
  EADDRNOTAVAIL = true, EAFNOSUPPORT = true, ENETUNREACH = true,
  EHOSTUNREACH = true, ENETDOWN = true, EACCES = true, EPERM = true,
  EINVAL = true,
}

local Race = {}
Race.__index = Race

-- A winner that nobody took: the call was left by an error.
function Race:__close()
  if self.winner then self.winner:close() end
end

local function new_race()
  return setmetatable({ changed = sluice.Event(), running = 0 }, Race)
end

function Race:failed(message, code)
  if not self.code or LOCAL[self.code] and not LOCAL[code] then
    self.message, self.code = message, code
  end
end

-- The body of an attempt.
function Race:try(address)
  local stream, message, code = core.connect(address)
  self.running = self.running - 1
  if not stream then
    self:failed(message, code)
  elseif self.winner then
    stream:close()
  else
    self.winner = stream
  end
  self.changed:set()
end

-- Waits until an attempt has ended, or for so long.
function Race:wait(timeout)
  self.changed:wait(timeout)
  self.changed:clear()
end

function Race:run(group, list)
  for i, address in ipairs(list) do
    self.running = self.running + 1
    group:create_task(self.try, self, address)
    self:wait(i < #list and DELAY or nil)
    if self.winner then break end
  end
  while not self.winner and self.running > 0 do self:wait() end
  group:cancel()
end

local function race(list)
  local race <close> = new_race() -- luacheck: ignore
  sluice.task_group(function(group) race:run(group, list) end)
  local winner = race.winner
  race.winner = nil
  return winner, race.message, race.code
end

--- Connects to one of the addresses.
-- @param list of addresses, in the system's order
-- @return a stream; or nil and the message and code of the failure that
-- tells most
-- Waits.
function eyeballs.connect(list)
  if #list == 1 then return core.connect(list[1]) end
  local winner, message, code = race(addresses.interleave(list))
  if winner then return winner end
  return nil, message, code
end

return eyeballs
