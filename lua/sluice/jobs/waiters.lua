--- sluice.jobs.waiters: who waits in reserve, first come first served.
--
-- Each call of reserve has a slot in a list. The first of the list is the
-- leader: it alone asks the engine, for as many jobs as all slots want
-- together, and hands them out in order; the others sleep until they are
-- served or lead. So a queue has one call of the engine however many wait,
-- nobody overtakes, and a batch of workers is served in one commit.
--
-- A slot is a to-be-closed value. Whoever leaves, for whatever reason, passes
-- the lead on and gives back what was put in its slot and not taken; so a
-- job is never lost with a waiter.

local sluice = require "sluice"

local Waiters = {}
Waiters.__index = Waiters

local Slot = {}

--- More than a slot can ever get; what all slots want together is a sum that
-- must not overflow.
local MOST = 1 << 31

--- The waiters of a queue.
function Waiters.new(engine, q)
  return setmetatable({
    engine = engine, q = q, wanted = 0,
    turns = 0, turn = sluice.Event(), -- ends of a leader's call
    staying = 0, -- who waits for that
  }, Waiters)
end

-- A slot for n jobs; with a place for each field, which come one by one.
local function new_slot(waiters, n)
  return setmetatable({
    waiters = waiters, n = math.min(n, MOST), linked = false, taken = false,
    jobs = nil, event = nil, prev = nil, next = nil,
  }, Slot)
end

-- -- the list --

local function append(waiters, slot)
  local last = waiters.last
  slot.prev = last
  if last then last.next = slot else waiters.first = slot end
  waiters.last = slot
  waiters.wanted = waiters.wanted + slot.n
  slot.linked = true
end

local function unlink(waiters, slot)
  local before, after = slot.prev, slot.next
  if before then before.next = after else waiters.first = after end
  if after then after.prev = before else waiters.last = before end
  waiters.wanted = waiters.wanted - slot.n
  slot.linked = false
end

-- The event of a slot that sleeps; a leader needs none.
local function wake(slot)
  if slot.event then slot.event:set() end
end

local function wake_leader(waiters)
  waiters.turns = waiters.turns + 1
  if waiters.staying > 0 then
    waiters.turn:set()
    waiters.turn:clear()
  end
  if waiters.first then wake(waiters.first) end
end

-- -- handing out --

-- Gives jobs back whose waiters are gone. That a lease was lost is no harm.
local function give_back(waiters, jobs)
  sluice.shield(waiters.engine.release, waiters.engine, waiters.q, jobs)
end

local function serve(waiters, slot, jobs, from)
  local to = math.min(from + slot.n, #jobs + 1)
  if from == 1 and to > #jobs then
    slot.jobs = jobs
  else
    slot.jobs = table.move(jobs, from, to - 1, 1, {})
  end
  unlink(waiters, slot)
  wake(slot)
  return to
end

-- Hands jobs to the slots in order. Some may have left since they were
-- counted, so there may be jobs left over.
local function hand_out(waiters, jobs)
  local from = 1
  while from <= #jobs and waiters.first do
    from = serve(waiters, waiters.first, jobs, from)
  end
  wake_leader(waiters)
  if from > #jobs then return end
  give_back(waiters, table.move(jobs, from, #jobs, 1, {}))
end

function Slot:__close()
  local waiters = self.waiters
  if self.linked then
    local led = waiters.first == self
    unlink(waiters, self)
    if led then wake_leader(waiters) end
  end
  if self.jobs and not self.taken then give_back(waiters, self.jobs) end
end

-- -- waiting --

-- Seconds; `due` is 0 for who does not want to wait.
local function left_until(due)
  if due == 0 then return 0 end
  return due and math.max(0, due - sluice.time())
end

-- Waits until the slot is served or leads. Returns false when time is up.
local function sleep(slot, due)
  slot.event = slot.event or sluice.Event()
  local woken = slot.event:wait(left_until(due))
  slot.event:clear()
  return woken or slot.jobs ~= nil
end

local Staying = {
  __close = function(self)
    self.waiters.staying = self.waiters.staying - 1
  end,
}

-- For who does not want to wait and does not lead. The leader may be about to
-- be answered, and there may be jobs for both; then it stays in line until
-- the answer is there. Returns false when there is nothing for it.
local function stay(waiters, slot)
  local turns = waiters.turns
  local stats = waiters.engine:stats(waiters.q)
  if slot.jobs or waiters.first == slot then return true end
  if not stats or stats.ready == 0 or stats.paused then return false end
  if turns == waiters.turns then
    local staying <close> = setmetatable({ waiters = waiters }, Staying)
    waiters.staying = waiters.staying + 1
    waiters.turn:wait()
    return staying ~= nil
  end
  return true
end

-- Asks the engine for all. Returns nil and a reason, or true.
local function lead(waiters, due)
  local jobs, reason, message =
    waiters.engine:reserve(waiters.q, waiters.wanted, left_until(due))
  if not jobs then return nil, reason, message end
  hand_out(waiters, jobs)
  return true
end

--- Waits for 1 to n jobs.
-- @param n how many at most
-- @param[opt] timeout in seconds
-- @return a list of jobs as the engine makes them; or nil, reason, message
function Waiters:take(n, timeout)
  local slot <close> = new_slot(self, n)
  local due = timeout
  if due and due > 0 then due = sluice.time() + timeout end
  append(self, slot)
  while not slot.jobs do
    if self.first == slot then
      local done, reason, message = lead(self, due)
      if not done and not slot.jobs then return nil, reason, message end
    elseif timeout == 0 then
      if not stay(self, slot) then return nil, "timeout" end
    elseif not sleep(slot, due) then
      return nil, "timeout"
    end
  end
  slot.taken = true
  return slot.jobs
end

return Waiters
