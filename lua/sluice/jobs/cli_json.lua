--- sluice.jobs.cli_json: what the command line tells programs.
--
-- A writer of its own, so that fields come in a fixed order, an empty list
-- stays a list, and a body that was put as JSON is passed on as it was put.
-- What is not UTF-8 is given as base64, under a name that says so.
--
-- Internal to the command line.

local body_json = require "sluice.jobs.json"

local json = {}

local ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t",
}

-- A byte that is no UTF-8 becomes the replacement character.
local function valid(str)
  local parts, from = {}, 1
  while true do
    local length, bad = utf8.len(str, from)
    if length then return table.concat(parts) .. str:sub(from) end
    parts[#parts + 1] = str:sub(from, bad - 1) .. "\u{FFFD}"
    from = bad + 1
  end
end

-- The control characters from U+0080, which a terminal may obey. They stand
-- in strings only, so that a whole text in JSON may be given.
local function escape_c1(str)
  return (str:gsub("\xC2([\x80-\x9F])", function(byte)
    return ("\\u%04x"):format(byte:byte())
  end))
end

local function string_of(str)
  if not utf8.len(str) then str = valid(str) end
  return '"' .. escape_c1(str:gsub('[%c"\\\127]', function(c)
    return ESCAPES[c] or ("\\u%04x"):format(c:byte())
  end)) .. '"'
end

-- In as few digits as give the same number again.
local function number_of(n)
  if math.type(n) == "integer" then return ("%d"):format(n) end
  if n ~= n or n == math.huge or n == -math.huge then
    return ('"%s"'):format(n)
  end
  for digits = 14, 16 do
    local short = ("%%.%dg"):format(digits):format(n)
    if tonumber(short) == n then return short end
  end
  return ("%.17g"):format(n)
end

local Raw = {}

--- A text that is JSON, and UTF-8, already.
function json.raw(str)
  return setmetatable({ escape_c1(str) }, Raw)
end

local Object = {}

--- An object whose fields come in this order: { "name", value, … }; a name
-- whose value is nil is left out.
function json.object(...)
  return setmetatable(table.pack(...), Object)
end

local encode

local function encode_object(object)
  local parts = {}
  for i = 1, object.n, 2 do
    local value = object[i + 1]
    if value ~= nil then
      parts[#parts + 1] = string_of(object[i]) .. ":" .. encode(value)
    end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function encode_list(list)
  local parts = {}
  for i, value in ipairs(list) do parts[i] = encode(value) end
  return "[" .. table.concat(parts, ",") .. "]"
end

function encode(value)
  local kind, meta = type(value), getmetatable(value)
  if kind == "string" then return string_of(value) end
  if kind == "number" then return number_of(value) end
  if kind ~= "table" then return tostring(value) end
  if meta == Raw then return value[1] end
  if meta == Object then return encode_object(value) end
  return encode_list(value)
end

--- The value in JSON: strings, numbers, booleans, lists, objects.
json.encode = encode

local DIGITS =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local groups = bytes:gsub("..?.?", function(group)
    local a, b, c = group:byte(1, 3)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    local out = {}
    for i = 0, #group do
      local digit = bits >> (18 - 6 * i) & 63
      out[i + 1] = DIGITS:sub(digit + 1, digit + 1)
    end
    return table.concat(out) .. ("="):rep(3 - #group)
  end)
  return groups
end

--- Adds the field of a text that may have any bytes to a list of fields.
local function append_bytes(fields, name, bytes)
  if bytes == nil then return end
  local fits = utf8.len(bytes)
  fields[#fields + 1] = fits and name or name .. "_base64"
  fields[#fields + 1] = fits and bytes or base64(bytes)
end

local FIELDS = {
  "id", "state", "priority", "attempts", "max_attempts", "created", "due",
  "deadline", "lease", "token",
}

-- Strings in a table may have any bytes; JSON may not.
local function is_json(raw)
  return raw.format == 1 and utf8.len(raw.body)
    and body_json.decode(raw.body) ~= nil
end

-- The body of a job that is damaged is missing: null.
local function append_body(fields, raw)
  if raw.body == nil then
    fields[#fields + 1] = "body"
    fields[#fields + 1] = json.raw "null"
  elseif is_json(raw) then
    fields[#fields + 1] = "body"
    fields[#fields + 1] = json.raw(raw.body)
  else
    append_bytes(fields, "body", raw.body)
  end
end

--- A job as an engine makes it, as an object.
function json.job(raw)
  local fields = {}
  for _, name in ipairs(FIELDS) do
    if raw[name] ~= nil then
      fields[#fields + 1] = name
      fields[#fields + 1] = raw[name]
    end
  end
  append_bytes(fields, "unique", raw.unique)
  append_bytes(fields, "error", raw.error)
  append_body(fields, raw)
  return json.object(table.unpack(fields))
end

return json
