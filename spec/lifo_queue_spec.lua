local effort = require "spec.support.effort"
local queues = require "spec.support.queues"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, plainly = testing.it, it
local start = tasks.start

-- What both orders do with items of every kind.
local function keeps_items(class)
  describe(class, function()
    plainly("keeps items of every type as they are", function()
      local queue, table_item, co = sluice[class](), {}, coroutine.create(print)
      local items = { 1, 1.0, -0.0, math.huge, math.mininteger, "s", "", true,
        false, table_item, print, co, io.stdout, 0 / 0 }
      for _, item in ipairs(items) do
        queue:put_nowait(item)
        local got = queue:get_nowait()
        assert.is_true(rawequal(item, got) or item ~= item and got ~= got)
        assert.equal(math.type(item), math.type(got))
        assert.equal(tostring(item), tostring(got))
      end
    end)

    plainly("keeps items of mixed types in their places", function()
      local queue, items = sluice[class](), {}
      for i = 1, 300 do
        items[i] = ({ i, tostring(i), { i }, i / 2, i % 2 == 0 })[i % 5 + 1]
        queue:put_nowait(items[i])
      end
      local first, last, step = 1, 300, 1
      if class == "LifoQueue" then first, last, step = 300, 1, -1 end
      for i = first, last, step do
        assert.is_true(rawequal(items[i], queue:get_nowait()))
      end
    end)

    it("hands false over as an item", function()
      local queue = sluice[class](1)
      local getter = start(queue.get, queue)
      queue:put(false)
      assert.is_false(getter:await())
      queue:put(false)
      local putter = start(queue.put, queue, false)
      assert.is_false(queue:get())
      assert.is_true(putter:await())
      queue:shutdown()
      local n = 0
      for item in queue do n = n + (item == false and 1 or 0) end
      assert.equal(1, n)
    end)

    plainly("agrees with a plain list under random operations", function()
      math.randomseed(42)
      local queue, list = sluice[class](), {}
      for i = 1, effort(20000) do
        if math.random() < 0.52 then
          local item = math.random() < 0.5 and i or { i }
          queue:put_nowait(item)
          list[#list + 1] = item
        else
          local at = class == "LifoQueue" and #list or 1
          assert.is_true(rawequal(#list > 0 and table.remove(list, at) or nil,
            (queue:get_nowait())))
        end
      end
      assert.equal(#list, #queue)
    end)
  end)
end

keeps_items "Queue"
keeps_items "LifoQueue"

describe("Queue", function()
  plainly("gives the first in first out", function()
    local queue = sluice.Queue()
    for i = 1, 5 do queue:put_nowait(i) end
    assert.same({ 1, 2, 3, 4, 5 }, queues.drain(queue))
  end)

  it("keeps the order of putters that wait", function()
    local queue = sluice.Queue(2)
    local list = tasks.start_each(5, function(i) queue:put(i) end)
    local got = {}
    for i = 1, 5 do got[i] = queue:get() end
    assert.same({ 1, 2, 3, 4, 5 }, got)
    sluice.gather(list)
  end)

  plainly("returns from an immediate shutdown oldest first", function()
    local queue = sluice.Queue()
    for i = 1, 20 do queue:put_nowait(i) end
    for _ = 1, 10 do queue:get_nowait() end
    for i = 21, 24 do queue:put_nowait(i) end
    assert.same({ 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24 },
      queue:shutdown(true))
  end)
end)

describe("LifoQueue", function()
  plainly("gives the last in first out", function()
    local queue = sluice.LifoQueue()
    for i = 1, 5 do queue:put_nowait(i) end
    assert.same({ 5, 4, 3, 2, 1 }, queues.drain(queue))
  end)

  it("gives what a waiting putter has put in as the last", function()
    local queue = sluice.LifoQueue(2)
    local list = tasks.start_each(4, function(i) queue:put(i) end)
    local got = {}
    for i = 1, 4 do got[i] = queue:get() end
    assert.same({ 2, 3, 4, 1 }, got)
    sluice.gather(list)
  end)

  plainly("returns from an immediate shutdown newest first", function()
    local queue = sluice.LifoQueue()
    for i = 1, 4 do queue:put_nowait(i) end
    assert.same({ 4, 3, 2, 1 }, queue:shutdown(true))
  end)
end)
