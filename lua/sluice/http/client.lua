--- sluice.http.client: requests, and the pool of connections they go by.
--
-- The one idea: libcurl speaks HTTP and keeps connections; what a request may
-- do is decided here: how many may be under way, in all and to one host, in
-- the order in which they asked, where redirects lead, and what is sent there.
--
-- A client has one native multi with its reactor, made at its first request.
-- The functions of the module are methods of a client of their own.

local sluice = require "sluice"
local checkpoint = require("sluice.core").checkpoint
local exchange = require "sluice.http.exchange"
local options = require "sluice.http.client_options"
local places = require "sluice.http.places"
local reactor = require "sluice.core.reactor"
local response = require "sluice.http.response"
local url = require "sluice.url"

local client = {}

local MAX_CONNECTIONS = 100

local native, missing, missing_code =
  require("sluice.native").load("curl", "libcurl")

local Client = { __name = "sluice.http.Client" }
Client.__index = Client

function Client.__tostring(self)
  return ("sluice.http.Client (%s, %d of %d connections used)"):format(
    self._closed and "closed" or "open", self._places:held(),
    self._places.most)
end

local function open(self)
  if not native then return nil, missing, missing_code end
  if self._closed then return nil, "the client is closed", "EBADF" end
  if not self._multi then
    local multi = native.Multi(self._places.most, self._cookies)
    self._reactor = reactor.open(multi)
    self._multi = multi
  end
  return true
end

-- -- one request --

local function check_scheme(to)
  local scheme = to:match "^(%a[%w+.-]*):"
  if not scheme then return nil, "not an absolute URL", "EINVAL" end
  scheme = scheme:lower()
  if scheme == "http" or scheme == "https" then return scheme end
  return nil, ("the scheme %q is neither http nor https"):format(scheme),
    "EPROTONOSUPPORT"
end

-- Methods that do no more harm twice than once (RFC 9110, 9.2.2).
local IDEMPOTENT = {
  GET = true, HEAD = true, OPTIONS = true, TRACE = true, PUT = true,
  DELETE = true,
}

-- Puts a request into the words of the native module.
local function translate(spec, scheme)
  local connect_ms = math.ceil(math.min(spec.connect_timeout, 1e6) * 1000)
  spec.headers = options.headers(spec)
  spec.connect_ms = math.max(connect_ms, 1)
  spec.upload = type(spec.body) == "function"
  spec.once = not IDEMPOTENT[spec.method]
  spec.follow = spec.max_redirects > 0
  spec.secure = scheme == "https"
  spec.proxy_from_environment = spec.proxy == true
  if spec.max_body == math.huge then spec.max_body = -1 end
  if spec.auth then spec.user, spec.password = spec.auth[1], spec.auth[2] end
end

-- Sends the request; the response, and whether it is to be followed; or nil,
-- message, code.
local function exchanged(going, spec)
  local ok, message, code = going:start()
  if not ok then return nil, message, code end
  local status, head, to, version, follow = going:finish()
  if not status then return nil, head, to end
  if spec.stream and not follow then
    local streaming = response.new(status, head, to, version, going)
    going:keep()
    return streaming, false
  end
  local answer = response.new(status, head, to, version)
  answer.body = going:body()
  return answer, follow
end

-- As above, with a place among the connections, which it waits for.
local function fetch(self, spec, deadline)
  local scheme, message, code = check_scheme(spec.url)
  if not scheme then return nil, message, code end
  local key
  if self._per_host then
    key, message, code = native.origin(spec.url)
    if not key then return nil, message, code end
  end
  local going <close> = exchange.new(self, spec, deadline)
  local function left() return math.max(deadline - sluice.time(), 0) end
  local ok = self._places:enter(going, key, left)
  if not ok then return nil, "no connection was free in time", "ETIMEDOUT" end
  ok, message, code = open(self) -- it may have been closed meanwhile
  if not ok then return nil, message, code end
  translate(spec, scheme)
  return exchanged(going, spec)
end

-- -- redirects --

-- What tells who asks; nobody's business elsewhere.
local SECRETS = { "authorization", "cookie", "proxy-authorization", "host" }

local function drop_body(spec)
  local fields = options.own_fields(spec)
  spec.body, spec.length = nil, nil
  for _, name in ipairs { "content-type", "content-length", "expect",
    "content-encoding", "content-language", "content-location" } do
    fields[name] = nil
  end
end

local function drop_secrets(spec)
  local fields = options.own_fields(spec)
  spec.auth, spec.user, spec.password = false, nil, nil
  for _, name in ipairs(SECRETS) do fields[name] = nil end
end

