--- Every call that can wait, in one form, for the table of hazards.
--
--   name      as in the manual
--   new()     -> what the call waits at, a table; called in a task
--   wait(at [, timeout])   the call itself, and what must follow a success
--   wake(at)  makes a call that waits succeed: when wake returns, the waiter
--             has what it waited for, but it has not run yet
--   want      what wait returns when it succeeds, a list
--   ready     wake(at) before wait(at) leaves something to be taken, so that
--             wait does not wait
--   timed     wait takes a timeout
--   idle(at)  checks that nobody waits at it
--   finish(at)  ends the tasks that new has started
--   close(at), closed   what closes it, and what a waiter then returns;
--             closed_raises: or the pattern of the error it raises
--   by_itself   it ends without a wake
--   io        it waits for the kernel: a woken waiter runs when that tells
--   limited   it has a deadline of its own, far away
--   spent     a cancelled wait takes with it what it waited for
--   indirect  a cancelled wait has children to end before it raises

local assert = require "luassert"
local net = require "sluice.net"
local queues = require "spec.support.queues"
local sluice = require "sluice"
local testing = require "sluice.testing"

local awaitables = {}

local function add(entry)
  entry.idle = entry.idle or function() end
  entry.finish = entry.finish or function() end
  awaitables[#awaitables + 1] = entry
end

-- Checks that tostring tells of no waiter.
local function nobody(field)
  return function(at)
    assert.matches("%f[%d]0 waiting", tostring(at[field]))
  end
end

local function set_event(at) at.event:set() end

local function new_event() return { event = sluice.Event() } end

-- Sets the event for a task that then ends: it runs, who awaits it does not.
local function set_and_step(at)
  at.event:set()
  sluice.sleep(0)
end

-- A task that ends when the event is set.
local function new_task()
  local at = new_event()
  at.task = sluice.create_task(function()
    at.event:wait()
    return "done"
  end)
  testing.settle()
  return at
end

local function end_task(at)
  at.event:set()
  at.task:pawait()
end

-- -- tasks and time --

add {
  name = "sleep",
  new = function() return {} end,
  wait = function()
    sluice.sleep(1)
    return "slept"
  end,
  wake = function() end,
  want = { "slept" },
  by_itself = true,
}

add {
  name = "Task:await", timed = true, ready = true, want = { "done" },
  new = new_task, wake = set_and_step, finish = end_task,
  wait = function(at, timeout) return at.task:await(timeout) end,
}

add {
  name = "Task:pawait", timed = true, ready = true,
  want = { true, "done" },
  new = new_task, wake = set_and_step, finish = end_task,
  wait = function(at, timeout) return at.task:pawait(timeout) end,
}

add {
  name = "gather of tasks", ready = true, want = { "done", "done" },
  spent = true,
  new = new_task, wake = set_and_step, finish = end_task,
  wait = function(at)
    return table.unpack(sluice.gather { at.task, at.task })
  end,
}

add {
  name = "gather of functions", want = { "woken" },
  new = new_event, wake = set_and_step, idle = nobody "event",
  indirect = true,
  wait = function(at)
    return sluice.gather({ function()
      at.event:wait()
      return "woken"
    end })[1]
  end,
}

add {
  name = "gather that returns errors", want = { "oops" },
  new = new_event, wake = set_and_step, idle = nobody "event",
  indirect = true,
  wait = function(at)
    local _, errs = sluice.gather({ function()
      at.event:wait()
      error("oops", 0)
    end }, { return_errors = true })
    return errs[1]
  end,
}

add {
  name = "wait", ready = true, want = { 1, 0 },
  new = new_task, wake = set_and_step, finish = end_task,
  wait = function(at)
    local done, pending = sluice.wait { at.task }
    return #done, #pending
  end,
}

add {
  name = "as_completed", ready = true, want = { "done" },
  new = new_task, wake = set_and_step, finish = end_task,
  wait = function(at)
    local step <const> = sluice.as_completed { at.task }
    return step():done() and "done"
  end,
}

add {
  name = "task_group", want = { "body" },
  new = new_event, wake = set_and_step, idle = nobody "event",
  indirect = true,
  wait = function(at)
    return sluice.task_group(function(group)
      group:create_task(function() at.event:wait() end)
      return "body"
    end)
  end,
}

add {
  name = "wait_for", ready = true, limited = true, want = { true },
  new = new_event, wake = set_event, idle = nobody "event",
  wait = function(at)
    return sluice.wait_for(1000, at.event.wait, at.event)
  end,
}

add {
  name = "timeout", ready = true, limited = true, want = { true },
  new = new_event, wake = set_event, idle = nobody "event",
  wait = function(at)
    local _ <close> = sluice.timeout(1000)
    return at.event:wait()
  end,
}

add {
  name = "Future:await", timed = true, ready = true, want = { 1, nil, 3 },
  new = function() return { future = sluice.Future() } end,
  wait = function(at, timeout) return at.future:await(timeout) end,
  wake = function(at) at.future:set_result(1, nil, 3) end,
}

add {
  name = "settle", by_itself = true, want = { "settled" },
  new = function() return {} end,
  wait = function()
    testing.settle()
    return "settled"
  end,
  wake = function() end,
}

add {
  name = "to_thread", by_itself = true, want = { 7 },
  new = function() return {} end,
  wait = function() return sluice.to_thread(function() return 7 end) end,
  wake = function() end,
}

-- -- synchronisation --

add {
  name = "Event:wait", timed = true, ready = true, want = { true },
  new = new_event, wake = set_event, idle = nobody "event",
  wait = function(at, timeout) return at.event:wait(timeout) end,
}

-- What acquire gives back goes at once, so that nobody is left holding it.
local function acquire(at, timeout)
  local guard <close>, why = at.lock:acquire(timeout)
  if guard == nil then return nil, why end
  return guard == at.lock
end

-- A task holds the lock until the event is set.
local function held(new_lock)
  return function()
    local at = new_event()
    at.lock = new_lock()
    at.task = sluice.create_task(function()
      local _ <close> = at.lock:acquire()
      at.event:wait()
    end)
    testing.settle()
    return at
  end
end

local function no_waiters(at)
  assert.is_nil(tostring(at.lock):find "[1-9]%d* waiting")
end

for _, class in ipairs { "Lock", "Semaphore", "BoundedSemaphore",
  "Condition" } do
  add {
    name = class .. ":acquire", timed = true, ready = true, want = { true },
    new = held(sluice[class]), wait = acquire, wake = set_and_step,
    finish = end_task, idle = no_waiters,
  }
end

-- The condition's lock is free; set makes the predicate true.
local function new_condition()
  return { lock = sluice.Condition(), set = false }
end

-- Notifies from a task, so that it needs the lock, and never waits.
local function notify(at)
  at.set = true
  at.lock:acquire()
  at.lock:notify()
  at.lock:release()
end

add {
  name = "Condition:wait", timed = true, want = { true },
  new = new_condition, wake = notify, idle = nobody "lock",
  wait = function(at, timeout)
    local _ <close> = at.lock:acquire()
    return at.lock:wait(timeout)
  end,
}

add {
  name = "Condition:wait_for", timed = true, ready = true, want = { true },
  new = new_condition, wake = notify, idle = nobody "lock",
  wait = function(at, timeout)
    local _ <close> = at.lock:acquire()
    return at.lock:wait_for(function() return at.set end, timeout)
  end,
}

add {
  name = "Barrier:wait", timed = true, want = { 1 },
  new = function() return { barrier = sluice.Barrier(2) } end,
  wait = function(at, timeout) return at.barrier:wait(timeout) end,
  wake = function(at) at.barrier:wait(0) end,
  idle = function(at) assert.equal(0, at.barrier:n_waiting()) end,
  close = function(at) at.barrier:abort() end,
  closed = { nil, "broken" },
}

-- -- queues --

local function shut_down(at) at.queue:shutdown() end

local function idle_queue(at)
  queues.check_idle(at.queue)
  local stats = at.queue:stats()
  assert.equal(stats.puts, stats.gets + stats.size)
end

for _, class in ipairs(queues.classes) do
  local new, _, full = queues.of(class)

  add {
    name = class .. ":put", timed = true, ready = true, want = { true },
    new = function() return { queue = full(1) } end,
    wait = function(at, timeout)
      if class == "Queue" then return at.queue:put(2, timeout) end
      if class == "LifoQueue" then return at.queue:put(2, timeout) end
      return at.queue:put(2, nil, timeout)
    end,
    wake = function(at) at.queue:get_nowait() end,
    idle = idle_queue, close = shut_down, closed_raises = "shut down",
  }

  add {
    name = class .. ":get", timed = true, ready = true, want = { 7 },
    new = function() return { queue = new() } end,
    wait = function(at, timeout)
      local item, why = at.queue:get(timeout)
      return item, item == nil and why or nil
    end,
    wake = function(at) at.queue:put_nowait(7) end,
    idle = idle_queue, close = shut_down, closed = { nil, "shutdown" },
  }

  add {
    name = "for item in " .. class, ready = true, want = { 7 },
    new = function() return { queue = new() } end,
    wait = function(at)
      for item in at.queue do -- luacheck: ignore 512
        return item
      end
    end,
    wake = function(at) at.queue:put_nowait(7) end,
    idle = idle_queue, close = shut_down, closed = {},
  }

  add {
    name = class .. ":join", timed = true, ready = true, want = { true },
    new = function() return { queue = full(1) } end,
    wait = function(at, timeout) return at.queue:join(timeout) end,
    wake = function(at) at.queue:task_done() end,
    idle = idle_queue,
  }
end

-- -- streams --

-- Two ends of a connection: the waiter's, and one that wakes it.
local function new_pair()
  local at = { done = sluice.Event() }
  local accepted = sluice.Queue()
  at.server = assert(net.serve(function(stream)
    accepted:put(stream)
    at.done:wait()
  end, "127.0.0.1", 0))
  at.port = select(2, at.server:sockname())
  at.stream = assert(net.connect("127.0.0.1", at.port))
  at.peer = accepted:get()
  testing.settle()
  return at
end

local function close_pair(at)
  at.done:set()
  at.stream:close()
  at.server:close()
  assert(at.server:wait_closed(10))
end

-- Long enough for the kernel to tell, in virtual time too.
local function arrive() sluice.sleep(0.01) end

local function write_line(at)
  at.peer:write "line\n"
  arrive()
end

-- A call of a stream that a line wakes.
local function reads(name, want, wait, timed)
  add {
    name = "stream:" .. name, io = true, ready = true, want = want,
    timed = timed, wait = wait, new = new_pair, wake = write_line,
    finish = close_pair,
  }
end

reads("read", { "line\n" }, function(at, timeout)
  return at.stream:read(100, timeout)
end, true)

reads("readexactly", { "line" }, function(at)
  local text = at.stream:readexactly(4)
  at.stream:readexactly(1)
  return text
end)

reads("readuntil", { "line\n" }, function(at)
  return at.stream:readuntil "\n"
end)

reads("readline", { "line" }, function(at) return at.stream:readline() end)

reads("lines", { "line" }, function(at)
  for line in at.stream:lines() do -- luacheck: ignore 512
    return line
  end
end)

add {
  name = "stream:read_all", io = true, ready = true, spent = true,
  new = new_pair, want = { "line\n" }, finish = close_pair,
  wait = function(at) return at.stream:read_all() end,
  wake = function(at)
    at.peer:write "line\n"
    at.peer:shutdown()
    arrive()
  end,
}

-- A pair in which the stream has written until it would wait.
local function new_full_pair()
  local at = new_pair()
  local piece = ("x"):rep(1 << 20)
  repeat until not at.stream:write(piece, 0.01)
  return at
end

local function read_up(at)
  repeat until not at.peer:read(nil, 0.01)
end

local function close_full_pair(at)
  read_up(at)
  close_pair(at)
end

add {
  name = "stream:write", io = true, timed = true, ready = true,
  new = new_full_pair, want = { true }, finish = close_full_pair,
  wait = function(at, timeout) return at.stream:write("y", timeout) end,
  wake = read_up,
}

add {
  name = "stream:shutdown", io = true, ready = true, new = new_full_pair,
  want = { true }, finish = close_full_pair, wake = read_up,
  wait = function(at) return at.stream:shutdown() end,
}

add {
  name = "server:wait_closed", io = true, timed = true, ready = true,
  new = new_pair, want = { true }, finish = close_pair,
  wait = function(at, timeout) return at.server:wait_closed(timeout) end,
  wake = function(at)
    close_pair(at)
    arrive()
  end,
}

add {
  name = "net.connect", by_itself = true, want = { true }, new = new_pair,
  finish = close_pair, wake = function() end,
  wait = function(at)
    local stream <close> = assert(net.connect("127.0.0.1", at.port))
    return stream ~= nil
  end,
}

-- -- jobs --

local function new_job_queue()
  local store = require("sluice.jobs").open "memory:"
  return { store = store, jobs = store:queue "mail" }
end

local function close_store(at) at.store:close() end

add {
  name = "job_queue:reserve", timed = true, ready = true, want = { "a" },
  new = new_job_queue, finish = close_store,
  indirect = true, -- it leaves the line when it runs
  wait = function(at, timeout)
    local job, why = at.jobs:reserve(timeout)
    if job then return job.body end
    return nil, why
  end,
  wake = function(at) at.jobs:put "a" end,
  idle = function(at) assert.is_nil(at.jobs.waiters.first) end,
  close = close_store, closed = { nil, "closed" },
}

add {
  name = "job_queue:drain", timed = true, ready = true, want = { true },
  new = function()
    local at = new_job_queue()
    at.jobs:put "a"
    return at
  end,
  finish = close_store,
  wait = function(at, timeout)
    local drained, why = at.jobs:drain(timeout)
    return drained, why
  end,
  wake = function(at) at.jobs:purge "ready" end,
  close = close_store, closed = { nil, "closed" },
}

return awaitables
