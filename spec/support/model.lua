--- A stable priority queue that is plainly right: a list, searched from the
-- front for the first of the lowest.

local effort = require "spec.support.effort"

local model = {}
model.__index = model

function model.new() return setmetatable({}, model) end

function model:push(item, priority)
  if priority == nil then priority = item end
  self[#self + 1] = { item = item, priority = priority }
end

--- Takes the item that has waited longest among those of lowest priority.
function model:pop()
  local at = 1
  for i = 2, #self do
    if self[i].priority < self[at].priority then at = i end
  end
  if #self == 0 then return nil end
  local entry = table.remove(self, at)
  return entry.item, entry.priority
end

--- Generators of priorities, by name; each makes many equal ones.
model.priorities = {
  ["small integers"] = function() return math.random(0, 9) end,
  ["integers of any size"] = function()
    return math.random(0) >> math.random(0, 63)
  end,
  floats = function() return math.random(-8, 8) / 4 end,
  ["integers and floats mixed"] = function()
    local n = math.random(-5, 5)
    return math.random() < 0.5 and n or n + 0.0
  end,
  ["numbers around 2^53"] = function()
    local n = (1 << 53) + math.random(-3, 3)
    if math.random() < 0.3 then n = -n end
    return math.random() < 0.5 and n or n + 0.0
  end,
  ["the extremes of numbers"] = function()
    local all = { math.mininteger, math.maxinteger, math.huge, -math.huge,
      0, -0.0, 0.0, 1e308, -1e308, 5e-324, -5e-324, 2^63, -2^63,
      math.maxinteger - 1, math.mininteger + 1 }
    return all[math.random(#all)]
  end,
  strings = function()
    local text = {}
    for i = 1, math.random(0, 3) do
      text[i] = string.char(math.random(97, 99))
    end
    return table.concat(text)
  end,
  ["tables with __lt"] = function()
    return setmetatable({ n = math.random(0, 9) }, model.ordered)
  end,
}

--- Their names, in one order.
model.names = {}
for name in pairs(model.priorities) do model.names[#model.names + 1] = name end
table.sort(model.names)

--- The metatable of tables that order by their field n.
model.ordered = { __lt = function(a, b) return a.n < b.n end }

--- A table that orders by n.
function model.key(n) return setmetatable({ n = n }, model.ordered) end

--- Drives push, pop and a model with the same random operations; `check`
-- compares what both gave.
function model.compare(steps, priority, push, pop, check)
  local reference = model.new()
  for i = 1, effort(steps) do
    if math.random() < 0.55 then
      local p = priority()
      push(i, p)
      reference:push(i, p)
    else
      check({ reference:pop() }, { pop() })
    end
  end
  while #reference > 0 do check({ reference:pop() }, { pop() }) end
end

return model
