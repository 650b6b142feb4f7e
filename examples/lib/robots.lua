--[[
Reads robots.txt as RFC 9309 describes it: the group of a crawler, or the
group of all, tells which paths it may ask for. The longest rule that matches
a path counts; among equal ones, the one that allows. `*` in a rule is any
text, a `$` at its end the end of the path.
]]

local robots = {}

local Rules = {}
Rules.__index = Rules

local LIMIT = 500 * 1024 -- bytes that are looked at
local LONGEST = 2048 -- bytes of a line

-- A path in one form: `%7e` and `~` are the same, and so are `%c3` and `\xc3`.
local function normalise(path)
  path = path:gsub("[^!-~]", function(c) return ("%%%02X"):format(c:byte()) end)
  return (path:gsub("%%(%x%x)", function(hex)
    local c = string.char(tonumber(hex, 16))
    return c:find("^[%w._~-]$") and c or "%" .. hex:upper()
  end))
end

--- The lines of a text as field, in small letters, and value.
local function fields(text)
  text = text:sub(1, LIMIT):gsub("^\xef\xbb\xbf", "")
  local lines = text:gmatch("[^\r\n]+")
  return function()
    for line in lines do
      local field, value =
        line:sub(1, LONGEST):match("^[ \t]*([%a-]+)[ \t]*:[ \t]*([^#]*)")
      if field then return field:lower(), value end
    end
  end
end

-- What a rule's path looks for, in order: { "/a", "b" } for `/a*b`.
local function new_rule(path, allow)
  path = normalise(path:match("^(.-)[ \t]*$"))
  local rule = { allow = allow, length = #path, parts = {} }
  rule.whole = path:sub(-1) == "$"
  if rule.whole then path = path:sub(1, -2) end
  for part in (path .. "*"):gmatch("([^*]*)%*") do
    table.insert(rule.parts, part)
  end
  return rule
end

-- The leftmost place for each part is right, but for a last one at the end.
local function matches(rule, path)
  local parts, at = rule.parts, 1
  if path:sub(1, #parts[1]) ~= parts[1] then return false end
  at = at + #parts[1]
  for i = 2, #parts do
    local _, stop = path:find(parts[i], at, true)
    if rule.whole and i == #parts then
      stop = #path - #parts[i] + 1 >= at
        and path:sub(#path - #parts[i] + 1) == parts[i] and #path
    end
    if not stop then return false end
    at = stop + 1
  end
  return not rule.whole or at > #path
end

local add = {}

function add.allow(rules, path) table.insert(rules, new_rule(path, true)) end

function add.disallow(rules, path)
  if path:find("%S") then table.insert(rules, new_rule(path, false)) end
end

add["crawl-delay"] = function(rules, seconds)
  rules.delay = tonumber(seconds:match("^[%d.]+"))
end

--- The rules of a robots.txt for a crawler, by its name; it is to be in
-- small letters.
function robots.parse(text, agent)
  local groups, current, in_rules = {}, {}, false
  for field, value in fields(text) do
    if field == "user-agent" then
      if in_rules then current, in_rules = {}, false end
      local name = value:lower():match("^%*") or value:lower():match("^[%a_-]+")
      groups[name or ""] = groups[name or ""] or setmetatable({}, Rules)
      table.insert(current, groups[name or ""])
    elseif add[field] then
      in_rules = true
      for _, rules in ipairs(current) do add[field](rules, value) end
    end
  end
  return groups[agent] or groups["*"] or setmetatable({}, Rules)
end

--- The rules of a site whose robots.txt cannot be had.
function robots.deny_all()
  return setmetatable({ new_rule("/", false) }, Rules)
end

--- Whether a path, with its query, may be asked for.
function Rules:allows(path)
  path = normalise(path)
  local best = { allow = true, length = -1 }
  for _, rule in ipairs(self) do
    local better = rule.length > best.length
      or rule.length == best.length and rule.allow
    if better and matches(rule, path) then best = rule end
  end
  return best.allow
end

return robots
