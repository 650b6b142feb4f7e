--- sluice.jobs.json: tables as text and back, without loss.
--
-- A body must come back as it was put: integers stay integers and keep all
-- their digits, floats keep all their bits, strings their bytes. What JSON
-- cannot say (holes, keys that are no strings, cycles, functions, NaN) is an
-- error. null becomes cjson's, if that is there, else nil.

local json = {}

local MAX_DEPTH = 200

-- -- encoding --

local ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f",
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function escape(char)
  return ESCAPES[char] or ("\\u%04x"):format(char:byte())
end

local function quote(text)
  return '"' .. text:gsub('[%c"\\\127]', escape) .. '"'
end

-- The shortest of the usual precisions that gives the same number again.
local function number_text(number)
  if math.type(number) == "integer" then return ("%d"):format(number) end
  if number ~= number or number == math.huge or number == -math.huge then
    error("a number that is not finite", 0)
  end
  for precision = 14, 17 do
    local text = ("%%.%dg"):format(precision):format(number)
    if tonumber(text) == number then
      return text:find "[.eE]" and text or text .. ".0"
    end
  end
end

-- How many items a list has; nil if it is not one.
local function list_length(value)
  local n = 0
  for _ in pairs(value) do n = n + 1 end
  if n > 0 and value[1] == nil then return nil end
  for i = 1, n do
    if value[i] == nil then error("a list with holes or other keys", 0) end
  end
  return n
end

local encode_into

local function encode_list(value, n, out, depth)
  out[#out + 1] = "["
  for i = 1, n do
    if i > 1 then out[#out + 1] = "," end
    encode_into(value[i], out, depth)
  end
  out[#out + 1] = "]"
end

local function encode_object(value, out, depth)
  local separator = "{"
  for key, item in pairs(value) do
    if type(key) ~= "string" then
      error("a key that is a " .. type(key), 0)
    end
    out[#out + 1] = separator .. quote(key) .. ":"
    encode_into(item, out, depth)
    separator = ","
  end
  out[#out + 1] = separator == "{" and "{}" or "}"
end

local function encode_table(value, out, depth)
  if depth > MAX_DEPTH then error("too deep, or a cycle", 0) end
  local n = list_length(value)
  if n and n > 0 then return encode_list(value, n, out, depth) end
  return encode_object(value, out, depth)
end

-- A light userdata is cjson's null.
local function is_null(value)
  return type(value) == "userdata" and tostring(value):find "NULL$"
    or value == json.null()
end

function encode_into(value, out, depth)
  local kind = type(value)
  if kind == "table" then
    encode_table(value, out, depth + 1)
  elseif kind == "string" then
    out[#out + 1] = quote(value)
  elseif kind == "number" then
    out[#out + 1] = number_text(value)
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif is_null(value) then
    out[#out + 1] = "null"
  else
    error("a " .. kind, 0)
  end
end

--- The table as JSON. Raises what cannot be said, as a string.
function json.encode(value)
  local out = {}
  encode_into(value, out, 0)
  return table.concat(out)
end

-- -- decoding --

local null

--- cjson's null, or nil.
function json.null()
  if null == nil then
    local ok, cjson = pcall(require, "cjson")
    null = ok and cjson.null or false
  end
  return null or nil
end

local function wrong(at)
  error("no JSON at byte " .. at, 0)
end

local PLAIN = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n",
  r = "\r", t = "\t",
}

-- A pair of surrogates is one character.
local function unescape_units(text)
  text = text:gsub("\\u([dD][89aAbB]%x%x)\\u([dD][c-fC-F]%x%x)",
    function(high, low)
      local code = 0x10000 + ((tonumber(high, 16) - 0xd800) << 10)
        + (tonumber(low, 16) - 0xdc00)
      return utf8.char(code)
    end)
  return text
end

local function unescape(text, at)
  text = unescape_units(text)
  return (text:gsub("\\(.)(%x?%x?%x?%x?)", function(kind, digits)
    if kind == "u" and #digits == 4 then
      return utf8.char(tonumber(digits, 16))
    end
    return (PLAIN[kind] or wrong(at)) .. digits
  end))
end

-- Past the quote at `at`. Returns the string and where it ends.
local function decode_string(text, at)
  local from = at
  while true do
    local stop = text:find('["\\]', at)
    if not stop then wrong(from) end
    if text:byte(stop) == 34 then
      local inner = text:sub(from, stop - 1)
      if inner:find("\\", 1, true) then inner = unescape(inner, from) end
      return inner, stop + 1
    end
    at = stop + 2
  end
end

local decode_value

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function decode_list(text, at, depth)
  local list, n = {}, 0
  at = skip(text, at)
  if text:byte(at) == 93 then return list, at + 1 end
  while true do
    n = n + 1
    list[n], at = decode_value(text, at, depth)
    at = skip(text, at)
    local char = text:sub(at, at)
    at = at + 1
    if char == "]" then return list, at end
    if char ~= "," then wrong(at - 1) end
  end
end

local function decode_member(text, at, object, depth)
  at = skip(text, at)
  if text:byte(at) ~= 34 then wrong(at) end
  local key
  key, at = decode_string(text, at + 1)
  at = skip(text, at)
  if text:byte(at) ~= 58 then wrong(at) end
  object[key], at = decode_value(text, at + 1, depth)
  return skip(text, at)
end

local function decode_object(text, at, depth)
  local object = {}
  at = skip(text, at)
  if text:byte(at) == 125 then return object, at + 1 end
  while true do
    at = decode_member(text, at, object, depth)
    local char = text:sub(at, at)
    at = at + 1
    if char == "}" then return object, at end
    if char ~= "," then wrong(at - 1) end
  end
end

local WORDS = { ["true"] = true, ["false"] = false }

local function decode_word(text, at)
  local word = text:match("^%l+", at)
  if word == "null" then return json.null(), at + 4 end
  if WORDS[word] == nil then wrong(at) end
  return WORDS[word], at + #word
end

-- Whole numbers become integers unless they are too large for that.
local function decode_number(text, at)
  local digits = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  local number = digits and tonumber(digits)
  if not number then wrong(at) end
  return number, at + #digits
end

function decode_value(text, at, depth)
  if depth > MAX_DEPTH then error("too deep", 0) end
  at = skip(text, at)
  local byte = text:byte(at)
  if byte == 34 then return decode_string(text, at + 1) end
  if byte == 123 then return decode_object(text, at + 1, depth + 1) end
  if byte == 91 then return decode_list(text, at + 1, depth + 1) end
  if byte == 45 or (byte and byte >= 48 and byte <= 57) then
    return decode_number(text, at)
  end
  return decode_word(text, at)
end

local function decode(text)
  local value, at = decode_value(text, 1, 0)
  at = skip(text, at)
  if at <= #text then wrong(at) end
  return value
end

--- The value of a text; or nil and what is wrong with it.
function json.decode(text)
  local ok, value = pcall(decode, text)
  if ok then return value end
  return nil, value
end

return json
