--- sluice.http.places: how many requests may be under way.
--
-- The one idea: a request holds a place among all, and one among those to its
-- host, if hosts are limited; who must wait for one is served in the order in
-- which he came. The host's place is taken first, so that nobody who waits
-- for a busy host keeps others from theirs.
--
-- Internal to sluice.http. A holder is any table; its fields `gate` and
-- `placed` are written here.

local sluice = require "sluice"

local places = {}

local Places = {}
Places.__index = Places

--- Makes them.
-- @param most in all
-- @param[opt] per_host to one host
function places.new(most, per_host)
  return setmetatable({
    most = most, per_host = per_host, all = sluice.BoundedSemaphore(most),
    hosts = {},
  }, Places)
end

local function host_gate(self, host)
  local gate = self.hosts[host]
  if not gate then
    gate = sluice.BoundedSemaphore(self.per_host)
    self.hosts[host] = gate
  end
  return gate
end

-- Waits for a place; nil if there was none in time. While this task was about
-- to wait, the gate may have been forgotten, and another one made.
local function enter_host(self, host, left)
  while true do
    local gate = host_gate(self, host)
    if not gate:acquire(left()) then return nil end
    local current = self.hosts[host]
    if current == gate or not current then
      self.hosts[host] = gate
      return gate
    end
    gate:release()
  end
end

local function leave_host(self, holder)
  if holder.gate then holder.gate:release() end
  holder.gate = nil
  local gate = self.hosts[holder.host]
  -- Nobody waits there if all are free.
  if gate and gate:value() == self.per_host then
    self.hosts[holder.host] = nil
  end
end

--- Takes a place for the holder.
-- @param host nil, if hosts are not limited
-- @param left a function that tells how many seconds there are
-- @return true; or nil, if they have passed
-- Waits. After it has returned, nothing is raised.
function Places:enter(holder, host, left)
  if self.per_host then
    holder.host = host
    holder.gate = enter_host(self, host, left)
    if not holder.gate then return nil end
  end
  if not self.all:acquire(left()) then return nil end
  holder.placed = true
  return true
end

--- Gives back what places the holder has. Allocates nothing.
function Places:leave(holder)
  if holder.host then leave_host(self, holder) end
  if not holder.placed then return end
  holder.placed = false
  self.all:release()
end

--- How many are held.
function Places:held()
  return self.most - self.all:value()
end

return places