-- Makes the request lead where the answer says; nil, message, code if it
-- cannot.
local function follow_to(spec, answer)
  local status, method = answer.status, spec.method
  local to, message, code = url.join(answer.url, answer.headers.location)
  if not to then return nil, message, code end
  local ok
  ok, message, code = check_scheme(to)
  if not ok then return nil, message, code end
  if (status == 303 and method ~= "HEAD")
    or (status <= 302 and method == "POST") then
    spec.method = "GET"
    drop_body(spec)
  elseif type(spec.body) == "function" then
    return nil, "the body cannot be sent again after a redirect", "ESPIPE"
  end
  if native.origin(to) ~= native.origin(spec.url) then drop_secrets(spec) end
  spec.url = to
  return true
end

local function perform(self, spec)
  local ok, message, code = open(self)
  if not ok then return nil, message, code end
  local deadline = sluice.time() + spec.timeout
  local most, history = spec.max_redirects, {}
  while true do
    local answer, follow, failure = fetch(self, spec, deadline)
    if not answer then return nil, follow, failure end
    if not follow then
      answer.history = history
      return answer
    end
    if #history == most then
      return nil, ("more than %d redirects"):format(most), "ETOOMANYREDIRECTS"
    end
    history[#history + 1] = answer.url
    ok, message, code = follow_to(spec, answer)
    if not ok then return nil, message, code end
  end
end

-- -- what scripts call --

-- Raises at the line of the caller of the public function, which called the
-- one that calls this.
local function argument_error(n, name, message)
  error(("bad argument #%d to '%s' (%s)"):format(n, name, message), 4)
end

local function check_body(body, n, name)
  local wrong = body ~= nil and options.body_fault(body)
  if wrong then argument_error(n, name, wrong) end
end

local function check_type(value, wanted, n, name)
  local got = type(value)
  if got == wanted then return end
  argument_error(n, name, ("%s expected, got %s"):format(wanted,
    value == nil and "no value" or got))
end

-- A method called with a dot.
local function prepare(self, given, n, name)
  local spec, wrong = options.request(given, self._shared)
  if not spec then argument_error(n, name, wrong) end
  return spec
end

local function with(given, fields)
  local all = {}
  for key, value in pairs(given or {}) do all[key] = value end
  for key, value in pairs(fields) do all[key] = value end
  return all
end

--- Asks for a URL.
-- @param given a table: `url`, and what the manual lists
-- @return a response; or nil, message, code
-- Waits.
function Client:request(given)
  check_type(given, "table", 1, "request")
  local spec = prepare(self, given, 1, "request")
  checkpoint "request"
  return perform(self, spec)
end

--- GET.
-- @param to the URL
-- @param[opt] given as of request
-- @return as of request
-- Waits.
function Client:get(to, given)
  check_type(to, "string", 1, "get")
  if given ~= nil then check_type(given, "table", 2, "get") end
  local spec =
    prepare(self, with(given, { url = to, method = "GET" }), 2, "get")
  checkpoint "get"
  return perform(self, spec)
end

--- POST.
-- @param to the URL
-- @param body a string, a table (as JSON), a function that returns pieces
-- @param[opt] given as of request
-- @return as of request
-- Waits.
function Client:post(to, body, given)
  check_type(to, "string", 1, "post")
  if given ~= nil then check_type(given, "table", 3, "post") end
  check_body(body, 2, "post")
  local fields = { url = to, method = "POST", body = body }
  local spec = prepare(self, with(given, fields), 3, "post")
  checkpoint "post"
  return perform(self, spec)
end

--- Ends the client's requests and connections.
-- Does not wait.
function Client:close()
  self._closed = true
  if self._multi then self._multi:close() end
end

Client.__close = Client.close

require("sluice.methods").guard(Client)

local function new(given)
  local shared, wrong = options.client(given)
  if not shared then return nil, wrong end
  return setmetatable({
    _shared = shared, _cookies = given.cookies or false,
    _per_host = given.max_per_host,
    _places = places.new(given.max_connections or MAX_CONNECTIONS,
      given.max_per_host),
  }, Client)
end

--- Makes a client: a pool of connections, and what holds for its requests.
-- @param[opt] given `max_connections` (100), `max_per_host` (as many),
-- `cookies`, and what a request may have
-- @return a client
function client.Client(given)
  if given ~= nil and type(given) ~= "table" then
    error("bad argument #1 to 'Client' (table expected, got " .. type(given)
      .. ")", 2)
  end
  local self, wrong = new(given or {})
  if self then return self end
  error(("bad argument #1 to 'Client' (%s)"):format(wrong), 2)
end

local shared

for _, name in ipairs { "request", "get", "post" } do
  client[name] = function(...)
    shared = shared or new {}
    return Client[name](shared, ...)
  end
end

return client
