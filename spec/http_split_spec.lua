local effort = require "spec.support.effort"
local http = require "sluice.http"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local bytes = support.bytes
local STEP = 10 // effort(10) -- every byte, unless everything is slow

local HOST = "Host: a.example\n"
local POST = "POST /a HTTP/1.1\n" .. HOST
local LAST = "GET /last HTTP/1.1\n" .. HOST .. "Connection: close\n\n"

-- Each is a conversation at whose end the server closes.
local conversations = {
  ["a GET"] = "GET /a%20b;c?q=1+2&r HTTP/1.1\n" .. HOST
    .. "Accept: */*\nX-Empty:\nX-Blanks: \t a b \t \nCookie: a=b\n"
    .. "Cookie: c=d\nConnection: close\n\n",
  ["a GET of HTTP/1.0"] = "GET /a HTTP/1.0\n\n",
  ["an absolute target"] = "GET http://b:80?q HTTP/1.1\n" .. HOST
    .. "Connection: close\n\n",
  ["a HEAD"] = "HEAD /a HTTP/1.1\n" .. HOST .. "\n" .. LAST,
  ["empty lines before it"] = "\n\n" .. LAST,
  ["a body with a length"] = POST
    .. "Content-Length: 13\nConnection: close\n\nhello\n\nworld",
  ["a body in chunks"] = POST .. "Transfer-Encoding: chunked\n"
    .. "Connection: close\n\n5;a=\"b\";c\nhello\n00a\n0123456789\n0\n\n",
  ["a trailer"] = POST .. "Transfer-Encoding: chunked\n"
    .. "Connection: close\n\n1\nx\n0;a\nX-Sum: 1\nY:\n\n",
  ["a form"] = "POST /form HTTP/1.1\n" .. HOST .. "Connection: close\n"
    .. "Content-Type: application/x-www-form-urlencoded\n"
    .. "Content-Length: 13\n\na=1+2&b=%C3%A4",
  ["two requests"] = POST .. "Content-Length: 5\n\nhello" .. LAST,
  ["chunks, then a request"] =
    POST .. "Transfer-Encoding: chunked\n\n2\nab\n0\n\n" .. LAST,
  ["three requests"] = "GET /fail HTTP/1.1\n" .. HOST .. "\n"
    .. "DELETE /chunks HTTP/1.1\n" .. HOST .. "\n"
    .. "GET /chunks HTTP/1.1\n" .. HOST .. "Connection: close\n\n",
  ["an expectation"] = POST .. "Content-Length: 5\n"
    .. "Expect: 100-continue\n\nhello" .. LAST,
  ["an upgrade"] = "GET /a HTTP/1.1\n" .. HOST .. "Upgrade: h2c\n"
    .. "Connection: Upgrade\n\n" .. LAST,
  ["bytes after the last"] = LAST .. LAST,
}

-- Each is refused, after a request that is answered.
local refusals = {
  ["no Host"] = "GET / HTTP/1.1\n\n",
  ["a Host twice"] = "GET / HTTP/1.1\n" .. HOST .. HOST .. "\n",
  ["an invalid Host"] = "GET / HTTP/1.1\nHost: a b\n\n",
  ["a folded field"] = "GET / HTTP/1.1\n" .. HOST .. "X: a\n b\n\n",
  ["a field folded at once"] = "GET / HTTP/1.1\n" .. HOST .. "X:\n b\n\n",
  ["a nameless field"] = "GET / HTTP/1.1\n" .. HOST .. ": b\n\n",
  ["a blank before a colon"] = "GET / HTTP/1.1\n" .. HOST .. "X : b\n\n",
  ["HTTP/0.9"] = "GET /\n" .. HOST .. "\n",
  ["HTTP/2.0"] = "GET / HTTP/2.0\n" .. HOST .. "\n",
  ["HTTP/2"] = "PRI * HTTP/2.0\n\nSM\n\n",
  ["RTSP"] = "OPTIONS / RTSP/1.0\n" .. HOST .. "\n",
  ["two spaces"] = "GET  / HTTP/1.1\n" .. HOST .. "\n",
  ["a fragment"] = "GET /#x HTTP/1.1\n" .. HOST .. "\n",
  ["an unknown method"] = "BREW / HTTP/1.1\n" .. HOST .. "\n",
  ["no request"] = "nonsense\n\n",
  ["both lengths"] = POST .. "Content-Length: 4\n"
    .. "Transfer-Encoding: chunked\n\n0\n\n",
  ["two lengths"] = POST .. "Content-Length: 1\nContent-Length: 2\n\nab",
  ["a signed length"] = POST .. "Content-Length: +1\n\na",
  ["a coding before chunked"] =
    POST .. "Transfer-Encoding: gzip, chunked\n\n0\n\n",
  ["chunks in HTTP/1.0"] =
    "POST /a HTTP/1.0\nTransfer-Encoding: chunked\n\n0\n\n",
  ["a broken chunk"] = POST .. "Transfer-Encoding: chunked\n\n2\nabc\n0\n\n",
  ["a broken size"] = POST .. "Transfer-Encoding: chunked\n\n-2\nab\n0\n\n",
  ["a folded trailer"] =
    POST .. "Transfer-Encoding: chunked\n\n0\nX: a\n b\n\n",
  ["an unknown expectation"] =
    POST .. "Content-Length: 1\nExpect: a-reply\n\na",
  ["a long body"] = POST .. "Content-Length: 41\n\n" .. ("x"):rep(41),
  ["many chunks"] = POST .. "Transfer-Encoding: chunked\n\n"
    .. "14\n01234567890123456789\n15\n012345678901234567890\n0\n\n",
  ["a long target"] = "GET /" .. ("x"):rep(40) .. " HTTP/1.1\n\n",
  ["a long head"] = "GET / HTTP/1.1\n" .. HOST .. "X: " .. ("x"):rep(300),
  ["many fields"] = "GET / HTTP/1.1\n" .. HOST .. ("X: a\n"):rep(6) .. "\n",
  ["an invalid escape"] = "GET /%zz HTTP/1.1\n" .. HOST .. "\n",
}
for name, text in pairs(refusals) do
  refusals[name] = "GET /a HTTP/1.1\n" .. HOST .. "\n" .. text .. LAST
