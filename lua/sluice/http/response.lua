--- sluice.http.response: what a server answered.
--
-- The one idea: a response is a record with all there is; one that streams
-- has its body still to come, by an exchange (sluice.http.exchange), and
-- holds it until the end, its closing or its collection.
--
-- Internal to sluice.http. Fields that begin with `_` are its own.

local core = require "sluice.core.http"
local json = require "sluice.http.json"

local response = {}

local Response = { __name = "sluice.http.Response" }
Response.__index = Response

function Response.__tostring(self)
  return ("sluice.http.Response (%d %s)"):format(self.status, self.url)
end

-- -- headers --

local ignoring_case = {
  __index = function(headers, name)
    return type(name) == "string" and rawget(headers, name:lower()) or nil
  end,
}

-- Cookies may have commas in them, so theirs are not joined.
local function cookies_of(head)
  local list = {}
  for name, value in head:gmatch "\n([^:\r\n]+):[ \t]*([^\r\n]*)" do
    if name:lower() == "set-cookie" then
      list[#list + 1] = value:match "^(.-)[ \t]*$"
    end
  end
  return list
end

local function read_headers(head)
  local headers = core.headers(head)
  if headers["set-cookie"] then headers["set-cookie"] = cookies_of(head) end
  return setmetatable(headers, ignoring_case)
end

--- Makes one of what the native transfer tells. Its body comes by
-- `exchange`, if there is one.
function response.new(status, head, url, version, exchange)
  return setmetatable({
    status = status,
    headers = read_headers(head),
    url = url,
    http_version = version,
    _exchange = exchange,
  }, Response)
end

-- -- bodies --

-- Of a body that is there already, as if it came.
local function read_whole(self, n)
  local at = self._at or 1
  if at > #self.body then return nil, "eof" end
  local piece = self.body:sub(at, n and at + n - 1)
  self._at = at + #piece
  return piece
end

--- The next piece of the body. The server is read only as fast as this is
-- called.
-- @param[opt] n at most so many bytes
-- @return a string; nil, "eof" after the last; nil, message, code
-- Waits, if it streams.
function Response:read(n)
  if n ~= nil and (math.type(n) ~= "integer" or n < 1) then
    error("bad argument #1 to 'read' (a positive integer expected)", 2)
  end
  if self._exchange then return self._exchange:read(n) end
  return read_whole(self, n)
end

-- All pieces that are still to come.
local function read_rest(exchange)
  local pieces = {}
  while true do
    local piece, reason, code = exchange:read()
    if not piece then
      if code then return nil, reason, code end
      return table.concat(pieces)
    end
    pieces[#pieces + 1] = piece
  end
end

--- The whole body, or what is left of one that streams.
-- @return a string; nil, message, code
-- Waits, if it streams.
function Response:text()
  if self.body then return self.body end
  local text, message, code = read_rest(self._exchange)
  if not text then return nil, message, code end
  self.body, self._exchange = text, nil
  return text
end

--- The body, decoded from JSON.
-- @return a value (`null` is cjson.null); nil, message; nil, message, code
-- Waits, if it streams.
function Response:json()
  local text, message, code = self:text()
  if not text then return nil, message, code end
  return json.decode(text)
end

-- The next line of what is left over and what comes; nil at the end. Raises
-- what goes wrong.
local function next_line(self, rest)
  while not rest.text:find("\n", 1, true) do
    local piece, reason, code = self:read()
    if not piece then
      if code then error(reason, 0) end
      local last = rest.text
      rest.text = ""
      return last ~= "" and last or nil
    end
    rest.text = rest.text .. piece
  end
  local line, after = rest.text:match "^(.-)\r?\n()"
  rest.text = rest.text:sub(after)
  return line
end

--- An iterator over the lines of the body, without their ends. Raises what
-- goes wrong.
-- Waits, if it streams, in each step.
function Response:lines()
  local rest = { text = "" }
  return function() return next_line(self, rest) end
end

--- Ends one that streams: what is left of its body is not received.
-- Does not wait.
function Response:close()
  if self._exchange then self._exchange:close() end
end

Response.__close = Response.close

return response
