--- sluice.net: TCP and Unix sockets as streams.
--
-- The core has the sockets: connecting to one address, listening at one,
-- reading and writing. What is here is policy: which addresses of a name are
-- tried, and that each connection of a server runs in a task of its own.

local sluice = require "sluice"
local core = require "sluice.core.net"
local addresses = require "sluice.net.addresses"
local eyeballs = require "sluice.net.eyeballs"
local tls = require "sluice.net.tls"
local checkpoint = require("sluice.core").checkpoint

local net = {}

local BACKLOG = 511
local RETRY = 0.1 -- seconds until memory is asked for again
local QUIET = 60 -- seconds until it is told again that connections wait
local PORTS = 20 -- that are tried when a name has several addresses

-- Errors of an address that this machine does not have.
local UNAVAILABLE = { EADDRNOTAVAIL = true, EAFNOSUPPORT = true }

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

-- What an option must be, each a test that returns why a value is not.
local function duration(value)
  if type(value) ~= "number" then
    return "number expected, got " .. type(value)
  end
  if value ~= value then return "duration is NaN" end
  return value < 0 and "duration is negative"
end

local function count_from(least)
  return function(value)
    if type(value) ~= "number" then
      return "number expected, got " .. type(value)
    end
    if math.type(value) == "integer" and value >= least then return end
    return "integer from " .. least .. " expected"
  end
end

local function count_or_huge(value)
  return value ~= math.huge and count_from(1)(value)
end

local function of_type(wanted)
  return function(value)
    return type(value) ~= wanted and wanted .. " expected, got " .. type(value)
  end
end

local CONNECT = {
  timeout = duration, limit = count_from(0), tls = tls.check_client,
}
local CONNECT_UNIX = {
  timeout = duration, limit = count_from(0), tls = tls.check_local_client,
}
-- `keep_open`, `direct` and `handshakes` are for sluice.http.
local SERVE = {
  keep_open = of_type "boolean", direct = of_type "boolean",
  handshakes = of_type "table",
  backlog = count_from(1), max_connections = count_or_huge,
  reuse_port = of_type "boolean", limit = count_from(0),
  tls = tls.check_server,
}

local function check_options(options, known, n, name)
  if options == nil then return {} end
  if type(options) ~= "table" then
    argument_error(n, name, "table expected, got " .. type(options))
  end
  for key in pairs(options) do
    if not known[key] then
      argument_error(n, name, tostring(key) .. ": unknown option")
    end
  end
  for key, test in pairs(known) do
    local why = options[key] ~= nil and test(options[key])
    if why then argument_error(n, name, key .. ": " .. why) end
  end
  return options
end

local function most_connections(options)
  local most = options.max_connections or math.huge
  return most < math.huge and most or 0
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
  local list, message, code = addresses.resolve(host, port)
  if not list then return nil, message, code end
  return eyeballs.connect(list)
end

-- A Unix socket whose backlog is full refuses at once: it is asked again.
local function connect_path(path)
  local delay = 0.001
  while true do
    local stream, message, code = core.connect_unix(path)
    if code ~= "EAGAIN" then return stream, message, code end
    sluice.sleep(delay)
    delay = math.min(2 * delay, 0.05)
  end
end

-- Runs a connect under the options' timeout and limit.
local function connect_within(options, connect, ...)
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

--- Connects to a host. Its addresses are tried as RFC 8305 says: the families
-- by turns, the next one when one fails or has not answered for 0.25 s; the
-- first connection wins.
-- @param host a name or an address
-- @param port from 1 to 65535
-- @param[opt] options `timeout`: seconds for all of it; `limit`: bytes that a
-- line may have (65536); `tls`: true, options or a TLSContext
-- @return a stream; or nil, message, code
-- Waits.
function net.connect(host, port, options)
  check_type(host, "string", 1, "connect")
  check_port(port, 2, "connect")
  options = check_options(options, CONNECT, 3, "connect")
  checkpoint("connect")
  local connect, message, code =
    tls.connector(connect_any, options.tls, host)
  if not connect then return nil, message, code end
  return connect_within(options, connect, host, port)
end

--- Connects to a Unix socket.
-- @param path of the socket
-- @param[opt] options as of connect
-- @return a stream; or nil, message, code
-- Waits.
function net.connect_unix(path, options)
  check_type(path, "string", 1, "connect_unix")
  options = check_options(options, CONNECT_UNIX, 2, "connect_unix")
  checkpoint("connect_unix")
  local connect, message, code = tls.connector(connect_path, options.tls)
  if not connect then return nil, message, code end
  return connect_within(options, connect, path)
end

local function check_context(options)
  local why = tls.check(options)
  if why then argument_error(1, "TLSContext", why) end
end

--- Options of TLS, to be used for any number of connections and servers: the
-- files are read once.
-- @param options `cert`, `key`, `password`, `alpn`, `min_version`, `crl_file`;
-- of clients `ca_file`, `ca_path`, `server_name`, `verify`; of servers
-- `client_ca`, `verify_client`, `handshake_timeout`, `on_error`
-- @return a context
function net.TLSContext(options)
  check_type(options, "table", 1, "TLSContext")
  check_context(options)
  return tls.context(options)
