--- sluice.http.json: lua-cjson, loaded when it is first needed.
--
-- Internal to sluice.http. Strict: no NaN, no infinity, in or out.

local json = {}

local encode, decode

local function load_library()
  local library = require("cjson").new()
  library.decode_invalid_numbers(false)
  library.encode_invalid_numbers(false)
  encode, decode = library.encode, library.decode
end

--- The value as JSON. Raises if it cannot be said in JSON.
function json.encode(value)
  if not encode then load_library() end
  return encode(value)
end

--- The value of a text; or nil and what is wrong with it.
function json.decode(text)
  if not decode then load_library() end
  -- The library would take it for the end of the text.
  if text:find("\0", 1, true) then return nil, "JSON has no zero bytes" end
  local ok, value = pcall(decode, text)
  if ok then return value end
  return nil, value
end

return json
