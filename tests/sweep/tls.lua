-- TLS: a server and its clients, one of which speaks something else. OpenSSL's
-- own memory is not Lua's and is never refused.
local common = require "common"
local sluice = common.sluice
local net = require "sluice.net"

local FILE = "sweep_tls.pem" -- certificate and key, made once

if not pcall(require, "sluice.native.tls") then
  common.survives(function() end)
  return
end

local function exists()
  local file <close> = io.open(FILE)
  return file ~= nil
end

local function make_certificate()
  local made = os.tmpname()
  assert(os.execute(("cd . && openssl req -x509 -newkey ec -pkeyopt "
    .. "ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=localhost "
    .. "-keyout %s.key -out %s 2>/dev/null && cat %s.key >>%s "
    .. "&& rm %s.key && mv %s " .. FILE):gsub("%%s", made)))
end

if not exists() then make_certificate() end

local function echo(stream)
  for line in stream:lines() do stream:write(line .. "\n") end
end

local function talk(port)
  local stream = net.connect("127.0.0.1", port,
    { tls = { ca_file = FILE, server_name = "localhost", alpn = { "x" } } })
  if not stream then return end
  local stream <close> = stream -- luacheck: ignore
  stream:write(("x"):rep(100) .. "\n")
  stream:readline()
  stream:tls()
  stream:write(("y"):rep(100000) .. "\n")
  stream:readline()
  stream:shutdown()
  stream:read_all(1000)
end

local function talk_nonsense(port)
  local stream = net.connect("127.0.0.1", port)
  if not stream then return end
  local stream <close> = stream -- luacheck: ignore
  stream:write "nonsense\r\n"
  stream:read_all(1000)
end

local function serve_all()
  local server = net.serve(echo, nil, 0, { limit = 1000000,
    tls = { cert = FILE, alpn = { "x" }, on_error = function() end } })
  if not server then return end
  local server <close> = server -- luacheck: ignore
  local _, port = server:sockname()
  sluice.create_task(talk, port):pawait(1)
  sluice.create_task(talk_nonsense, port):pawait(1)
  net.connect("127.0.0.1", port, { tls = { ca_file = FILE }, timeout = 0.3 })
end

-- Streams that were closed linger, with deadlines of their own.
common.survives(function()
  local ok, err = pcall(serve_all)
  sluice.sleep(40)
  if not ok then error(err, 0) end
end)
