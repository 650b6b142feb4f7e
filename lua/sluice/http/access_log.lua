--- sluice.http.access_log: a line for each request.
--
-- The one idea: whatever a client may have written is made harmless once, for
-- the line and for the fields that a function is given, so that nobody forges
-- a line or a terminal's command.
--
-- Internal to sluice.http. The format is Apache's "combined", with the
-- seconds that the request took at its end.

local sluice = require "sluice"

local access_log = {}

local function format(entry)
  return ('%s - - [%s] "%s" %d %d "%s" "%s" %.6f'):format(entry.peer,
    entry.time, entry.line, entry.status, entry.bytes, entry.referer,
    entry.user_agent, entry.seconds)
end

--- The address at the other end of a stream, as long as it is open.
function access_log.peer(stream)
  local host, port = stream:peername()
  return not host and "-" or port and host or "unix"
end

local function escape(c) return ("\\x%02x"):format(c:byte()) end

--- A client's text for a log: what could break the line or fool who reads it
-- is written as an escape.
function access_log.clean(text)
  return (text:gsub('[%c"\\\127-\255]', escape))
end

local clean = access_log.clean

-- The time of now, which is written once a second.
local stamp, stamped

local function time_stamp()
  local now = os.time()
  if now ~= stamped then
    stamp, stamped = os.date("!%d/%b/%Y:%H:%M:%S +0000", now), now
  end
  return stamp
end

-- "GET /a?b=c HTTP/1.1", as it was sent.
local function request_line(request)
  return clean(request._head:match "^[\r\n]*([^\r\n]*)")
end

local function header(request, name)
  local value = request.headers[name]
  return value and value ~= "" and clean(value) or "-"
end

-- What is known of a request; nil: none could be read.
local function describe(request)
  if not request then
    return { method = "-", path = "-", line = "-", referer = "-",
      user_agent = "-" }
  end
  return {
    method = request.method, path = clean(request.path),
    line = request_line(request), referer = header(request, "referer"),
    user_agent = header(request, "user-agent"),
  }
end

local function writer_of(option)
  if option == true then
    return function(entry) io.stderr:write(format(entry) .. "\n") end
  elseif io.type(option) == "file" then
    return function(entry) option:write(format(entry) .. "\n") end
  end
  return function(entry) option(format(entry), entry) end
end

--- What is wrong with the option; nil: nothing.
function access_log.check(option)
  if type(option) == "boolean" or type(option) == "function"
    or io.type(option) == "file" then
    return nil
  end
  return "true, an open file or a function expected"
end

--- What serve and run take as `access_log`: true (stderr), an open file, or a
-- function that is called with the line and a table of its fields.
-- @return nil, or a function that the server calls after each answer
function access_log.writer(option)
  if not option then return nil end
  local write = writer_of(option)
  return function(visit, request, status, bytes, began, reason)
    local entry = describe(request)
    entry.peer, entry.time = visit.peer, time_stamp()
    entry.status, entry.reason = status, reason
    entry.bytes = request and request.method ~= "HEAD" and bytes or 0
    entry.seconds = began and sluice.time() - began or 0
    write(entry)
  end
end

return access_log
