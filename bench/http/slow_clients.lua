-- slow_clients.lua PORT SLOW SILENT DEAF INTERVAL: so many clients that send a
-- byte of a head every INTERVAL seconds, that send nothing, and that ask for
-- a large answer and never read it. Prints `connected`; `slow gone SECONDS`
-- and `silent gone SECONDS` when the server has closed all of a kind; stays
-- until it is killed.
local net = require "sluice.net"
local sluice = require "sluice"

local port = math.tointeger(tonumber(arg[1]))
local counts = { slow = tonumber(arg[2]), silent = tonumber(arg[3]) }
local deaf, interval = tonumber(arg[4]), tonumber(arg[5])
local HEAD = "GET / HTTP/1.1\r\nHost: a\r\nX: " .. ("x"):rep(10000)
local began = sluice.time()
local unread = {} -- streams

local function say(...)
  io.write(table.concat({ ... }, " "), "\n")
  io.flush()
end

local function connect()
  return assert(net.connect("127.0.0.1", port))
end

local kinds = {}

-- What it reads it waits for, so that the end is noticed.
function kinds.slow(stream)
  local wait = math.random() * interval
  for i = 1, #HEAD do
    local _, why = stream:read(nil, wait)
    if why ~= "timeout" then return end
    stream:write(HEAD:sub(i, i))
    wait = interval
  end
end

function kinds.silent(stream)
  repeat until not stream:read()
end

local function crowd(name)
  local left, streams = counts[name], {}
  for i = 1, left do streams[i] = connect() end
  return function()
    for _, stream in ipairs(streams) do
      sluice.create_task(function()
        kinds[name](stream)
        stream:close()
        left = left - 1
        if left > 0 then return end
        say(name, "gone", ("%.1f"):format(sluice.time() - began))
      end)
    end
  end
end

sluice.run(function()
  local slow, silent = crowd "slow", crowd "silent"
  for i = 1, deaf do
    unread[i] = connect()
    unread[i]:write(("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(
      i % 2 == 0 and "/big" or "/chunks"))
  end
  began = sluice.time()
  slow()
  silent()
  say("connected", counts.slow + counts.silent + deaf)
  sluice.sleep(3600)
end)
