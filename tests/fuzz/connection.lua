--- connection.lua: takes the inputs of fuzz_connection.
--
-- An input's first byte says how the rest is cut, its second has flags; the
-- rest is what a client sends. It is sent twice, on two connections to one
-- application: whole, and in pieces, each of which the server has seen before
-- the next comes. Checked is that
--
--   * both get the same answers, but for the date and an interim 100;
--   * each answer is well-formed, and there is one for each request that the
--     application was given, in order, and at most one more: a refusal, after
--     which nothing comes;
--   * the connections end, and nothing is left of them.
--
-- Time is virtual and never moves: no limit of time is met here.

local fuzz = require "fuzz"
local sluice = require "sluice"
local core = require "sluice.core.net"
local http = require "sluice.http"
local settle = require "sluice.testing".settle

local SMALL, STREAM, RESET = 1, 2, 8 -- the flags
local PATIENCE = 1000 -- turns in which a connection must end

-- -- the application --

-- The names and values of a table, one a line, in order of the names.
local function list(t)
  local lines = {}
  for name, value in pairs(t) do
    lines[#lines + 1] = ("%s=%s"):format(name, value)
  end
  table.sort(lines)
  return table.concat(lines, "\n")
end

-- A form; what is beyond its max_memory is in files on disk.
local function list_form(form)
  local values = {}
  for name, value in pairs(form) do
    if type(value) == "table" then
      value = ("%s %s %d %s"):format(value.filename, value.content_type,
        value.size, value:text())
    end
    values[name] = value
  end
  return list(values)
end

local function read_body(request, in_pieces)
  if not in_pieces then return request:text() end
  local read = {}
  local piece, why = request:read(7)
  while piece do
    read[#read + 1] = piece
    piece, why = request:read(7)
  end
  if why ~= "eof" then read[#read + 1] = why end
  return table.concat(read)
end

-- What the application understood of a request.
local function describe(request, body)
  return table.concat({
    request.method, request.path, request.peer, list(request.headers),
    list(request.query), list(request.params), tostring(body),
  }, "\n")
end

local function add_routes(app)
  for _, method in ipairs { "GET", "POST", "OPTIONS", "PUT" } do
    app:route(method, "/{rest*}", function(request)
      return describe(request, request._body)
    end)
  end
  app:post("/form", function(request)
    local form, message = request:form { max_memory = 40, max_parts = 4 }
    if not form then request:text() end -- the rest
    return form and list_form(form) or message
  end)
  app:post("/json", function(request)
    local value, message = request:json()
    return type(value) .. (message and "!" or "")
  end)
  app:get("/echo", function(request) -- header injection
    return 200, "", { ["X-Echo"] = request.query.v }
  end)
  app:get("/none", function() end)
  app:get("/304", function() return 304, "body" end)
  app:get("/fail", function() error "on purpose" end)
  app:get("/close", function() return 200, "", { Connection = "close" } end)
  app:post("/chunks/{n}", function(request)
    local left = (tonumber(request.params.n) or 0) % 5
    return function()
      left = left - 1
      return left >= 0 and describe(request, request._body) or nil
    end
  end)
end

-- The application reads each body to its end, and, unless it is a form, before
-- anything else: whether a rest is worth waiting for depends on what has
-- arrived.
local function new_app(limits, in_pieces)
  local app = http.App(limits)
  app:use(function(request, next)
    app.seen[#app.seen + 1] = request.method
    if request.path ~= "/form" or request.method ~= "POST" then
      request._body = read_body(request, in_pieces)
    end
    return next(request)
  end)
  add_routes(app)
  app.seen = {} -- methods of the requests of the client that is at it
  return app
end

-- -- the server --

-- A name of its own in the working directory: in that of temporary files
-- others tidy up, and a socket's path must be short.
local unique = os.tmpname()
os.remove(unique)
local path = unique:match "[^/]+$" .. ".sock"

local SMALL_LIMITS = {
  max_head = 160, max_target = 24, max_fields = 4, max_body = 40,
}
local runner = sluice.Runner { clock = "virtual" }
local pulse, pulse_fd
local apps = {} -- by flags
local handles -- how many there are between two inputs

local function make_pulse()
  local listener = assert(core.listen_unix(path, 1, 0))
  pulse_fd = fuzz.connect(path)
  pulse = core.accept(listener)
  listener:close()
end

-- Lets everything happen that can: what was written is there at once, so one
-- look at the kernel finds it.
local function turn()
  fuzz.write(pulse_fd, "x")
  assert(pulse:read())
  settle()
end

-- Goes on until the condition holds.
local function turn_until(condition, message)
  for _ = 1, PATIENCE do
    if condition() then return end
    turn()
  end
  error(message, 0)
end

-- Serves while fn(server, app) runs; checks that nothing is left of it.
local function serving(app, fn)
  local server = assert(app:serve { unix = path })
  fn(server, app)
  local stop = sluice.create_task(server.stop, server)
  turn_until(function() return stop:done() end, "the server does not stop")
  if not handles then
    turn()
    handles = sluice.testing.handles()
  end
  turn_until(function() return sluice.testing.handles() == handles end,
    "handles are left")
end

local function start()
  make_pulse()
  for flags = 0, SMALL | STREAM do
    apps[flags] = new_app(flags & SMALL > 0 and SMALL_LIMITS or nil,
      flags & STREAM > 0)
    serving(apps[flags], turn)
  end
end

-- -- a client --

local Client = {}
Client.__index = Client

local function new_client(server, app)
  app.seen = {}
  return setmetatable({
    fd = fuzz.connect(path), server = server, seen = app.seen, answers = {},
  }, Client)
end

function Client:receive()
  while not self.ended do
    local data = fuzz.read(self.fd)
    if data == "" then return end
    self.ended = data == nil
    self.answers[#self.answers + 1] = data
  end
end

function Client:send(data)
  while #data > 0 and not self.ended do
    local n = fuzz.write(self.fd, data)
    if not n then return end
    data = data:sub(n + 1)
    turn()
    self:receive()
  end
end

-- The end of what it sends; the server must come to an end.
function Client:finish()
  fuzz.shutdown(self.fd)
  turn_until(function()
    self:receive()
    return self.ended
  end, "the connection does not end")
end

function Client:__close()
  fuzz.close(self.fd)
  turn()
  turn_until(function()
    return tostring(self.server):find("(0 conn", 1, true)
  end, "the server keeps the connection")
end

-- -- answers --

local function check_fields(fields)
  local seen = {}
  for line in fields:gmatch "([^\n]*)\n" do
    local name, value = line:match "^([%w%-]+): ([\t -\126\128-\255]*)\r$"
    assert(name, "a header is broken")
    name = name:lower()
    assert(not seen[name], "a header is there twice")
    seen[name] = value
  end
  assert(seen.date, "no date")
  assert(not (seen["content-length"] and seen["transfer-encoding"]))
  return seen
end

local function skip_chunks(text, at)
  repeat
    local size, data = text:match("^(%x+)\r\n()", at)
    size = tonumber(assert(size, "a chunk is broken"), 16)
    at = data + size
    assert(text:sub(at, at + 1) == "\r\n", "a chunk without its end")
    at = at + 2
  until size == 0
  return at
end

-- Where the next answer begins; whether it is the last one. method: nil for a
-- refusal, which may be one of a HEAD.
local function skip_answer(text, at, method)
  local status, fields, stop =
    text:match("^HTTP/1%.1 (%d%d%d) [ -~]*\r\n(.-\r\n)\r\n()", at)
  assert(status, "an answer is broken")
  local headers = check_fields(fields)
  local length = tonumber(headers["content-length"])
  if status == "204" or status == "304" then
    assert(not length and not headers["transfer-encoding"])
  elseif method ~= "HEAD" and length then
    if not method and stop == #text + 1 then length = 0 end
    stop = stop + length
    assert(stop <= #text + 1, "a body is cut off")
  elseif method ~= "HEAD" and headers["transfer-encoding"] then
    stop = skip_chunks(text, stop)
  elseif method ~= "HEAD" then
    assert(headers.connection == "close", "a body without an end")
    stop = #text + 1
  end
  return stop, headers.connection == "close"
end

-- Checks the answers to the requests seen.
local function check_answers(text, seen)
  local at, n, last = 1, 0, false
  while at <= #text do
    assert(not last, "bytes after the last answer")
    n = n + 1
    at, last = skip_answer(text, at, seen[n])
  end
  assert(n >= #seen, "a request without its answer")
  assert(n <= #seen + 1, "an answer to no request")
  assert(n == #seen or last, "a refusal, and the connection goes on")
end

-- The answers without what may differ.
local function normal(answers)
  local text = table.concat(answers)
  text = text:gsub("HTTP/1%.1 100 Continue\r\n\r\n", "")
  return (text:gsub("\r\nDate: [^\r]*", "\r\nDate: "))
end

-- -- an input --

-- Cuts the data in a few pieces, by a seed; '1': into bytes.
local function pieces(data, how)
  local list_of, at = {}, 1
  local most = how == 49 and 1 or math.max(1, 2 * #data // (how % 8 + 1))
  local seed = how
  while at <= #data do
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    local n = 1 + (seed >> 8) % most
    list_of[#list_of + 1] = data:sub(at, at + n - 1)
    at = at + n
  end
  return list_of
end

-- Returns the answers to the pieces.
local function ask(server, app, list_of)
  local client <close> = new_client(server, app)
  for _, piece in ipairs(list_of) do client:send(piece) end
  client:finish()
  return normal(client.answers), client.seen
end

local function compare(server, app, how, data)
  local whole, seen = ask(server, app, { data })
  check_answers(whole, seen)
  assert(whole == ask(server, app, pieces(data, how)),
    "cut, the answers differ")
end

-- A client that goes in the middle, with answers that it did not read.
local function go_away(server, app, how, data)
  local client <close> = new_client(server, app)
  local parts = pieces(data, how)
  for i = 1, #parts // 2 do
    fuzz.write(client.fd, parts[i])
    turn()
  end
end

-- What nobody raises where it is seen is told after the run.
local failure

io.stderr = setmetatable({}, { __index = { -- luacheck: ignore
  write = function(_, ...)
    local text = table.concat { ... }
    if text ~= "\n" and not text:find "on purpose"
      and not text:find "invalid value of the header 'X%-Echo'" then
      failure = "logged: " .. text
    end
  end,
} })

sluice.on_error(function(_, err, traceback)
  failure = ("%s\n%s"):format(err, traceback)
end)

runner:run(start)
collectgarbage "generational"

local function take(input)
  local how, flags = input:byte(1, 2)
  local check = flags & RESET > 0 and go_away or compare
  local now = sluice.time()
  serving(apps[flags & (SMALL | STREAM)], function(server, app)
    check(server, app, how, input:sub(3))
  end)
  assert(sluice.time() == now, "time was waited for")
  assert(not failure, failure)
end

return function(input) runner:run(take, input) end
