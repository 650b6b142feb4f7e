local effort = require "spec.support.effort"
local errors = require "spec.support.errors"
local model = require "spec.support.model"
local queues = require "spec.support.queues"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, plainly = testing.it, it
local raises, start = errors.raises, tasks.start

-- A table whose comparison is `less`.
local function comparing(less)
  return setmetatable({}, { __lt = less })
end

-- A queue with n items 1, 2, … whose priorities are tables.
local function filled(n, maxsize)
  local queue = sluice.PriorityQueue(maxsize)
  for i = 1, n do queue:put_nowait(i, model.key(i)) end
  return queue
end

describe("PriorityQueue", function()
  it("gets the lowest priority first, and the priority", function()
    local queue = sluice.PriorityQueue()
    queue:put("low", 9)
    queue:put("high", 1)
    queue:put_nowait("middle", 5)
    assert.same({ "high", 1 }, { queue:get() })
    assert.same({ "middle", 5 }, { queue:get_nowait() })
    assert.same({ "low", 9 }, { queue:get() })
  end)

  it("takes an item as its own priority when it has none", function()
    local queue = sluice.PriorityQueue()
    queue:put(3)
    queue:put(1, nil)
    queue:put_nowait(2)
    assert.same({ 1, 1 }, { queue:get() })
    assert.same({ 2, 3 }, queues.drain(queue))
  end)

  it("gets equal priorities in the order they were put", function()
    local queue, want = sluice.PriorityQueue(), {}
    for i = 1, 500 do
      queue:put(i, i % 2 == 0 and 1 or 1.0)
      want[i] = i
    end
    assert.same(want, queues.drain(queue))
  end)

  it("keeps that order among putters that waited", function()
    local queue = sluice.PriorityQueue(1)
    local list = tasks.start_each(6, function(i) queue:put(i, 5) end)
    local got = {}
    for i = 1, 6 do got[i] = queue:get() end
    assert.same({ 1, 2, 3, 4, 5, 6 }, got)
    sluice.gather(list)
  end)

  it("admits putters in their order, whatever their priority", function()
    local queue = sluice.PriorityQueue(1)
    local list = tasks.start_each(3, function(i) queue:put(i, -i) end)
    local got = {}
    for i = 1, 3 do got[i] = queue:get() end
    assert.same({ 1, 2, 3 }, got)
    sluice.gather(list)
  end)

  it("hands item and priority over to a getter that waits", function()
    local queue = sluice.PriorityQueue()
    local list = tasks.start_each(3, function()
      return table.pack(queue:get())
    end)
    queue:put_nowait("a", 9)
    queue:put_nowait("b", "text")
    queue:put_nowait(7)
    local got = sluice.gather(list)
    assert.same({ { "a", 9, n = 2 }, { "b", "text", n = 2 },
      { 7, 7, n = 2 } }, got)
  end)

  it("yields item and priority in a loop", function()
    local queue, got = sluice.PriorityQueue(), {}
    queue:put("b", 2)
    queue:put("a", 1)
    queue:shutdown()
    for item, priority in queue do got[#got + 1] = item .. priority end
    assert.same({ "a1", "b2" }, got)
  end)

  it("times out in put by its third argument", function()
    local queue = filled(1, 1)
    assert.same({ nil, "timeout" }, { queue:put("x", model.key(0), 2) })
    assert.equal(2, sluice.time())
    assert.same({ nil, "timeout" }, { queue:put(model.key(0), nil, 0) })
    assert.same({ 1 }, queues.drain(queue))
  end)

  for _, name in ipairs(model.names) do
    plainly("agrees with a sorted list over " .. name, function()
      math.randomseed(#name)
      local queue = sluice.PriorityQueue()
      local function same(want, got)
        assert.equal(want[1], got[1])
        assert.is_true(want[2] == got[2])
        assert.equal(math.type(want[2]), math.type(got[2]))
      end
      model.compare(3000, model.priorities[name],
        function(item, p) queue:put_nowait(item, p) end,
        function()
          local item, priority_got = queue:get_nowait()
          if item then return item, priority_got end
        end, same)
      queues.check(queue)
    end)
  end

  plainly("serves a large backlog in logarithmic time", function()
    local function seconds(n)
      local queue, began = sluice.PriorityQueue(), os.clock()
      for i = 1, n do queue:put_nowait(i, (i * 7919) % n) end
      for _ = 1, n do queue:get_nowait() end
      return os.clock() - began
    end
    local n = effort(20000)
    seconds(n)
    local small, large = seconds(n), seconds(16 * n)
    assert.is_true(large < 16 * 8 * small, small .. " " .. large)
  end)

  plainly("compares few times for an item of a large backlog", function()
    local calls, n = 0, 4096
    local meta = { __lt = function(a, b)
      calls = calls + 1
      return a.n < b.n
    end }
    local queue = sluice.PriorityQueue()
    for i = 1, n do
      queue:put_nowait(i, setmetatable({ n = (i * 7919) % n }, meta))
    end
    queues.drain(queue)
    assert.is_true(calls < n * 60, "comparisons: " .. calls)
  end)

  describe("refuses as a priority", function()
    local queue
    before_each(function() queue = sluice.PriorityQueue() end)

    plainly("NaN", function()
      raises("bad argument #2 to 'put_nowait' (priority is NaN)",
        function() queue:put_nowait("x", 0 / 0) end)
      raises("bad argument #1 to 'put_nowait' (priority is NaN)",
        function() queue:put_nowait(0 / 0) end)
      assert.equal(0, #queue)
    end)

    plainly("a table without __lt, and other types", function()
      for _, value in ipairs { {}, true, print, io.stdout } do
        local err = errors.of(function() queue:put_nowait("x", value) end)
        assert.matches("bad argument #2 to 'put_nowait'", err)
        err = errors.of(function() queue:put_nowait(value) end)
        assert.matches("bad argument #1 to 'put_nowait'", err)
      end
      assert.equal(0, #queue)
    end)

    it("the same in put, before it waits", function()
      local full = filled(1, 1)
      errors.raises_match("bad argument #2 to 'put'",
        function() full:put("x", {}) end)
      errors.raises_match("bad argument #2 to 'put'",
        function() full:put("x", 0 / 0) end)
      queues.check_idle(full)
    end)
  end)

  describe("with priorities that do not compare", function()
    plainly("raises in put_nowait at the caller's line", function()
      local queue = sluice.PriorityQueue()
      queue:put_nowait("a", 1)
      raises("attempt to compare string with number",
        function() queue:put_nowait("b", "x") end)
      raises("attempt to compare string with number",
        function() queue:put_nowait("b") end)
      queues.check(queue)
      assert.same({ "a" }, queues.drain(queue))
    end)

    it("raises in put and leaves the queue as it was", function()
      local queue = sluice.PriorityQueue()
      for i = 1, 20 do queue:put(i, "p" .. i % 3) end
      errors.raises_match("attempt to compare",
        function() queue:put("bad", 1) end)
      assert.equal(20, #queue)
      assert.equal(20, queue:stats().puts)
      assert.equal(3, (queue:get()))
    end)

    it("gives a putter that waits the error in its own put", function()
      local queue, err = sluice.PriorityQueue(2), nil
      queue:put_nowait(1)
      queue:put_nowait(2)
      local putter = start(function()
        err = errors.of(function() queue:put("bad", "x") end)
      end)
      assert.equal(1, (queue:get()))
      putter:await()
      assert.matches("^[^:]+:%d+: attempt to compare", err)
      assert.same({ 2 }, queues.drain(queue))
      queues.check(queue)
    end)

    it("admits the next putter when one does not compare", function()
      local queue = sluice.PriorityQueue(2)
      queue:put_nowait(1)
      queue:put_nowait(2)
      local bad = start(errors.of, queue.put, queue, "bad", "x")
      local good = start(queue.put, queue, 3)
      assert.equal(1, (queue:get()))
      assert.is_true(good:await())
      assert.matches("attempt to compare", bad:await())
      assert.same({ 2, 3 }, queues.drain(queue))
      queues.check(queue)
    end)

    it("puts a waiting item that compares once the rest is gone", function()
      local queue = sluice.PriorityQueue(1)
      queue:put(1)
      local putter = start(queue.put, queue, "text")
      assert.equal(1, (queue:get()))
      assert.is_true(putter:await())
      assert.same({ "text", "text" }, { queue:get() })
    end)

    it("hands any priority to a getter that waits", function()
      local queue = sluice.PriorityQueue()
      local list = tasks.start_each(2, function() return (queue:get()) end)
      queue:put("a", 1)
      queue:put("b", "x")
      assert.same({ "a", "b" }, sluice.gather(list))
    end)
  end)

  describe("with a comparison that raises", function()
    it("raises the error unchanged in put", function()
      local queue, oops = filled(8), {}
      local bad = comparing(function() error(oops) end)
      assert.equal(oops, errors.of(queue.put, queue, "bad", bad))
      assert.equal(oops, errors.of(queue.put_nowait, queue, "bad", bad))
      assert.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, queues.drain(queue))
    end)

    it("raises nil and false unchanged, too", function()
      local queue = filled(1)
      for _, value in ipairs { false, "text", 42 } do
        local bad = comparing(function() error(value, 0) end)
        assert.equal(value, errors.of(queue.put, queue, "bad", bad))
      end
      local bad = comparing(function() error() end)
      assert.equal(errors.NIL, errors.of(queue.put, queue, "bad", bad))
      assert.equal(1, #queue)
    end)

    it("raises it in get, and the queue is as it was", function()
      local queue, broken = sluice.PriorityQueue(), false
      local meta = { __lt = function(a, b)
        if broken then error("broken", 0) end
        return a.n < b.n
      end }
      for i = 1, 9 do queue:put(i, setmetatable({ n = i }, meta)) end
      broken = true
      assert.equal("broken", errors.of(queue.get, queue))
      assert.equal("broken", errors.of(queue.get_nowait, queue))
      broken = false
      assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, queues.drain(queue))
      queues.check(queue)
    end)

    it("gives the error to the waiting putter, not to get", function()
      local queue, oops, err = filled(2, 2), {}, nil
      local bad = comparing(function() error(oops) end)
      local putter = start(function()
        err = errors.of(queue.put, queue, "bad", bad)
      end)
      assert.equal(1, (queue:get()))
      putter:await()
      assert.equal(oops, err)
      queues.check(queue)
    end)

    it("drops every item in an immediate shutdown all the same", function()
      local queue, broken = sluice.PriorityQueue(), false
      local meta = { __lt = function(a, b)
        if broken then error("broken", 0) end
        return a.n < b.n
      end }
      for i = 1, 9 do queue:put(i, setmetatable({ n = i }, meta)) end
      broken = true
      local items = queue:shutdown(true)
      table.sort(items)
      assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, items)
      assert.is_true(queue:join(0))
    end)
  end)

  describe("in a comparison", function()
    -- Puts an item whose comparison calls fn; the error of that put.
    local function error_when(fn)
      local queue = filled(4)
      local err = errors.of(queue.put, queue, "bad", comparing(function()
        fn(queue)
        return false
      end))
      assert.same({ 1, 2, 3, 4 }, queues.drain(queue))
      return err
    end

    it("refuses the queue to be touched", function()
      local function refused(name, ...)
        local args = table.pack(...)
        assert.matches("must not touch", error_when(function(queue)
          queue[name](queue, table.unpack(args))
        end))
      end
      refused("put_nowait", model.key(0))
      refused("get_nowait")
      refused("shutdown")
      refused("shutdown", true)
    end)

    it("refuses to wait", function()
      assert.is_string(error_when(function(queue) queue:get() end))
      assert.is_string(error_when(function(queue) queue:put(1) end))
      assert.matches("where Lua cannot yield",
        error_when(function() sluice.sleep(1) end))
      assert.matches("yield",
        error_when(function() coroutine.yield() end))
    end)

    it("lets other queues be used", function()
      local queue, other = filled(2), sluice.PriorityQueue()
      queue:put("x", comparing(function()
        other:put_nowait(#queue, 1)
        return false
      end))
      assert.is_true(#other > 0)
      assert.equal(3, #queue)
    end)

    it("in get refuses the queue to be touched", function()
      local queue, touch = sluice.PriorityQueue(), false
      local meta = { __lt = function(a, b)
        if touch then queue:put_nowait(1) end
        return a.n < b.n
      end }
      for i = 1, 9 do queue:put(i, setmetatable({ n = i }, meta)) end
      touch = true
      assert.matches("must not touch", errors.of(queue.get, queue))
      touch = false
      assert.equal(9, #queues.drain(queue))
    end)
  end)

  plainly("survives comparisons that make no sense", function()
    math.randomseed(11)
    local queue, seen = sluice.PriorityQueue(), {}
    local mad = { __lt = function() return math.random() < 0.5 end }
    for i = 1, 1000 do queue:put_nowait(i, setmetatable({}, mad)) end
    for _, item in ipairs(queues.drain(queue)) do seen[item] = true end
    assert.equal(1000, #seen)
  end)

  plainly("returns from an immediate shutdown in order", function()
    math.randomseed(3)
    local queue, reference = sluice.PriorityQueue(), model.new()
    for i = 1, 300 do
      local priority = math.random(20)
      queue:put_nowait(i, priority)
      reference:push(i, priority)
    end
    for i, item in ipairs(queue:shutdown(true)) do
      assert.equal(reference:pop(), item, i)
    end
    assert.equal(0, #reference)
  end)
end)
