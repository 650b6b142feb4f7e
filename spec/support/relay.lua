--- A relay of a TCP connection: what a network does to it.
--
-- Stands between a client and a server of a spec, both of this process.
-- Options: `piece`, bytes that are passed on at a time, with a short pause;
-- `through`, a function of a direction ("up" to the server, "down" to the
-- client), what comes, and how many bytes came before, that returns what goes
-- on: nil ends that direction as the peer would.

local net = require "sluice.net"
local sluice = require "sluice"

local relay = {}

local PAUSE = 0.0002 -- seconds, so that the other side sees each piece

local function pass(to, data, piece)
  if not piece then return to:write(data) end
  for at = 1, #data, piece do
    to:write(data:sub(at, at + piece - 1))
    sluice.sleep(PAUSE)
  end
end

local function pump(direction, from, to, options)
  local before = 0
  while true do
    local data = from:read()
    if not data then break end
    local passed = data
    if options.through then
      passed = options.through(direction, data, before)
    end
    if not passed then break end
    before = before + #data
    pass(to, passed, options.piece)
  end
  to:shutdown()
end

--- Runs fn(port) with a relay to `target`, a port of this machine.
function relay.to(target, options, fn)
  local server <close> = assert(net.serve(function(client)
    local up <close> = assert(net.connect("127.0.0.1", target))
    sluice.task_group(function(group)
      group:create_task(pump, "up", client, up, options)
      group:create_task(pump, "down", up, client, options)
    end)
  end, "127.0.0.1", 0))
  local _, port = server:sockname()
  fn(port)
  server:close()
  assert(server:wait_closed(10))
end

return relay
