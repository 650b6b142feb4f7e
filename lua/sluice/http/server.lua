--- sluice.http.server: an application at a socket.
--
-- The one idea: a connection is one task and one protected call; requests are
-- handled one after the other inside it, and only an error leaves it, to be
-- logged and answered with 500. A connection without requests rests in the
-- core and has no task, until it is roused. A stop is told to each
-- connection, which ends with the answer in work.
--
-- Internal to sluice.http.

local sluice = require "sluice"
local core = require "sluice.core.http"
local net = require "sluice.net"
local tls = require "sluice.net.tls"
local answer = require "sluice.http.answer"
local Request = require "sluice.http.request"
local form = require "sluice.http.form"
local access_log = require "sluice.http.access_log"
local checkpoint = require("sluice.core").checkpoint

local Server = {}
Server.__index = Server
Server.__name = "sluice.http.Server"

local CLIENT_GONE = 499 -- in the access log, as nginx has it
local ABANDON = 5 -- seconds that cancelled handlers have to end

-- What a terminal would obey is shown instead: the text of an error often has
-- something in it that a client sent.
local function escape(char)
  if char == "\n" or char == "\t" then return nil end
  return ("\\x%02X"):format(char:byte())
end

local function log_error(...)
  local text = table.concat { ... }:gsub("[%c\127]", escape)
  io.stderr:write("sluice.http: ", text, "\n")
end

-- -- a connection --

-- The files on disk of the request that has ended.
local function drop_files(visit)
  form.remove(visit.files)
  visit.files = nil
end

-- Answers requests until the connection is over, or rests. `visit.request` is
-- the one in work, for whoever catches an error.
local function serve_requests(server, conn, visit)
  local dispatch, log = server.dispatch, server.log
  local send, next_request = answer.send, conn.next
  while true do
    local method, path, head, query, encoded = next_request(conn)
    if method then
      local request = setmetatable({
        method = method, path = path, _head = head, _query = query,
        _conn = conn, _visit = visit,
      }, Request)
      visit.request = request
      local began
      if log then
        began = sluice.time()
        visit.began = began
      end
      local status, bytes = send(conn, dispatch(request, encoded))
      request._conn = nil
      if visit.files then drop_files(visit) end
      if log then log(visit, request, status, bytes, began) end
    elseif method == nil then
      if path and log then log(visit, nil, path, 0, nil, head) end
      return
    elseif conn:rest() then
      visit.rests = true
      return
    end
  end
end

-- The message handler: tells where it came from, while that is known. A
-- cancellation goes on as it is.
local function describe(err)
  if sluice.is_cancelled(err) then return err end
  return debug.traceback(tostring(err), 2)
end

-- The client of the request in work, if there is one, went away before it was
-- answered.
local function log_gone(server, visit)
  local request = visit.request
  if server.log and request and request._conn then
    server.log(visit, request, CLIENT_GONE, 0, visit.began)
  end
end

-- Answers the request that failed. Returns whether the connection can go on.
local function recover(server, conn, visit, err)
  local request = visit.request
  if sluice.is_cancelled(err) then
    if conn:gone() then log_gone(server, visit) end
    sluice.sleep(0) -- a cancellation of our own is raised again
  end
  log_error(("error in %s %s: %s"):format(
    request and request.method or "?",
    request and access_log.clean(request.path) or "?", tostring(err)))
  if request then request._conn = nil end
  if visit.files then drop_files(visit) end
  if conn:state() ~= "asked" then return false end
  local status, bytes =
    answer.send_status(conn, 500, "Internal Server Error")
  if server.log then server.log(visit, request, status, bytes, visit.began) end
  return true
end

-- The connection is over.
local function leave(server, conn)
  conn:close()
  server.count = server.count - 1
  if server.count == 0 then server.empty:set() end
end

-- What a task holds while it serves a connection.
local Visit = {}

