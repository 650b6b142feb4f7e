--- Random programs of tasks, groups, deadlines, shields and cancellations.
--
-- Whatever the program does, its run must end, nothing may be left of it, and
-- what is true of a scope in any program is true in it: that is noted in
-- `faults` if it is not. Each program follows from its seed, the choices of
-- its schedule too. A program takes so many actions; an action may hold
-- others, up to a depth.

local sluice = require "sluice"

local ACTIONS, DEPTH = 150, 8

local Program = {}
Program.__index = Program

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

local function new(seed)
  local program = setmetatable({
    state = seed * 7919 + 1, left = ACTIONS, depth = 0,
    tasks = {}, guards = {}, groups = {}, handles = {}, futures = {},
    faults = {},
    queue = sluice.Queue(2), lock = sluice.Lock(), event = sluice.Event(),
    semaphore = sluice.Semaphore(2), condition = sluice.Condition(),
  }, Program)
  return program
end

-- A number from 1 to n. Its own generator: the program is the same whatever
-- else draws random numbers.
function Program:random(n)
  self.state = (self.state * 1103515245 + 12345) % 2147483648
  return self.state // 65536 % n + 1
end

-- Mostly equal durations, so that much happens at the same moment.
function Program:seconds()
  return (self:random(5) - 1) * 0.5
end

