local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local plainly, it = it, testing.it
local answers, ask, bytes = support.answers, support.ask, support.bytes
local exchange, with_app = support.exchange, support.with_app

local GET = bytes "GET / HTTP/1.1\nHost: a\n\n"

-- In real time: what fills the kernel's buffers moves at the kernel's pace.
local function really(name, fn)
  plainly(name, function() sluice.run(fn) end)
end

-- Lets what was written arrive.
local function arrive() sluice.sleep(0.01) end

local function post(body)
  return bytes(("POST /echo HTTP/1.1\nHost: a\nContent-Length: %d\n\n"):format(
    #body)) .. body
end

-- The statuses of the answers in a text.
local function statuses(text)
  local list = {}
  for i, answer in ipairs(answers(text)) do list[i] = answer.status end
  return list
end

describe("an answer", function()
  it("has a date and a length", function()
    with_app(support.app(), function(port)
      local answer = ask(port, GET)
      assert.equal("OK", answer.reason)
      assert.equal("5", answer.headers["content-length"])
      assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$",
        answer.headers.date)
      assert.equal("hello", answer.body)
    end)
  end)

  it("to HEAD has the head of what GET gets", function()
    with_app(support.app(), function(port)
      local text = exchange(port, bytes "HEAD / HTTP/1.1\nHost: a\n\n")
      assert.matches("\r\nContent%-Length: 5\r\n", text)
      assert.matches("\r\n\r\n$", text)
    end)
  end)

  it("with 204 or 304 has no body", function()
    local app = http.App()
    app:get("/{status}", function(request)
      return tonumber(request.params.status), "a body"
    end)
    with_app(app, function(port)
      for _, status in ipairs { 204, 304 } do
        local text = exchange(port,
          bytes(("GET /%d HTTP/1.1\nHost: a\n\n"):format(status)))
        assert.matches("\r\n\r\n$", text)
        assert.not_matches("Content%-Length", text)
      end
    end)
  end)

  it("of unknown length is chunked, or ends with the connection", function()
    local app = http.App()
    app:get("/", function()
      local n = 0
      return function()
        n = n + 1
        return n <= 3 and "chunk " .. n or nil
      end
    end)
    with_app(app, function(port)
      local answer = ask(port, GET)
      assert.equal("chunked", answer.headers["transfer-encoding"])
      assert.equal("chunk 1chunk 2chunk 3", answer.body)
      answer = ask(port, "GET / HTTP/1.0\nConnection: keep-alive\n\n")
      assert.equal("close", answer.headers.connection)
      assert.equal("chunk 1chunk 2chunk 3", answer.body)
    end)
  end)

  it("is cut off when the function of its chunks fails", function()
    local app = http.App()
    app:get("/", function()
      local sent = false
      return function()
        if sent then error "no more" end
        sent = true
        return "half"
      end
    end)
    local text
    local log = support.catch_stderr(function()
      with_app(app, function(port) text = exchange(port, GET .. GET) end)
    end)
    assert.matches("no more", log)
    assert.matches("4\r\nhalf\r\n$", text)
  end)

  it("may close the connection", function()
    local app = http.App()
    app:get("/", function() return 200, "x", { Connection = "close" } end)
    with_app(app, function(port)
      local list = answers(exchange(port, GET .. GET))
      assert.equal(1, #list)
      assert.equal("close", list[1].headers.connection)
    end)
  end)

  really("of many megabytes arrives", function()
    local app, big = http.App(), ("0123456789"):rep(1000000)
    app:get("/", function() return big end)
    with_app(app, function(port)
      local list = answers(exchange(port, GET .. GET))
      assert.equal(2, #list)
      assert.is_true(list[1].body == big and list[2].body == big)
    end)
  end)

  it("may have a head that is longer than what is queued", function()
    local app, long = http.App(), ("x"):rep(100000)
    app:get("/", function() return 200, "x", { Long = long } end)
    with_app(app, function(port)
      local list = answers(exchange(port, GET .. GET))
      assert.equal(2, #list)
      assert.equal(long, list[1].headers.long)
      assert.equal(long, list[2].headers.long)
    end)
  end)

  it("is 500 when the handler failed, and the connection goes on", function()
    local app = support.app()
    app:get("/fail", function() error "oops" end)
    local log = support.catch_stderr(function()
      with_app(app, function(port)
        assert.same({ 200, 500, 200 }, statuses(exchange(port,
          GET .. bytes "GET /fail HTTP/1.1\nHost: a\n\n" .. GET)))
      end)
    end)
    assert.matches("error in GET /fail: .*oops", log)
  end)

  it("is 503 when the handler takes too long", function()
    local app, undone = http.App { handler_timeout = 2 }, false
    app:get("/slow", function()
      local _ <close> = setmetatable({}, {
        __close = function() undone = true end,
      })
      sluice.sleep(100)
    end)
    app:get("/", function() return 200, "fast", { A = "1" } end)
    with_app(app, function(port)
      assert.equal(503, ask(port, "GET /slow HTTP/1.0\n\n").status)
      assert.is_true(undone)
      assert.equal("1", ask(port, GET).headers.a)
    end)
  end)
end)

describe("a connection", function()
  it("is kept for the next request", function()
    with_app(support.app(), function(port, server)
      local stream <close> = sockets.connect(port)
      for i = 1, 3 do
        stream:write(post(("x"):rep(i)))
        assert.equal(("x"):rep(i), answers(stream:read())[1].body)
      end
      assert.equal("sluice.http.Server (1 connections)", tostring(server))
    end)
  end)

  it("is closed when the client wants it", function()
    with_app(support.app(), function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
      assert.equal("close",
        answers(stream:read_all())[1].headers.connection)
    end)
  end)

  it("of HTTP/1.0 is closed, unless the client wants to keep it", function()
    with_app(support.app(), function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "GET / HTTP/1.0\nConnection: keep-alive\n\n")
      assert.equal("keep-alive",
        answers(stream:read())[1].headers.connection)
      stream:write(bytes "GET / HTTP/1.0\n\n")
      assert.equal("close", answers(stream:read_all())[1].headers.connection)
    end)
  end)

  it("answers a pipeline in order, in one write", function()
    with_app(support.app(), function(port)
      local stream <close> = sockets.connect(port)
      local requests, want = {}, {}
      for i = 1, 50 do
        requests[i], want[i] = post("body " .. i), "body " .. i
      end
      stream:write(table.concat(requests))
      local got = {}
      for i, answer in ipairs(answers(stream:read())) do
        got[i] = answer.body
      end
      assert.same(want, got)
    end)
  end)

  it("does not hold answers back while a later handler waits", function()
    local app, go = support.app(), sluice.Event()
    app:get("/wait", function()
      go:wait()
      return "waited"
    end)
    with_app(app, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(GET .. bytes "GET /wait HTTP/1.1\nHost: a\n\n" .. GET)
      assert.equal("hello", answers(stream:read())[1].body)
      go:set()
      local list = answers(stream:read())
      assert.equal("waited", list[1].body)
      assert.equal("hello", list[2].body)
    end)
  end)

  it("passes a body over that the handler did not read", function()
    local app = http.App()
    app:post("/", function() return "unread" end)
    local head = bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 60000\n\n"
    with_app(app, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(head)
      assert.equal("unread", answers(stream:read())[1].body)
      stream:write(("x"):rep(60000) .. head .. ("x"):rep(60000))
      assert.equal("unread", answers(stream:read())[1].body)
    end)
  end)

  it("is closed rather than wait for a long body", function()
    local app = http.App()
    app:post("/", function() return "unread" end)
    with_app(app, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(
        bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 1000000\n\n")
      local answer = answers(stream:read_all())[1]
      assert.equal("unread", answer.body)
      assert.equal("close", answer.headers.connection)
    end)
  end)

  it("ends when the client goes, whatever the handler does", function()
    local app, began, ended = http.App(), sluice.Event(), false
    app:get("/", function()
      began:set()
      sluice.sleep(1)
      ended = true
      return ("x"):rep(100000)
    end)
    with_app(app, function(port)
      local stream = sockets.connect(port)
      stream:write(GET .. GET)
      began:wait()
      stream:close()
    end)
    assert.is_true(ended)
  end)

  it("is no more than max_connections", function()
    with_app(support.app { max_connections = 1 }, function(port)
      local first = sockets.connect(port)
      first:write(GET)
      assert.is_string(first:read())
      local second <close> = sockets.connect(port)
      second:write(GET)
      assert.same({ nil, "timeout" }, { second:read(1, 0.1) })
      first:close()
      assert.is_string(second:read())
    end)
  end)
end)

describe("a request that is refused", function()
  local function refused(status, text, limits)
    with_app(support.app(limits), function(port)
      local list = answers(exchange(port, text .. GET))
      assert.equal(1, #list, "nothing after it is taken as a request")
      assert.equal(status, list[1].status)
      assert.equal("close", list[1].headers.connection)
      assert.matches("^" .. status .. " ", list[1].body)
    end)
  end

  it("is so for its framing", function()
    refused(400, bytes "GET / HTTP/1.1\n\n") -- no Host
    refused(400, bytes "nonsense\n\n")
    refused(400, bytes "GET / HTTP/1.1\nHost: a\nHost: b\n\n")
    refused(400, bytes "GET / HTTP/1.1\nHost: a\n X: folded\n\n")
    local head = "POST / HTTP/1.1\nHost: a\n"
    refused(400, bytes(head .. "Content-Length: 1\nContent-Length: 2\n\nab"))
    refused(400, bytes(head .. "Content-Length: 1\n"
      .. "Transfer-Encoding: chunked\n\n0\n\n"))
    refused(501, bytes(head .. "Transfer-Encoding: gzip, chunked\n\n0\n\n"))
    refused(505, bytes "GET / HTTP/2.0\nHost: a\n\n")
  end)

  it("is so for its size", function()
    local host = " HTTP/1.1\nHost: a\n"
    refused(414, bytes("GET /" .. ("x"):rep(9000) .. host .. "\n"))
    refused(431, bytes("GET /" .. host .. "X: " .. ("x"):rep(20000) .. "\n\n"))
    refused(431, bytes("GET /" .. host .. ("X: x\n"):rep(100) .. "\n"))
    refused(413, bytes("POST /echo" .. host .. "Content-Length: 1048577\n\n"))
    refused(413, post "123456", { max_body = 5 })
    refused(431, GET, { max_head = 10 })
    refused(414, bytes("GET /12345" .. host .. "\n"), { max_target = 5 })
    refused(431, bytes("GET /" .. host .. "X: x\n\n"), { max_fields = 1 })
  end)

  it("goes after the answers before it", function()
    with_app(support.app(), function(port)
      assert.same({ 200, 200, 400 },
        statuses(exchange(port, GET .. GET .. "nonsense\r\n\r\n" .. GET)))
    end)
  end)

  really("can be read by a client that sends on and on", function()
    with_app(support.app(), function(port)
      local stream <close> = sockets.connect(port)
      stream:write(
        bytes "POST /echo HTTP/1.1\nHost: a\nContent-Length: 10000000\n\n")
      for _ = 1, 100 do stream:write(("x"):rep(100000)) end
      stream:shutdown()
      assert.same({ 413 }, statuses(stream:read_all()))
    end)
  end)
end)

describe("a time limit", function()
  local function silent(limits, sent, fn)
    local began = sluice.time()
    with_app(support.app(limits), function(port)
      local stream <close> = sockets.connect(port)
      for piece in sent:gmatch "[^|]+" do
        stream:write(piece)
        arrive()
      end
      fn(stream:read_all(), sluice.time() - began)
    end)
  end

  it("closes an idle connection", function()
    silent({}, "", function(text, seconds)
      assert.equal("", text)
      assert.is_true(seconds >= 60 and seconds < 61)
    end)
    silent({ idle_timeout = 5 }, GET, function(text, seconds)
      assert.same({ 200 }, statuses(text))
      assert.is_true(seconds >= 5 and seconds < 6)
    end)
  end, { timeout = 100 })

  it("answers 408 to a head that does not come", function()
    silent({}, "GET / HTTP/1.1\r\nHo", function(text, seconds)
      assert.same({ 408 }, statuses(text))
      assert.is_true(seconds >= 10 and seconds < 11)
    end)
    silent({ head_timeout = 3 }, GET .. "|G", function(text, seconds)
      assert.same({ 200, 408 }, statuses(text))
      assert.is_true(seconds >= 3 and seconds < 4)
    end)
  end)

  it("counts for the whole head, however slowly it comes", function()
    with_app(support.app { head_timeout = 5 }, function(port)
      local began = sluice.time()
      local stream <close> = sockets.connect(port)
      stream:write "GET / HTTP/1.1\r\n"
      for i = 1, 20 do
        sluice.sleep(1)
        if not stream:write(("X-%d: 1\r\n"):format(i)) then break end
        if stream:read(12, 0) == "HTTP/1.1 408" then break end
      end
      assert.is_true(sluice.time() - began < 7)
    end)
  end)

  it("closes a connection whose rest of a body does not come", function()
    local app = http.App { body_timeout = 5 }
    app:post("/", function() return "unread" end)
    with_app(app, function(port)
      local began = sluice.time()
      local stream <close> = sockets.connect(port)
      stream:write(bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 9\n\nx")
      assert.same({ 200 }, statuses(stream:read_all()))
      assert.is_true(sluice.time() - began < 6)
    end)
  end)

  it("counts for all of the rest of a body, however slowly it comes",
    function()
      local app = http.App { body_timeout = 2, body_total_timeout = 5 }
      app:post("/", function() return "unread" end)
      with_app(app, function(port)
        local began = sluice.time()
        local stream <close> = sockets.connect(port)
        stream:write(bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 99\n\n")
        local writer = sluice.create_task(function()
          repeat sluice.sleep(1) until not stream:write "x"
        end)
        stream:read_all()
        assert.is_true(sluice.time() - began < 7)
        tasks.cancel(writer)
      end)
    end)
end)

describe("a client that does not read", function()
  local function big_app(write_timeout)
    local app = http.App { write_timeout = write_timeout }
    app:get("/", function() return ("x"):rep(20000000) end)
    app:get("/chunks", function()
      return function() return ("x"):rep(1000000) end
    end)
    return app
  end

  really("is dropped after the write time", function()
    with_app(big_app(0.1), function(port, server)
      local stream <close> = sockets.connect(port)
      local second <close> = sockets.connect(port)
      stream:write(GET)
      second:write(bytes "GET /chunks HTTP/1.1\nHost: a\n\n")
      local began = sluice.time()
      repeat sluice.sleep(0.05)
      until tostring(server):find("(0 connections", 1, true)
        or sluice.time() - began > 10
      assert.is_true(sluice.time() - began < 5)
    end)
  end)

  really("is waited for while it reads, however slowly", function()
    with_app(big_app(0.4), function(port)
      local stream <close> = sockets.connect(port)
      stream:write(GET .. GET)
      local size = 0
      for _ = 1, 8 do
        size = size + #stream:readexactly(1000000)
        sluice.sleep(0.1)
      end
      stream:shutdown()
      assert.is_true(size + #stream:read_all() > 40000000)
    end)
  end)
end)
