local errors = require "spec.support.errors"
local http = require "sluice.http"
local net = require "sluice.net"
local process = require "spec.support.process"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local plainly, it = it, testing.it
local answers, bytes = support.answers, support.bytes
local session = support.session

local GET = bytes "GET / HTTP/1.1\nHost: a\n\n"

-- An application whose hooks and handlers note what they do.
local function noting()
  local notes = {}
  local function note(text) notes[#notes + 1] = text end
  local app = support.app()
  for _, name in ipairs { "startup", "shutdown", "cleanup" } do
    app["on_" .. name](app, function(given)
      assert.equal(app, given)
      assert.is_not_nil(sluice.current_task())
      note(name)
    end)
  end
  app:get("/slow/{seconds}", function(request)
    note "begin"
    sluice.sleep(tonumber(request.params.seconds))
    note "end"
    return "slow"
  end)
  return app, notes
end

local function ask_slowly(port, seconds)
  local stream = sockets.connect(port)
  stream:write(bytes(("GET /slow/%d HTTP/1.1\nHost: a\n\n"):format(seconds)))
  sluice.sleep(0.1)
  return stream
end

describe("app:serve", function()
  it("runs the hooks of the start before it accepts", function()
    local app, notes = noting()
    local server = assert(app:serve { port = 0 })
    assert.same({ "startup" }, notes)
    server:close()
    server:close()
    assert.is_true(server:wait_closed())
    assert.same({ "startup", "shutdown", "cleanup" }, notes)
    assert.equal("sluice.http.Server (0 connections, stopping)",
      tostring(server))
  end)

  it("ends what it began when it cannot serve", function()
    local ended = { "startup", "shutdown", "cleanup" }
    local taken = assert(net.serve(print, "127.0.0.1", 0))
    local app, notes = noting()
    assert.is_nil(app:serve { port = select(2, taken:sockname()) })
    assert.same(ended, notes)

    app, notes = noting()
    app:on_startup(function() error("a hook failed", 0) end)
    assert.equal("a hook failed", errors.of(app.serve, app, { port = 0 }))
    assert.same(ended, notes)

    app, notes = noting()
    app:on_startup(function() sluice.sleep(5) end)
    sluice.wait_for(1, app.serve, app, { port = 0 })
    assert.same(ended, notes)
    taken:close()
    taken:wait_closed()
  end)

  it("stops when on_listen fails", function()
    local app, notes = noting()
    local port
    assert.equal("it failed", errors.of(app.serve, app, {
      port = 0, on_listen = function(_, given)
        port = given
        error("it failed", 0)
      end,
    }))
    assert.same({ "startup", "shutdown", "cleanup" }, notes)
    assert.is_nil(net.connect("127.0.0.1", port))
  end)

  it("tells where it listens", function()
    local host, port
    local server = assert(http.App():serve {
      port = 0, on_listen = function(...) host, port = ... end,
    })
    assert.same({ host, port }, { server:sockname() })
    assert.equal("127.0.0.1", host)
    server:close()
    server:wait_closed()
  end)

  it("serves at a Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    local app = http.App()
    app:get("/", function(request) return request.peer end)
    local server = assert(app:serve { unix = path })
    local stream <close> = require("sluice.net").connect_unix(path)
    stream:write(GET)
    assert.equal("unix", answers(stream:read())[1].body)
    server:close()
    server:wait_closed()
    assert.is_nil(io.open(path))
  end)

  it("returns that the port is taken, its hooks undone", function()
    support.with_app(support.app(), function(port)
      local app, notes = noting()
      local server, message, code = app:serve { port = port }
      assert.is_nil(server)
      assert.equal("address already in use", message)
      assert.equal("EADDRINUSE", code)
      assert.same({ "startup", "shutdown", "cleanup" }, notes)
    end)
  end)
end)

describe("a stop", function()
  it("finishes the requests in work, then says so", function()
    local app, notes = noting()
    local server = assert(app:serve { port = 0 })
    local _, port = server:sockname()
    local stream <close> = ask_slowly(port, 5)
    server:close()
    local answer = answers(stream:read_all())[1]
    assert.equal("slow", answer.body)
    assert.equal("close", answer.headers.connection)
    server:wait_closed()
    assert.same({ "startup", "begin", "shutdown", "end", "cleanup" }, notes)
  end)

  it("finishes a request whose body is half sent", function()
    local server = assert(support.app():serve { port = 0 })
    local stream <close> = sockets.connect(select(2, server:sockname()))
    stream:write(
      bytes "POST /echo HTTP/1.1\nHost: a\nContent-Length: 5\n\nhe")
    sluice.sleep(0.1)
    server:close()
    sluice.sleep(1)
    stream:write "llo"
    local answer = answers(stream:read_all())[1]
    assert.equal("hello", answer.body)
    assert.equal("close", answer.headers.connection)
    server:wait_closed()
  end)

  it("refuses new connections, and closes idle ones at once", function()
    local server = assert(noting():serve { port = 0 })
    local _, port = server:sockname()
    local busy <close> = ask_slowly(port, 5)
    local idle <close> = sockets.connect(port)
    idle:write(GET)
    assert.is_string(idle:read())
    server:close()
    assert.same({ nil, "eof" }, { idle:read(nil, 1) })
    local stream, _, code = require("sluice.net").connect("127.0.0.1", port)
    assert.is_nil(stream)
    assert.equal("ECONNREFUSED", code)
    assert.equal("slow", answers(busy:read_all())[1].body)
    server:wait_closed()
  end)

  it("does not wait for a client that keeps its connection", function()
    local server = assert(support.app():serve { port = 0 })
    local idle <close> = sockets.connect(select(2, server:sockname()))
    idle:write(GET)
    assert.is_string(idle:read())
    local before = sluice.time()
    server:stop()
    assert.is_true(sluice.time() - before < 1)
    assert.same({ nil, "eof" }, { idle:read(nil, 1) })
  end)

  it("does not wait for the rest of a body that nobody reads", function()
    local app = http.App()
    app:post("/", function() return "unread" end)
    local server = assert(app:serve { port = 0, grace = 9 })
    local stream <close> = sockets.connect(select(2, server:sockname()))
    stream:write(bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 99\n\nx")
    assert.is_string(stream:read())
    local before = sluice.time()
    server:stop()
    assert.is_true(sluice.time() - before < 3)
  end)

  it("is left as it was by a call that cannot wait", function()
    local app, notes = noting()
    local server = assert(app:serve { port = 0 })
    local function stop() server:stop() end
    assert.is_false(coroutine.resume(coroutine.create(stop)))
    assert.is_false(pcall(table.sort, { 1, 2 }, stop))
    assert.same({ "startup" }, notes)
    server:stop()
    assert.same({ "startup", "shutdown", "cleanup" }, notes)
  end)

  it("outlives a connection that there was no memory for", function()
    local server = assert(support.app():serve { port = 0, grace = 9 })
    local _, port = server:sockname()
    local create_task = sluice.create_task
    local log = support.catch_stderr(function()
      local lost <close> = sockets.connect(port)
      sluice.create_task = function() error("not enough memory", 0) end
      lost:write(GET)
      lost:read()
      sluice.create_task = create_task
    end)
    assert.matches("a connection was given up: not enough memory", log)
    assert.equal(200, support.ask(port, GET).status)
    server:stop()
    assert.matches("0 connections", tostring(server))
  end)

  it("takes no further request of a connection", function()
    local app, notes = noting()
    local server = assert(app:serve { port = 0 })
    local stream <close> = ask_slowly(select(2, server:sockname()), 5)
    stream:write(GET)
    server:close()
    assert.equal(1, #answers(stream:read_all()))
    server:wait_closed()
    assert.equal("cleanup", notes[#notes])
  end)

  it("cancels what is left when the grace is over", function()
    local app, notes = noting()
    local server = assert(app:serve { port = 0, grace = 3 })
    local stream <close> = ask_slowly(select(2, server:sockname()), 100)
    local began = sluice.time()
    server:close()
    assert.same({ nil, "timeout" }, { server:wait_closed(1) })
    assert.equal("", stream:read_all())
    server:wait_closed()
    local took = sluice.time() - began
    assert.is_true(took >= 3 and took < 4)
    assert.same({ "startup", "begin", "shutdown", "cleanup" }, notes)
  end)

  it("is cut short by a cancellation, and comes to its end", function()
    local app, notes = noting()
    local server = assert(app:serve { port = 0 })
    local stream <close> = ask_slowly(select(2, server:sockname()), 100)
    assert.is_false(sluice.wait_for(1, server.stop, server) == true)
    assert.equal("", stream:read_all())
    assert.is_true(server:wait_closed(0))
    assert.same({ "startup", "begin", "shutdown", "cleanup" }, notes)
    server:stop()
  end)

  it("cannot be waited for by what it waits for", function()
    local why = "a handler or hook of the server cannot wait for its stop: "
      .. "close it"
    local app, server = http.App(), nil
    local function stop()
      errors.raises(why, function() server:stop() end)
      server:close()
    end
    app:get("/", stop)
    app:on_shutdown(stop)
    app:on_cleanup(stop)
    server = assert(app:serve { port = 0 })
    local _, port = server:sockname()
    assert.equal(204, support.ask(port, GET).status)
    assert.is_true(server:wait_closed(5))
  end)

  it("goes on when a hook fails", function()
    local app, notes = noting()
    app:on_shutdown(function() error "a hook failed" end)
    app:on_shutdown(function() notes[#notes + 1] = "second" end)
    local log = support.catch_stderr(function()
      local server = assert(app:serve { port = 0 })
      server:close()
      server:wait_closed()
    end)
    assert.matches("error in a hook: .*a hook failed", log)
    assert.same({ "startup", "shutdown", "second", "cleanup" }, notes)
  end)
end)

local PROGRAM = [[
local sluice, http = require "sluice", require "sluice.http"
local app = http.App()
local function note(text) io.stderr:write(text, "\n") end
app:get("/", function() return "hello" end)
app:post("/echo", function(request) return request:text() end)
app:get("/slow/{seconds}", function(request)
  note "begin"
  sluice.sleep(tonumber(request.params.seconds))
  note "end"
  return "slow"
end)
app:on_startup(function() note "startup" end)
app:on_shutdown(function() note "shutdown" end)
app:on_cleanup(function() note "cleanup" end)
local ended = app:run {
  port = 0, grace = 1, on_listen = function(_, port)
    print("port " .. port)
    io.stdout:flush()
  end,
}
note("ended " .. tostring(ended))
]]

describe("app:run", function()
  plainly("serves from a main chunk until SIGTERM", function()
    local output, log = session(PROGRAM, [[
      curl $URL/; echo
      curl -d "some text" $URL/echo; echo
      curl -o /dev/null -w '%{http_code}\n' $URL/nothing
      curl $URL/slow/0.3 >$0.slow &
      await begin; stop; status; wait; cat $0.slow; rm $0.slow
    ]])
    assert.equal("hello\nsome text\n404\nstatus 0\nslow", output)
    assert.equal("startup\nbegin\nshutdown\nend\ncleanup\nended true\n",
      log)
  end)

  plainly("stops at SIGINT as at SIGTERM", function()
    local output, log = session(PROGRAM, "kill -INT $PID; status")
    assert.equal("status 0\n", output)
    assert.equal("startup\nshutdown\ncleanup\nended true\n", log)
  end)

  plainly("cancels what outlasts the grace", function()
    local output, log = session(PROGRAM, [[
      { curl $URL/slow/100; echo "curl $?"; } &
      await begin; stop; status; wait
    ]])
    assert.matches("curl 52\n", output)
    assert.matches("status 0\n", output)
    assert.equal("startup\nbegin\nshutdown\ncleanup\nended true\n", log)
  end)

  plainly("ends at once at the second signal", function()
    local output = session(PROGRAM:gsub("grace = 1", "grace = 100"), [[
      curl $URL/slow/100 &
      await begin; stop; await shutdown; stop; status
    ]])
    assert.equal("status 143\n", output)
  end)

  plainly("takes a big body over curl, and refuses too big a one", function()
    local output = session(PROGRAM, [[
      head -c 1000000 /dev/zero >$0.big
      curl --data-binary @$0.big $URL/echo | wc -c | tr -d " "
      head -c 10000000 /dev/zero >$0.big
      curl -o /dev/null -w '%{http_code}\n' --data-binary @$0.big $URL/echo
      curl -o /dev/null -w '%{http_code}\n' -H Expect: \
        --data-binary @$0.big $URL/echo
      curl -o /dev/null -w '%{http_code}\n' -H Transfer-Encoding:\ chunked \
        --data-binary @$0.big $URL/echo
      rm $0.big; curl $URL/; stop; status
    ]])
    assert.equal("1000000\n413\n413\n413\nhellostatus 0\n", output)
  end)

  plainly("tells that it cannot listen, and returns it", function()
    local output, log = session([[
      local http = require "sluice.http"
      local app = http.App()
      print("port 0")
      io.stdout:flush()
      print(app:run { host = "192.0.2.1", port = 80 })
    ]], "status")
    assert.equal("status 0\n", output)
    assert.equal("sluice.http: cannot listen at 192.0.2.1:80: address not "
      .. "available (EADDRNOTAVAIL)\n", log)
  end)

  plainly("survives clients that reset, send half requests or nothing",
    function()
      local output = session(PROGRAM, [[
        for i in 1 2 3 4 5; do
          printf 'GET / HTTP/1.1\r\nHo' | timeout 0.1 nc -q 0 127.0.0.1 $PORT
          printf 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx' |
            timeout 0.1 nc -q 0 127.0.0.1 $PORT
          timeout 0.1 nc 127.0.0.1 $PORT </dev/null
          head -c 100000 /dev/urandom | timeout 0.2 nc -q 0 127.0.0.1 $PORT
        done >/dev/null
        curl $URL/; stop; status
      ]])
      assert.equal("hellostatus 0\n", output)
    end)
end)

describe("lua_close", function()
  plainly("is clean while requests are in work", function()
    process.prints("", [[
      local http = require "sluice.http"
      local net = require "sluice.net"
      sluice.run(function()
        local app = http.App()
        app:get("/", function() sluice.sleep(100) end)
        app:get("/big", function() return ("x"):rep(10000000) end)
        app:post("/", function(request) return request:text() end)
        local server = app:serve { port = 0 }
        local _, port = server:sockname()
        for _, text in ipairs {
          "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HT", "",
          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n1",
          "GET /big HTTP/1.1\r\nHost: a\r\n\r\n", "nonsense\r\n\r\n",
        } do
          local stream = net.connect("127.0.0.1", port)
          stream:write(text)
        end
        sluice.sleep(0.1)
        server:close()
        sluice.sleep(0.1)
        os.exit(0, true)
      end)
    ]])
  end)
end)