function Program:pick(list)
  return list[self:random(math.max(1, #list))]
end

function Program:keep(list, value)
  list[self:random(12)] = value
  for i = 1, 12 do list[i] = list[i] or value end
end

-- Notes what must be true, if it is not.
function Program:check(true_or_not, fault)
  if not true_or_not then self.faults[#self.faults + 1] = fault end
end

local actions = {}

-- Takes some actions, as deep as is allowed.
function Program:act()
  self.depth = self.depth + 1
  local _ <close> = closing(function() self.depth = self.depth - 1 end)
  for _ = 1, self:random(3) do
    self.left = self.left - 1
    if self.left < 0 then return end
    if self.depth > DEPTH then return sluice.sleep(self:seconds()) end
    self:pick(actions)(self)
  end
  return self:random(9), nil
end

-- Acting, as a function without arguments.
function Program:actor()
  return function() return self:act() end
end

local function action(fn, weight)
  for _ = 1, weight or 1 do actions[#actions + 1] = fn end
end

action(function(p) sluice.sleep(p:seconds()) end, 4)
action(function() sluice.sleep(0) end, 2)
action(function() coroutine.yield() end)
action(function(p) sluice.shield(p:actor()) end, 2)

action(function(p)
  local seconds, began = p:seconds(), sluice.time()
  local ended = false
  local result, reason = sluice.wait_for(seconds, function()
    p:act()
    ended = true
    return "ended"
  end)
  p:check(ended == (result == "ended"), "wait_for lost a result")
  p:check(ended or reason == "timeout", "wait_for returned something else")
  p:check(ended or sluice.time() >= began + seconds, "a timeout came early")
end, 3)

action(function(p)
  local seconds, began = p:seconds(), sluice.time()
  local ok, err = pcall(sluice.shield, sluice.sleep, seconds)
  p:check(ok or not sluice.is_cancelled(err), "a shield let through")
  p:check(not ok or sluice.time() >= began + seconds, "a sleep was short")
end)
action(function(p) pcall(p:actor()) end, 3)
action(function(p) sluice.pcall(p:actor()) end, 2)
action(function(p) error(p:random(2) == 1 and "error" or { p }, 0) end)
action(function() error(nil) end)
action(function() collectgarbage("step") end)

action(function(p)
  local _ <close> = closing(function()
    sluice.shield(sluice.sleep, p:seconds())
  end)
  p:act()
end, 2)

action(function(p)
  local _ <close> = closing(p:actor())
  p:act()
end)

action(function(p)
  local guard <close> = sluice.timeout(p:seconds())
  p:keep(p.guards, guard)
  p:act()
end, 3)

action(function(p) p:keep(p.guards, sluice.timeout(p:seconds())) end)

action(function(p)
  local guard = p:pick(p.guards)
  if guard then pcall(guard.reschedule, guard, p:seconds()) end
end, 2)

action(function(p)
  local guard = p:pick(p.guards)
  if guard then
    pcall(function() local _ <close> = guard end)
  end
end)

local function all_done(list)
  for _, task in ipairs(list) do
    if not task:done() then return false end
  end
  return true
end

action(function(p)
  local children = {}
  local _ <close> = closing(function()
    p:check(all_done(children), "a group ended before its children")
  end)
  sluice.task_group(function(group)
    p:keep(p.groups, group)
    for i = 1, p:random(3) do
      children[i] = group:create_task(p:actor())
      p:keep(p.tasks, children[i])
    end
    return p:act()
  end)
end, 4)

action(function(p)
  local group = p:pick(p.groups)
  if group then group:cancel(p:random(9)) end
end, 2)

action(function(p)
  local group = p:pick(p.groups)
  if group then
    local ok, task = pcall(group.create_task, group, p:actor())
    if ok then p:keep(p.tasks, task) end
  end
end)

action(function(p) p:keep(p.tasks, sluice.create_task(p:actor())) end, 3)

action(function(p)
  local task = p:pick(p.tasks)
  if task then task:cancel(p:random(9)) end
end, 3)

action(function(p)
  local task = p:pick(p.tasks)
  if task then return task:await(p:random(2) == 1 and p:seconds() or nil) end
end, 2)

action(function(p)
  local task = p:pick(p.tasks)
  if task then return task:pawait(p:seconds()) end
end)

action(function(p)
  local running = 0
  local function counted()
    running = running + 1
    local _ <close> = closing(function() running = running - 1 end)
    p:act()
  end
  local _ <close> = closing(function(_, err)
    -- What waits for the caller itself cannot be awaited.
    local circle = tostring(err):find("deadlock", 1, true)
    p:check(running == 0 or circle, "gather ended before its tasks")
  end)
  sluice.gather({ counted, p:pick(p.tasks) or counted, counted },
    { return_errors = p:random(2) == 1 })
end, 2)

action(function(p)
  sluice.wait({ table.unpack(p.tasks, 1, 4) }, {
    timeout = p:seconds(),
    return_when = p:random(2) == 1 and "FIRST_COMPLETED" or "FIRST_ERROR",
  })
end)

action(function(p)
  for _ in sluice.as_completed({ table.unpack(p.tasks, 1, 4) },
    p:seconds()) do
    if p:random(2) == 1 then break end
  end
end)

action(function(p)
  p:keep(p.handles, sluice.call_later(p:seconds(), p:actor()))
end, 2)

action(function(p) p:keep(p.handles, sluice.call_soon(p:actor())) end)

action(function(p)
  local handle = p:pick(p.handles)
  if handle then handle:cancel() end
end)

action(function(p) p.queue:put(p.left, p:seconds()) end, 2)
action(function(p) p.queue:get(p:seconds()) end, 2)
action(function(p) p.queue:get_nowait() end)
action(function(p) p.event:wait(p:seconds()) end)
action(function(p) p.event:set() p.event:clear() end)

action(function(p)
  local _ <close> = p.lock:acquire()
  p:check(p.lock:owner() == sluice.current_task(), "not its owner")
  p:act()
  p:check(p.lock:owner() == sluice.current_task(), "a lock was lost")
end, 2)

action(function(p)
  if p.semaphore:acquire(p:seconds()) then
    local _ <close> = closing(function() p.semaphore:release() end)
    p:act()
  end
end)

action(function(p)
  local _ <close> = p.condition:acquire()
  p.condition:notify()
  p.condition:wait(p:seconds())
end)

action(function(p) p:keep(p.futures, sluice.Future()) end)

action(function(p)
  local future = p:pick(p.futures)
  if future and not future:done() then future:set_result(p:random(9)) end
end)

action(function(p)
  local future = p:pick(p.futures)
  if future then future:await(p:seconds()) end
end)

action(function(p)
  for _ in coroutine.wrap(function()
    pcall(sluice.sleep, p:seconds())
    for i = 1, 3 do coroutine.yield(i) end
  end) do
    sluice.sleep(0)
  end
end)

--- Runs the program of a seed, on a virtual clock, under a schedule of the
-- same seed. Returns the program.
return function(seed)
  local program = new(seed)
  local runner <close> = sluice.Runner { clock = "virtual", seed = seed }
  local before = sluice.on_error(function() end)
  pcall(runner.run, runner, function()
    while program.left > 0 do pcall(program.act, program) end
  end)
  sluice.on_error(before)
  return program
end
