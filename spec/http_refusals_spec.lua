local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local it = testing.it
local answers, bytes = support.answers, support.bytes
local exchange, with_app = support.exchange, support.with_app

local HOST = "Host: a\n"
local GET = "GET / HTTP/1.1\n" .. HOST
local POST = "POST / HTTP/1.1\n" .. HOST
local CHUNKED = POST .. "Transfer-Encoding: chunked\n\n"
local SMUGGLED = bytes "GET /smuggled HTTP/1.1\nHost: a\n\n"

-- An application that reads every body, and the requests it was given.
local function noting(limits)
  local app, seen = http.App(limits), {}
  local function handler(request)
    seen[#seen + 1] = request.path
    return request:text() or "no body"
  end
  app:use(handler)
  return app, seen
end

-- Sends bytes with a request behind them; fn(list of answers, paths seen).
local function send(data, limits, fn)
  local app, seen = noting(limits)
  with_app(app, function(port)
    fn(answers(exchange(port, data .. SMUGGLED)), seen)
  end)
end

-- The text (LF stands for CRLF) is answered by the status, and that is all;
-- `read`: so many requests reach the application before.
local function refused_bytes(status, data, limits, read)
  send(data, limits, function(list, seen)
    assert.equal(1, #list, data)
    assert.equal(status, list[1].status, data)
    assert.equal("close", list[1].headers.connection)
    assert.matches("^" .. status .. " ", list[1].body)
    assert.equal(read or 0, #seen, data)
  end)
end

local function refused(status, text, limits)
  refused_bytes(status, bytes(text), limits)
end

-- Refused when the application reads the body.
local function refused_body(status, text, limits)
  refused_bytes(status, bytes(text), limits, 1)
end

-- The text is a request, and the one behind it another.
local function accepted(text, limits)
  send(bytes(text), limits, function(list, seen)
    assert.equal("/smuggled", seen[2], text)
    assert.equal(200, list[1].status)
    assert.equal(2, #list)
  end)
end

describe("a Host", function()
  it("that is missing is refused", function()
    refused(400, "GET / HTTP/1.1\n\n")
    refused(400, "GET / HTTP/1.1\nHosts: a\n\n")
  end)

  it("that is repeated is refused", function()
    refused(400, GET .. "Host: a\n\n")
    refused(400, GET .. "host: b\n\n")
    refused(400, "GET / HTTP/1.0\n" .. HOST .. "HOST: b\n\n")
    refused(400, "GET http://a/ HTTP/1.1\n" .. HOST .. HOST .. "\n")
  end)

  it("that is no host is refused", function()
    for _, host in ipairs {
      "a b", "a/b", "u@a", "a:b", "a:1:2", "a, b", "[::1", "[]", "a?b",
      "a#b", "%zz", "a\\b", "\195\164",
    } do
      refused(400, "GET / HTTP/1.1\nHost: " .. host .. "\n\n")
    end
  end)

  it("may be empty, an address, have a port", function()
    for _, host in ipairs { "", "a:", "a:80", "[::1]:80", "127.0.0.1" } do
      accepted("GET / HTTP/1.1\nHost: " .. host .. "\n\n")
    end
  end)
end)

describe("a request line", function()
  it("with spaces too many is refused", function()
    refused(400, "GET  / HTTP/1.1\n" .. HOST .. "\n")
    refused(400, "GET /  HTTP/1.1\n" .. HOST .. "\n")
    refused(400, "GET / HTTP/1.1 \n" .. HOST .. "\n")
    refused(400, " GET / HTTP/1.1\n" .. HOST .. "\n")
    refused(400, "GET\t/ HTTP/1.1\n" .. HOST .. "\n")
    refused(400, "GET /a b HTTP/1.1\n" .. HOST .. "\n")
  end)

  it("with a fragment in its target is refused", function()
    refused(400, "GET /#x HTTP/1.1\n" .. HOST .. "\n")
    refused(400, "GET /?q#x HTTP/1.1\n" .. HOST .. "\n")
    refused(400, "GET http://a/#x HTTP/1.1\n" .. HOST .. "\n")
  end)

  it("with a target that is none is refused", function()
    for _, target in ipairs {
      "x", "?x", "*", "ftp://a/", "http:///x", "http://u@a/", "http://a:x/",
      "/\1", "/\127", "/\195\164", "a:80",
    } do
      refused(400, "GET " .. target .. " HTTP/1.1\n" .. HOST .. "\n")
    end
    refused(400, "GET /%zz HTTP/1.1\n" .. HOST .. "\n")
  end)

  it("with a method that nobody has is refused", function()
    refused(501, "BREW / HTTP/1.1\n" .. HOST .. "\n")
    refused(501, "get / HTTP/1.1\n" .. HOST .. "\n")
    refused(501, "CONNECT a:80 HTTP/1.1\n" .. HOST .. "\n")
    refused(501, ("A"):rep(100) .. " / HTTP/1.1\n" .. HOST .. "\n")
    refused(400, "G@T / HTTP/1.1\n" .. HOST .. "\n")
  end)

  it("may come after empty lines", function()
    accepted("\n\n" .. GET .. "\n")
  end)
end)

describe("another protocol", function()
  it("than HTTP/1.0 and 1.1 is refused", function()
    refused(505, "GET / HTTP/0.9\n" .. HOST .. "\n")
    refused(505, "GET / HTTP/1.2\n" .. HOST .. "\n")
    refused(505, "GET / HTTP/2.0\n" .. HOST .. "\n")
    refused(505, "GET / HTTP/3.0\n" .. HOST .. "\n")
    refused(505, "PRI * HTTP/2.0\n\nSM\n\n")
    refused(400, "GET / http/1.1\n" .. HOST .. "\n")
    refused(400, "GET / HTTP/1.10\n" .. HOST .. "\n")
    refused(400, "GET / HTTP/11\n" .. HOST .. "\n")
  end)

  it("as HTTP/0.9 without a version is refused", function()
    refused(400, "GET /\n")
    refused(400, "GET /\n\n")
    refused(400, "GET /\n" .. HOST .. "\n")
    refused_bytes(400, "GET /\n")
  end)

  it("as RTSP or ICE is refused", function()
    refused(400, "OPTIONS / RTSP/1.0\n" .. HOST .. "\n")
    refused(400, "DESCRIBE / RTSP/1.0\n" .. HOST .. "\n")
    refused(400, "GET / RTSP/1.1\n" .. HOST .. "\n")
    refused(400, "SOURCE / ICE/1.0\n" .. HOST .. "\n")
  end)

  it("as TLS, or what is no request at all, is refused", function()
    refused_bytes(400, "\22\3\1\2\0\1\0\1\252\3\3")
    refused(400, "HTTP/1.1 200 OK\n\n")
    refused(501, "hello world\n")
    refused(400, '{"a": 1}\n')
    refused_bytes(400, "\0")
  end)
end)

describe("a field", function()
  it("that is folded is refused", function()
    refused(400, GET .. "X: a\n b\n\n")
    refused(400, GET .. "X: a\n\tb\n\n")
    refused(400, GET .. "X: a\n \n\n")
    refused(400, "GET / HTTP/1.1\nHost: a\n b\n\n")
    refused(400, "GET / HTTP/1.1\n " .. HOST .. "\n")
  end)

  it("whose value begins on the next line is refused", function()
    refused(400, GET .. "X:\n b\n\n")
    refused(400, GET .. "X: \n\tb\n\n")
    refused(400, GET .. "X:\n \n\n")
    refused(400, GET .. "Content-Length:\n 5\n\nhello")
    refused(400, POST .. "Transfer-Encoding:\n chunked\n\n0\n\n")
  end)

  it("without a name is refused", function()
    refused(400, GET .. ": b\n\n")
    refused(400, GET .. ":\n\n")
    refused(400, "GET / HTTP/1.1\n: a\n" .. HOST .. "\n")
  end)

  it("whose name is no token is refused", function()
    refused(400, GET .. "X : b\n\n")
    refused(400, GET .. "X\t: b\n\n")
    refused(400, POST .. "Transfer-Encoding : chunked\n\n0\n\n")
    refused(400, GET .. "X Y: b\n\n")
    refused(400, GET .. "X\n\n")
    refused(400, GET .. '"X": b\n\n')
    refused(400, GET .. "X\128: b\n\n")
  end)

  it("whose value has a control is refused", function()
    refused_bytes(400, bytes(GET) .. "X: \0\r\n\r\n")
    refused_bytes(400, bytes(GET) .. "X: \1\r\n\r\n")
    refused_bytes(400, bytes(GET) .. "X: \127\r\n\r\n")
  end)

  it("that does not end in CRLF is refused", function()
    refused_bytes(400, "GET / HTTP/1.1\nHost: a\n\n")
    refused_bytes(400, "GET / HTTP/1.1\r\nHost: a\n\r\n")
    refused_bytes(400, bytes(GET) .. "X: a\rY: b\r\n\r\n")
    refused_bytes(400, bytes(GET) .. "X: a\nY: b\r\n\r\n")
    refused_bytes(400, bytes(GET) .. "\n")
  end)
end)

describe("a Content-Length", function()
  local function length(value, body)
    return POST .. "Content-Length: " .. value .. "\n\n" .. (body or "")
  end

  it("that is no number is refused", function()
    for _, value in ipairs {
      "", "-1", "+1", "0x1", "1 1", "1, 1", "1,2", "1.0", "1e3", "one",
      "18446744073709551616", ("9"):rep(40), "1;", "\1791",
    } do
      refused(400, length(value, "a"))
    end
  end)

  it("that is repeated is refused", function()
    local twice = POST .. "Content-Length: %s\nContent-Length: %s\n\nab"
    refused(400, twice:format(1, 1))
    refused(400, twice:format(1, 2))
    refused(400, twice:format("", 1))
  end)

  it("beside a Transfer-Encoding is refused", function()
    local coding = "Transfer-Encoding: chunked\n"
    for _, value in ipairs { 0, 4, 100 } do
      local field = "Content-Length: " .. value .. "\n"
      refused(400, POST .. field .. coding .. "\n0\n\n")
      refused(400, POST .. coding .. field .. "\n0\n\n")
    end
  end)

  it("may have zeros before it", function()
    accepted(length("002", "ab"))
    accepted(length("0"))
  end)
end)

describe("a Transfer-Encoding", function()
  local function coded(value)
    return POST .. "Transfer-Encoding: " .. value .. "\n\n0\n\n"
  end

  it("in HTTP/1.0 is refused", function()
    refused(400, (coded "chunked":gsub("1%.1", "1.0")))
  end)

  it("that is unknown before chunked is refused by 501", function()
    refused(501, coded "gzip, chunked")
    refused(501, coded "gzip\nTransfer-Encoding: chunked")
  end)

  it("that does not end in one chunked is refused", function()
    for _, value in ipairs {
      "gzip", "identity", "chunked, gzip", "chunked, chunked", "", ",",
      ",chunked", "chunked,", "xchunked", "chunked;a=b", "chunked\t",
      '"chunked"', "\11chunked", "chunked\nTransfer-Encoding: chunked",
      "chunked\nTransfer-Encoding: identity",
    } do
      refused(400, coded(value))
    end
  end)
end)

describe("a chunk", function()
  it("whose size is none is refused", function()
    for _, size in ipairs { "", "x", "-1", "+1", "0x1", " 1", "1 ", "g" } do
      refused_body(400, CHUNKED .. size .. "\nx\n0\n\n")
    end
    refused_body(400, CHUNKED .. ("1"):rep(17) .. "\nx\n0\n\n")
    refused_body(413, CHUNKED .. ("f"):rep(16) .. "\nx\n0\n\n")
  end)

  it("that is not as long as it says is refused", function()
    refused_body(400, CHUNKED .. "1\nxy\n0\n\n")
    refused_body(400, CHUNKED .. "3\nx\n0\n\n" .. "x")
  end)

  it("whose lines do not end in CRLF is refused", function()
    local head = bytes(CHUNKED)
    for _, body in ipairs {
      "1\nx\r\n0\r\n\r\n", "1\r\nx\n0\r\n\r\n", "1\rx\r\n0\r\n\r\n",
      "1;a\nb\r\nx\r\n0\r\n\r\n", "0\n\r\n", "0\r\n\n",
    } do
      refused_bytes(400, head .. body, nil, 1)
    end
  end)

  it("with an extension is read as if it had none", function()
    accepted(CHUNKED .. '5;a="b";c=d\nhello\n0;e\n\n')
  end)
end)

describe("a trailer", function()
  it("is checked as the head is", function()
    refused_body(400, CHUNKED .. "0\nX: a\n b\n\n")
    refused_body(400, CHUNKED .. "0\nX:\n b\n\n")
    refused_body(400, CHUNKED .. "0\n: b\n\n")
    refused_body(400, CHUNKED .. "0\nX : b\n\n")
    refused_body(400, CHUNKED .. "0\nTransfer-Encoding: chunked\n\n")
  end)

  it("is passed over, also when it says a length", function()
    accepted(CHUNKED .. "2\nab\n0\nX: a\nY:\n\n")
    accepted(CHUNKED .. "2\nab\n0\nContent-Length: 5\n\n")
  end)
end)

-- A text of n bytes: the two, and filling between them.
local function filled(n, first, last)
  return first .. ("x"):rep(n - #first - #last) .. last
end

describe("a size", function()
  it("of a head beyond 16 KiB is refused", function()
    local head = bytes(GET .. "X: ")
    send(filled(16384, head, "\r\n\r\n"), nil, function(list)
      assert.equal(200, list[1].status)
    end)
    refused_bytes(431, filled(16385, head, "\r\n\r\n"))
    refused_bytes(431, filled(100000, head, ""))
    refused_bytes(431, ("\n"):rep(16384))
    refused_bytes(431, bytes(GET) .. "X: 1\r\n\r\n", { max_head = 32 })
  end)

  it("of a target beyond 8 KiB is refused", function()
    local rest = " HTTP/1.1\n" .. HOST .. "\n"
    accepted("GET " .. filled(8192, "/", "") .. rest)
    refused(414, "GET " .. filled(8193, "/", "") .. rest)
    refused(414, "GET " .. filled(8193, "/?", "") .. rest)
    refused(414, "GET " .. filled(100000, "/", ""))
    refused(414, "GET /345" .. rest, { max_target = 3 })
  end)

  it("of more than 100 fields is refused", function()
    accepted(GET .. ("X: a\n"):rep(99) .. "\n")
    refused(431, GET .. ("X: a\n"):rep(100) .. "\n")
    refused(431, GET .. "X: a\nY: b\n\n", { max_fields = 2 })
  end)

  it("of a body beyond 1 MiB is refused", function()
    refused(413, POST .. "Content-Length: 1048577\n\n")
    refused(413, POST .. "Content-Length: 18446744073709551615\n\n")
    refused_body(413, CHUNKED .. "100001\n")
    refused_body(413, CHUNKED .. "2\nab\n2\ncd\n0\n\n", { max_body = 3 })
    accepted(CHUNKED .. "2\nab\n1\nc\n0\n\n", { max_body = 3 })
  end)

  it("of chunk extensions beyond that of a head is refused", function()
    refused_bytes(413, bytes(CHUNKED)
      .. filled(17000, "1;", "\r\nx\r\n0\r\n\r\n"), nil, 1)
    refused_bytes(413, bytes(CHUNKED)
      .. ("1;" .. ("x"):rep(200) .. "\r\nx\r\n"):rep(100), nil, 1)
    refused_bytes(413, bytes(CHUNKED) .. ("0"):rep(17000), nil, 1)
  end)

  it("of a trailer beyond that of a head is refused", function()
    refused_bytes(431, bytes(CHUNKED)
      .. filled(17000, "0\r\nX: ", "\r\n\r\n"), nil, 1)
    refused_body(431, CHUNKED .. "0\n" .. ("X: a\n"):rep(100) .. "\n")
  end)
end)

describe("an expectation", function()
  local head = "POST / HTTP/1.1\nHost: a\nContent-Length: %s\nExpect: %s\n\n"

  it("that is unknown is refused", function()
    refused(417, head:format(1, "200-ok"))
    refused(417, head:format(1, "100-continue, x"))
  end)

  it("of 100 is not met when the body is too long", function()
    local app = noting()
    with_app(app, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes(head:format(1048577, "100-continue")))
      assert.matches("^HTTP/1.1 413 ", (stream:read_all()))
    end)
  end)
end)

describe("after a refusal", function()
  it("no byte is taken as a request, however late it comes", function()
    local app, seen = noting()
    with_app(app, function(port)
      local stream <close> = sockets.connect(port)
      stream:write "GET  / HTTP/1.1\r\n\r\n"
      assert.matches("^HTTP/1.1 400 ", (stream:readuntil "\r\n\r\n"))
      for _ = 1, 3 do
        if not stream:write(SMUGGLED) then break end
        sluice.sleep(0.01)
      end
      assert.equal(1, #answers("HTTP/1.1 400 x\r\n\r\n"
        .. stream:read_all()))
    end)
    assert.same({}, seen)
  end)

  it("of a body none is, either", function()
    for _, body in ipairs { "x\n", "1\nxy\n", "ffffffffff\n" } do
      local app, seen = noting()
      with_app(app, function(port)
        exchange(port, bytes(CHUNKED .. body) .. SMUGGLED .. SMUGGLED)
      end)
      assert.same({ "/" }, seen)
    end
  end)

  it("the requests before it are answered", function()
    send(bytes(GET .. "\n" .. POST .. "Content-Length: 2\n\nab"
      .. GET .. "X : b\n\n"), nil, function(list, seen)
      assert.equal(3, #list)
      assert.equal("ab", list[2].body)
      assert.equal(400, list[3].status)
      assert.same({ "/", "/" }, seen)
    end)
  end)
end)

describe("bytes after Connection: close", function()
  it("are no request, and the answer goes out", function()
    for _, rest in ipairs { SMUGGLED, "nonsense", "\0\0", " " } do
      local app, seen = noting()
      with_app(app, function(port)
        local list = answers(exchange(port,
          bytes(POST .. "Connection: close\nContent-Length: 2\n\nab")
          .. rest))
        assert.equal(1, #list)
        assert.equal("ab", list[1].body)
        assert.equal("close", list[1].headers.connection)
      end)
      assert.same({ "/" }, seen)
    end
  end)

  it("nor are those after the answer to HTTP/1.0", function()
    local app, seen = noting()
    with_app(app, function(port)
      local list = answers(exchange(port, "GET / HTTP/1.0\r\n\r\n"
        .. SMUGGLED))
      assert.equal(1, #list)
      assert.equal(200, list[1].status)
    end)
    assert.same({ "/" }, seen)
  end)
end)

describe("an Upgrade", function()
  local UPGRADE = "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\n"
    .. "HTTP2-Settings: AAMAAABkAAQAAP__\n"

  it("to h2c is passed over, and the connection goes on", function()
    accepted(GET .. UPGRADE .. "\n")
    accepted(POST .. UPGRADE .. "Content-Length: 2\n\nab")
    accepted(POST .. UPGRADE .. "Transfer-Encoding: chunked\n\n0\n\n")
    accepted(GET .. "Connection: Upgrade\nUpgrade: websocket\n\n")
  end)

  it("is not made: HTTP/2 after it is refused", function()
    local app, seen = noting()
    with_app(app, function(port)
      local list = answers(exchange(port, bytes(GET .. UPGRADE .. "\n"
        .. "PRI * HTTP/2.0\n\nSM\n\n") .. SMUGGLED))
      assert.equal(200, list[1].status)
      assert.equal(505, list[2].status)
      assert.equal(2, #list)
    end)
    assert.same({ "/" }, seen)
  end)
end)

describe("a header of an answer", function()
  -- What a handler that sets it leads to: the status, and what is logged.
  local function answer(headers)
    local app, status = http.App()
    app:get("/", function() return 200, "x", headers end)
    local log = support.catch_stderr(function()
      with_app(app, function(port)
        local text = exchange(port, bytes(GET .. "\n"))
        assert.is_nil(text:find("injected", 1, true))
        status = answers(text)[1].status
      end)
    end)
    return status, log
  end

  it("with CR, LF, NUL or another control is an error", function()
    for _, value in ipairs {
      "a\r\ninjected: b", "a\ninjected: b", "a\rinjected", "a\0injected",
      "\127injected", "a\r\n\r\ninjected", "a\r\n injected",
    } do
      local status, log = answer { X = value }
      assert.equal(500, status)
      assert.matches("invalid value of the header 'X'", log)
      assert.equal(500, (answer { X = { "fine", value } }))
      assert.equal(500, (answer { ["Content-Type"] = value }))
    end
  end)

  it("whose name is no token is an error", function()
    for _, name in ipairs { "", "a b", "a:", "a\r\ninjected", "a\0", "ä" } do
      local status, log = answer { [name] = "b" }
      assert.equal(500, status)
      assert.matches("invalid name of a header", log)
    end
  end)

  it("that frames is not a handler's to set", function()
    for _, name in ipairs {
      "Content-Length", "transfer-encoding", "Connection",
    } do
      local status, log = answer { [name] = "1" }
      assert.equal(500, status)
      assert.matches("is set by the server", log)
    end
  end)
end)

describe("a path", function()
  it("forges no line of a log", function()
    local app, lines = http.App(), {}
    app:get("/{rest*}", function() error("oops", 0) end)
    local log = support.catch_stderr(function()
      with_app(app, function(port)
        exchange(port, bytes("GET /%0aforged%1b HTTP/1.1\n" .. HOST .. "\n"))
      end, { access_log = function(line) lines[#lines + 1] = line end })
    end)
    assert.matches("error in GET /\\x0aforged\\x1b: oops", log)
    assert.matches('"GET /%%0aforged%%1b HTTP', lines[1])
  end)
end)

describe("a time limit", function()
  -- Sends the pieces and then nothing; returns what came and after how long.
  local function wait_for(pieces, limits)
    local app, text, took = noting(limits)
    with_app(app, function(port)
      local stream <close> = sockets.connect(port)
      local began = sluice.time()
      for _, piece in ipairs(pieces) do
        stream:write(bytes(piece))
        sluice.sleep(0.01)
      end
      text, took = stream:read_all(), sluice.time() - began
    end)
    return text, took
  end

  local function is_late(seconds, text, took)
    text = text:gsub("^HTTP/1%.1 100 Continue\r\n\r\n", "")
    assert.equal(408, answers(text)[1].status)
    assert.equal("close", answers(text)[1].headers.connection)
    assert.equal(1, #answers(text))
    assert.is_true(took >= seconds and took < seconds + 1)
  end

  it("is 10 s for a head", function()
    is_late(10, wait_for { "G" })
    is_late(10, wait_for { "GET / HTTP/1.1\nHost: a\n", "X: 1\n" })
    is_late(10, wait_for { "\n" })
  end)

  it("is 30 s between two pieces of a body", function()
    is_late(30, wait_for { POST .. "Content-Length: 5\n\nab" })
    is_late(30, wait_for { CHUNKED .. "5\nab" })
    is_late(30, wait_for { POST .. "Content-Length: 5\n"
      .. "Expect: 100-continue\n\n" })
  end, { timeout = 100 })

  it("is there for the whole of a body", function()
    local pieces = { POST .. "Content-Length: 200\n\n" }
    for i = 2, 120 do pieces[i] = "x" end
    local text, took = wait_for(pieces, { body_total_timeout = 1 })
    assert.equal(408, answers(text)[1].status)
    assert.is_true(took < 1.5)
  end)

  it("is 60 s for an idle connection, which is closed", function()
    local text, took = wait_for {}
    assert.equal("", text)
    assert.is_true(took >= 60 and took < 61)
  end, { timeout = 100 })
end)
