--- sluice.http.request: what a handler is given.
--
-- The one idea: a request is a table with what every handler needs; the rest
-- (headers, query, peer) is made when it is first looked at, from strings
-- that the request keeps, so that it stays good after the answer. Only the
-- body is the connection's, and gone with the answer.
--
-- Internal to sluice.http. Fields that begin with `_` are its own.

local core = require "sluice.core.http"
local form = require "sluice.http.form"
local fields = require "sluice.http.fields"
local json = require "sluice.http.json"

local methods = {}
local lazy = {}

-- Looks a missing field up: a method, or something to be made now.
local function index(request, key)
  local method = methods[key]
  if method then return method end
  local make = lazy[key]
  if not make then return nil end
  local value = make(request)
  request[key] = value
  return value
end

local Request = { __index = index, __name = "sluice.http.Request" }

function Request.__tostring(request)
  return ("sluice.http.Request (%s %s)"):format(request.method, request.path)
end

local ignoring_case = {
  __index = function(headers, name)
    return type(name) == "string" and rawget(headers, name:lower()) or nil
  end,
}

--- request.headers: a table of names in small letters; looked up in any case.
function lazy.headers(request)
  return setmetatable(core.headers(request._head), ignoring_case)
end

--- request.query: a table of the query's names and values, decoded.
function lazy.query(request)
  return fields.new(core.pairs(request._query or ""))
end

--- request.cookies: a table of the cookies' names and values.
function lazy.cookies(request)
  return fields.new(core.cookies(request.headers.cookie or ""))
end

--- request.params: a table of the path's parameters, decoded.
function lazy.params()
  return {}
end

--- request.peer: the client's address; "unix" at a Unix socket.
function lazy.peer(request)
  local host, port = request._visit.stream:peername()
  if host and not port then return "unix" end
  return host
end

-- The error is raised `level` calls above.
local function connection(request, level)
  local conn = request._conn
  if conn then return conn end
  error("the request was answered, its body is gone", level + 1)
end

-- The whole body; `level` as of connection.
local function whole(request, level)
  local text = rawget(request, "_text") -- not through `index`
  if text then return text end
  local message
  text, message = connection(request, level + 1):body()
  if not text then return nil, message end
  request._text = text
  return text
end

--- The whole body.
-- @return a string; or nil, reason ("timeout", "cut off", what is wrong with
-- it); the client is then answered as fits, whatever the handler returns
-- Waits.
function methods.text(request)
  local text, message = whole(request, 2)
  if text then return text end
  return nil, message
end

--- The body, decoded from JSON.
-- @return a value (`null` is cjson.null); or nil, message
-- Waits.
function methods.json(request)
  local text, message = whole(request, 2)
  if not text then return nil, message end
  return json.decode(text)
end

-- -- forms --

local FORM_OPTIONS = {
  max_body = "number", max_memory = "number", max_parts = "number",
  directory = "string",
}

local function check_form_options(options)
  local function fail(message)
    error("bad argument #1 to 'form' (" .. message .. ")", 4)
  end
  if options == nil then return {} end
  if type(options) ~= "table" then
    fail("table expected, got " .. type(options))
  end
  for key, value in pairs(options) do
    local kind = FORM_OPTIONS[key]
    if not kind then
      fail(("unknown option '%s'"):format(tostring(key)))
    elseif type(value) ~= kind then
      fail(("'%s' must be a %s"):format(key, kind))
    elseif kind == "number" and (value < 0 or value ~= value) then
      fail(("'%s' must not be negative"):format(key))
    elseif kind == "number" and value < math.huge and value % 1 ~= 0 then
      fail(("'%s' must be a whole number"):format(key))
    end
  end
  return options
end

-- A function that returns the pieces of the body.
local function pieces_of(request)
  local text = rawget(request, "_text")
  if not text then
    local conn = connection(request, 4)
    return function() return conn:read() end
  end
  return function()
    local piece = text
    text = nil
    if piece and piece ~= "" then return piece end
    return nil, "eof"
  end
end

local function read_parts(request, kind, options)
  local visit = request._visit
  visit.files = visit.files or {}
  return form.parts(kind, pieces_of(request), visit.files, options)
end

local function read_pairs(request, options)
  local text, message = whole(request, 3)
  if not text then return nil, message end
  local values, lists = core.pairs(text, form.most_parts(options))
  if not values then return nil, "the form has too many parts" end
  return fields.new(values, lists)
end

local function read_form(request, options)
  local header = request.headers["content-type"] or ""
  local kind = header:match("^[ \t]*([^; \t]*)"):lower()
  if options.max_body and not rawget(request, "_text") then
    connection(request, 3):limit(options.max_body)
  end
  if kind == "application/x-www-form-urlencoded" then
    return read_pairs(request, options)
  elseif kind == "multipart/form-data" then
    return read_parts(request, header, options)
  end
  return nil, "the body is not a form"
end

--- The body as a form (application/x-www-form-urlencoded or
-- multipart/form-data). Asked again, it returns the same.
-- @param[opt] options `max_body`: bytes, when less than the application's or
-- the route's; `max_parts`, or names (1000); and of a form in parts
-- `max_memory` (1048576): bytes of it in memory, beyond which files go to disk;
-- `directory` of those files
-- @return a table of names and values, strings or files, of equal names the
-- first; or nil, message
-- Waits.
function methods.form(request, options)
  options = check_form_options(options)
  local known = rawget(request, "_form")
  if not known then
    known = table.pack(read_form(request, options))
    request._form = known
  end
  return table.unpack(known, 1, known.n)
end

--- The next piece of the body: the client is read as fast as this is called.
-- @param[opt] n at most so many bytes
-- @return a string; nil, "eof" after the last; nil, reason
-- Waits.
function methods.read(request, n)
  if n ~= nil and (math.type(n) ~= "integer" or n < 1) then
    error("bad argument #1 to 'read' (a positive integer expected)", 2)
  end
  return connection(request, 2):read(n)
end

return Request
