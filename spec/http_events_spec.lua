local errors = require "spec.support.errors"
local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local plainly, it = it, testing.it
local bytes, with_app = support.bytes, support.with_app

local GET = bytes "GET / HTTP/1.1\nHost: a\n\n"

-- An application whose answer is the stream that fn writes.
local function app_of(fn, options)
  local app = http.App()
  app:get("/", function() return http.event_stream(fn, options) end)
  return app
end

-- What is written, without a socket.
local function written(fn)
  return app_of(fn):test().body
end

local function sent(message)
  return written(function(events) assert.is_true(events:send(message)) end)
end

describe("an event", function()
  it("is its data, or has a name, an id, a time to retry", function()
    assert.equal("data: hello\n\n", sent "hello")
    assert.equal("event: tick\nid: 7\nretry: 1500\ndata: x\n\n",
      sent { event = "tick", id = 7, retry = 1.5, data = "x" })
    assert.equal("retry: 0\n\n", sent { retry = 0 })
    assert.equal("id: \n\n", sent { id = "" })
    assert.equal("data: \n\n", sent "")
  end)

  it("has data in lines, whatever ends them", function()
    assert.equal("data: a\ndata: b\ndata: c\ndata: \ndata: d\ndata: \n\n",
      sent "a\nb\r\nc\r\rd\n")
    assert.equal("data: x\ndata: event: evil\n\n", sent "x\nevent: evil")
  end)

  it("has data as JSON if it is no string", function()
    assert.equal('data: {"a":[1,2]}\n\n', sent { data = { a = { 1, 2 } } })
    assert.equal("data: 5\n\n", sent { data = 5 })
    assert.equal("data: false\n\n", sent { data = false })
  end)

  it("that has a name and no data is sent all the same", function()
    assert.equal("event: tick\ndata: \n\n", sent { event = "tick" })
  end)

  it("cannot break the stream", function()
    written(function(events)
      local function refused(why, message)
        errors.raises("bad argument #1 to 'send' (" .. why .. ")",
          function() return (events:send(message)) end)
      end
      for _, text in ipairs { "a\nb", "a\r", "\0" } do
        refused("'event' must be a string of one line", { event = text })
        refused("'id' must be a string of one line", { id = text })
      end
      refused("'event' must be a string of one line", { event = {} })
      refused("'retry' must be a number of seconds", { retry = "5" })
      refused("'retry' must be a number of seconds", { retry = -1 })
      refused("'retry' must be a number of seconds", { retry = 0 / 0 })
      refused("unknown field 'date'", { date = "x" })
      refused("an event has a field", {})
      refused("string or table expected, got nil", nil)
    end)
  end)

  it("may be a comment", function()
    assert.equal(": a\n: data: b\n\n: \n\n", written(function(events)
      events:comment "a\ndata: b"
      events:comment()
      errors.raises("bad argument #1 to 'comment' (string expected, got "
        .. "number)", function() return (events:comment(5)) end)
    end))
  end)
end)

