--- sluice.net: TCP and Unix sockets as streams.
--
-- The core has the sockets: connecting to one address, listening at one,
-- reading and writing. What is here is policy: which addresses of a name are
-- tried, and that each connection of a server runs in a task of its own.

local sluice = require "sluice"
local core = require "sluice.core.net"
local checkpoint = require("sluice.core").checkpoint

local net = {}

local BACKLOG = 511

-- Raises at the line of the caller of the public function.
local function argument_error(n, name, message)
  error(("bad argument #%d to '%s' (%s)"):format(n, name, message), 4)
end

local function check_type(value, wanted, n, name)
  local got = type(value)
  if got == wanted then return end
  argument_error(n, name, wanted .. " expected, got " .. got)
end

local function check_port(port, n, name)
  if math.type(port) ~= "integer" or port < 0 or port > 65535 then
    argument_error(n, name, "port must be an integer from 0 to 65535")
  end
end

local function check_options(options, n, name)
  if options == nil then return {} end
  if type(options) == "table" then return options end
  argument_error(n, name, "table expected, got " .. type(options))
end

local function is_callable(value)
  if type(value) == "function" then return true end
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__call ~= nil
end

local function check_handler(handler, name)
  if is_callable(handler) then return end
  argument_error(1, name, "function expected, got " .. type(handler))
end

-- -- connecting --

local function connect_any(host, port)
  local addresses, message, code = core.resolve(host, port)
  if not addresses then return nil, message, code end
  local stream
  for _, address in ipairs(addresses) do
    stream, message, code = core.connect(address)
    if stream then return stream end
  end
  return nil, message or "the name has no address", code or "EAI_NODATA"
end

-- Runs a connect under the options' timeout and limit.
local function connect_within(options, connect, ...)
  if options.tls then return nil, "TLS is not built in", "ENOTSUP" end
  local stream, message, code
  if options.timeout then
    stream, message, code = sluice.wait_for(options.timeout, connect, ...)
    if not stream and not code then code = "ETIMEDOUT" end
  else
    stream, message, code = connect(...)
  end
  if not stream then return nil, message, code end
  if options.limit then stream:set_limit(options.limit) end
  return stream
end

--- Connects to a host. Its addresses are tried in order.
-- @param host a name or an address
-- @param port from 1 to 65535
-- @param[opt] options `timeout`: seconds for all of it; `limit`: bytes that a
-- line may have (65536)
-- @return a stream; or nil, message, code
-- Waits.
function net.connect(host, port, options)
  check_type(host, "string", 1, "connect")
  check_port(port, 2, "connect")
  options = check_options(options, 3, "connect")
  checkpoint("connect")
  return connect_within(options, connect_any, host, port)
end

--- Connects to a Unix socket.
-- @param path of the socket
-- @param[opt] options as of connect
-- @return a stream; or nil, message, code
-- Waits.
function net.connect_unix(path, options)
  check_type(path, "string", 1, "connect_unix")
  options = check_options(options, 2, "connect_unix")
  checkpoint("connect_unix")
  return connect_within(options, core.connect_unix, path)
end

-- -- serving --

-- `keep_open`: the handler sees to the stream's end, which is none of its own.
local function handle(handler, stream, options)
  local guard <close> = not options.keep_open and stream -- luacheck: ignore
  if options.limit then stream:set_limit(options.limit) end
  handler(stream)
end

local function accept_all(server, handler, options)
  local server <close> = server -- luacheck: ignore
  for stream in core.accept, server do
    sluice.create_task(handle, handler, stream, options)
  end
end

local function start(server, handler, options)
  local task = sluice.create_task(accept_all, server, handler, options)
  task.name = "accept on " .. table.concat({ server:sockname() }, ":")
  return server
end

-- A name may stand for addresses of both families; IPv4 first, where most
-- clients look. As strings, its addresses are the shorter ones.
local function by_family(addresses)
  local shortest = math.huge
  for _, address in ipairs(addresses) do
    shortest = math.min(shortest, #address)
  end
  local first, others = {}, {}
  for _, address in ipairs(addresses) do
    local list = #address == shortest and first or others
    list[#list + 1] = address
  end
  return table.move(others, 1, #others, #first + 1, first)
end

local function listen_any(host, port, options)
  if options.tls then return nil, "TLS is not built in", "ENOTSUP" end
  local addresses, message, code = core.resolve(host, port)
  if not addresses then return nil, message, code end
  local server
  for _, address in ipairs(by_family(addresses)) do
    server, message, code = core.listen(address, options.backlog or BACKLOG,
      options.max_connections or 0, options.reuse_port)
    if server then return server end
  end
  return nil, message, code
end

--- Serves at a host and port: `handler(stream)` runs in a task of its own for
-- each connection, which is closed when it returns or raises. The tasks
-- belong to the group that the caller runs in.
-- @param handler a function
-- @param[opt] host a name or an address; "127.0.0.1"
-- @param port 0 picks one
-- @param[opt] options `backlog` (511), `reuse_port`, `max_connections`,
-- `limit`: bytes that a line may have (65536)
-- @return a server; or nil, message, code
-- Waits if host is a name.
function net.serve(handler, host, port, options)
  check_handler(handler, "serve")
  if host ~= nil then check_type(host, "string", 2, "serve") end
  check_port(port, 3, "serve")
  options = check_options(options, 4, "serve")
  checkpoint("serve")
  local server, message, code =
    listen_any(host or "127.0.0.1", port, options)
  if not server then return nil, message, code end
  return start(server, handler, options)
end

--- Serves at a Unix socket. A socket that is there already is replaced.
-- @param handler a function
-- @param path of the socket
-- @param[opt] options as of serve
-- @return a server; or nil, message, code
function net.serve_unix(handler, path, options)
  check_handler(handler, "serve_unix")
  check_type(path, "string", 2, "serve_unix")
  options = check_options(options, 3, "serve_unix")
  checkpoint("serve_unix")
  local server, message, code = core.listen_unix(path,
    options.backlog or BACKLOG, options.max_connections or 0)
  if not server then return nil, message, code end
  return start(server, handler, options)
end

return net
