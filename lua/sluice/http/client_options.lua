--- sluice.http.client_options: what a request may be asked for.
--
-- The one idea: everything is checked before anything begins, so that a
-- mistake is raised at the caller's line, and what comes out is a plain table
-- in the words of the native module. A URL is data, often of somebody else's:
-- one that is none is an outcome, not a mistake.
--
-- Internal to sluice.http.

local core = require "sluice.core.http"
local json = require "sluice.http.json"

local options = {}

local USER_AGENT = "sluice/0.1"

-- What is taken where neither the request nor its client says otherwise.
local defaults = {
  timeout = 300,
  connect_timeout = 10,
  idle_timeout = 60,
  max_redirects = 10,
  max_body = 10 * 1024 * 1024,
  verify = true,
  decompress = true,
}

local function is_seconds(value)
  return math.type(value) ~= nil and value >= 0, "a duration in seconds"
end

local function is_count(value)
  return math.type(value) == "integer" and value >= 0,
    "an integer that is not negative"
end

local function is_positive(value)
  return math.type(value) == "integer" and value > 0, "a positive integer"
end

local function is_limit(value)
  return value == math.huge or (is_count(value)),
    "an integer that is not negative, or math.huge"
end

local function is_boolean(value)
  return type(value) == "boolean", "a boolean"
end

-- libcurl's strings end at a zero.
local function is_text(value)
  return type(value) == "string" and not value:find("\0", 1, true),
    "a string without zeros"
end

local function is_path(value)
  return value ~= "" and (is_text(value)),
    "a string that is not empty, without zeros"
end

local function is_table(value)
  return type(value) == "table", "a table"
end

local function is_method(value)
  return type(value) == "string"
    and value:find("^[%w!#$%%&'*+.^_`|~-]+$") ~= nil, "a method"
end

local function is_body(value)
  local kind = type(value)
  return kind == "string" or kind == "table" or kind == "function",
    "a string, a table or a function"
end

local function is_proxy(value)
  return value == true or value == false or (is_text(value)),
    "a URL or a boolean"
end

-- A colon ends the user's name (RFC 7617).
local function is_auth(value)
  return type(value) == "table" and (is_text(value[1]))
    and (is_text(value[2])) and not value[1]:find(":", 1, true),
    "a list of user, without a colon, and password"
end

local function is_version(value)
  return value == "1.1" or value == "2", '"1.1" or "2"'
end

-- What a client may have for all its requests.
local SHARED = {
  headers = is_table, timeout = is_seconds, connect_timeout = is_seconds,
  idle_timeout = is_seconds, max_redirects = is_count, max_body = is_limit,
  verify = is_boolean, ca_file = is_text, cert_file = is_text,
  key_file = is_text, proxy = is_proxy, auth = is_auth, unix = is_path,
  http_version = is_version, decompress = is_boolean,
}

local REQUEST = {
  url = is_text, method = is_method, body = is_body,
  json = function() return true end, form = is_table, query = is_table,
  stream = is_boolean,
}

local CLIENT = {
  max_connections = is_positive, max_per_host = is_positive,
  cookies = is_boolean,
}

local function check_fields(given, own)
  for key, value in pairs(given) do
    local check = SHARED[key] or own[key]
    if not check then
      return nil, ("unknown option '%s'"):format(tostring(key))
    end
    local ok, wanted = check(value)
    if not ok then return nil, ("'%s' must be %s"):format(key, wanted) end
  end
  return true
end

-- -- headers --

-- Those that tell how the message is framed are the client's own.
local FRAMING = { ["transfer-encoding"] = true, ["content-length"] = true }

local function check_header(name, value)
  if type(name) ~= "string" then return "a header's name must be a string" end
  if type(value) ~= "string" and not math.type(value) then
    return ("the header '%s' must be a string or a number"):format(name)
  end
  local wrong = core.check_header(name, tostring(value))
  if wrong then return ("the header '%s' has an %s"):format(name, wrong) end
end

