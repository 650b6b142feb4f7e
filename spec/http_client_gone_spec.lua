local http = require "sluice.http"
local net = require "sluice.net"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"
local tls = require "spec.support.tls"

local plainly, it = it, testing.it
local answers, bytes = support.answers, support.bytes
local with_app = support.with_app

local GET = bytes "GET / HTTP/1.1\nHost: a\n\n"
local GET_AND_CLOSE = bytes "GET / HTTP/1.1\nHost: a\nConnection: close\n\n"

-- Lets what was written, or an end, arrive.
local function arrive() sluice.sleep(0.01) end

-- A value that notes in the list, when it is closed, and the error.
local function noting(notes)
  return setmetatable({}, {
    __close = function(_, err)
      notes[#notes + 1] = err and tostring(err) or "left"
    end,
  })
end

-- Serves a handler for every path; fn(connect, notes, log): connect() gives a
-- stream that has sent `request`; log has the statuses of the access log.
local function serving(handler, request, fn, limits, options)
  local app, notes, log = http.App(limits), {}, {}
  local began = sluice.Event()
  local function noted(given)
    local _ <close> = noting(notes)
    began:set()
    return handler(given, notes)
  end
  app:get("/{path*}", noted)
  app:post("/{path*}", noted)
  options = options or {}
  options.access_log = function(_, entry) log[#log + 1] = entry.status end
  with_app(app, function(port, server)
    local function connect()
      local stream = sockets.connect(port)
      stream:write(request)
      began:wait()
      return stream
    end
    fn(connect, notes, log, server)
  end, options)
end

local function sleep_long() sluice.sleep(1000) end

describe("a handler whose client goes away", function()
  it("is cancelled at once", function()
    serving(sleep_long, GET, function(connect, notes, log)
      local began = sluice.time()
      connect():close()
      arrive()
      assert.same({ "cancelled: client gone" }, notes)
      assert.same({ 499 }, log)
      assert.is_true(sluice.time() - began < 1)
    end)
  end)

  it("is cancelled at once by a reset, whatever it asked for", function()
    local fast = bytes "GET /fast HTTP/1.1\nHost: a\n\n"
    for _, request in ipairs { GET, GET_AND_CLOSE, GET .. GET } do
      serving(function(given)
        return given.path == "/fast" and "unread" or sleep_long()
      end, fast .. request, function(connect, notes, log)
        local stream = connect()
        arrive()
        stream:close() -- a reset, since the first answer was not read
        arrive()
        assert.same({ "left", "cancelled: client gone" }, notes)
        assert.same({ 200, 499 }, log)
      end)
    end
  end)

  it("is cancelled inside groups, time-outs and middleware", function()
    local child = {}
    serving(function()
      return sluice.task_group(function(group)
        group:create_task(function()
          local _ <close> = noting(child)
          sleep_long()
        end)
        sluice.wait_for(100, sleep_long)
      end)
    end, GET, function(connect, notes)
      connect():close()
      arrive()
      assert.same({ "cancelled: client gone" }, notes)
      assert.same({ "cancelled: client gone" }, child)
    end, { handler_timeout = 500 })
  end)

  it("releases what it holds", function()
    local lock, semaphore = sluice.Lock(), sluice.Semaphore(1)
    serving(function()
      local _ <close> = lock:acquire()
      local _ <close> = semaphore:acquire()
      sleep_long()
    end, GET, function(connect)
      connect():close()
      assert(lock:acquire(1))
      assert.equal(1, semaphore:value())
      lock:release()
    end)
  end)

  it("finishes what it shields", function()
    serving(function(_, notes)
      sluice.shield(function()
        sluice.sleep(5)
        notes[#notes + 1] = "saved"
      end)
      sleep_long()
    end, GET, function(connect, notes, log)
      connect():close()
      sluice.sleep(6)
      assert.same({ "saved", "cancelled: client gone" }, notes)
      assert.same({ 499 }, log)
    end)
  end)

  it("may go on with what waits for nothing", function()
    serving(function(_, notes)
      pcall(sleep_long)
      notes[#notes + 1] = "caught"
      return "nobody reads this"
    end, GET, function(connect, notes)
      connect():close()
      arrive()
      assert.same({ "caught", "left" }, notes)
    end)
  end)

  plainly("gets back from a thread", function()
    sluice.run(function()
      serving(function()
        sluice.to_thread(function()
          local until_ = os.clock() + 0.05
          while os.clock() < until_ do end -- luacheck: ignore
        end)
        sleep_long()
      end, GET, function(connect, notes, log)
        connect():close()
        sluice.sleep(0.2)
        assert.same({ "cancelled: client gone" }, notes)
        assert.same({ 499 }, log)
      end)
    end)
  end)

  it("does not keep a server from stopping", function()
    serving(sleep_long, GET, function(connect, notes, _, server)
      local stream = connect()
      server:close()
      stream:close()
      assert.is_true(server:wait_closed(1))
      assert.same({ "cancelled: client gone" }, notes)
    end, nil, { grace = 500 })
  end)

  it("does not disturb the requests of others", function()
    local app = http.App()
    app:get("/", function(request)
      sluice.sleep(tonumber(request.query.seconds))
      return "slept"
    end)
    with_app(app, function(port)
      local streams = {}
      for i = 1, 40 do
        streams[i] = sockets.connect(port)
        streams[i]:write(bytes(("GET /?seconds=%d HTTP/1.1\nHost: a\n\n")
          :format(i)))
      end
      sluice.sleep(0.5)
      for i = 1, 40, 2 do streams[i]:close() end
      for i = 2, 40, 2 do
        assert.equal("slept", answers(streams[i]:read())[1].body)
        streams[i]:close()
      end
    end)
  end)
end)

describe("a client that ends its side and listens", function()
  local function slowly()
    sluice.sleep(2)
    return "answer"
  end

  -- What it reads, having sent the request and its end.
  local function heard(request, handler)
    local text
    serving(handler or slowly, request, function(connect, _, log)
      local stream <close> = connect()
      stream:shutdown()
      text = stream:read_all()
      for _, status in ipairs(log) do assert.not_equal(499, status) end
    end)
    return answers(text)
  end

  it("is answered when it did not want to keep the connection", function()
    assert.equal("answer", heard(GET_AND_CLOSE)[1].body)
    assert.equal("answer", heard("GET / HTTP/1.0\r\n\r\n")[1].body)
  end)

  it("is answered when it has sent several requests", function()
    local list = heard(GET .. GET .. GET)
    assert.equal(3, #list)
    assert.equal("answer", list[3].body)
  end)

  it("is answered by a handler that does not wait", function()
    assert.equal("at once", heard(GET, function() return "at once" end)[1]
      .body)
    assert.equal("abc", heard(GET, function()
      local list = { "a", "b", "c" }
      return function() return table.remove(list, 1) end
    end)[1].body)
  end)

  it("gets a long answer to its end", function()
    local big = ("x"):rep(2000000)
    assert.is_true(heard(GET, function() return big end)[1].body == big)
  end)
end)

describe("a client that goes away within its body", function()
  local post = bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 9\n\nfour"

  it("ends the reading of it", function()
    serving(function(request, notes)
      notes[#notes + 1] = select(2, request:text())
    end, post, function(connect, notes)
      connect():close()
      arrive()
      assert.same({ "cut off", "left" }, notes)
    end)
  end)

  it("is gone when the handler waits for something else", function()
    serving(sleep_long, post, function(connect, notes, log)
      connect():close()
      arrive()
      assert.same({ "cancelled: client gone" }, notes)
      assert.same({ 499 }, log)
    end)
  end)
end)

describe("a client that goes away after its body", function()
  it("is noticed, read or not", function()
    local post = bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 4\n\nfour"
    local chunked = bytes("POST / HTTP/1.1\nHost: a\n"
      .. "Transfer-Encoding: chunked\n\n4\nfour\n0\n\n")
    for _, request in ipairs { post, chunked } do
      for _, read in ipairs { false, true } do
        serving(function(given)
          if read then assert.equal("four", given:text()) end
          sleep_long()
        end, request, function(connect, notes)
          connect():close()
          arrive()
          assert.same({ "cancelled: client gone" }, notes)
        end)
      end
    end
  end)

  plainly("is noticed, however long the body was", function()
    local size = 3000000
    local head = bytes(("POST / HTTP/1.1\nHost: a\nContent-Length: %d\n\n")
      :format(size))
    sluice.run(serving, function(request)
      assert.equal(size, #request:text())
      sleep_long()
    end, head, function(connect, notes)
      local stream = connect()
      stream:write(("x"):rep(size))
      sluice.sleep(0.05)
      assert.same({}, notes)
      stream:close()
      sluice.sleep(0.05)
      assert.same({ "cancelled: client gone" }, notes)
    end, { max_body = size })
  end)
end)

describe("an answer in pieces", function()
  local function ticking(notes)
    return function()
      local _ <close> = noting(notes)
      sluice.sleep(1)
      return "tick"
    end
  end

  it("ends when its client goes, in the wait for the next", function()
    serving(function(_, notes) return ticking(notes) end, GET,
      function(connect, notes, log)
        local stream = connect()
        sluice.sleep(2.5)
        stream:close()
        arrive()
        assert.same({ "left", "left", "left", "cancelled: client gone" },
          notes)
        assert.same({ 499 }, log)
      end)
  end)

  it("goes on for a client that still listens", function()
    serving(function(_, notes) return ticking(notes) end, GET_AND_CLOSE,
      function(connect, notes, log)
        local stream <close> = connect()
        stream:shutdown()
        sluice.sleep(3.5)
        assert.equal(4, #notes)
        assert.same({}, log)
      end)
  end)
end)

describe("a request that is answered", function()
  it("is not cancelled, however its client goes", function()
    serving(function() return "done" end, GET, function(connect, notes, log)
      local stream = connect()
      assert.is_string(stream:read())
      stream:close()
      arrive()
      assert.same({ "left" }, notes)
      assert.same({ 200 }, log)
    end)
  end)
end)

describe("over TLS", function()
  setup(tls.open)
  teardown(tls.close)

  -- Serves a handler that waits; leave(stream) is how the client goes.
  local function gone_by(leave)
    local app, notes, log = http.App(), {}, {}
    app:get("/", function()
      local _ <close> = noting(notes)
      sleep_long()
    end)
    with_app(app, function(port)
      local stream = assert(net.connect("localhost", port,
        { tls = tls.client() }))
      stream:write(GET)
      sluice.sleep(0.05)
      assert.same({}, notes)
      leave(stream)
      sluice.sleep(0.05)
      assert.same({ "cancelled: client gone" }, notes)
      assert.same({ 499 }, log)
    end, {
      host = "localhost", tls = tls.server(),
      access_log = function(_, entry) log[#log + 1] = entry.status end,
    })
  end

  plainly("a client that goes away is noticed, too", function()
    sluice.run(gone_by, function(stream) stream:close() end)
  end)

  plainly("a client that ends its side is gone", function()
    sluice.run(gone_by, function(stream) stream:shutdown() end)
  end)
end)
