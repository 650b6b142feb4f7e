--- A server in a process of its own, for what cannot be seen from inside: a
-- limit on descriptors, two processes at one port, its use of the processor.

local assert = require "luassert"
local child = dofile "examples/lib/child.lua"
local sluice = require "sluice"

local server_process = {}

local LUA = os.getenv "LUA" or "lua5.4"

local prelude = [[
local sluice, net = require "sluice", require "sluice.net"
warn "@on"
local function told(server)
  io.stdout:write("port ", select(2, server:sockname()), "\n")
  io.stdout:flush()
  return server
end
]]

--- Starts a program that calls told(server); waits until it has.
-- @param[opt] before what the shell runs before it, "ulimit -n 20;"
-- @return the child, to be closed; its port
function server_process.start(program, before)
  local server = child.start {
    "sh", "-c", (before or "") .. ' exec "$0" "$@"', LUA, "-e",
    prelude .. "sluice.run(function() " .. program .. " end)",
  }
  local seen = {}
  for _ = 1, 500 do
    for _, line in ipairs(server:new_lines()) do
      seen[#seen + 1] = line
      local port = line:match("^port (%d+)$")
      if port then return server, tonumber(port) end
    end
    assert(not server:status(), table.concat(seen, "\n"))
    sluice.sleep(0.01)
  end
  error("the server does not tell its port")
end

--- Seconds of processor time that a process has used.
function server_process.cpu(pid)
  local file <close> = assert(io.open(("/proc/%d/stat"):format(pid)))
  local fields = {}
  for field in file:read("a"):gsub("^.*%)", "x x"):gmatch("%S+") do
    fields[#fields + 1] = field
  end
  return (fields[14] + fields[15]) / 100
end

return server_process
