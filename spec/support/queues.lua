--- What every queue must do, whatever its discipline.

local assert = require "luassert"
local sluice = require "sluice"

local queues = {}

--- The three constructors by name, in the order of the manual.
queues.classes = { "Queue", "LifoQueue", "PriorityQueue" }

--- What specs of all three need of one: its constructor; a function that puts
-- (queue, item, timeout); one that makes a queue of a size, filled with 1, 2…
function queues.of(class)
  local new = sluice[class]
  local function put(queue, item, timeout)
    if class == "PriorityQueue" then return queue:put(item, nil, timeout) end
    return queue:put(item, timeout)
  end
  local function full(size)
    local queue = new(size)
    for i = 1, size do queue:put_nowait(i) end
    return queue
  end
  return new, put, full
end

--- Takes all items without waiting.
function queues.drain(queue)
  local items = {}
  while true do
    local item = queue:get_nowait()
    if item == nil then return items end
    items[#items + 1] = item
  end
end

--- Checks what must hold of a queue at any moment; `dropped` items went by
-- an immediate shutdown, `done` were marked done.
function queues.check(queue, done, dropped)
  collectgarbage("stop") -- whose finalisers might use the queue
  local stats, size = queue:stats(), #queue
  collectgarbage("restart")
  done, dropped = done or 0, dropped or 0
  assert.equal(stats.size, size)
  assert.equal(stats.puts, stats.gets + stats.size + dropped)
  assert.equal(stats.unfinished, stats.puts - done - dropped)
  assert.is_true(stats.getters == 0 or stats.size == 0)
  assert.is_true(stats.putters == 0 or stats.size == queue.maxsize)
  assert.is_true(queue.maxsize == 0 or stats.size <= queue.maxsize)
  assert.is_true(stats.high_water >= stats.size)
end

--- Calls fn(...), in which the first allocation runs `finalise` as a
-- finaliser. Returns what fn returns.
function queues.finalising(finalise, fn, ...)
  local mode = collectgarbage("generational")
  collectgarbage()
  collectgarbage("stop")
  setmetatable({}, { __gc = finalise })
  collectgarbage("restart")
  local results = table.pack(fn(...))
  collectgarbage(mode)
  return table.unpack(results, 1, results.n)
end

--- Checks that nobody waits at the queue any more.
function queues.check_idle(queue)
  local stats = queue:stats()
  assert.equal(0, stats.getters)
  assert.equal(0, stats.putters)
end

return queues
