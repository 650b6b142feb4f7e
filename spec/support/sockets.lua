--- Small servers and clients for specs of streams. Both ends are in this
-- process, so that what was written is there at the next look.

local assert = require "luassert"
require "sluice" -- which opens the core
local core = require "sluice.core.net"
local net = require "sluice.net"
local sluice = require "sluice"

-- `is_plain`: with_pair is what it says; spec/tls_stream_spec.lua changes that
local sockets = { is_plain = true }

-- Runs fn(client, peer) with a connection of the server that `serve(handler)`
-- makes.
local function with_connection(serve, connect, fn)
  local accepted, done = sluice.Queue(), sluice.Event()
  local server <close> = assert(serve(function(stream)
    accepted:put(stream)
    done:wait()
  end))
  do
    local client <close> = assert(connect(server:sockname()))
    local peer <close> = accepted:get()
    local ok, err = pcall(fn, client, peer)
    done:set()
    if not ok then error(err, 0) end
  end
  server:close()
  assert(server:wait_closed(10))
end

--- Runs fn(client, peer), two ends of a TCP connection; closes both, and the
-- server, whatever happens.
function sockets.with_pair(fn, options)
  with_connection(function(handler)
    return net.serve(handler, "127.0.0.1", 0, options)
  end, net.connect, fn)
end

--- As with_pair, over TLS: `server` and `client` are what each side is given.
function sockets.with_tls_pair(fn, server, client, options)
  local all = { tls = server }
  for key, value in pairs(options or {}) do all[key] = value end
  with_connection(function(handler)
    return net.serve(handler, "127.0.0.1", 0, all)
  end, function(host, port)
    return net.connect(host, port, { tls = client })
  end, fn)
end

--- As with_pair, by a Unix socket.
function sockets.with_unix_pair(fn, options)
  with_connection(function(handler)
    return net.serve_unix(handler, sockets.path(), options)
  end, net.connect_unix, fn)
end

--- A port where nobody listens.
function sockets.free_port()
  local server <close> =
    assert(net.serve(function() end, "127.0.0.1", 0))
  return select(2, server:sockname())
end

--- A path at which there is nothing.
function sockets.path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

--- Runs fn(port, server) while `handler` serves.
function sockets.with_server(handler, fn, options)
  local server <close> =
    assert(net.serve(handler, "127.0.0.1", 0, options))
  local _, port = server:sockname()
  fn(port, server)
  server:close()
  assert(server:wait_closed(10))
end

function sockets.connect(port)
  return assert(net.connect("127.0.0.1", port))
end

--- Closes a stream that never read, so that its peer gets a reset: bytes are
-- left unread in the kernel.
function sockets.reset(stream, peer)
  assert(peer:write "unread")
  stream:close()
end

local function to_be_closed(close)
  return setmetatable({}, { __close = close })
end

--- A to-be-closed value: until then nothing is collected.
function sockets.without_collector()
  collectgarbage "stop"
  return to_be_closed(function() collectgarbage "restart" end)
end

--- Runs fn while a name stands for some numeric hosts.
function sockets.with_name(name, hosts, fn)
  local resolve = core.resolve
  local _ <close> = to_be_closed(function() core.resolve = resolve end)
  function core.resolve(host, port)
    if host ~= name then return resolve(host, port) end
    local list = {}
    for i, numeric in ipairs(hosts) do list[i] = resolve(numeric, port)[1] end
    return list
  end
  fn()
end

--- A to-be-closed listener with a full backlog: connecting to its `port`
-- never ends.
-- @param[opt] host a numeric one; "127.0.0.1"
function sockets.deaf_listener(host)
  host = host or "127.0.0.1"
  local options = { backlog = 1, max_connections = 1 }
  local server = assert(net.serve(function(stream)
    stream:read_all()
  end, host, 0, options))
  local _, port = server:sockname()
  local streams = {}
  repeat
    local stream = net.connect(host, port, { timeout = 0.1 })
    streams[#streams + 1] = stream
  until not stream
  return setmetatable({ port = port }, {
    __close = function()
      server:close()
      for _, stream in ipairs(streams) do stream:close() end
      assert(server:wait_closed(10))
    end,
  })
end

return sockets
