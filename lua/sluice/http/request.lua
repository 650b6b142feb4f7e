--- sluice.http.request: what a handler is given.
--
-- The one idea: a request is a table with what every handler needs; the rest
-- (headers, query, peer) is made when it is first looked at, from strings
-- that the request keeps, so that it stays good after the answer. Only the
-- body is the connection's, and gone with the answer.
--
-- Internal to sluice.http. Fields that begin with `_` are its own.

local core = require "sluice.core.http"
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
  local host, port = request._stream:peername()
  if host and not port then return "unix" end
  return host
end

local function connection(request)
  local conn = request._conn
  if conn then return conn end
  error("the request was answered, its body is gone", 3)
end

--- The whole body.
-- @return a string; or nil, reason ("timeout", "eof", what is wrong with it);
-- the client is then answered as fits, whatever the handler returns
-- Waits.
function methods.text(request)
  local text = request._text
  if text then return text end
  local message
  text, message = connection(request):body()
  if not text then return nil, message end
  request._text = text
  return text
end

--- The body, decoded from JSON.
-- @return a value (`null` is cjson.null); or nil, message
-- Waits.
function methods.json(request)
  local text, message = methods.text(request)
  if not text then return nil, message end
  return json.decode(text)
end

--- The fields of a form (application/x-www-form-urlencoded).
-- @return a table of names and values, of equal names the first; or nil,
-- message
-- Waits.
function methods.form(request)
  local kind = request.headers["content-type"] or ""
  kind = kind:match("^[^;]*"):lower():match("^%s*(.-)%s*$")
  if kind ~= "application/x-www-form-urlencoded" then
    return nil, "the body is not a form"
  end
  local text, message = methods.text(request)
  if not text then return nil, message end
  return fields.new(core.pairs(text))
end

--- The next piece of the body: the client is read as fast as this is called.
-- @param[opt] n at most so many bytes
-- @return a string; nil, "eof" after the last; nil, reason
-- Waits.
function methods.read(request, n)
  if n ~= nil and (math.type(n) ~= "integer" or n < 1) then
    error("bad argument #1 to 'read' (a positive integer expected)", 2)
  end
  return connection(request):read(n)
end

return Request
