--- sluice.jobs.options: checks of arguments.
--
-- A mistake is raised as C functions of Lua do: "bad argument #1 to 'put'
-- (…)", at the line of the first caller outside sluice.jobs, with nothing
-- changed. A table of checks, name -> function(value) -> what is wrong or
-- nil, describes options; a name that it does not have is a mistake, too.

local json = require "sluice.jobs.json"

local options = {}

-- The directory of this file, as in the sources of all that are ours.
local SOURCE = debug.getinfo(1, "S").source
local HERE = SOURCE:match "^(.*)[/\\]options%.lua$" or SOURCE

-- A script may lie in a directory of the same name.
local function is_ours(source)
  local rest = source:sub(#HERE + 1)
  return source:sub(1, #HERE) == HERE
    and (rest == "" or rest:find "^[/\\.]" ~= nil)
end

-- The level, for error, of the first function that is not ours.
local function outer_level()
  local level = 3
  while true do
    local info = debug.getinfo(level, "S")
    if not info then return 2 end
    if info.what ~= "C" and not is_ours(info.source) then return level end
    level = level + 1
  end
end

--- Raises an argument error at the line of the script.
-- @param n which argument; or a table with `arg`, and `item` of the list that
-- it is
function options.bad(n, name, message)
  if type(n) == "table" then
    n, message = n.arg, ("item %d: %s"):format(n.item, message)
  end
  error(("bad argument #%d to '%s' (%s)"):format(n, name, message),
    outer_level() - 1)
end

--- Raises unless a table is a list: what has a hole would end there without
-- a word.
-- @param count how many items the list was found to have
function options.check_list(list, count, n, name)
  local fields = 0
  for _ in pairs(list) do fields = fields + 1 end
  if fields <= count then return end
  options.bad(n, name, ("a list expected; item %d is nil, but there are %d")
    :format(count + 1, fields))
end

--- Raises unless the value has that type.
function options.check_type(value, wanted, n, name)
  local got = type(value)
  if got == wanted then return end
  options.bad(n, name, wanted .. " expected, got " .. got)
end

-- -- checks of one value: what is wrong with it, or nil --

function options.number(value)
  if type(value) ~= "number" then
    return "number expected, got " .. type(value)
  end
  if value ~= value then return "number is NaN" end
end

function options.seconds(value)
  local wrong = options.number(value)
  if wrong then return wrong end
  if value < 0 then return "duration is negative" end
end

function options.positive_seconds(value)
  local wrong = options.seconds(value)
  if wrong then return wrong end
  if value == 0 then return "duration is zero" end
end

function options.count(value)
  local wrong = options.number(value)
  if wrong then return wrong end
  if value == math.huge then return nil end
  if math.tointeger(value) == nil then
    return "number has no integer representation"
  end
  if value < 0 then return "number is negative" end
end

function options.positive_count(value)
  local wrong = options.count(value)
  if wrong then return wrong end
  if value == 0 then return "number is zero" end
end

function options.boolean(value)
  if type(value) ~= "boolean" then
    return "boolean expected, got " .. type(value)
  end
end

function options.key(value)
  if type(value) ~= "string" then
    return "string expected, got " .. type(value)
  end
  if #value > 1024 then return "longer than 1024 bytes" end
  if value == "" then return "string is empty" end
end

-- -- tables of options --

--- Checks a table of options.
-- @param given the table, or nil
-- @param checks name -> check
-- @return a copy of it, so that the script cannot change it later
function options.check(given, checks, n, name)
  if given == nil then return {} end
  options.check_type(given, "table", n, name)
  local copy = {}
  for key, value in pairs(given) do
    local check = checks[key]
    if not check then
      options.bad(n, name, ("unknown option '%s'"):format(tostring(key)))
    end
    local wrong = check(value)
    if wrong then
      options.bad(n, name, ("option '%s': %s"):format(key, wrong))
    end
    copy[key] = value
  end
  return copy
end

--- Checks a timeout: nil is for ever.
function options.check_timeout(value, n, name)
  if value == nil or math.type(value) and value >= 0 then return end
  local wrong = options.seconds(value)
  if wrong then options.bad(n, name, wrong) end
end

function options.check_count(value, n, name)
  if math.type(value) == "integer" and value > 0 then return end
  local wrong = options.positive_count(value)
  if not wrong and value == math.huge then
    wrong = "number has no integer representation"
  end
  if wrong then options.bad(n, name, wrong) end
end

--- Checks a job's id.
function options.check_id(value, n, name)
  if math.type(value) ~= "integer" then
    options.bad(n, name, "id expected, got "
      .. (math.type(value) or type(value)))
  end
end

local STATES = { ready = true, delayed = true, leased = true, dead = true }

function options.check_state(value, n, name)
  if not STATES[value] then
    options.bad(n, name, "'ready', 'delayed', 'leased' or 'dead' expected, "
      .. "got '" .. tostring(value) .. "'")
  end
end

--- Checks the name of a queue: what every engine can store.
function options.check_name(value, n, name)
  options.check_type(value, "string", n, name)
  if value == "" or #value > 128 or value:find("[%c{}]") then
    options.bad(n, name, "1 to 128 bytes without control characters and "
      .. "braces expected")
  end
end

-- -- bodies --

local function encode(body, n, name)
  local ok, text = pcall(json.encode, body)
  if ok then return text end
  options.bad(n, name, "the body cannot be said in JSON: "
    .. tostring(text):gsub("^.-:%d+: ", ""))
end

--- The body as a string and its format: 0 for strings, 1 for tables.
function options.encode_body(body, max_body, n, name)
  local format = 0
  if type(body) == "table" then
    body, format = encode(body, n, name), 1
  elseif type(body) ~= "string" then
    options.bad(n, name, "string or table expected, got " .. type(body))
  end
  if #body > max_body then
    options.bad(n, name, ("the body has %d bytes, at most %s are allowed")
      :format(#body, max_body))
  end
  return body, format
end

--- The body as it was put.
function options.decode_body(text, format)
  if format == 1 then return json.decode(text) end
  return text
end

return options
