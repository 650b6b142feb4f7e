--- Small servers and clients for specs of streams. Both ends are in this
-- process, so that what was written is there at the next look.

local assert = require "luassert"
local net = require "sluice.net"
local sluice = require "sluice"

local sockets = {}

--- Runs fn(client, peer), two ends of a TCP connection; closes both, and the
-- server, whatever happens.
function sockets.with_pair(fn, options)
  local accepted, done = sluice.Queue(), sluice.Event()
  local server <close> = assert(net.serve(function(stream)
    accepted:put(stream)
    done:wait()
  end, "127.0.0.1", 0, options))
  local _, port = server:sockname()
  do
    local client <close> = assert(net.connect("127.0.0.1", port))
    local peer <close> = accepted:get()
    local ok, err = pcall(fn, client, peer)
    done:set()
    if not ok then error(err, 0) end
  end
  server:close()
  assert(server:wait_closed(10))
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

--- A to-be-closed listener with a full backlog: connecting to its `port`
-- never ends.
function sockets.deaf_listener()
  local options = { backlog = 1, max_connections = 1 }
  local server = assert(net.serve(function(stream)
    stream:read_all()
  end, "127.0.0.1", 0, options))
  local _, port = server:sockname()
  local streams = {}
  repeat
    local stream = net.connect("127.0.0.1", port, { timeout = 0.1 })
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