end

local limits = {
  max_head = 256, max_target = 40, max_fields = 6, max_body = 40,
}

local function list(t)
  local lines = {}
  for name, value in pairs(t) do lines[#lines + 1] = name .. "=" .. value end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local function read_in_pieces(request)
  local pieces = {}
  for i = 1, math.huge do
    local piece, why = request:read(3)
    pieces[i] = piece or why
    if not piece then return table.concat(pieces) end
  end
end

-- Answers with what it understood.
local function telling_app(read)
  local app = http.App(limits)
  local function tell(request)
    local body = read(request) or "-"
    return table.concat({ request.method, request.path,
      list(request.headers), list(request.query), body }, "\n")
  end
  app:use(function(request, next)
    if request.path == "/chunks" or request.path == "/form" then
      return next(request)
    end
    return tell(request)
  end)
  app:get("/chunks", function()
    return coroutine.wrap(function()
      coroutine.yield "one"
      coroutine.yield "two"
    end)
  end)
  app:post("/form", function(request) return list(request:form()) end)
  return app
end

-- Returns what gives the server the time to see what was written: what is
-- sent on another connection afterwards has arrived.
local function seen_by_turns(client, peer)
  return function()
    for _ = 1, 3 do -- to accept, to begin to read, to read
      client:write "x"
      assert(peer:read() == "x")
      testing.settle()
    end
  end
end

-- What the server answers to the pieces, without what may differ: the date,
-- and whether the client had to be told to go on.
local function answers(port, pieces, seen)
  local stream <close> = sockets.connect(port)
  for i, piece in ipairs(pieces) do
    stream:write(piece)
    if i < #pieces then seen() end
  end
  local text = stream:read_all()
  text = text:gsub("HTTP/1%.1 100 Continue\r\n\r\n", "")
  return (text:gsub("\r\nDate: [^\r]*", ""))
end

local function byte_by_byte(text)
  local pieces = {}
  for i = 1, #text do pieces[i] = text:sub(i, i) end
  return pieces
end

-- Checks that however the text is cut, the server answers as if it was not.
local function check(text, read)
  sockets.with_pair(function(client, peer)
    local seen = seen_by_turns(client, peer)
    support.with_app(telling_app(read), function(port)
      local whole = answers(port, { text })
      assert.matches("\r\nConnection: close\r\n", whole)
      for i = 1, #text - 1, STEP do
        local pieces = { text:sub(1, i), text:sub(i + 1) }
        assert.equal(whole, answers(port, pieces, seen))
      end
      assert.equal(whole, answers(port, byte_by_byte(text), seen))
    end)
  end)
end

local function as_text(request) return request:text() end

local function each(kind, texts)
  local names = {}
  for name in pairs(texts) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local text = bytes(texts[name])
    testing.it(kind .. name, function() check(text, as_text) end)
    if text:find "POST" then
      testing.it(kind .. name .. ", read in pieces", function()
        check(text, read_in_pieces)
      end)
    end
  end
end

describe("however it is cut, the same answers get", function()
  each("", conversations)
end)

describe("however it is cut, refused in the same way is", function()
  each("", refusals)
end)
