--- sluice.http: applications that answer HTTP requests.
--
-- An application is a table of routes, middleware, hooks and limits. It can
-- be asked by a test without a socket, serve at one inside a running loop, or
-- run a whole program until it is told to stop. The connections are the
-- core's (sluice.core.http); what is here is policy.

local sluice = require "sluice"
local access_log = require "sluice.http.access_log"
local router = require "sluice.http.router"
local http_server = require "sluice.http.server"
local http_test = require "sluice.http.test"
local tls = require "sluice.net.tls"
local cookie = require "sluice.http.cookie"
local dispatcher = require "sluice.http.dispatch"
local events = require "sluice.http.events"
local fields = require "sluice.http.fields"
local checkpoint = require("sluice.core").checkpoint

local http = {
  cookie = cookie.make, getall = fields.getall, event_stream = events.stream,
  file = require "sluice.http.send_file",
}

local REDIRECTS = {
  [301] = true, [302] = true, [303] = true, [307] = true, [308] = true,
}

--- What a handler returns to send the client elsewhere.
-- @param url absolute, or relative to the request's
-- @param[opt] status 302; 301, 303, 307 or 308
-- @return status, body, headers
-- Never waits.
function http.redirect(url, status)
  if type(url) ~= "string" or url == "" or url:find "[%c ]" then
    error("bad argument #1 to 'redirect' (not a URL)", 2)
  end
  if status ~= nil and not REDIRECTS[status] then
    error("bad argument #2 to 'redirect' (301, 302, 303, 307 or 308 "
      .. "expected)", 2)
  end
  return status or 302, nil, { Location = url }
end

local App = {}
App.__index = App
App.__name = "sluice.http.App"

function App:__tostring()
  return ("sluice.http.App (%d routes)"):format(self.router.count)
end

local LIMITS = {
  max_body = 1048576,
  max_head = 16384,
  max_target = 8192,
  max_fields = 100,
  max_connections = 1024,
  head_timeout = 10,
  body_timeout = 30,
  body_total_timeout = 300,
  idle_timeout = 60,
  write_timeout = 30,
  handler_timeout = math.huge,
}

-- What is wrong with an option of serve; nil: nothing.
local function integer_from(least, most)
  return function(value)
    if math.type(value) and value % 1 == 0 and value >= least
      and value <= most then
      return nil
    end
    return ("integer from %d to %d expected"):format(least, most)
  end
end

local function check_grace(value)
  if math.type(value) and value >= 0 then return nil end
  return "number that is not negative expected"
end

local SERVE_OPTIONS = {
  host = "string", port = integer_from(0, 65535), unix = "string",
  reuse_port = "boolean", backlog = integer_from(1, 2147483647),
  grace = check_grace, access_log = access_log.check,
  on_listen = "function", tls = tls.check_server,
}

local function argument_error(name, message)
  error(("bad argument #1 to '%s' (%s)"):format(name, message), 4)
end

local function check_options(options, known, name)
  if options == nil then return {} end
  if type(options) ~= "table" then
    argument_error(name, "table expected, got " .. type(options))
  end
  for key, value in pairs(options) do
    local kind = known[key]
    if not kind then
      argument_error(name, ("unknown option '%s'"):format(tostring(key)))
    elseif type(kind) == "string" and type(value) ~= kind then
      argument_error(name, ("'%s' must be a %s"):format(key, kind))
    elseif type(kind) == "function" and kind(value) then
      argument_error(name, key .. ": " .. kind(value))
    end
  end
  return options
end

-- Whether it is a size or a count, but not a whole one; math.huge is none.
local function has_fraction(key, value)
  return key:find "^max_" and value < math.huge and value % 1 ~= 0
end

local function check_limit(key, value)
  if key == "max_connections" and math.type(value) and value < 1 then
    argument_error("App", "'max_connections' must be at least 1")
  end
  if not math.type(value) or value ~= value or value < 0 then
    argument_error("App", ("'%s' must be a number that is not negative")
      :format(key))
  elseif has_fraction(key, value) then
    argument_error("App", ("'%s' must be a whole number"):format(key))
  end
  return value
end

--- Makes an application.
-- @param[opt] limits `max_body`, `max_head`, `max_target` (bytes),
-- `max_fields`, `max_connections`, `head_timeout`, `body_timeout` (between
-- two pieces), `body_total_timeout`, `idle_timeout`, `write_timeout`,
-- `handler_timeout` (seconds); math.huge is none
-- @return an application
function http.App(limits)
  check_options(limits, LIMITS, "App")
  local own = {}
  for key, default in pairs(LIMITS) do
    local value = limits and limits[key]
    own[key] = value == nil and default or check_limit(key, value)
  end
  return setmetatable({
    limits = own,
    router = router.new(own.max_body),
    middleware = {},
    hooks = { startup = {}, shutdown = {}, cleanup = {} },
  }, App)
end

local function check_function(value, n, name)
  if type(value) == "function" then return end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__call then return end
  error(("bad argument #%d to '%s' (function expected, got %s)"):format(n,
    name, type(value)), 3)
end

local function check_path(path, n, name)
  if type(path) == "string" and path:sub(1, 1) == "/" then return end
  error(("bad argument #%d to '%s' (a path begins with '/')"):format(n,
    name), 3)
end

local ROUTE_OPTIONS = { max_body = true, handler_timeout = true }

