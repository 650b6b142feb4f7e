local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local plainly, it = it, testing.it
local answers, bytes, with_app =
  support.answers, support.bytes, support.with_app

local GET = bytes "GET / HTTP/1.1\nHost: a\n\n"
local CHUNKED = bytes "POST / HTTP/1.1\nHost: a\n"
  .. bytes "Transfer-Encoding: chunked\n\n"

local function chunk(data)
  return ("%x\r\n%s\r\n"):format(#data, data)
end

local function serving(handler, fn, limits)
  local app = http.App(limits)
  app:get("/", handler)
  app:post("/", handler)
  with_app(app, fn)
end

-- In real time: what fills the kernel's buffers moves at the kernel's pace.
local function really(name, fn)
  plainly(name, function() sluice.run(fn) end)
end

local function echo(request)
  return function() return (request:read()) end
end

describe("a request and its answer, both in pieces", function()
  it("go on at the same time", function()
    serving(echo, function(port)
      local stream <close> = sockets.connect(port)
      for _ = 1, 2 do
        stream:write(CHUNKED)
        assert.matches("chunked", stream:readuntil "\r\n\r\n")
        for i = 1, 5 do
          local data = "ping " .. i
          stream:write(chunk(data))
          assert.equal(chunk(data), stream:readexactly(#chunk(data)))
        end
        stream:write "0\r\n\r\n"
        assert.equal("0\r\n\r\n", stream:readexactly(5))
      end
    end)
  end)

  it("lose nothing of what came with the head", function()
    serving(echo, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(CHUNKED .. chunk "one" .. chunk "two")
      sluice.sleep(0.1)
      stream:write(chunk "three" .. "0\r\n\r\n" .. GET)
      local list = answers(stream:read_all())
      assert.equal("onetwothree", list[1].body)
      assert.equal("", list[2].body)
    end, { idle_timeout = 1 })
  end)

  it("end together when the request is cut off or malformed", function()
    for _, rest in ipairs { "", "zz\r\n" } do
      serving(echo, function(port)
        local text = support.exchange(port, CHUNKED .. chunk "one" .. rest)
        assert.matches("one\r\n$", text)
        assert.not_matches("0\r\n\r\n$", text)
      end)
    end
  end)

  it("begin with 100 Continue, if the client waits for it", function()
    serving(echo, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 5\n"
        .. bytes "Expect: 100-continue\n\n")
      assert.equal("HTTP/1.1 100 Continue\r\n\r\n",
        stream:readuntil "\r\n\r\n")
      stream:write "hello"
      stream:shutdown()
      local answer = answers(stream:read_all())[1]
      assert.equal(200, answer.status)
      assert.equal("hello", answer.body)
    end)
  end)

  it("are reset, not ended, for HTTP/1.0 when they fail", function()
    local n = 0
    serving(function()
      return function()
        n = n + 1
        if n > 1 then error "the disk is gone" end
        return "piece"
      end
    end, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "GET / HTTP/1.0\nHost: a\n\n")
      local code
      support.catch_stderr(function()
        code = select(3, stream:read_all())
      end)
      assert.equal("ECONNRESET", code)
    end)
  end)

  it("have no 100 Continue within the answer", function()
    serving(function(request)
      local called = false
      return function()
        if called then return (request:read()) end
        called = true
        return "first "
      end
    end, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 5\n"
        .. bytes "Expect: 100-continue\n\n")
      assert.matches("first ", stream:readuntil "first ")
      stream:write "hello" -- a client that is tired of waiting
      assert.equal("\r\n5\r\nhello\r\n0\r\n\r\n", stream:read_all())
    end)
  end)

  it("end with the connection if a long body was not read", function()
    local function answer()
      local list = { "a", "b" }
      return function() return table.remove(list) end
    end
    serving(answer, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "POST / HTTP/1.1\nHost: a\n"
        .. bytes "Content-Length: 900000\n\n")
      assert.equal("ba", answers(stream:read_all())[1].body)
    end)
  end)

  it("keep the connection if a short body was not read", function()
    serving(function() return function() end end, function(port)
      local stream <close> = sockets.connect(port)
      for _ = 1, 3 do
        stream:write(bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 9\n\n")
        assert.equal("", answers(stream:readuntil "0\r\n\r\n")[1].body)
        stream:write "123456789"
      end
    end)
  end)
end)

