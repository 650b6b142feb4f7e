--- sluice.net.tls: which certificates are shown and which are trusted.
--
-- The handshake and what is on the wire are OpenSSL's (sluice.native.tls);
-- that a stream goes through it is the core's. What is here is policy: what
-- options there are, what they are unless given, and that a connection whose
-- handshake fails never reaches a script.
--
-- The module over OpenSSL is loaded when TLS is first asked for: whoever does
-- not, needs no OpenSSL.

local core = require "sluice.core.net"
local native = require "sluice.native"

local tls = {}

local HANDSHAKE = 10 -- seconds that a client of ours has

-- -- what an option must be: tests that return why a value is not --

local function of_type(wanted)
  return function(value)
    if type(value) == wanted then return end
    return wanted .. " expected, got " .. type(value)
  end
end

local function one_of(...)
  local known, names = {}, table.concat({ ... }, "' or '")
  for _, name in ipairs { ... } do known[name] = true end
  return function(value)
    return not known[value] and "'" .. names .. "' expected"
  end
end

local function name(value)
  if type(value) ~= "string" then
    return "string expected, got " .. type(value)
  end
  return (value == "" or value:find("\0", 1, true)) and "not a name"
end

local function callable(value)
  local meta = getmetatable(value)
  if type(value) == "function" or type(meta) == "table" and meta.__call then
    return
  end
  return "function expected, got " .. type(value)
end

local function duration(value)
  if type(value) ~= "number" then
    return "number expected, got " .. type(value)
  end
  if value ~= value then return "duration is NaN" end
  return value <= 0 and "duration must be positive"
end

local function protocols(value)
  if type(value) ~= "table" then
    return "table expected, got " .. type(value)
  end
  local bytes = 0
  for _, protocol in ipairs(value) do
    if type(protocol) ~= "string" or #protocol == 0 then
      return "list of strings expected"
    end
    bytes = bytes + 1 + #protocol
  end
  if bytes == 0 then return "list of strings expected" end
  return bytes > 255 and "longer than 255 bytes"
end

local BOTH = {
  cert = name, key = name, password = name, crl_file = name,
  alpn = protocols, min_version = one_of("TLSv1.2", "TLSv1.3"),
}
local CLIENT = {
  ca_file = name, ca_path = name, server_name = name,
  verify = of_type "boolean",
}
local SERVER = {
  client_ca = name, verify_client = one_of("required", "optional"),
  handshake_timeout = duration, on_error = callable,
}

local EITHER = {}
for key, test in pairs(CLIENT) do EITHER[key] = test end
for key, test in pairs(SERVER) do EITHER[key] = test end

local function check(options, known)
  for key, value in pairs(options) do
    local test = BOTH[key] or known[key]
    local why = not test and "unknown option" or test(value)
    if why then return tostring(key) .. ": " .. why end
  end
  if options.key and not options.cert then return "key: without a cert" end
end

-- -- contexts --

local Context = {}
Context.__index = Context
Context.__name = "sluice.net.TLSContext"

local function is_context(value) return getmetatable(value) == Context end

-- As RFC 7301 writes them: each behind its length.
local function pack_protocols(list)
  local parts = {}
  for i, protocol in ipairs(list) do parts[i] = string.pack("s1", protocol) end
  return table.concat(parts)
end

-- OpenSSL's context of the options, for a client or a server.
local function load_context(options, server)
  local openssl, message, code = native.load("tls", "OpenSSL")
  if not openssl then
    return nil, "TLS is not built in: " .. message, code
  end
  local all = { server = server }
  for key, value in pairs(options) do all[key] = value end
  all.alpn = options.alpn and pack_protocols(options.alpn)
  all.client_optional = options.verify_client == "optional"
  return openssl.context(all)
end

local function check_context(value, method)
  if is_context(value) then return end
  error(("bad argument #1 to '%s' (%s expected, got %s)"):format(method,
    Context.__name, type(value)), 3)
end

-- The sides that have read the files; before the first use, the one that the
-- options are likely for.
local function sides_of(context)
  local server, client = context.server ~= nil, context.client ~= nil
  if server or client then return server, client end
  return context.options.cert ~= nil, context.options.cert == nil
end

--- Reads the files again; connections made from now on use what is there.
-- If they cannot be used, the context stays as it was, on both sides.
-- @return true; or nil, message, code
-- Never waits, but reads files.
function Context:reload()
  check_context(self, "reload")
  local serves, connects = sides_of(self)
  local server, client, message, code
  if serves then
    server, message, code = load_context(self.options, true)
    if not server then return nil, message, code end
  end
  if connects then
    client, message, code = load_context(self.options, false)
    if not client then return nil, message, code end
  end
  self.server, self.client = server, client
  return true