function Visit.__close(visit)
  local server, conn = visit.server, visit.conn
  server.tasks[conn] = nil
  if visit.files then drop_files(visit) end
  if not visit.rests then leave(server, conn) end
end

-- The task of a connection.
local function serve_connection(server, conn)
  local visit <close> = setmetatable({
    server = server, conn = conn, stream = conn:stream(),
  }, Visit)
  if server.log then visit.peer = access_log.peer(visit.stream) end
  server.tasks[conn] = sluice.current_task()
  if server.stopping then conn:stop() end
  repeat
    local ok, err = xpcall(serve_requests, describe, server, conn, visit)
  until ok or not recover(server, conn, visit, err)
end

-- Without memory for what fn(...) makes the connection ends. Returns the
-- result; or nil, error.
local function try(server, conn, fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  leave(server, conn)
  return nil, result
end

local function start_task(server, conn)
  return try(server, conn, sluice.create_task, serve_connection, server, conn)
end

-- Serves the connections that were roused from their rest. One that cannot be
-- served is no reason to leave the others.
local function serve_roused(server)
  for conn in server.settings.roused, server.settings do
    local task, err = start_task(server, conn)
    if not task then pcall(log_error, "a connection was given up: ", err) end
  end
end

-- Serves a new connection: mostly its request is still on its way, and no task
-- waits for that.
local function receive(server, conn)
  local rests, err = false, nil
  if not server.stopping then
    rests, err = try(server, conn, conn.rest, conn)
  end
  if rests == false then rests, err = start_task(server, conn) end
  if not rests then error(err, 0) end
end

-- -- starting --

local function listen(server, options)
  local function on_connection(stream)
    -- Its TLS handshake took longer than the server was there.
    if server.ended:is_set() then return stream:close() end
    local conn = core.Connection(stream, server.settings)
    server.count = server.count + 1
    server.empty:clear()
    if options.tls then return serve_connection(server, conn) end
    receive(server, conn)
  end
  local most = server.app.limits.max_connections
  local settings = {
    backlog = options.backlog, reuse_port = options.reuse_port,
    max_connections = most < 2^31 and math.floor(most) or math.huge,
    keep_open = true, -- a connection that rests outlives its task
    direct = true,
    tls = tls.with_alpn(options.tls, { "http/1.1" }),
    handshakes = server.handshakes,
  }
  if options.unix then
    return net.serve_unix(on_connection, options.unix, settings)
  end
  return net.serve(on_connection, options.host, options.port or 8080,
    settings)
end

local function run_hooks(app, hooks)
  for _, hook in ipairs(hooks) do
    local ok, err = xpcall(hook, describe, app)
    if not ok and sluice.is_cancelled(err) then sluice.sleep(0) end
    if not ok then log_error("error in a hook: ", tostring(err)) end
  end
end

-- The limits of the connections: of bodies the longest that a route allows.
local function limits_of(app)
  local limits = { max_body = app.router.max_body }
  return setmetatable(limits, { __index = app.limits })
end

-- Of an application that did not come to serve, the hooks of the end run, too:
-- some of those of the start may have opened something.
local Starting = {}

local function run_last_hooks(app)
  run_hooks(app, app.hooks.shutdown)
  run_hooks(app, app.hooks.cleanup)
end

function Starting.__close(starting)
  local server = starting.server
  if not server.socket then sluice.shield(run_last_hooks, server.app) end
end

local function new_server(app, dispatch, options)
  local server = setmetatable({
    app = app,
    dispatch = dispatch,
    log = access_log.writer(options.access_log),
    grace = options.grace or 10,
    tasks = {}, -- of the connections that one serves
    handshakes = setmetatable({}, { __mode = "k" }), -- streams that are at it
    count = 0, -- of connections, also those that rest
    empty = sluice.Event(),
    ended = sluice.Event(),
  }, Server)
  server.empty:set()
  return server
end

-- Starts an application that answers by `dispatch`: the hooks of its start,
-- then the socket. Returns a server; or nil, message, code.
local function start(app, dispatch, options)
  local server = new_server(app, dispatch, options)
  local starting <close> = -- luacheck: ignore
    setmetatable({ server = server }, Starting)
  for _, hook in ipairs(app.hooks.startup) do hook(app) end
  server.settings = core.Settings(limits_of(app))
  local socket, message, code = listen(server, options)
  if not socket then return nil, message, code end
  server.socket = socket
  server.rouser = sluice.create_task(serve_roused, server)
  server.rouser.name = "connections that rest"
  return server
end

-- -- stopping --

-- Cancels what is left and gives it a moment to end.
local function abandon(server)
  local tasks = {}
  for _, task in pairs(server.tasks) do
    task:cancel("the server stops")
    tasks[#tasks + 1] = task
  end
  sluice.wait(tasks, { timeout = ABANDON })
end

-- The part of a stop that a cancellation cuts short.
local function wind_down(server)
  server.socket:close()
  for conn in pairs(server.tasks) do conn:stop() end
  server.settings:stop()
  run_hooks(server.app, server.app.hooks.shutdown)
  server.empty:wait(math.max(0, server.due - sluice.time()))
end

-- The part that comes in any case.
local function finish(server)
  if server.count > 0 then abandon(server) end
  for stream in pairs(server.handshakes) do stream:close() end
  -- The last bytes of answers are on their way; their sockets linger.
  local left = server.due - sluice.time()
  server.socket:wait_closed(math.max(0, math.min(2, left)))
  server.settings:close()
  server.rouser:pawait()
  run_hooks(server.app, server.app.hooks.cleanup)
  server.ended:set()
end

local Stopping = {}

function Stopping.__close(stopping)
  sluice.shield(finish, stopping.server)
end

-- Whoever the stop waits for cannot wait for the stop.
local function check_waiter(server)
  local task = sluice.current_task()
  local awaited = server.stopping == task
  for _, worker in pairs(server.tasks) do
    awaited = awaited or worker == task
  end
  if not awaited then return end
  error("a handler or hook of the server cannot wait for its stop: close it",
    3)
end

--- Stops, in the calling task: no new connections, the hooks of the
-- shutdown, the requests in work within `grace`, the hooks of the cleanup.
-- Cancelled, it does not wait for the requests any longer.
-- Waits.
function Server:stop()
  checkpoint("stop")
  if self.ended:is_set() then return end
  check_waiter(self)
  if self.stopping then
    self.ended:wait()
    return
  end
  self.stopping = sluice.current_task()
  self.due = sluice.time() + self.grace
  local stopping <close> = -- luacheck: ignore
    setmetatable({ server = self }, Stopping)
  wind_down(self)
end

--- Begins to stop gracefully, in a task of its own. Never waits.
function Server:close()
  if self.stopping or self.stopper then return end
  self.socket:close()
  local ok, task = pcall(sluice.create_task, self.stop, self)
  if ok then self.stopper = task end -- else its run is over, with its tasks
end

local function duration_fault(value)
  if type(value) ~= "number" then
    return "number expected, got " .. type(value)
  end
  if value ~= value then return "duration is NaN" end
  return value < 0 and "duration is negative"
end

--- Waits until a stop that was begun has ended.
-- @param[opt] timeout in seconds
-- @return true; or nil, "timeout"
function Server:wait_closed(timeout)
  checkpoint("wait_closed")
  local why = timeout ~= nil and duration_fault(timeout)
  if why then
    error(("bad argument #1 to 'wait_closed' (%s)"):format(why), 2)
  end
  return self.ended:wait(timeout)
end

--- Its host and port, or its path.
function Server:sockname()
  return self.socket:sockname()
end

function Server:__tostring()
  return ("sluice.http.Server (%d connections%s)"):format(
    self.count, self.stopping and ", stopping" or "")
end

require("sluice.methods").guard(Server)

return { start = start, log_error = log_error, describe = describe }
