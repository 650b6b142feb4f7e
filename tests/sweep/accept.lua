-- A server that is refused memory at any step goes on accepting: a client
-- that tries again is answered.
local common = require "common"
local sluice = common.sluice
local net = require "sluice.net"

local function greet(stream)
  stream:write "hello"
  stream:read_all(10)
end

-- Whether a connection is answered; errors for want of memory are outcomes.
local function ask(connect, ...)
  local ok, answer = sluice.pcall(function(...)
    local stream <close> = connect(...)
    return stream and stream:read(5, 10)
  end, ...)
  return ok and answer == "hello"
end

-- Whether large blocks are refused, so all.
local function is_for_good()
  return not pcall(string.rep, "x", 100000)
end

local function asked(connect, ...)
  for _ = 1, 3 do
    if ask(connect, ...) then return true end
  end
  return is_for_good()
end

local function serve(server, connect)
  if not server then return true end
  local server <close> = server -- luacheck: ignore
  local ok = asked(connect, server:sockname())
  server:close()
  server:wait_closed(100)
  return ok
end

local path = os.tmpname()
local answered
common.survives(function()
  answered = serve(net.serve(greet, "127.0.0.1", 0), net.connect)
    and serve(net.serve_unix(greet, path), net.connect_unix)
end)
os.remove(path)
assert(answered ~= false, "nobody was answered")