end

function Context:__tostring()
  local names = {}
  for key in pairs(self.options) do names[#names + 1] = key end
  table.sort(names)
  return ("sluice.net.TLSContext (%s)"):format(table.concat(names, ", "))
end

--- Why options of either side are wrong, or nothing.
function tls.check(options) return check(options, EITHER) end

--- Makes a context of options that are right.
function tls.context(options)
  local own = {}
  for key, value in pairs(options) do own[key] = value end
  return setmetatable({ options = own }, Context)
end

-- OpenSSL's context for one side, made when it is first needed.
local function openssl_of(context, side)
  if context[side] then return context[side] end
  local made, message, code = load_context(context.options, side == "server")
  context[side] = made
  return made, message, code
end

-- `tls = true`: the system's certificates, for all.
local default = tls.context {}

local function context_of(value)
  if value == true then return default end
  return is_context(value) and value or tls.context(value)
end

-- -- clients --

--- Why a value of net.connect's option `tls` is wrong, or nothing.
function tls.check_client(value)
  if type(value) == "boolean" then return end
  if type(value) ~= "table" then
    return "boolean or table expected, got " .. type(value)
  end
  if not is_context(value) then return check(value, CLIENT) end
end

--- The same where there is no host, whose certificate could be expected.
function tls.check_local_client(value)
  local why = tls.check_client(value)
  if why or value == false then return why end
  local options = context_of(value).options
  if options.server_name or options.verify == false then return end
  return "server_name is needed"
end

-- A name as certificates have it: without the root's dot, or the zone of an
-- address.
local function host_name(host)
  local bare = host:gsub("%%.*$", ""):gsub("%.$", "")
  return bare ~= "" and bare or host -- never nobody's: that is everybody's
end

-- Shakes hands. A stream whose task must end before it begins to is closed
-- here: nobody else knows of it.
local function secure(stream, openssl, expected)
  local function shake()
    return core.secure(stream, openssl:session(expected))
  end
  local ok, done, message, code = pcall(shake)
  if ok then return done and stream, message, code end
  stream:close()
  error(done, 0)
end

--- What connects as `connect` does and then shakes hands; without TLS,
-- `connect` itself.
-- @param connect returns a stream; or nil, message, code
-- @param value of the option `tls`
-- @param[opt] host that is connected to
-- @return a function; or nil, message, code
function tls.connector(connect, value, host)
  if not value then return connect end
  local context = context_of(value)
  local expected = context.options.server_name or host
  local openssl, message, code = openssl_of(context, "client")
  if not openssl then return nil, message, code end
  expected = expected and host_name(expected)
  return function(...)
    local stream, why, name_of_why = connect(...)
    if not stream then return nil, why, name_of_why end
    return secure(stream, openssl, expected)
  end
end

-- -- servers --

--- Why a value of net.serve's option `tls` is wrong, or nothing.
function tls.check_server(value)
  if value == false then return end
  if type(value) ~= "table" then
    return "table expected, got " .. type(value)
  end
  local options = is_context(value) and value.options or value
  if not options.cert then return "cert: a server needs one" end
  if not is_context(value) then return check(value, SERVER) end
end

--- The value with a default for `alpn`; a context has its own.
function tls.with_alpn(value, protocols_default)
  if not value or is_context(value) or value.alpn then return value end
  local options = { alpn = protocols_default }
  for key, option in pairs(value) do options[key] = option end
  return options
end

--- What a server runs for each connection: the handshake, then `handler`. A
-- connection whose handshake fails is closed, and told to `on_error` alone.
-- Without TLS, `handler` itself.
-- @param[opt] handshakes a table with weak keys: the streams that are at it
-- @return a function; or nil, message, code
function tls.handler(handler, value, handshakes)
  if not value then return handler end
  local context = context_of(value)
  local options = context.options
  local openssl, message, code = openssl_of(context, "server")
  if not openssl then return nil, message, code end
  local timeout = options.handshake_timeout or HANDSHAKE
  handshakes = handshakes or setmetatable({}, { __mode = "k" })
  return function(stream)
    local host, port
    if options.on_error then host, port = stream:peername() end
    handshakes[stream] = true
    local done, why, name_of_why =
      core.secure(stream, context.server:session(), timeout)
    handshakes[stream] = nil
    if done then return handler(stream) end
    if options.on_error then options.on_error(why, name_of_why, host, port) end
  end
end

return tls
