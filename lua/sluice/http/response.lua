--- sluice.http.response: what a server answered.
--
-- The one idea: a response is a record with all there is; one that streams
-- has its body still to come, by an exchange (sluice.http.exchange), and
-- holds it until the end, its closing or its collection.
--
-- Internal to sluice.http. Fields that begin with `_` are its own.

local checkpoint = require("sluice.core").checkpoint
local core = require "sluice.core.http"
local json = require "sluice.http.json"

local response = {}

local LONGEST = 1048576 -- bytes of a line that streams

local Response = { __name = "sluice.http.Response" }
Response.__index = Response

function Response.__tostring(self)
  local shown = self.url:gsub("^(%a[%w+.-]*://)[^/?#]*@", "%1***@")
  return ("sluice.http.Response (%d %s)"):format(self.status, shown)
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

-- Of what `text` had received when it was cancelled.
local function read_kept(self, n)
  local kept = self._kept
  local piece = table.remove(kept, 1)
  if n and #piece > n then
    table.insert(kept, 1, piece:sub(n + 1))
    piece = piece:sub(1, n)
  end
  if #kept == 0 then self._kept = nil end
  return piece
end

-- Called by a function that is called by the script, at whose line it raises.
local function check_free(self)
  local going = self._exchange
  if going and going:is_read() then
    error("another task is waiting for this HTTP response", 3)
  end
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
  check_free(self)
  if self._exchange then checkpoint("read") end
  if self._kept then return read_kept(self, n) end
  if self._exchange then return self._exchange:read(n) end
  return read_whole(self, n)
end

-- All pieces that are still to come, and those that are kept. A cancellation
-- leaves them kept.
local function read_rest(self)
  local pieces = self._kept or {}
  while true do
    local piece, reason, code = self._exchange:read()
    if not piece then
      if code then return nil, reason, code end
      return table.concat(pieces)
    end
    pieces[#pieces + 1] = piece
    self._kept = pieces
  end
end

local function whole_text(self)
  if self.body then return self.body end
  local text, message, code = read_rest(self)
  if not text then return nil, message, code end
  self.body, self._exchange, self._kept = text, nil, nil
  return text
end

--- The whole body, or what is left of one that streams.
-- @return a string; nil, message, code
-- Waits, if it streams.
function Response:text()
  check_free(self)
  if self._exchange then checkpoint("text") end
  return whole_text(self)
end

--- The body, decoded from JSON.
-- @return a value (`null` is cjson.null); nil, message; nil, message, code
-- Waits, if it streams.
function Response:json()
  check_free(self)
  if self._exchange then checkpoint("json") end
  local text, message, code = whole_text(self)
  if not text then return nil, message, code end
  return json.decode(text)
end

-- Appends the next piece to what is left of the ones before. False at the
-- end; raises what goes wrong.
local function refill(self, rest)
  local left = rest.text:sub(rest.at)
  if #left > LONGEST and self._exchange then
    error(("a line is longer than %d bytes"):format(LONGEST), 0)
  end
  local piece, reason, code = self:read()
  if code then error(reason, 0) end
  rest.text, rest.at = left .. (piece or ""), 1
  return piece ~= nil
end

-- The next line; nil at the end.
local function next_line(self, rest)
  while true do
    local lf = rest.text:find("\n", rest.at, true)
    if lf then
      local line = rest.text:sub(rest.at, lf - 1)
      rest.at = lf + 1
      return line:sub(-1) == "\r" and line:sub(1, -2) or line
    end
    if not refill(self, rest) then break end
  end
  local last = rest.text
  rest.text = ""
  return last ~= "" and last or nil
end

--- An iterator over the lines of the body, without their ends. Raises what
-- goes wrong.
-- Waits, if it streams, in each step.
function Response:lines()
  local rest = { text = "", at = 1 }
  return function()
    check_free(self)
    if self._exchange then checkpoint("lines") end
    return next_line(self, rest)
  end
end

--- Ends one that streams: what is left of its body is not received.
-- Does not wait.
function Response:close()
  self._kept = nil
  if self._exchange then self._exchange:close() end
end

Response.__close = Response.close

require("sluice.methods").guard(Response)

return response
