--- sluice.http.access_log: a line for each request.
--
-- Internal to sluice.http. The format is the common log format, with the
-- seconds that the request took at its end.

local sluice = require "sluice"

local access_log = {}

local function format(entry)
  return ('%s - - [%s] "%s %s" %d %d %.6f'):format(
    entry.peer, os.date("!%d/%b/%Y:%H:%M:%S +0000"), entry.method,
    entry.path, entry.status, entry.bytes, entry.seconds)
end

local function peer_of(visit)
  if not visit.peer then
    local host, port = visit.stream:peername()
    visit.peer = not host and "-" or port and host or "unix"
  end
  return visit.peer
end

-- A path is the client's: what could break the line or fool who reads it is
-- written as an escape.
local function clean(path)
  return (path:gsub('[%c"\\\127-\255]', function(c)
    return ("\\x%02x"):format(c:byte())
  end))
end

local function writer_of(option)
  if option == true then option = io.stderr end
  if io.type(option) == "file" then
    return function(entry) option:write(format(entry), "\n") end
  end
  return function(entry) option(format(entry), entry) end
end

--- What serve and run take as `access_log`: true (stderr), an open file, or a
-- function that is called with the line and a table of its fields.
-- @return nil, or a function that the server calls after each answer
function access_log.writer(option)
  if not option then return nil end
  if option ~= true and io.type(option) ~= "file"
    and type(option) ~= "function" then
    error("access_log must be true, an open file or a function", 0)
  end
  local write = writer_of(option)
  return function(visit, request, status, bytes, began)
    write {
      peer = peer_of(visit),
      method = request and request.method or "-",
      path = request and clean(request.path) or "-",
      status = status,
      bytes = request and request.method ~= "HEAD" and bytes or 0,
      seconds = began and sluice.time() - began or 0,
    }
  end
end

return access_log
