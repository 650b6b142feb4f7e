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
  if not self.per_host then return nil end
  local gate = self.hosts[host]
  if not gate then
    gate = sluice.BoundedSemaphore(self.per_host)
    self.hosts[host] = gate
  end
  return gate
end

local function leave_host(self, holder)
  local gate = holder.gate
  if not gate then return end
  holder.gate = nil
  gate:release()
  -- Nobody waits there if all are free.
  if gate:value() == self.per_host then self.hosts[holder.host] = nil end
end

--- Takes a place for the holder.
-- @param host nil, if hosts are not limited
-- @param left a function that tells how many seconds there are
-- @return true; or nil, if they have passed
-- Waits. After it has returned, nothing is raised.
function Places:enter(holder, host, left)
  local gate = host_gate(self, host)
  holder.host = host
  if gate then
    if not gate:acquire(left()) then return nil end
    holder.gate = gate
  end
  if not self.all:acquire(left()) then return nil end
  holder.placed = true
  return true
end

--- Gives back what places the holder has. Allocates nothing.
function Places:leave(holder)
  leave_host(self, holder)
  if not holder.placed then return end
  holder.placed = false
  self.all:release()
end

--- How many are held.
function Places:held()
  return self.most - self.all:value()
end

return places