-- A table of small letters -> { name, value... }, of one given by a script.
local function read_headers(given)
  local fields = {}
  for name, values in pairs(given or {}) do
    if type(values) ~= "table" then values = { values } end
    local field = { name }
    for _, value in ipairs(values) do
      local wrong = check_header(name, value)
      if wrong then return nil, wrong end
      field[#field + 1] = tostring(value)
    end
    if type(name) ~= "string" then
      return nil, "a header's name must be a string"
    end
    fields[name:lower()] = field
  end
  return fields
end

-- Lines for libcurl: there a header without a value ends in a semicolon, and
-- one that is not to be sent in a colon.
local function add_lines(lines, field)
  local name = field[1]
  if #field == 1 then lines[#lines + 1] = name .. ":" end
  for i = 2, #field do
    local value = field[i]
    lines[#lines + 1] = value:find "[^ \t]" and name .. ": " .. value
      or name .. ";"
  end
end

-- The lines of all headers, sorted, and without those that libcurl adds.
local function lines_of(fields)
  local lines, names = {}, {}
  for name in pairs(fields) do
    if not FRAMING[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do add_lines(lines, fields[name]) end
  if not fields["user-agent"] then
    lines[#lines + 1] = "User-Agent: " .. USER_AGENT
  end
  if not fields["content-type"] then lines[#lines + 1] = "Content-Type:" end
  if not fields["expect"] then lines[#lines + 1] = "Expect:" end
  return lines
end

-- -- bodies --

local function escape(text)
  return (tostring(text):gsub("[^%w%-._~]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

local SIMPLE = { string = true, number = true, boolean = true }

-- The pairs of a form or a query, in the order of their names.
local function encode_pairs(given, what)
  local names, parts = {}, {}
  for name in pairs(given) do
    if type(name) ~= "string" then
      return nil, ("a name in '%s' must be a string"):format(what)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local values = given[name]
    if type(values) ~= "table" then values = { values } end
    for _, value in ipairs(values) do
      if not SIMPLE[type(value)] then
        return nil, ("'%s' in '%s' is a %s"):format(name, what, type(value))
      end
      parts[#parts + 1] = escape(name) .. "=" .. escape(value)
    end
  end
  return table.concat(parts, "&")
end

local function encode_json(value)
  local ok, text = pcall(json.encode, value)
  if ok then return text, "application/json" end
  return nil, "no JSON: " .. tostring(text):gsub("^[^:]+:%d+: ", "")
end

-- The body of a request: a string, a function or nil, and its type; or nil,
-- what is wrong.
local function encode_body(given)
  local body = given.body
  local count = (body ~= nil and 1 or 0) + (given.json ~= nil and 1 or 0)
    + (given.form ~= nil and 1 or 0)
  if count > 1 then return nil, "one of 'body', 'json' and 'form'" end
  if given.json ~= nil then return encode_json(given.json) end
  if given.form then
    local text, wrong = encode_pairs(given.form, "form")
    return text, wrong or "application/x-www-form-urlencoded"
  end
  if body == nil then return nil end
  if type(body) == "table" then return encode_json(body) end
  if type(body) == "string" then return body, "text/plain; charset=utf-8" end
  return body, "application/octet-stream"
end

-- A function's body may have its length announced; a string has its own.
local function read_length(spec)
  local field = spec.fields["content-length"]
  if spec.fields["transfer-encoding"] then
    return nil, "'Transfer-Encoding' cannot be set"
  elseif not field then
    return true
  end
  local length = field[2] and field[2]:match("^%d+$")
    and math.tointeger(tonumber(field[2]))
  if not length then return nil, "'Content-Length' must be an integer" end
  if type(spec.body) == "function" then
    spec.length = length
  elseif length ~= #(spec.body or "") then
    return nil, "'Content-Length' is not the length of the body"
  end
  return true
end

-- -- requests --

local function add_query(url, query)
  local text, wrong = encode_pairs(query, "query")
  if not text then return nil, wrong end
  if text == "" then return url end
  local front, fragment = url:match("^([^#]*)(.*)$")
  return front .. (front:find("?", 1, true) and "&" or "?") .. text
    .. fragment
end

-- What the request says goes before what its client does.
local function copy_shared(spec, given, client)
  for key, value in pairs(given) do
    if SHARED[key] then spec[key] = value end
  end
  if not spec.stream then return end
  for _, key in ipairs { "max_body", "timeout" } do
    spec[key] = given[key] or rawget(client.own, key) or math.huge
  end
end

--- The request's own headers, which may be changed.
function options.own_fields(spec)
  if spec.fields then return spec.fields end
  local own = {}
  for name, field in pairs(spec.client_fields) do own[name] = field end
  spec.fields = own
  return own
end

-- Most requests have no headers of their own.
local function join_headers(spec, given)
  if not given.headers then return true end
  local fields, wrong = read_headers(given.headers)
  if not fields then return nil, wrong end
  for name, field in pairs(fields) do
    options.own_fields(spec)[name] = field
  end
  return true
end

local function read_body(spec, given)
  local body, kind = encode_body(given)
  if body == nil and kind then return nil, kind end
  spec.body = body
  if body and not options.own_fields(spec)["content-type"] then
    spec.fields["content-type"] = { "Content-Type", kind }
  end
  spec.method = (given.method or (body and "POST" or "GET")):upper()
  if spec.method == "CONNECT" then return nil, "'method' is CONNECT" end
  if body and spec.method == "HEAD" then return nil, "HEAD has no body" end
  if not spec.fields then return true end
  return read_length(spec)
end

--- A request that is ready to go.
-- @param given what a script asked for
-- @param client what its client has for all requests
-- @return a table; or nil and what is wrong
function options.request(given, client)
  local ok, wrong = check_fields(given, REQUEST)
  if not ok then return nil, wrong end
  if not given.url then return nil, "'url' is missing" end
  local spec = setmetatable({
    url = given.url, stream = given.stream or false,
  }, client.meta)
  if given.query then
    spec.url, wrong = add_query(given.url, given.query)
    if not spec.url then return nil, wrong end
  end
  copy_shared(spec, given, client)
  ok, wrong = join_headers(spec, given)
  if ok then ok, wrong = read_body(spec, given) end
  if not ok then return nil, wrong end
  return spec
end

--- The lines of the request's headers.
function options.headers(spec)
  local fields = spec.fields
  return fields and lines_of(fields) or spec.client_lines
end

-- What a client's requests inherit.
local function shared_of(given, fields)
  local own = setmetatable({}, { __index = defaults })
  for key, value in pairs(given) do
    if SHARED[key] then own[key] = value end
  end
  own.client_fields, own.client_lines = fields, lines_of(fields)
  return own
end

--- What is wrong with a body, or nil.
function options.body_fault(body)
  local ok, wanted = is_body(body)
  if ok then return nil end
  return ("%s expected, got %s"):format(wanted, type(body))
end

--- What a client has for all its requests.
-- @return a table; or nil and what is wrong
function options.client(given)
  local ok, wrong = check_fields(given, CLIENT)
  if not ok then return nil, wrong end
  local fields
  fields, wrong = read_headers(given.headers)
  if not fields then return nil, wrong end
  if fields["content-length"] or fields["transfer-encoding"] then
    return nil, "'headers' cannot have what frames a body"
  end
  local own = shared_of(given, fields)
  return { own = own, meta = { __index = own } }
end

return options
