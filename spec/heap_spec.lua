local errors = require "spec.support.errors"
local model = require "spec.support.model"
local sluice = require "sluice"

local raises = errors.raises

-- Pops all items.
local function drain(heap)
  local items = {}
  while #heap > 0 do items[#items + 1] = heap:pop() end
  return items
end

-- Whether two results are the same item with the same priority, of the same
-- type of number.
local function same_result(want, got)
  assert.equal(want[1], got[1])
  assert.is_true(rawequal(want[2], got[2]) or want[2] == got[2])
  assert.equal(math.type(want[2]), math.type(got[2]))
end

describe("Heap", function()
  it("is empty at first", function()
    local heap = sluice.Heap()
    assert.equal(0, #heap)
    assert.is_nil(heap:pop())
    assert.is_nil(heap:peek())
    assert.equal("sluice.Heap (0 items)", tostring(heap))
  end)

  it("counts its items", function()
    local heap = sluice.Heap()
    heap:push("a", 1)
    assert.equal(1, #heap)
    assert.equal("sluice.Heap (1 item)", tostring(heap))
    heap:push("b", 2)
    assert.equal("sluice.Heap (2 items)", tostring(heap))
    heap:pop()
    assert.equal(1, #heap)
  end)

  it("pops the item of the lowest priority, and the priority", function()
    local heap = sluice.Heap()
    heap:push("b", 2)
    heap:push("a", 1)
    heap:push("c", 3)
    assert.same({ "a", 1 }, { heap:pop() })
    assert.same({ "b", 2 }, { heap:pop() })
    assert.same({ "c", 3 }, { heap:pop() })
    assert.is_nil(heap:pop())
  end)

  it("peeks at what pop will give", function()
    local heap = sluice.Heap()
    heap:push("b", 2.5)
    heap:push("a", 1)
    assert.same({ "a", 1 }, { heap:peek() })
    assert.same({ "a", 1 }, { heap:peek() })
    assert.equal(2, #heap)
    heap:pop()
    assert.same({ "b", 2.5 }, { heap:peek() })
  end)

  it("returns nothing from push", function()
    assert.equal(0, select("#", sluice.Heap():push(1)))
  end)

  it("takes an item as its own priority when it has none", function()
    local heap = sluice.Heap()
    for _, item in ipairs { "pear", "apple", "fig" } do heap:push(item) end
    assert.same({ "apple", "apple" }, { heap:pop() })
    heap:push("kiwi", nil)
    assert.same({ "fig", "kiwi", "pear" }, drain(heap))
  end)

  it("pops equal priorities in the order of push", function()
    local heap, want = sluice.Heap(), {}
    for i = 1, 1000 do
      heap:push(i, 7)
      want[i] = i
    end
    assert.same(want, drain(heap))
  end)

  it("is stable over equal integers and floats", function()
    local heap = sluice.Heap()
    for i = 1, 10 do heap:push(i, i % 2 == 0 and 1 or 1.0) end
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, drain(heap))
  end)

  it("gives numbers back with their type and sign", function()
    local heap = sluice.Heap()
    for _, number in ipairs { 1, 2.0, -0.0, math.huge, 1 << 53,
      (1 << 53) + 1, math.mininteger, 2.0 ^ 53 } do
      heap:push(number)
      heap:push("x", number)
      local first, second = { heap:pop() }, { heap:pop() }
      assert.equal(tostring(number), tostring(first[1]))
      assert.equal(tostring(number), tostring(first[2]))
      assert.equal(tostring(number), tostring(second[2]))
    end
  end)

  it("tells integers apart that no float can", function()
    local heap, base = sluice.Heap(), 1 << 53
    for _, d in ipairs { 3, 1, 0, 2, -1 } do heap:push(d, base + d) end
    heap:push("float", 2.0 ^ 53)
    assert.same({ -1, 0, "float", 1, 2, 3 }, drain(heap))
    heap:push("max", math.maxinteger)
    heap:push("2^63", 2.0 ^ 63)
    heap:push("max - 1", math.maxinteger - 1)
    assert.same({ "max - 1", "max", "2^63" }, drain(heap))
  end)

  it("takes any item with a priority", function()
    local heap, item = sluice.Heap(), {}
    heap:push(item, 1)
    heap:push(false, 2)
    heap:push(print, 3)
    assert.same({ item, 1 }, { heap:pop() })
    assert.same({ false, 2 }, { heap:pop() })
    assert.same({ print, 3 }, { heap:pop() })
  end)

  it("compares tables by __lt", function()
    local heap = sluice.Heap()
    for _, n in ipairs { 3, 1, 2, 1 } do heap:push(n, model.key(n)) end
    assert.same({ 1, 1, 2, 3 }, drain(heap))
  end)

  for _, name in ipairs(model.names) do
    it("agrees with a sorted list over " .. name, function()
      math.randomseed(#name)
      local heap = sluice.Heap()
      model.compare(4000, model.priorities[name],
        function(item, p) heap:push(item, p) end,
        function() return heap:pop() end, same_result)
      assert.equal(0, #heap)
    end)
  end

  it("holds no popped item back from the collector", function()
    local heap, weak = sluice.Heap(), setmetatable({}, { __mode = "v" })
    for i = 1, 30 do
      local item, key = {}, model.key(i)
      heap:push(item, key)
      weak[2 * i], weak[2 * i + 1] = item, key
    end
    drain(heap)
    collectgarbage()
    assert.is_nil(next(weak))
  end)

  it("refuses what can be no item and no priority", function()
    local heap = sluice.Heap()
    errors.raises_match("^bad argument #1 to 'push'",
      function() heap:push(nil) end)
    errors.raises_match("^bad argument #1 to 'push'",
      function() heap:push(nil, 1) end)
    raises("bad argument #2 to 'push' (priority is NaN)",
      function() heap:push("x", 0 / 0) end)
    raises("bad argument #1 to 'push' (priority is NaN)",
      function() heap:push(0 / 0) end)
    assert.equal(0, #heap)
  end)

  it("refuses as a priority what has no order", function()
    local heap = sluice.Heap()
    errors.raises_match("^bad argument #2 to 'push'.*got table",
      function() heap:push("x", {}) end)
    errors.raises_match("^bad argument #2 to 'push'.*got boolean",
      function() heap:push("x", false) end)
    errors.raises_match("^bad argument #1 to 'push'.*got table",
      function() heap:push({}) end)
    assert.equal(0, #heap)
  end)

  it("raises when two priorities do not compare, unchanged", function()
    local heap = sluice.Heap()
    heap:push("a", 1)
    raises("attempt to compare string with number",
      function() heap:push("b", "x") end)
    assert.same({ "a" }, drain(heap))
  end)

  it("raises the error of a comparison, and is unchanged", function()
    local heap, oops = sluice.Heap(), {}
    local bad = setmetatable({}, { __lt = function() error(oops) end })
    for i = 1, 5 do heap:push(i, i) end
    assert.equal(oops, errors.of(heap.push, heap, "bad", bad))
    assert.equal(5, #heap)
    heap:push("first", 0)
    assert.same({ "first", 1, 2, 3, 4, 5 }, drain(heap))
  end)

  it("refuses to be touched by a comparison", function()
    local heap = sluice.Heap()
    local bad = setmetatable({}, { __lt = function() return heap:pop() end })
    heap:push("a", 1)
    assert.matches("must not touch", errors.of(heap.push, heap, "bad", bad))
    assert.same({ "a", 1 }, { heap:pop() })
  end)

  it("survives comparisons that make no sense", function()
    math.randomseed(7)
    local heap = sluice.Heap()
    local mad = { __lt = function() return math.random() < 0.5 end }
    for i = 1, 2000 do heap:push(i, setmetatable({}, mad)) end
    local seen = {}
    for _, item in ipairs(drain(heap)) do seen[item] = true end
    assert.equal(2000, #seen)
  end)

  it("can be filled by finalisers while it grows", function()
    local heap = sluice.Heap()
    for _ = 1, 100 do
      setmetatable({}, { __gc = function() heap:push(1) end })
    end
    for i = 1, 2000 do heap:push(i) end
    collectgarbage()
    assert.equal(2100, #drain(heap))
  end)
end)
