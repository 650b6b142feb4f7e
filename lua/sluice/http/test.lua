--- sluice.http.test: an application's answers without a socket.
--
-- The one idea: the request is made of a table, as a client would make it, and
-- goes through the code that serves; only the connection is another
-- (sluice.http.fake).
--
-- Internal to sluice.http.

local sluice = require "sluice"
local core = require "sluice.core.http"
local answer = require "sluice.http.answer"
local encode = require "sluice.http.encode"
local fake = require "sluice.http.fake"
local form = require "sluice.http.form"
local json = require "sluice.http.json"
local Request = require "sluice.http.request"

local KNOWN = {
  method = "string", path = "string", query = "table", headers = "table",
  cookies = "table", body = "string", json = true, form = "table",
}

-- Raised `level` calls above the one that checks.
local function fail(message, level)
  error(("bad argument #1 to 'test' (%s)"):format(message), level + 1)
end

-- A value may be a list.
local function each(value, fn)
  local list = type(value) == "table" and value or { value }
  for _, item in ipairs(list) do fn(item) end
end

local function check_headers(headers, level)
  for name, value in pairs(headers) do
    if type(name) ~= "string" then
      fail("the name of a header must be a string", level + 1)
    end
    each(value, function(item)
      local fault = core.check_header(name, tostring(item))
      if fault then
        fail(("%s of the header '%s'"):format(fault, name), level + 3)
      end
    end)
  end
end

local function check(options, level)
  for key, value in pairs(options) do
    local kind = KNOWN[key]
    if not kind then
      fail(("unknown option '%s'"):format(tostring(key)), level + 1)
    elseif kind ~= true and type(value) ~= kind then
      fail(("'%s' must be a %s"):format(key, kind), level + 1)
    end
  end
  local path = options.path
  if path and path ~= "*" and path:sub(1, 1) ~= "/" then
    fail("'path' begins with '/'", level + 1)
  end
  check_headers(options.headers or {}, level + 1)
  if options.json == nil then return end
  local ok, why = pcall(json.encode, options.json)
  if not ok then
    fail("'json': " .. tostring(why):gsub("^[^:]+:%d+: ", ""), level + 1)
  end
end

-- The body of a request, and its Content-Type, if that is known.
local function content_of(options)
  if options.json ~= nil then
    return json.encode(options.json), "application/json"
  elseif options.form == nil then
    return options.body or ""
  elseif encode.has_files(options.form) then
    return encode.parts(options.form)
  end
  return encode.pairs(options.form), "application/x-www-form-urlencoded"
end

local function target_of(options)
  local target = options.path or "/"
  if not options.query then return target end
  local mark = target:find("?", 1, true) and "&" or "?"
  return target .. mark .. encode.pairs(options.query)
end

-- The fields that are not given, and that a client sends.
local function usual_fields(options, content, kind)
  local fields = { host = "test", ["content-type"] = kind }
  if content ~= "" then fields["content-length"] = tostring(#content) end
  if options.cookies then fields.cookie = encode.cookies(options.cookies) end
  return fields
end

local function add_line(lines, name, value)
  value = tostring(value)
  local fault = core.check_header(name, value)
  if fault then error(("%s of the header '%s'"):format(fault, name), 0) end
  lines[#lines + 1] = ("%s: %s"):format(name, value)
end

local function head_of(method, target, options, usual)
  local lines = { ("%s %s HTTP/1.1"):format(method, target) }
  for name, value in pairs(options.headers or {}) do
    usual[name:lower()] = nil
    each(value, function(item) add_line(lines, name, item) end)
  end
  for name, value in pairs(usual) do add_line(lines, name, value) end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- The request of a table, and its path as it was sent, if that is another.
local function new_request(options, max_body)
  local content, kind = content_of(options)
  local method = options.method
    or (options.json ~= nil or options.form) and "POST" or "GET"
  local target = target_of(options)
  local path, query = target:match("^([^?]*)%??(.*)")
  local decoded = core.decode(path)
  local conn = fake.new(method, content, max_body)
  if not decoded or target:find("#", 1, true) then conn.refused = 400 end
  if #content > max_body then conn.refused = 413 end
  local request = setmetatable({
    method = method, path = decoded or path, peer = "test", _query = query,
    _head = head_of(method, target, options,
      usual_fields(options, content, kind)),
    _conn = conn, _visit = {},
  }, Request)
  return request, conn, decoded ~= path and path or nil
end

local function send(conn, dispatch, request, encoded)
  if conn.refused then return conn:respond(conn.refused) end
  return answer.send(conn, dispatch(request, encoded))
end

local function run(app, dispatch, options, describe, log_error)
  local request, conn, encoded = new_request(options, app.router.max_body)
  local ok, err = xpcall(send, describe, conn, dispatch, request, encoded)
  request._conn = nil
  form.remove(request._visit.files or {})
  if ok then return conn.answer end
  if sluice.is_cancelled(err) then sluice.sleep(0) end
  log_error(("error in %s %s: %s"):format(request.method, request.path,
    tostring(err)))
  answer.send_status(conn, 500, "Internal Server Error")
  return conn.answer
end

return { run = run, check = check }
