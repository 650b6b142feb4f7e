--- sluice.http.test: an application's answers without a socket.
--
-- The one idea: a stand-in for a connection, that takes the request from a
-- table and keeps the answer in one; everything else is the code that serves.
--
-- Internal to sluice.http.

local sluice = require "sluice"
local core = require "sluice.core.http"
local answer = require "sluice.http.answer"
local Request = require "sluice.http.request"

local Fake = {}
Fake.__index = Fake

function Fake:body()
  if #self.content > self.max_body then
    self.refused = 413
    return nil, "the body is too long"
  end
  self.at = #self.content + 1
  return self.content
end

function Fake:read(n)
  if self.at > #self.content then return nil, "eof" end
  local piece = self.content:sub(self.at, n and self.at + n - 1)
  self.at = self.at + #piece
  return piece
end

local function copy_headers(headers, kind)
  local copy = {}
  for name, value in pairs(headers or {}) do
    local list = type(value) == "table" and value or { value }
    for _, item in ipairs(list) do
      local fault = core.check_header(name, tostring(item))
      if fault then error(fault .. " of a header", 0) end
    end
    copy[name:lower()] = type(value) == "table" and value or tostring(value)
  end
  copy["content-type"] = copy["content-type"] or kind
  return copy
end

function Fake:start(status, headers, kind)
  if self.refused then
    status, headers, kind = self.refused, nil, "text/plain; charset=utf-8"
  end
  self.answer = {
    status = status, headers = copy_headers(headers, kind), body = "",
  }
  local bare = self.method == "HEAD" or status == 204 or status == 304
  return status, not bare and not self.refused
end

function Fake:respond(status, headers, kind, body)
  local sent, wanted = self:start(status, headers, kind)
  if wanted then self.answer.body = body end
  return sent
end

function Fake:chunk(data)
  self.answer.body = self.answer.body .. data
  return true
end

function Fake:finish() end

local function head_of(options, target)
  local lines = { ("%s %s HTTP/1.1"):format(options.method, target) }
  for name, value in pairs(options.headers or {}) do
    lines[#lines + 1] = ("%s: %s"):format(name, value)
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function run(app, dispatch, options, describe, log_error)
  local target = options.path or "/"
  local path, query = target:match("^([^?#]*)%??([^#]*)")
  local conn = setmetatable({
    method = options.method, content = options.body or "", at = 1,
    max_body = app.limits.max_body,
  }, Fake)
  local decoded = core.decode(path)
  local request = setmetatable({
    method = options.method, path = decoded or path, peer = "test",
    _head = head_of(options, target), _query = query, _conn = conn,
  }, Request)
  local ok, err = xpcall(function()
    answer.send(conn, dispatch(request, decoded ~= path and path or nil))
  end, describe)
  if not ok then
    if sluice.is_cancelled(err) then sluice.sleep(0) end
    log_error(("error in %s %s: %s"):format(request.method, request.path,
      tostring(err)))
    answer.send_status(conn, 500, "Internal Server Error")
  end
  request._conn = nil
  return conn.answer
end

return { run = run }
