local errors = require "spec.support.errors"
local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local plainly, it = it, testing.it
local answers, ask, bytes = support.answers, support.ask, support.bytes
local with_app = support.with_app

-- Serves one handler for GET and POST at every path.
local function with_handler(handler, fn, limits)
  local app = http.App(limits)
  app:get("/{path*}", handler)
  app:post("/{path*}", handler)
  with_app(app, fn)
end

local function post(body, fields)
  return ("POST / HTTP/1.1\nHost: a\n%sContent-Length: %d\n\n%s"):format(
    fields or "", #body, body)
end

-- What fn(request) returned when asked with these lines, and the answer.
local function seen_by(fn, text, limits)
  local seen, answer
  with_handler(function(request)
    seen = table.pack(fn(request))
    return "ok"
  end, function(port) answer = ask(port, text) end, limits)
  return seen, answer
end

describe("a request", function()
  it("tells its method, path and peer", function()
    local seen = seen_by(function(request)
      return request.method, request.path, request.peer, tostring(request)
    end, "GET /a%20b?c HTTP/1.1\nHost: a\n\n")
    assert.same({ "GET", "/a b", "127.0.0.1",
      "sluice.http.Request (GET /a b)", n = 4 }, seen)
  end)

  it("has headers, whatever the case of their names", function()
    local headers = seen_by(function(request) return request.headers end,
      "GET / HTTP/1.1\nHOST: a\nX-One:  1 \t\nx-two: a\nX-Two:b\n"
      .. "Cookie: c=1\nCookie: d=2\nEmpty:\n\n")[1]
    assert.equal("1", headers["X-ONE"])
    assert.is_nil(headers.nothing)
    local copy = {}
    for name, value in pairs(headers) do copy[name] = value end
    assert.same({ host = "a", ["x-one"] = "1", ["x-two"] = "a, b",
      cookie = "c=1; d=2", empty = "" }, copy)
  end)

  it("has a query, decoded", function()
    local query = seen_by(function(request) return request.query end,
      "GET /?a=1&b=x+y%26&b=2&c&=d&%zz=%4 HTTP/1.1\nHost: a\n\n")[1]
    assert.same({ a = "1", b = "x y&", c = "", [""] = "d",
      ["%zz"] = "%4" }, query)
    assert.same({}, seen_by(function(request) return request.query end,
      "GET / HTTP/1.1\nHost: a\n\n")[1])
  end)

  it("may have its target in absolute form", function()
    local seen = seen_by(function(request)
      return request.path, request.query.b
    end, "GET http://a/x?b=1 HTTP/1.1\nHost: a\n\n")
    assert.same({ "/x", "1", n = 2 }, seen)
  end)

  it("is refused when its path has an invalid escape", function()
    local seen, answer = seen_by(print, "GET /%zz HTTP/1.1\nHost: a\n\n")
    assert.is_nil(seen)
    assert.equal(400, answer.status)
    assert.equal("close", answer.headers.connection)
  end)

  it("keeps what it knows after the answer, but not its body", function()
    local request
    with_handler(function(given)
      request = given
      return "ok"
    end, function(port) ask(port, post("body", "X: 1\n")) end)
    assert.equal("1", request.headers.x)
    assert.same({}, request.query)
    for _, name in ipairs { "text", "json", "read" } do
      assert.matches("http_request_spec.lua:%d+: the request was answered, "
        .. "its body is gone", errors.of(function()
        local text = request[name](request)
        return text
      end))
    end
  end)

  -- The handler leaves a task in `request[method]`, and answers. Returns what
  -- the task came to, and the statuses and bodies of that and a next request.
  local function abandoned(method, wait)
    local app, reading = http.App(), nil
    app:post("/", function(request)
      reading = sluice.create_task(pcall, function()
        local text = request[method](request)
        return text
      end)
      sluice.sleep(wait)
      return "left"
    end)
    app:post("/next", function(request)
      sluice.sleep(1)
      return request:text()
    end)
    local list
    with_app(app, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\n")
      sluice.sleep(2)
      stream:write("abc" .. bytes("POST /next HTTP/1.1\nHost: a\n"
        .. "Connection: close\nContent-Length: 4\n\nnext"))
      list = answers(stream:read_all())
    end)
    return list, reading:await()
  end

  it("that was answered is not read on by another task", function()
    for _, method in ipairs { "text", "read" } do
      local list, ok, err = abandoned(method, 1)
      assert.is_false(ok)
      assert.matches("http_request_spec.lua:%d+: the request was answered, "
        .. "its body is gone$", err)
      assert.same({ "left", "next" }, { list[1].body, list[2].body })
    end
  end)

  it("is not taken for the one before by another task", function()
    for _, method in ipairs { "text", "read" } do
      local list, ok, text = abandoned(method, 2)
      assert.is_true(not ok or text == "abc")
      assert.same({ "left", "next" }, { list[1].body, list[2].body })
    end
  end)

  it("takes fields of a script's own", function()
    local seen = seen_by(function(request)
      request.user = "me"
      return request.user, request.unknown
    end, "GET / HTTP/1.1\nHost: a\n\n")
    assert.same({ "me", nil, n = 2 }, seen)
  end)
end)

describe("request:text", function()
  local function text(request)
    return request:text(), request:text()
  end

  it("returns the whole body, any number of times", function()
    assert.same({ "hello", "hello", n = 2 }, seen_by(text, post "hello"))
    assert.same({ "", "", n = 2 }, seen_by(text, post ""))
    assert.same({ "", "", n = 2 },
      seen_by(text, "GET / HTTP/1.1\nHost: a\n\n"))
  end)

  it("is binary safe", function()
    local body = "\0\r\n\255\r\n\r\n\0"
    local got
    with_handler(function(request)
      got = request:text()
      return "ok"
    end, function(port)
      support.exchange(port,
        bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 9\n\n" .. body)
    end)
    assert.equal(#body, 9)
    assert.equal(body, got)
  end)

  it("waits for a body that comes in pieces", function()
    with_handler(function(request) return (request:text()) end,
      function(port)
        local stream <close> = sockets.connect(port)
        for piece in bytes(post "hello"):gmatch "." do
          stream:write(piece)
          sluice.sleep(0.01)
        end
        stream:shutdown()
        assert.equal("hello", answers(stream:read_all())[1].body)
      end)
  end)

  it("returns a chunked body", function()
    assert.equal("hello world", seen_by(text,
      "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"
      .. "5\nhello\n6;x=y\n world\n0\nTrailer: t\n\n")[1])
  end)

  it("returns why there is none, and the client gets 413", function()
    local seen, answer = seen_by(text,
      "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"
      .. "6\nhello!\n0\n\n", { max_body = 5 })
    assert.is_nil(seen[1])
    assert.equal(413, answer.status)
    assert.equal("close", answer.headers.connection)
  end)

  it("returns why there is none, and the client gets 400", function()
    local seen, answer = seen_by(function(request) return request:text() end,
      "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5\nhelloX\n")
    assert.is_nil(seen[1])
    assert.is_string(seen[2])
    assert.equal(400, answer.status)
  end)

  it("returns that the client ended before", function()
    local seen = seen_by(function(request) return request:text() end,
      "POST / HTTP/1.1\nHost: a\nContent-Length: 9\n\nhalf")
    assert.same({ nil, "cut off", n = 2 }, seen)
  end)

  it("gives up on a body that does not come", function()
    with_handler(function(request)
      assert.same({ nil, "timeout" }, { request:text() })
      return "never mind"
    end, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 9\n\nx")
      local answer = answers(stream:read_all())[1]
      assert.equal(408, answer.status)
      assert.equal("close", answer.headers.connection)
    end)
  end)

  it("gives up on a body that comes too slowly in all", function()
    local began = sluice.time()
    with_handler(function(request)
      assert.same({ nil, "timeout" }, { request:text() })
      return "never mind"
    end, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 99\n\n")
      while stream:write "x" and sluice.time() < began + 30 do
        sluice.sleep(1)
      end
    end, { body_timeout = 2, body_total_timeout = 10 })
    assert.is_true(sluice.time() - began < 40)
  end)
end)

describe("Expect: 100-continue", function()
  local head = "POST / HTTP/1.1\nHost: a\nContent-Length: %s\n"
    .. "Expect: 100-continue\n\n"

  it("is answered when the body is first read", function()
    local read = sluice.Event()
    with_handler(function(request)
      read:wait()
      return (request:text())
    end, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes(head:format "5"))
      assert.same({ nil, "timeout" }, { stream:read(1, 1) })
      read:set()
      assert.equal("HTTP/1.1 100 Continue\r\n\r\n", stream:read())
      stream:write "hello"
      stream:shutdown()
      assert.equal("hello", answers(stream:read_all())[1].body)
    end)
  end)

  it("is not answered when nobody reads the body", function()
    with_handler(function() return 401, "no" end, function(port)
      local answer = ask(port, head:format "5")
      assert.equal(401, answer.status)
      assert.equal("close", answer.headers.connection)
    end)
  end)

  it("is not answered when the body is there already", function()
    with_handler(function(request) return (request:text()) end,
      function(port)
        local answer = ask(port, head:format "5" .. "hello")
        assert.equal(200, answer.status)
        assert.equal("hello", answer.body)
      end)
  end)

  it("is answered 413 at once when the body is too long", function()
    local seen, answer = seen_by(print, head:format "2000000")
    assert.is_nil(seen)
    assert.equal(413, answer.status)
  end)
end)

describe("request:json", function()
  local function json(request) return request:json() end

  it("returns the value", function()
    assert.same({ { a = { 1, 2 }, b = true }, n = 1 },
      seen_by(json, post '{"a":[1,2],"b":true}'))
    assert.equal(5, seen_by(json, post "5")[1])
  end)

  it("returns nil and what is wrong", function()
    local function wrong(text)
      local seen, answer = seen_by(json, post(text))
      assert.is_nil(seen[1])
      assert.is_string(seen[2])
      assert.equal(200, answer.status) -- the handler's to decide
    end
    for _, text in ipairs { "", "{", "nul", "{} {}", "NaN",
      ("["):rep(2000), '"\\ud800"', "{'a':1}", "[1]\0]" } do wrong(text) end
  end)
end)

describe("request:form", function()
  local function form(request) return request:form() end
  local kind = "Content-Type: application/x-www-form-urlencoded%s\n"

  it("returns the fields", function()
    local want = { a = "1 2", ["b&"] = "" }
    assert.same({ want, n = 1 },
      seen_by(form, post("a=1+2&a=3&b%26", kind:format "")))
    assert.same({ want, n = 1 },
      seen_by(form, post("a=1%202&b%26=", kind:format "; charset=utf-8")))
  end)

  it("returns no more of them than it is told", function()
    local function two(request) return request:form { max_parts = 2 } end
    assert.equal("2", seen_by(two, post("a=1&b=2", kind:format ""))[1].b)
    assert.same({ nil, "the form has too many parts", n = 2 },
      seen_by(two, post("a=1&b=2&c=3", kind:format "")))
    assert.same({ nil, "the form has too many parts", n = 2 },
      seen_by(form, post(("a=1&"):rep(1001), kind:format "")))
  end)

  it("returns that it is none", function()
    assert.same({ nil, "the body is not a form", n = 2 },
      seen_by(form, post "a=1"))
  end)
end)

local function reads_slowly()
  local size, started = 8000000, sluice.Event()
  with_handler(function(request)
    started:wait()
    local n = 0
    repeat
      local piece = request:read(65536)
      n = n + #(piece or "")
    until not piece
    return tostring(n)
  end, function(port)
    local stream <close> = sockets.connect(port)
    stream:write(bytes(("POST / HTTP/1.1\nHost: a\nContent-Length: %d\n\n")
      :format(size)))
    local task = sluice.create_task(function()
      stream:write(("x"):rep(size))
      stream:shutdown()
    end)
    sluice.sleep(0)
    assert.is_false(task:done())
    started:set()
    task:await()
    assert.equal(tostring(size), answers(stream:read_all())[1].body)
  end, { max_body = math.huge })
end

describe("request:read", function()
  it("returns pieces as they come, then eof", function()
    with_handler(function(request)
      local pieces = {}
      for i = 1, 3 do pieces[i] = request:read() end
      assert.same({ nil, "eof" }, { request:read() })
      return pieces
    end, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "POST / HTTP/1.1\nHost: a\n")
      stream:write(bytes "Content-Length: 9\n\none")
      for _, piece in ipairs { "two", "six" } do
        sluice.sleep(0.01)
        stream:write(piece)
      end
      stream:shutdown()
      assert.equal('["one","two","six"]',
        answers(stream:read_all())[1].body)
    end)
  end)

  it("returns at most n bytes; text returns the rest", function()
    local seen = seen_by(function(request)
      return request:read(2), request:read(1), request:text()
    end, post "abcdef")
    assert.same({ "ab", "c", "def", n = 3 }, seen)
  end)

  -- In real time: what fills the kernel's buffers moves at its pace.
  plainly("reads the client only as fast as it is called", function()
    sluice.run(reads_slowly)
  end)

  it("checks its argument", function()
    seen_by(function(request)
      local why = "bad argument #1 to 'read' (a positive integer expected)"
      errors.raises(why, function() request:read(0) end)
      errors.raises(why, function() request:read("1") end)
      errors.raises(why, function() request:read(1.5) end)
    end, post "x")
  end)
end)
