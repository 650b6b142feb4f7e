--- Random programs over queues and primitives, with a ledger.
--
-- Tasks put and get items, hold locks, wait and notify, under deadlines and
-- shields, and cancel each other. Whatever happens: an item that put took is
-- got once or still there, one that put refused is nowhere, and who is inside
-- a lock is alone. Each program follows from its seed. Every wait has a
-- time-out, so that every program ends.

local assert = require "luassert"
local queues = require "spec.support.queues"
local sluice = require "sluice"

local TASKS, ACTIONS, DEPTH = 6, 14, 4

local Program = {}
Program.__index = Program

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

local function new(seed)
  local program = setmetatable({
    state = seed * 7919 + 12345, depth = 0, tasks = {}, queues = {},
    items = 0, put = {}, got = {}, lock = sluice.Lock(), inside = 0,
    semaphore = sluice.BoundedSemaphore(2), permits = 0,
    event = sluice.Event(), barrier = sluice.Barrier(2),
  }, Program)
  program.condition = sluice.Condition()
  for i = 1, 3 do
    program.queues[i] = sluice[queues.classes[i]](program:random(4) - 1)
  end
  return program
end

-- A number from 1 to n, by a generator of the program's own.
function Program:random(n)
  self.state = (self.state * 1103515245 + 12345) % 2147483648
  return self.state // 65536 % n + 1
end

-- Mostly equal durations, so that much happens at the same moment.
function Program:seconds()
  return (self:random(4) - 1) * 0.5
end

function Program:queue()
  local queue = self.queues[self:random(3)]
  queues.check(queue, 0, 0)
  return queue
end

function Program:enter(field, most)
  self[field] = self[field] + 1
  assert.is_true(self[field] <= most)
  return closing(function() self[field] = self[field] - 1 end)
end

local actions = {}

function actions:put()
  local queue = self:queue()
  self.items = self.items + 1
  local item = self.items
  if queue == self.queues[3] then
    local priority = ({ 1, 2.5, 1 << 60, nil })[self:random(4)]
    if queue:put(item, priority, self:seconds()) then self.put[item] = true end
  elseif queue:put(item, self:seconds()) then
    self.put[item] = true
  end
end

function actions:put_nowait()
  local queue = self:queue()
  self.items = self.items + 1
  local item = self.items
  if queue:put_nowait(item) then self.put[item] = true end
end

function Program:took(item)
  if item == nil then return end
  assert.is_nil(self.got[item])
  self.got[item] = true
end

function actions:get() self:took((self:queue():get(self:seconds()))) end

function actions:get_nowait() self:took((self:queue():get_nowait())) end

function actions:lock()
  if self.lock:owner() == sluice.current_task() then return end
  local guard <close> = self.lock:acquire(self:seconds())
  if not guard then return end
  local _ <close> = self:enter("inside", 1)
  self:act()
end

function actions:semaphore()
  local guard <close> = self.semaphore:acquire(self:seconds())
  if not guard then return end
  local _ <close> = self:enter("permits", 2)
  self:act()
end

function actions:condition()
  local condition = self.condition
  if self.holds == sluice.current_task() then return end
  local guard <close> = condition:acquire(self:seconds())
  if not guard then return end
  self.holds = sluice.current_task()
  local _ <close> = closing(function() self.holds = nil end)
  if self:random(2) == 1 then return condition:notify(self:random(2)) end
  self.holds = nil
  local _ <close> = closing(function()
    self.holds = sluice.current_task()
    assert.is_true(condition:locked())
  end)
  condition:wait(self:seconds())
end

function actions:barrier() self.barrier:wait(self:seconds()) end
function actions:event() self.event:wait(self:seconds()) end
function actions:set() self.event:set() end
function actions:clear() self.event:clear() end
function actions:sleep() sluice.sleep(self:seconds()) end

function actions:cancel()
  local task = self.tasks[self:random(TASKS)]
  if task then task:cancel() end
end

function actions:wait_for()
  sluice.wait_for(self:seconds(), self.act, self)
end

function actions:shield() sluice.shield(self.act, self) end

function actions:deadline()
  local ok, err = sluice.pcall(function()
    local _ <close> = sluice.timeout(self:seconds())
    self:act()
  end)
  if not ok and err ~= "timeout" then error(err, 0) end
end

function actions:finaliser()
  setmetatable({}, { __gc = function()
    if sluice.current_task() then pcall(actions.put_nowait, self) end
  end })
end

function actions:collect() collectgarbage "step" end

local names = {}
for name in pairs(actions) do names[#names + 1] = name end
table.sort(names)

-- One action; it may hold others, up to a depth.
function Program:act()
  if self.depth >= DEPTH then return sluice.sleep(0) end
  self.depth = self.depth + 1
  local _ <close> = closing(function() self.depth = self.depth - 1 end)
  local name = names[self:random(#names)]
  actions[name](self)
end

local function deadlocked(err)
  return type(err) == "string" and err:find "deadlock"
end

function Program:work()
  for _ = 1, ACTIONS do
    local ok, err = pcall(self.act, self)
    if not ok and sluice.is_cancelled(err) then return end
    if not ok and not deadlocked(err) then error(err, 0) end
  end
end

-- Every item is where it must be, and nobody waits. No finaliser puts any
-- more: those still to come find no task.
function Program:check()
  collectgarbage()
  for _, queue in ipairs(self.queues) do
    queues.check_idle(queue)
    queues.check(queue)
    for _, item in ipairs(queues.drain(queue)) do self:took(item) end
  end
  for item = 1, self.items do assert.equal(self.put[item], self.got[item]) end
  assert.equal("sluice.Lock (free)", tostring(self.lock))
  assert.equal("sluice.BoundedSemaphore (2 free, 0 waiting)",
    tostring(self.semaphore))
  assert.equal("sluice.Condition (free, 0 waiting)", tostring(self.condition))
  assert.equal(0, self.barrier:n_waiting())
end

--- The main function of the random program of that seed.
return function(seed)
  return function()
    local program = new(seed)
    for i = 1, TASKS do
      program.tasks[i] = sluice.create_task(program.work, program)
    end
    for i = 1, TASKS do
      local ok, err = program.tasks[i]:pawait()
      if not ok and not sluice.is_cancelled(err) then error(err, 0) end
    end
    program:check()
  end
end