local function check_route_options(options, n, name)
  local function fail(message)
    error(("bad argument #%d to '%s' (%s)"):format(n, name, message), 4)
  end
  if options == nil then return end
  if type(options) ~= "table" then
    fail("table expected, got " .. type(options))
  end
  for key, value in pairs(options) do
    if not ROUTE_OPTIONS[key] then
      fail(("unknown option '%s'"):format(tostring(key)))
    elseif not math.type(value) or value < 0 or value ~= value then
      fail(("'%s' must be a number that is not negative"):format(key))
    elseif has_fraction(key, value) then
      fail(("'%s' must be a whole number"):format(key))
    end
  end
end

--- Adds a route.
-- @param method such as "GET"
-- @param path `{name}` stands for a segment, `{name*}` at its end for the rest
-- @param handler `function(request)` returning `body` or `status, body,
-- headers`
-- @param[opt] options `max_body` (bytes), `handler_timeout` (seconds), instead
-- of the application's
function App:route(method, path, handler, options)
  if type(method) ~= "string" or not method:find("^[%w!#$%%&'*+.^_`|~-]+$")
  then
    error("bad argument #1 to 'route' (not a method)", 2)
  end
  check_path(path, 2, "route")
  check_function(handler, 3, "route")
  check_route_options(options, 4, "route")
  self.router:add(method, path, handler, 2, options)
end

for _, name in ipairs { "get", "post", "put", "patch", "delete" } do
  local method = name:upper()
  App[name] = function(self, path, handler, options)
    check_path(path, 1, name)
    check_function(handler, 2, name)
    check_route_options(options, 3, name)
    self.router:add(method, path, handler, 2, options)
  end
end

--- Adds middleware, which sees every request; the first added is outermost.
-- @param fn `function(request, next)` that returns what `next(request)` does,
-- or an answer of its own
function App:use(fn)
  check_function(fn, 1, "use")
  table.insert(self.middleware, fn)
end

for _, name in ipairs { "startup", "shutdown", "cleanup" } do
  App["on_" .. name] = function(self, fn)
    check_function(fn, 1, "on_" .. name)
    table.insert(self.hooks[name], fn)
  end
end

-- -- serving --

-- Calls on_listen. If it fails, nobody would have the server to stop it.
local function announce(server, on_listen)
  local ok, err = pcall(on_listen, server:sockname())
  if ok then return end
  sluice.shield(server.stop, server)
  error(err, 0)
end

--- Serves in a running loop: runs the hooks of the start, then accepts.
-- @param[opt] options `host` ("127.0.0.1") and `port` (8080; 0 picks one), or
-- `unix`; `reuse_port`, `backlog`; `grace` (10): seconds that requests in work
-- have when it stops; `access_log`: true, a file, a function; `tls`: options
-- or a TLSContext
-- @return a server (`sockname`, `close`, `wait_closed`); or nil, message, code
-- Waits.
function App:serve(options)
  options = check_options(options, SERVE_OPTIONS, "serve")
  checkpoint("serve")
  local server, message, code =
    http_server.start(self, dispatcher(self), options)
  if server and options.on_listen then announce(server, options.on_listen) end
  return server, message, code
end

-- Serves until a signal, or until the task is cancelled.
local function run(app, options)
  local signal = sluice.Signal("SIGTERM", "SIGINT")
  local listening <close> = signal -- luacheck: ignore
  local server, message, code = app:serve(options)
  if not server then
    http_server.log_error(("cannot listen at %s: %s (%s)"):format(
      options.unix or ("%s:%d"):format(options.host or "127.0.0.1",
        options.port or 8080), message, code))
    return nil, message, code
  end
  local ok, err = pcall(signal.wait, signal)
  sluice.shield(server.stop, server)
  if not ok then error(err, 0) end
  return true
end

--- Serves until SIGTERM or SIGINT, then stops gracefully: refuses new
-- connections, runs the hooks of the shutdown, finishes the requests in work
-- within `grace`, cancels what is left, runs the hooks of the cleanup. In a
-- main chunk it starts the loop itself.
-- @param[opt] options as of serve; `on_listen(host, port)` is called when it
-- accepts
-- @return true; or nil, message, code when it cannot listen
-- Waits.
function App:run(options)
  options = check_options(options, SERVE_OPTIONS, "run")
  if not sluice.current_task() then
    return sluice.run(run, self, options)
  end
  checkpoint("run")
  return run(self, options)
end

--- Asks the application without a socket.
-- @param[opt] options `method` ("GET"; "POST" with `json` or `form`), `path`
-- ("/"), `query`, `headers`, `cookies` (tables), and `body` (a string), or
-- `json` (a value), or `form` (a table of values; a file among them is a
-- table: `filename`, `content_type`, `body`)
-- @return a table: `status`, `headers` (names in small letters), `body`
-- Waits if the handler does; starts a loop of its own outside a task.
function App:test(options)
  if options == nil then options = {} end
  if type(options) ~= "table" then
    error(("bad argument #1 to 'test' (table expected, got %s)")
      :format(type(options)), 2)
  end
  http_test.check(options, 2)
  local function ask()
    return http_test.run(self, dispatcher(self), options,
      http_server.describe, http_server.log_error)
  end
  if sluice.current_task() then return ask() end
  return sluice.run(ask)
end

require("sluice.methods").guard(App)

-- -- the client, which is loaded when it is first used --

for _, name in ipairs { "request", "get", "post", "Client" } do
  http[name] = function(...)
    return require("sluice.http.client")[name](...)
  end
end

return http
