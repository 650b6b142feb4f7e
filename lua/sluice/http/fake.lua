--- sluice.http.fake: what stands for a connection in app:test.
--
-- The one idea: it has the methods of sluice.core.http's Connection that an
-- answer and a request use, and says yes and no where that does; the body
-- comes from a string, the answer goes into a table.
--
-- Internal to sluice.http.

local core = require "sluice.core.http"

local TEXT = "text/plain; charset=utf-8"

local Fake = {}
Fake.__index = Fake

--- Stands for a connection whose request has that method and body, which may
-- be so long.
local function new(method, content, max_body)
  return setmetatable({
    method = method, content = content, at = 1, max_body = max_body,
  }, Fake)
end

-- -- the body --

function Fake:limit(most)
  self.max_body = math.min(self.max_body, most)
  if #self.content > self.max_body then self.refused = 413 end
  return not self.refused
end

function Fake:body()
  if self.refused then return nil, "the body is too long" end
  local rest = self.content:sub(self.at)
  self.at = #self.content + 1
  return rest
end

function Fake:read(n)
  if self.refused then return nil, "the body is too long" end
  if self.at > #self.content then return nil, "eof" end
  local piece = self.content:sub(self.at, n and self.at + n - 1)
  self.at = self.at + #piece
  return piece
end

function Fake:expects() return false end

-- -- the answer --

local function check_value(name, value)
  if type(value) ~= "string" and not math.type(value) then
    error(("the header '%s' is a %s, not a string"):format(name,
      type(value)), 0)
  end
  value = tostring(value)
  local fault, ours = core.check_header(name, value)
  if fault == "invalid name" then
    error(("invalid name of a header ('%s')"):format(name), 0)
  elseif fault then
    error(("invalid value of the header '%s'"):format(name), 0)
  elseif ours and not (name:lower() == "connection"
    and value:lower() == "close") then
    error(("the header '%s' is set by the server"):format(name), 0)
  end
  return value
end

-- A repeated header is a list, as it was given.
local function add(copy, name, value)
  local known = copy[name]
  if known == nil then
    copy[name] = value
  elseif type(known) == "table" then
    known[#known + 1] = value
  else
    copy[name] = { known, value }
  end
end

local function copy_headers(headers, kind)
  local copy = {}
  if headers ~= nil and type(headers) ~= "table" then
    error(("the headers are a %s, not a table"):format(type(headers)), 0)
  end
  for name, value in pairs(headers or {}) do
    if type(name) ~= "string" then
      error("the name of a header is not a string", 0)
    end
    local list = type(value) == "table" and value or { value }
    for _, item in ipairs(list) do
      add(copy, name:lower(), check_value(name, item))
    end
  end
  copy["content-type"] = copy["content-type"] or kind
  return copy
end

local function check_status(status)
  if not math.type(status) or math.tointeger(status) == nil then
    error("the status is no integer", 0)
  elseif status < 200 or status > 999 then
    error(("the status %d is not one of 200 to 999"):format(status), 0)
  end
  return math.tointeger(status)
end

local function refuse(self)
  local status = self.refused
  self.answer = {
    status = status, headers = { ["content-type"] = TEXT },
    body = ("%d %s\n"):format(status, core.reason(status)),
  }
  if self.method == "HEAD" then self.answer.body = "" end
  return status
end

function Fake:start(status, headers, kind)
  if self.refused then return refuse(self) end
  status = check_status(status)
  self.answer = {
    status = status, headers = copy_headers(headers, kind), body = "",
  }
  self.pieces = {}
  return status, self.method ~= "HEAD" and status ~= 204 and status ~= 304
end

function Fake:respond(status, headers, kind, body)
  local sent, wanted = self:start(status, headers, kind)
  if not wanted then return sent, 0 end
  self.answer.body = body or ""
  return sent, #self.answer.body
end

function Fake:chunk(data)
  self.pieces[#self.pieces + 1] = data
  return true
end

function Fake:finish()
  self.answer.body = table.concat(self.pieces)
end

return { new = new }
