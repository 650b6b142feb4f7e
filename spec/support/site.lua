--- A web site for specs of clients, which can misbehave as no server built
--- on sluice.http would: what is sent is written byte by byte.

local net = require "sluice.net"
local sluice = require "sluice"

local site = {}

local Site = {}
Site.__index = Site

--- An answer's bytes. `headers` may set a Content-Length of its own.
function site.answer(status, headers, body)
  local lines = { ("HTTP/1.1 %d Whatever"):format(status) }
  local own_length = false
  for name, value in pairs(headers or {}) do
    own_length = own_length or name == "Content-Length"
    lines[#lines + 1] = name .. ": " .. value
  end
  if not own_length then
    lines[#lines + 1] = "Content-Length: " .. #(body or "")
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

--- An answer that is a page of HTML.
function site.page(body)
  return site.answer(200, { ["Content-Type"] = "text/html" }, body)
end

-- The path of the next request, whose head is read; nil at the end.
local function read_request(stream)
  local line = stream:readline()
  local path = line and line:match("^%u+ (%S+) HTTP/1.1$")
  repeat
    line = path and stream:readline()
  until not line or line == ""
  return line and path
end

local function serve_one(self, stream, path)
  self.hits[path] = (self.hits[path] or 0) + 1
  self.busy = self.busy + 1
  self.busiest = math.max(self.busiest, self.busy)
  local answer = self.answer(path, stream)
  self.busy = self.busy - 1
  return answer and stream:write(answer)
end

local function serve_all(self, stream)
  for path in read_request, stream do
    if not serve_one(self, stream, path) then break end
  end
end

--- Serves on a free port of 127.0.0.1. To be closed.
-- @param answer called with a path and the stream: the bytes to send; nil
-- if it has done all itself, and the connection is to end
-- @param[opt] tls as of net.serve
-- @return the site: `url`, without a path; `hits`, how often each path was
-- asked for; `busiest`, how many requests were answered at once
function site.serve(answer, tls)
  local self = setmetatable({
    answer = answer, hits = {}, busy = 0, busiest = 0,
  }, Site)
  self.server = assert(net.serve(function(stream)
    serve_all(self, stream)
  end, "127.0.0.1", 0, { tls = tls }))
  local _, port = self.server:sockname()
  self.url = ("http%s://127.0.0.1:%d"):format(tls and "s" or "", port)
  return self
end

function Site:__close() self.server:close() end

-- -- answers that misbehave --

--- A page without an end, a byte every now and then.
function site.trickle(stream)
  stream:write(site.answer(200, { ["Content-Length"] = 1000000 }))
  repeat
    local ok = stream:write "x"
    sluice.sleep(0.05)
  until not ok
end

--- A page in chunks, as many megabytes as the reader takes.
function site.flood(stream, megabytes)
  local chunk = ("10000\r\n%s\r\n"):format(("x"):rep(0x10000))
  local ok = stream:write(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
  for _ = 1, 16 * megabytes do ok = ok and stream:write(chunk) end
  if ok then stream:write "0\r\n\r\n" end
end

--- A server that resets every connection. To be closed; its `url`.
function site.serve_resets()
  local server = assert(net.serve(function()
    sluice.sleep(0.02) -- what has come by then is not read
  end, "127.0.0.1", 0))
  local _, port = server:sockname()
  return setmetatable({ url = "http://127.0.0.1:" .. port }, {
    __close = function() server:close() end,
  })
end

return site
