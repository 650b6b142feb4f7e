-- crowd.lua PORT CONNECTIONS: opens so many connections, prints `connected N`;
-- after a line on stdin asks once on each, prints `answered N`, and holds them
-- until stdin ends.
local net = require "sluice.net"
local sluice = require "sluice"

local port = math.tointeger(tonumber(arg[1]))
local count = math.tointeger(tonumber(arg[2]))
local REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
local ABREAST = 100

local function say(...)
  io.write(table.concat({ ... }, " "), "\n")
  io.flush()
end

--- Calls fn(i) for 1 to count, in a few tasks.
local function for_each(fn)
  local next_one, workers = 0, {}
  for n = 1, ABREAST do
    workers[n] = function()
      while next_one < count do
        next_one = next_one + 1
        fn(next_one)
      end
    end
  end
  sluice.gather(workers)
end

sluice.run(function()
  local streams = {}
  for_each(function(i)
    streams[i] = assert(net.connect("127.0.0.1", port))
  end)
  say("connected", count)
  io.read "l"
  local answered = 0
  for_each(function(i)
    streams[i]:write(REQUEST)
    local text = assert(streams[i]:readuntil "\r\n\r\n")
    assert(text:find "^HTTP/1.1 200" and streams[i]:readexactly(5))
    answered = answered + 1
  end)
  say("answered", answered)
  io.read "a"
end)