describe("http.event_stream", function()
  it("answers with a stream of events", function()
    local answer = app_of(function() end):test()
    assert.equal(200, answer.status)
    assert.equal("text/event-stream", answer.headers["content-type"])
    assert.equal("no-cache", answer.headers["cache-control"])
    assert.equal("", answer.body)
  end)

  it("lets middleware add headers", function()
    local app = app_of(function(events) events:send "x" end)
    app:use(function(request, next)
      local status, body, headers = next(request)
      headers["X-Seen"] = "yes"
      return status, body, headers
    end)
    assert.equal("yes", app:test().headers["x-seen"])
    assert.equal("data: x\n\n", app:test().body)
  end)

  it("is not called for HEAD", function()
    local app = app_of(function() error "called" end)
    local answer = app:test { method = "HEAD" }
    assert.equal(200, answer.status)
    assert.equal("text/event-stream", answer.headers["content-type"])
  end)

  it("sends each event at once", function()
    with_app(app_of(function(events)
      for i = 1, 3 do
        events:send(("%d at %d"):format(i, sluice.time()))
        sluice.sleep(5)
      end
    end), function(port)
      local stream <close> = sockets.connect(port)
      stream:write(GET)
      stream:readuntil "\r\n\r\n"
      for i = 1, 3 do
        local got = stream:readuntil "\n\n\r\n"
        assert.equal(("data: %d at %d"):format(i, sluice.time()),
          got:match "data: [^\n]*")
      end
      assert.equal("0\r\n\r\n", stream:readexactly(5))
    end)
  end)

  it("sends comments while it is silent", function()
    local function fn(events)
      for _, pause in ipairs { 14, 10, 40, 1 } do
        sluice.sleep(pause)
        events:send "x"
      end
    end
    local beat, event = ": \n\n", "data: x\n\n"
    assert.equal(event .. event .. beat .. beat .. event .. event,
      written(fn))
    assert.equal(event:rep(4), app_of(fn, { heartbeat = math.huge }):test()
      .body)
    assert.equal(event .. event .. beat .. event .. event,
      app_of(fn, { heartbeat = 30 }):test().body)
  end, { timeout = 1000 })

  it("ends at once when the client goes away, whatever it waits for",
    function()
      local ended
      with_app(app_of(function(events)
        local _ <close> = setmetatable({}, {
          __close = function(_, err) ended = tostring(err) end,
        })
        events:send "first"
        sluice.Queue():get()
      end), function(port)
        local stream = sockets.connect(port)
        stream:write(GET)
        stream:readuntil "first"
        stream:close()
        sluice.sleep(0.01)
        assert.equal("cancelled: client gone", ended)
      end)
    end)

  it("is cut off when the function fails", function()
    local text
    local log = support.catch_stderr(function()
      with_app(app_of(function(events)
        events:send "first"
        error "no more"
      end), function(port) text = support.exchange(port, GET) end)
    end)
    assert.matches("no more", log)
    assert.matches("data: first\n\n\r\n$", text)
  end)

  it("is not limited by the time that handlers have", function()
    local app = http.App { handler_timeout = 1 }
    app:get("/", function()
      return http.event_stream(function(events)
        sluice.sleep(5)
        events:send "late"
      end)
    end)
    assert.equal("data: late\n\n", app:test().body)
  end)

  it("is cancelled when the server stops, after the grace", function()
    local reason
    local app = app_of(function()
      local _ <close> = setmetatable({}, {
        __close = function(_, err) reason = err.reason end,
      })
      sluice.sleep(math.huge)
    end)
    with_app(app, function(port, server)
      local stream <close> = sockets.connect(port)
      stream:write(GET)
      stream:readuntil "\r\n\r\n"
      server:close()
      assert.is_true(server:wait_closed(5))
      assert.equal("the server stops", reason)
    end, { grace = 3 })
  end)

  it("that has ended takes no more events", function()
    local kept
    local app = app_of(function(events) kept = events end)
    app:get("/next", function()
      return function()
        if not kept then return nil end
        assert.same({ nil, "the answer has ended", "EPIPE" },
          { kept:send "late" })
        kept = nil
        return "next"
      end
    end)
    with_app(app, function(port)
      local list = support.answers(support.exchange(port,
        GET .. bytes "GET /next HTTP/1.1\nHost: a\n\n"))
      assert.same({ "", "next" }, { list[1].body, list[2].body })
    end)
  end)

  it("checks its arguments", function()
    local function refused(why, ...)
      local fn, options = ...
      errors.raises(why, function() http.event_stream(fn, options) end)
    end
    refused("bad argument #1 to 'event_stream' (function expected, got nil)")
    refused("bad argument #2 to 'event_stream' (table expected, got number)",
      print, 5)
    refused("bad argument #2 to 'event_stream' (unknown option 'beat')",
      print, { beat = 1 })
    refused("bad argument #2 to 'event_stream' ('heartbeat' must be a "
      .. "positive number)", print, { heartbeat = 0 })
  end)
end)

describe("a reader that is slow", function()
  local function flood()
    local count = 0
    local app = app_of(function(events)
      while count < 5000 do
        events:send(("x"):rep(10000))
        count = count + 1
      end
    end)
    with_app(app, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
      sluice.sleep(0.1)
      assert.is_true(count < 5000)
      assert.is_true(#stream:read_all() > 50000000)
    end)
  end

  plainly("slows the function down", function() sluice.run(flood) end)
end)