-- How much a client can send, in millions of bytes, until nothing goes on.
local function sent_until_stuck(stream, most)
  local sent, block = 0, ("x"):rep(1000000)
  while sent < most and stream:write(block, 0.2) do sent = sent + 1 end
  return sent
end

describe("a handler that does not read", function()
  really("stops its client, and holds next to nothing", function()
    local go, got = sluice.Event(), 0
    serving(function(request)
      request:read(1)
      go:wait()
      repeat
        local piece = request:read()
        got = got + #(piece or "")
      until not piece
      return "read"
    end, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "POST / HTTP/1.1\nHost: a\n"
        .. bytes "Content-Length: 50000000\n\n")
      collectgarbage()
      local before = collectgarbage "count"
      assert.is_true(sent_until_stuck(stream, 50) < 20)
      collectgarbage()
      assert.is_true(collectgarbage "count" - before < 4000)
      go:set()
    end, { max_body = math.huge })
  end)
end)

describe("a client that does not read", function()
  really("stops the function of the chunks, which holds next to nothing",
    function()
      local calls = 0
      serving(function()
        return function()
          calls = calls + 1
          return calls <= 500 and ("x"):rep(100000) or nil
        end
      end, function(port)
        local stream <close> = sockets.connect(port)
        stream:write(bytes "GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
        sluice.sleep(0.3)
        assert.is_true(calls < 250)
        assert.equal(50000000, #answers(stream:read_all())[1].body)
      end)
    end)
end)

describe("a client that neither sends nor reads", function()
  -- A task reads while the answer is written.
  local function stalled(limits)
    local reason, began = nil, sluice.time()
    serving(function(request)
      sluice.create_task(function() reason = select(2, request:read()) end)
      return function() return ("x"):rep(1000000) end
    end, function(port, server)
      local stream <close> = sockets.connect(port)
      stream:write(CHUNKED)
      repeat sluice.sleep(0.05)
      until tostring(server):find "%(0 connections" or
        sluice.time() > began + 5
    end, limits)
    return reason, sluice.time() - began
  end

  really("is given up when either time has passed", function()
    local reason, seconds = stalled { body_timeout = 0.2, write_timeout = 0.4 }
    assert.equal("timeout", reason)
    assert.is_true(seconds < 4)
    reason, seconds = stalled { body_timeout = 0.4, write_timeout = 0.2 }
    assert.equal("the connection is closed", reason)
    assert.is_true(seconds < 4)
  end)
end)

describe("an answer in pieces", function()
  it("to HEAD does not call the function", function()
    serving(function()
      return function() error "called" end
    end, function(port)
      local text = support.exchange(port,
        bytes "HEAD / HTTP/1.1\nHost: a\n\nHEAD / HTTP/1.1\nHost: a\n\n")
      local list = answers(text, true)
      assert.same({ 200, 200 }, { list[1].status, list[2].status })
      assert.equal("chunked", list[1].headers["transfer-encoding"])
    end)
  end)

  it("may have empty pieces, which do not end it", function()
    serving(function()
      local list = { "b", "", "", "a", "" }
      return function() return table.remove(list) end
    end, function(port)
      local list = answers(support.exchange(port, GET .. GET))
      assert.equal("ab", list[2].body)
    end)
  end)
end)

describe("a trailer", function()
  it("is dropped", function()
    serving(function(request)
      if request.method == "POST" then request:text() end
      return { request.headers.secret or "none" }
    end, function(port)
      local list = answers(support.exchange(port, CHUNKED .. chunk "one"
        .. bytes "0\nSecret: x\nHost: b\n\n" .. GET))
      assert.equal('["none"]', list[1].body)
      assert.equal(2, #list)
    end)
  end)
end)
