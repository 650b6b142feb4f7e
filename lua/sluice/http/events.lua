--- sluice.http.events: server-sent events (the stream of an EventSource).
--
-- The one idea: a body may also be a function that is called once and writes
-- (a producer), instead of one that is asked for each chunk. It runs in the
-- task that serves the connection, so that a client that goes away ends
-- whatever it waits for.
--
-- Internal to sluice.http.

local sluice = require "sluice"
local json = require "sluice.http.json"
local producer = require "sluice.http.producer"

local HEARTBEAT = 15 -- seconds; proxies give up after a minute of silence

local Events = {}
Events.__index = Events
Events.__name = "sluice.http.Events"

local function argument_error(name, message, level)
  error(("bad argument #1 to '%s' (%s)"):format(name, message), level + 1)
end

-- -- what is sent --

local FIELDS = { event = true, data = true, id = true, retry = true }

local function check_fields(message, level)
  for key in pairs(message) do
    if not FIELDS[key] then
      argument_error("send", ("unknown field '%s'"):format(tostring(key)),
        level + 1)
    end
  end
  if next(message) == nil then
    argument_error("send", "an event has a field", level + 1)
  end
end

-- A field of one line.
local function line(name, value, level)
  if math.type(value) then value = tostring(value) end
  if type(value) ~= "string" or value:find "[\r\n\0]" then
    argument_error("send", ("'%s' must be a string of one line")
      :format(name), level + 1)
  end
  return name .. ": " .. value .. "\n"
end

local function retry_line(seconds, level)
  if not math.type(seconds) or not (seconds >= 0 and seconds < 1e9) then
    argument_error("send", "'retry' must be a number of seconds", level + 1)
  end
  return ("retry: %d\n"):format(math.floor(seconds * 1000 + 0.5))
end

-- A line of its own for each line of the text, whatever ends it.
local function data_lines(value)
  if type(value) ~= "string" then value = json.encode(value) end
  local text = value:gsub("\r\n?", "\n"):gsub("\n", "\ndata: ")
  return "data: " .. text .. "\n"
end

local function format(message, level)
  if type(message) == "string" then return data_lines(message) .. "\n" end
  if type(message) ~= "table" then
    argument_error("send", "string or table expected, got " .. type(message),
      level + 1)
  end
  check_fields(message, level + 1)
  local text, data = "", message.data
  if message.event ~= nil then
    text = line("event", message.event, level + 1)
    if data == nil then data = "" end -- without data it would be dropped
  end
  if message.id ~= nil then
    text = text .. line("id", message.id, level + 1)
  end
  if message.retry ~= nil then
    text = text .. retry_line(message.retry, level + 1)
  end
  return text .. (data ~= nil and data_lines(data) or "") .. "\n"
end

--- Sends an event.
-- @param message its data, a string; or a table: `event`, `data` (what is no
-- string is sent as JSON), `id`, `retry` (seconds)
-- @return true; or nil, message, code when nobody is there
-- Waits while too much is queued.
function Events:send(message)
  self.last = sluice.time()
  return self.write(format(message, 2))
end

--- Sends a comment, which clients pass over.
-- @param[opt] text of it
-- @return as send
-- Waits while too much is queued.
function Events:comment(text)
  if text ~= nil and type(text) ~= "string" then
    argument_error("comment", "string expected, got " .. type(text), 2)
  end
  self.last = sluice.time()
  return self.write(": " .. (text or ""):gsub("[\r\n]+", "\n: ") .. "\n\n")
end

function Events:__tostring()
  return "sluice.http.Events"
end

-- -- the stream --

-- Sends a comment whenever nothing else was sent for so long.
local function beat(events, seconds)
  while true do
    local due = events.last + seconds
    sluice.sleep(math.max(0, due - sluice.time()))
    if sluice.time() >= events.last + seconds then events:comment() end
  end
end

local Beating = {}

function Beating.__close(self)
  self.task:cancel()
  sluice.shield(self.task.pawait, self.task)
end

local function run(fn, seconds, write)
  local events = setmetatable({ write = write, last = sluice.time() }, Events)
  if seconds == math.huge then return fn(events) end
  local beating <close> = setmetatable({ -- luacheck: ignore
    task = sluice.create_task(beat, events, seconds),
  }, Beating)
  fn(events)
end

local function check_options(options)
  for key, value in pairs(options) do
    if key ~= "heartbeat" then
      error(("bad argument #2 to 'event_stream' (unknown option '%s')")
        :format(tostring(key)), 3)
    elseif not math.type(value) or value <= 0 or value ~= value then
      error("bad argument #2 to 'event_stream' ('heartbeat' must be a "
        .. "positive number)", 3)
    end
  end
end

local events = {}

--- What a handler returns to answer with a stream of events.
-- @param fn `function(events)`, called once; the stream ends when it returns
-- @param[opt] options `heartbeat` (15): seconds of silence after which a
-- comment is sent; math.huge: none
-- @return status, body, headers
-- Never waits.
function events.stream(fn, options)
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'event_stream' (function expected, got %s)")
      :format(type(fn)), 2)
  end
  if options ~= nil and type(options) ~= "table" then
    error(("bad argument #2 to 'event_stream' (table expected, got %s)")
      :format(type(options)), 2)
  end
  check_options(options or {})
  local seconds = options and options.heartbeat or HEARTBEAT
  return 200, producer.new(function(write) run(fn, seconds, write) end), {
    ["Content-Type"] = "text/event-stream",
    ["Cache-Control"] = "no-cache",
    ["X-Accel-Buffering"] = "no", -- nginx is to pass each event on
  }
end

return events
