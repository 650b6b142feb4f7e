--- sluice.jobs.redis.address: where a URL says that the server is.
--
-- Internal to sluice.jobs.

local address = {}

local PORT = 6379

-- Percent-encoding undone, for what may hold any byte.
local function decode(text)
  return (text:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function number(text, most)
  local n = text:find "^%d+$" and math.tointeger(tonumber(text))
  return n and n <= most and n or nil
end

-- HOST, HOST:PORT, [HOST]:PORT
local function host_and_port(text)
  local host, port = text:match "^%[(.-)%]:?(.*)$"
  if not host then host, port = text:match "^([^:]*):?(.*)$" end
  port = port == "" and PORT or number(port, 65535)
  return host ~= "" and host or "127.0.0.1", port
end

local function parse_remote(rest)
  local authority, path = rest:match "^//([^/?#]*)/?(.*)$"
  if not authority then return nil, "it lacks //HOST" end
  local login, place = authority:match "^(.*)@(.-)$"
  local host, port = host_and_port(place or authority)
  if not port then return nil, "the port is no number from 1 to 65535" end
  local database = path == "" and 0 or number(path, 1 << 31)
  if not database then return nil, "the database is no number" end
  local result = { host = host, port = port, database = database }
  if login then
    local user, password = login:match "^([^:]*):(.*)$"
    if user and user ~= "" then result.user = decode(user) end
    result.password = decode(password or login)
  end
  return result
end

--- The URL without what may be a password: messages end in logs.
function address.shown(url)
  return (url:gsub("^(%w+://)([^/].*)@", "%1***@"))
end

--- Parses what follows the scheme `redis`, `rediss` or `unix`.
-- @param rest of the URL
-- @param scheme in small letters
-- @return a table: `path`, or `host` and `port`, `tls`; `user`, `password`,
-- `database`; or nil, message
function address.parse(rest, scheme)
  if scheme == "unix" then
    local path, database = rest:match "^(.-)%?db=(%d+)$"
    path = path or rest
    if path:sub(1, 2) == "//" then path = path:sub(3) end
    if path == "" then return nil, "it lacks the path of a socket" end
    return { path = path, database = number(database or "0", 1 << 31) }
  end
  local result, message = parse_remote(rest)
  if result and scheme == "rediss" then result.tls = true end
  return result, message
end

return address
