-- A store that cannot grow refuses the item and keeps the others.
local common = require "common"
local armed, sluice = common.armed, common.sluice

local function items(kind)
  local list = {}
  for i = 1, 70 do
    list[i] = kind == "numbers" and i or kind == "strings" and "s" .. i
      or setmetatable({ n = i }, { __lt = function(a, b) return a.n < b.n end })
  end
  return list
end

for _, kind in ipairs { "numbers", "strings", "tables" } do
  for _, class in ipairs { "Queue", "LifoQueue", "PriorityQueue" } do
    local queue, list, put = sluice[class](), items(kind), 0
    local ok, err = armed(function()
      for i = 1, #list do
        assert(queue:put_nowait(list[i]))
        put = i
      end
    end)
    assert(ok or err == "not enough memory", err)
    assert(#queue == put and queue:stats().puts == put)
    local seen = {}
    for _, item in ipairs(queue:shutdown(true)) do seen[item] = true end
    for i = 1, put do assert(seen[list[i]], i) end
  end
end

local heap, put = sluice.Heap(), 0
local ok, err = armed(function()
  for i = 1, 70 do
    heap:push("item" .. i, -i)
    put = i
  end
end)
assert(ok or err == "not enough memory", err)
assert(#heap == put)
for i = put, 1, -1 do assert(heap:pop() == "item" .. i) end
