local errors = require "spec.support.errors"
local queues = require "spec.support.queues"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, plainly = testing.it, it
local raises, start = errors.raises, tasks.start

-- What all three do alike; items are numbers, so that a PriorityQueue orders
-- them.
local function behaves_as_a_queue(class)
  local new, put, full_queue = queues.of(class)

  describe(class, function()
    plainly("is empty at first", function()
      local queue = new(2)
      assert.equal(0, queue:qsize())
      assert.equal(0, #queue)
      assert.is_true(queue:empty())
      assert.is_false(queue:full())
      assert.same({ puts = 0, gets = 0, size = 0, high_water = 0,
        getters = 0, putters = 0, unfinished = 0 }, queue:stats())
    end)

    plainly("is unbounded with nil, 0 and negative sizes", function()
      for _, queue in ipairs { new(), new(nil), new(0), new(-1), new(-7) } do
        assert.equal(0, queue.maxsize)
        for i = 1, 100 do assert.is_true(queue:put_nowait(i)) end
        assert.is_false(queue:full())
      end
    end)

    plainly("knows its size", function()
      assert.equal(5, new(5).maxsize)
      assert.equal(7, new(7.0).maxsize)
      assert.equal("integer", math.type(new(7.0).maxsize))
      assert.equal(1 << 40, new(1 << 40).maxsize)
    end)

    plainly("refuses what is no size", function()
      local function refuses(why, size)
        local err = errors.of(function() new(size) end)
        assert.equal(("bad argument #1 to 'new' (%s)"):format(why),
          (err:gsub("^[^:]+:%d+: ", "")))
      end
      refuses("number has no integer representation", 1.5)
      refuses("number has no integer representation", math.huge)
      refuses("number has no integer representation", 0 / 0)
      refuses("number expected, got string", "5")
      refuses("number expected, got table", {})
      refuses("number expected, got boolean", false)
    end)

    plainly("tells its items in tostring", function()
      local queue = new()
      assert.equal("sluice." .. class .. " (0 items, 0 getters, 0 putters)",
        tostring(queue))
      for i = 1, 3 do queue:put_nowait(i) end
      assert.equal("sluice." .. class .. " (3 items, 0 getters, 0 putters)",
        tostring(queue))
      assert.equal("sluice." .. class
        .. " (5 of 5 items, 0 getters, 0 putters)", tostring(full_queue(5)))
    end)

    it("tells who waits in tostring and in stats", function()
      local queue = full_queue(5)
      local putter = start(put, queue, 6)
      assert.equal("sluice." .. class
        .. " (5 of 5 items, 0 getters, 1 putter)", tostring(queue))
      assert.equal(1, queue:stats().putters)
      local empty = new()
      local list = tasks.start_each(2, function() empty:get() end)
      assert.equal("sluice." .. class .. " (0 items, 2 getters, 0 putters)",
        tostring(empty))
      assert.equal(2, empty:stats().getters)
      tasks.cancel(putter, list[1], list[2])
      queues.check_idle(queue)
      queues.check_idle(empty)
    end)

    plainly("refuses nil as an item", function()
      local queue = new()
      raises("bad argument #1 to 'put_nowait' (nil cannot be an item)",
        function() queue:put_nowait(nil) end)
      raises("bad argument #1 to 'put_nowait' (nil cannot be an item)",
        function() queue:put_nowait() end)
      assert.equal(0, #queue)
    end)

    it("refuses nil as an item of put, in a full queue too", function()
      local queue = full_queue(1)
      raises("bad argument #1 to 'put' (nil cannot be an item)",
        function() queue:put(nil) end)
      assert.equal(1, queue:stats().puts)
    end)

    it("counts what went through it", function()
      local queue = new()
      for i = 1, 5 do put(queue, i) end
      for _ = 1, 3 do queue:get() end
      queue:task_done()
      assert.same({ puts = 5, gets = 3, size = 2, high_water = 5,
        getters = 0, putters = 0, unfinished = 4 }, queue:stats())
    end)

    it("keeps each item until it is got, in any number", function()
      local queue, n, seen = new(), 10000, {}
      for i = 1, n do queue:put_nowait(i) end
      for _ = 1, n do seen[queue:get()] = true end
      assert.equal(n, #seen)
      assert.is_true(queue:empty())
    end)

    it("holds no got item back from the collector", function()
      local queue = new()
      local weak = setmetatable({}, { __mode = "v" })
      local meta = { __lt = function(a, b) return a.n < b.n end }
      for i = 1, 20 do
        local item = setmetatable({ n = i }, meta)
        queue:put(item)
        weak[i] = item
      end
      for _ = 1, 20 do queue:get() end
      collectgarbage()
      assert.is_nil(next(weak))
    end)

    describe("put", function()
      it("returns true", function()
        local queue = new()
        assert.is_true(put(queue, 1))
        assert.is_true(queue:put_nowait(2))
        assert.equal(2, #queue)
      end)

      it("waits while the queue is full", function()
        local queue = full_queue(1)
        local putter = start(put, queue, 2)
        assert.is_false(putter:done())
        queue:get()
        assert.is_true(putter:await())
        assert.equal(1, #queue)
      end)

      it("has the item moved in by the get", function()
        local queue = full_queue(1)
        local putter = start(put, queue, 2)
        assert.equal(1, queue:get())
        assert.equal(1, #queue)
        assert.is_false(putter:done())
        assert.equal(2, queue:get_nowait())
        putter:await()
      end)

      it("is served first come, first served", function()
        local queue, log = full_queue(1), {}
        local list = tasks.start_each(4, function(i)
          put(queue, 10 + i)
          log[#log + 1] = i
        end)
        for _ = 1, 5 do
          queue:get()
          testing.settle()
        end
        sluice.gather(list)
        assert.same({ 1, 2, 3, 4 }, log)
      end)

      it("returns nil and timeout, and the item is not in", function()
        local queue = full_queue(2)
        assert.same({ nil, "timeout" }, { put(queue, 3, 1.5) })
        assert.equal(1.5, sluice.time())
        assert.same({ nil, "timeout" }, { put(queue, 3, 0) })
        assert.equal(2, queue:stats().puts)
        assert.equal(2, #queues.drain(queue))
        queues.check(queue)
      end)

      it("tries once and does not wait with a timeout of 0", function()
        local queue = new(1)
        assert.is_true(put(queue, 1, 0))
        assert.same({ nil, "timeout" }, { put(queue, 2, 0) })
        assert.equal(0, sluice.time())
        queues.check_idle(queue)
      end)

      it("refuses what is no duration, and puts nothing", function()
        local queue = new()
        errors.refuses_durations(class == "PriorityQueue" and 3 or 2, "put",
          function(timeout) put(queue, 1, timeout) end)
        assert.equal(0, #queue)
      end)

      it("is not overtaken while a putter waits", function() -- gh-83055
        local queue, log = full_queue(1), {}
        local putter = start(function()
          put(queue, 2)
          log[#log + 1] = "waiter"
        end)
        queue:get()
        assert.same({ nil, "full" }, { queue:put_nowait(3) })
        assert.same({ nil, "timeout" }, { put(queue, 3, 0) })
        putter:await()
        assert.same({ "waiter" }, log)
      end)
    end)

    describe("put_nowait", function()
      plainly("returns nil and full when the queue is", function()
        local queue = full_queue(2)
        assert.same({ nil, "full" }, { queue:put_nowait(3) })
        assert.is_true(queue:full())
        assert.equal(2, #queue)
      end)
    end)

    describe("get", function()
      it("returns an item", function()
        local queue = new()
        put(queue, 7)
        assert.equal(7, (queue:get()))
        put(queue, 8)
        assert.equal(8, (queue:get_nowait()))
      end)

      it("waits while the queue is empty", function()
        local queue = new()
        local getter = start(queue.get, queue)
        assert.is_false(getter:done())
        put(queue, 9)
        assert.equal(9, (getter:await()))
      end)

      it("has the item handed over by the put", function()
        local queue = new()
        local getter = start(queue.get, queue)
        put(queue, 1)
        assert.equal(0, #queue)
        assert.equal(0, queue:stats().getters)
        assert.equal(1, queue:stats().gets)
        assert.same({ nil, "empty" }, { queue:get_nowait() })
        assert.equal(1, (getter:await()))
      end)

      it("is served first come, first served", function()
        local queue, got = new(), {}
        local list = tasks.start_each(4, function(i) got[i] = queue:get() end)
        for i = 1, 4 do queue:put_nowait(i) end
        sluice.gather(list)
        assert.same({ 1, 2, 3, 4 }, got)
      end)

      it("is not overtaken by who comes after the put", function()
        local queue = new()
        local getter = start(queue.get, queue)
        queue:put_nowait(1)
        assert.same({ nil, "timeout" }, { queue:get(0) })
        assert.equal(1, (getter:await()))
      end)

      it("returns nil and timeout when the time is up", function()
        local queue = new()
        assert.same({ nil, "timeout" }, { queue:get(2) })
        assert.equal(2, sluice.time())
        assert.same({ nil, "timeout" }, { queue:get(0) })
        queues.check_idle(queue)
      end)

      it("refuses what is no duration, and takes nothing", function()
        local queue = full_queue(1)
        errors.refuses_durations(1, "get", function(t) queue:get(t) end)
        assert.equal(1, #queue)
      end)

      it("makes room for one putter, who is served", function()
        local queue = full_queue(2)
        local list = tasks.start_each(2, function(i) put(queue, 10 + i) end)
        queue:get()
        assert.equal(1, queue:stats().putters)
        assert.is_true(queue:full())
        queue:get_nowait()
        assert.equal(0, queue:stats().putters)
        sluice.gather(list)
      end)
    end)

    describe("get_nowait", function()
      plainly("returns nil and empty when the queue is", function()
        assert.same({ nil, "empty" }, { new():get_nowait() })
      end)
    end)

    describe("join", function()
      it("returns true at once when nothing was put", function()
        assert.is_true(new():join())
        assert.is_true(new():join(0))
      end)

      it("waits until every item put is marked done", function()
        local queue = full_queue(2)
        local joiner = start(queue.join, queue)
        queue:get()
        queue:get()
        queue:task_done()
        testing.settle()
        assert.is_false(joiner:done())
        queue:task_done()
        assert.is_true(joiner:await())
      end)

      it("counts an item that was handed over", function()
        local queue = new()
        local getter = start(queue.get, queue)
        put(queue, 1)
        getter:await()
        assert.same({ nil, "timeout" }, { queue:join(0) })
        assert.equal(0, select("#", queue:task_done()))
        assert.is_true(queue:join())
      end)

      it("counts no item of a putter that still waits", function()
        local queue = full_queue(1)
        local putter = start(put, queue, 2)
        assert.equal(1, queue:stats().unfinished)
        tasks.cancel(putter)
        queue:get()
        queue:task_done()
        assert.is_true(queue:join(0))
      end)

      it("is woken though an item is put in the same turn", function()
        local queue = full_queue(1)
        local joiner = start(queue.join, queue)
        queue:task_done()
        queue:put_nowait(9)
        queue:get()
        assert.is_true(joiner:await())
      end)

      it("returns nil and timeout when the time is up", function()
        local queue = full_queue(1)
        assert.same({ nil, "timeout" }, { queue:join(1) })
        assert.equal(1, sluice.time())
      end)

      it("refuses what is no duration", function()
        local queue = new()
        errors.refuses_durations(1, "join", function(t) queue:join(t) end)
      end)

      it("wakes all who wait, in order", function()
        local queue, log = full_queue(1), {}
        local list = tasks.start_each(3, function(i)
          queue:join()
          log[#log + 1] = i
        end)
        queue:task_done()
        sluice.gather(list)
        assert.same({ 1, 2, 3 }, log)
      end)
    end)

    describe("task_done", function()
      plainly("raises when there are more of them than items", function()
        local queue = new()
        errors.raises_match("task_done", function() queue:task_done() end)
        queue:put_nowait(1)
        queue:task_done()
        errors.raises_match("task_done", function() queue:task_done() end)
        assert.equal(0, queue:stats().unfinished)
      end)
    end)

    describe("iteration", function()
      it("gets until the queue is shut down and drained", function()
        local queue, got = full_queue(3), 0
        queue:shutdown()
        for item in queue do got = got + item end
        assert.equal(6, got)
      end)

      it("waits for items and for the shutdown", function()
        local queue, got = new(), {}
        local reader = start(function()
          for item in queue do got[#got + 1] = item end
          return sluice.time()
        end)
        for i = 1, 3 do
          sluice.sleep(1)
          put(queue, i)
        end
        sluice.sleep(1)
        queue:shutdown()
        assert.equal(4, reader:await())
        assert.same({ 1, 2, 3 }, got)
      end)

      it("shares the items among several readers", function()
        local queue, got = new(), {}
        local list = tasks.start_each(3, function(i)
          for item in queue do got[item] = i end
        end)
        for i = 1, 6 do
          put(queue, i)
          testing.settle()
        end
        queue:shutdown()
        sluice.gather(list)
        assert.same({ 1, 2, 3, 1, 2, 3 }, got)
      end)
    end)

    plainly("works without a task where it never waits", function()
      local queue = new(2)
      assert.is_true(queue:put_nowait(1))
      assert.is_true(queue:put_nowait(2))
      assert.equal(2, queue:qsize())
      queue:get_nowait()
      queue:task_done()
      assert.equal(1, #queue:shutdown(true))
    end)

    plainly("keeps its items from one run to the next", function()
      local queue = new()
      testing.run(function() put(queue, 1) end)
      testing.run(function() assert.equal(1, (queue:get())) end)
      testing.run(function() start(queue.get, queue) end)
      queues.check_idle(queue)
    end)

    describe("with a finaliser that runs when memory is taken", function()
      plainly("and fills it, loses nothing", function()
        local queue = new()
        for i = 1, 16 do queue:put_nowait(i) end
        assert.is_true(queues.finalising(function()
          for i = 1, 100 do queue:put_nowait(i + 0.5) end
        end, queue.put_nowait, queue, 17))
        queues.check(queue)
        assert.equal(117, #queues.drain(queue))
      end)

      plainly("and fills it up, never holds too many", function()
        local queue = new(17)
        for i = 1, 16 do queue:put_nowait(i) end
        local done, why = queues.finalising(function()
          queue:put_nowait(0)
        end, queue.put_nowait, queue, 17)
        assert.same({ nil, "full" }, { done, why })
        assert.equal(17, #queue)
      end)

      it("and makes room, does not wait", function()
        local queue = full_queue(1)
        assert.is_true(queues.finalising(function()
          queue:get_nowait()
        end, put, queue, 2))
        queues.check(queue)
      end)

      it("and shuts it down, raises", function()
        local queue = full_queue(1)
        local err = queues.finalising(function()
          queue:shutdown()
        end, errors.of, put, queue, 2)
        assert.matches("shut down", err)
        queues.check_idle(queue)
      end)

      it("and cancels the task, raises that", function()
        local queue, err = full_queue(1), nil
        local task = start(function()
          local task = sluice.current_task()
          err = queues.finalising(function()
            task:cancel()
          end, errors.of, put, queue, 2)
        end)
        task:pawait(1)
        assert.is_true(sluice.is_cancelled(err))
        queues.check_idle(queue)
      end)
    end)
  end)
end

for _, class in ipairs(queues.classes) do behaves_as_a_queue(class) end