end

-- -- serving --

-- `keep_open`: the handler sees to the stream's end, which is none of its own.
local function handle(handler, stream, options)
  local guard <close> = not options.keep_open and stream -- luacheck: ignore
  if options.limit then stream:set_limit(options.limit) end
  handler(stream)
end

-- `direct`: the handler never waits and needs no task, but for TLS.
local function start_handling(handler, stream, options)
  local ok, err
  if options.direct and not options.tls then
    ok, err = pcall(handler, stream)
  else
    ok, err = pcall(sluice.create_task, handle, handler, stream, options)
  end
  if ok then return end
  stream:close()
  error(err, 0)
end

local function accept_until_closed(server, handler, options)
  local quiet_until = -math.huge
  while true do
    local stream, message, code = core.accept(server)
    if stream then
      start_handling(handler, stream, options)
    elseif not message then
      return
    elseif sluice.time() >= quiet_until then
      warn(("sluice: connections wait to be accepted: %s (%s)"):format(
        message, code))
      quiet_until = sluice.time() + QUIET
    end
  end
end

-- A server lives on when there was no memory for a connection.
local function accept_all(server, handler, options)
  local server <close> = server -- luacheck: ignore
  repeat
    local ok, err =
      sluice.pcall(accept_until_closed, server, handler, options)
    if not ok and err ~= "not enough memory" then error(err, 0) end
    if not ok then sluice.sleep(RETRY) end
  until ok
end

-- Waits until the task that accepts has begun, which needs memory, too.
local function start(server, handler, options)
  local task = sluice.create_task(accept_all, server, handler, options)
  task.name = "accept on " .. table.concat({ server:sockname() }, ":")
  sluice.shield(sluice.sleep, 0)
  if not task:error() or task:cancelled() then return server end
  server:close()
  return nil, task:error(), "ENOMEM"
end

-- Has the server listen at the other addresses of its name, too; those that
-- this machine does not have are left out.
local function listen_at_others(server, list, options)
  local _, port = server:sockname()
  for i = 2, #list do
    local ok, message, code = core.listen_also(core.set_port(list[i], port),
      options.backlog or BACKLOG, server, options.reuse_port, true)
    if not ok and not UNAVAILABLE[code] then
      server:close()
      return nil, message, code
    end
  end
  return server
end

-- "::" alone stands for IPv4, too, but beside other addresses it cannot.
local function listen_at_all(list, options)
  local server, message, code
  repeat
    server, message, code = core.listen(list[1], options.backlog or BACKLOG,
      most_connections(options), options.reuse_port, #list > 1)
    if server then return listen_at_others(server, list, options) end
    table.remove(list, 1)
  until not UNAVAILABLE[code] or #list == 0
  return nil, message, code
end

-- A port that was picked for one address may be taken at another.
local function listen(host, port, options)
  local list, message, code = addresses.resolve(host, port)
  if not list then return nil, message, code end
  list = addresses.ipv4_first(list)
  local tries = port == 0 and #list > 1 and PORTS or 1
  local server
  repeat
    server, message, code = listen_at_all(list, options)
    tries = tries - 1
  until code ~= "EADDRINUSE" or tries == 0
  return server, message, code
end

--- Serves at a host and port: `handler(stream)` runs in a task of its own for
-- each connection, which is closed when it returns or raises. The tasks
-- belong to the group that the caller runs in.
-- @param handler a function
-- @param[opt] host a name or an address; "127.0.0.1"
-- @param port 0 picks one
-- @param[opt] options `backlog` (511), `reuse_port`, `max_connections`,
-- `limit`: bytes that a line may have (65536), `tls`: options or a TLSContext
-- @return a server; or nil, message, code
-- Waits if host is a name.
function net.serve(handler, host, port, options)
  check_handler(handler, "serve")
  if host ~= nil then check_type(host, "string", 2, "serve") end
  check_port(port, 3, "serve")
  options = check_options(options, SERVE, 4, "serve")
  checkpoint("serve")
  local run, message, code =
    tls.handler(handler, options.tls, options.handshakes)
  if not run then return nil, message, code end
  local server
  server, message, code = listen(host or "127.0.0.1", port, options)
  if not server then return nil, message, code end
  return start(server, run, options)
end

--- Serves at a Unix socket. A socket that is there already is replaced.
-- @param handler a function
-- @param path of the socket
-- @param[opt] options as of serve
-- @return a server; or nil, message, code
function net.serve_unix(handler, path, options)
  check_handler(handler, "serve_unix")
  check_type(path, "string", 2, "serve_unix")
  options = check_options(options, SERVE, 3, "serve_unix")
  checkpoint("serve_unix")
  local run, message, code =
    tls.handler(handler, options.tls, options.handshakes)
  if not run then return nil, message, code end
  local server
  server, message, code = core.listen_unix(path,
    options.backlog or BACKLOG, most_connections(options))
  if not server then return nil, message, code end
  return start(server, run, options)
end

return net
