-- TLS on the wire: whatever the network does, the end of a stream, handshakes
-- that are given up, and the `openssl` command at the other end.

local net = require "sluice.net"
local openssl = require "spec.support.openssl"
local process = require "spec.support.process"
local relay = require "spec.support.relay"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"
local tls = require "spec.support.tls"

local plainly = it
local client_options, server_options = tls.client, tls.server
local echo, with_pair = tls.echo, tls.with_pair
local authority, own

setup(function()
  tls.open()
  authority, own = tls.authority, tls.own
end)

teardown(tls.close)

local function it(name, fn) -- luacheck: ignore
  testing.it(name, function()
    fn()
    testing.settle()
  end)
end

local function really(name, fn) tls.really(plainly, name, fn) end

-- Runs fn(client, peer) by way of a relay.
local function by_relay(options, fn, server, client)
  local peers, done = sluice.Queue(), sluice.Event()
  sockets.with_server(function(peer)
    peers:put(peer)
    done:wait()
  end, function(port)
    relay.to(port, options, function(by)
      local ours <close> = assert(net.connect("localhost", by,
        { tls = client_options(client) }))
      local ok, err = pcall(fn, ours, (peers:get()))
      done:set()
      if not ok then error(err, 0) end
    end)
  end, { tls = server_options(server) })
end

-- Says some lines each way, and that no more will come.
local function converse(a, b)
  for i = 1, 3 do
    a:write("hello " .. i .. "\n")
    assert.equal("hello " .. i, b:readline())
    b:write(("x"):rep(i * 100) .. "\n")
    assert.equal(("x"):rep(i * 100), a:readline())
  end
  a:shutdown()
  assert.equal("", b:read_all())
  b:write "last"
  b:shutdown()
  assert.equal("last", a:read_all())
end

describe("whatever the network does", function()
  really("bytes may come one by one", function()
    by_relay({ piece = 1 }, converse)
  end)

  really("bytes may come in other pieces", function()
    by_relay({ piece = 7 }, converse)
    by_relay({ piece = 1000 }, converse)
  end)

  it("a connection that is cut off is no eof", function()
    local cut
    by_relay({ through = function(direction, data)
      return not (cut and direction == "down") and data or nil
    end }, function(a, b)
      b:write "before"
      assert.equal("bef", a:readexactly(3))
      cut = true
      b:write "after"
      local none, message, code = a:readexactly(10)
      assert.is_nil(none)
      assert.equal("ERR_SSL_UNEXPECTED_EOF_WHILE_READING", code)
      assert.matches("^the peer closed the connection without saying so",
        message)
      assert.equal("ore", a:read()) -- what came can be read
      assert.equal(code, (select(3, a:read())))
      assert.is_true(a:write "still heard\n")
      assert.equal("still heard", b:readline())
    end)
  end)

  it("a damaged byte ends both directions", function()
    local damage
    by_relay({ through = function(direction, data)
      if not damage or direction == "up" then return data end
      return data:sub(1, -2) .. string.char(data:byte(-1) ~ 1)
    end }, function(a, b)
      damage = true
      b:write "secret"
      local none, message, code = a:read()
      assert.is_nil(none)
      assert.equal("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", code)
      assert.matches("^what arrived was damaged or forged", message)
      assert.equal(code, (select(3, a:write "x")))
      assert.equal("ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC",
        (select(3, b:read())))
    end)
  end)

  it("a handshake that is damaged is refused", function()
    sockets.with_server(echo, function(port)
      relay.to(port, { through = function(direction, data)
        if direction == "up" then return data end
        return data:sub(1, -2) .. string.char(data:byte(-1) ~ 1)
      end }, function(by)
        local stream, _, code =
          net.connect("localhost", by, { tls = client_options() })
        assert.is_nil(stream)
        assert.matches("^ERR_SSL_", code)
      end)
    end, { tls = server_options() })
  end)
end)

describe("the end of a stream over TLS", function()
  it("is told by shutdown, and the other direction goes on", function()
    with_pair(nil, nil, function(a, b)
      a:write "question"
      a:shutdown()
      assert.equal("question", b:read_all())
      b:write(("answer"):rep(1000))
      b:shutdown()
      assert.equal(6000, #a:read_all())
    end)
  end)

  really("loses nothing that was written before", function()
    local big = ("0123456789abcdef"):rep(1 << 18)
    local got, done = nil, sluice.Event()
    sockets.with_server(function(stream)
      sluice.sleep(0.05)
      got = stream:read_all()
      done:set()
    end, function(port)
      local stream = assert(net.connect("localhost", port,
        { tls = client_options() }))
      stream:write(big, 0)
      stream:close()
      done:wait()
    end, { tls = server_options() })
    assert.equal(#big, #got)
  end)

  really("does not wait for a peer that goes on sending", function()
    with_pair(nil, nil, function(a, b)
      local task = sluice.create_task(function()
        while b:write(("x"):rep(100000)) do end
        return nil, "ended"
      end)
      a:read()
      a:close()
      assert.is_nil((task:await(1)))
    end)
  end)
end)

describe("a handshake", function()
  really("is given up when its task is cancelled, at any time", function()
    sockets.with_server(echo, function(port)
      local options = { tls = client_options { server_name = "localhost" } }
      local made, step = 0, 0
      repeat
        local task =
          sluice.create_task(net.connect, "127.0.0.1", port, options)
        sluice.sleep(step * 0.0002)
        task:cancel()
        local ok, stream = task:pawait()
        if ok then made = made + 1 stream:close() end
        step = step + 1
      until made == 3
      assert.is_true(step > 3)
    end, { tls = server_options() })
  end)

  -- The collector would close the socket, too, but at a time of its own.
  really("that was connected for, but is too late, leaves no connection",
    function()
      local stopped <close> = sockets.without_collector() -- luacheck: ignore
      local server <close> = assert(net.serve(echo, nil, 0))
      local client = net.TLSContext { verify = false }
      assert.is_true(client:reload())
      local task = sluice.create_task(sluice.wait_for, 0.01, net.connect,
        "127.0.0.1", select(2, server:sockname()), { tls = client })
      sluice.sleep(0)
      local now = os.clock()
      repeat until os.clock() > now + 0.02 -- until it is both
      assert.same({ nil, "timeout" }, { task:await() })
      server:close()
      assert.is_true(server:wait_closed(2))
    end)

  it("of a client takes as long as its task waits", function()
    sockets.with_server(function(stream) stream:read_all() end,
      function(port)
        local task = tasks.start(net.connect, "127.0.0.1", port,
          { tls = client_options() })
        sluice.sleep(50)
        assert.is_false(task:done())
        tasks.cancel(task)
      end)
  end)

  plainly("leaves nothing behind wherever it is cancelled", function()
    testing.cancel_everywhere(function()
      with_pair(nil, nil, function(a, b)
        a:write "hello\n"
        assert.equal("hello", b:readline())
      end)
    end)
  end)
end)

describe("the state may be closed", function()
  plainly("with everything in flight", function()
    process.prints("", ([[
      local net = require "sluice.net"
      local options = { cert = %q, key = %q }
      sluice.run(function()
        local server = assert(net.serve(function(stream)
          stream:write(("x"):rep(1000000))
        end, "127.0.0.1", 0, { tls = options }))
        local _, port = server:sockname()
        local silent = assert(net.connect("127.0.0.1", port))
        local tls = { ca_file = %q }
        local open = assert(net.connect("localhost", port, { tls = tls }))
        local mute = assert(net.serve(function(stream) stream:read_all() end,
          "127.0.0.1", 0))
        sluice.create_task(net.connect, "localhost",
          (select(2, mute:sockname())), { tls = tls })
        local closed = assert(net.connect("localhost", port, { tls = tls }))
        closed:write(("y"):rep(1000000), 0)
        closed:close()
        sluice.create_task(open.read_all, open)
        sluice.sleep(0.05)
        collected = net.connect("localhost", port, { tls = tls }) and nil
        collectgarbage()
        os.exit(0, true)
      end)
    ]]):format(own.cert, own.key, authority.cert))
  end)
end)

describe("openssl", function()
  really("s_server is a server for us", function()
    local server <close> = openssl.server { "-tls1_2", cert = own }
    local stream <close> = assert(net.connect("127.0.0.1", server.port,
      { tls = client_options() }))
    assert.equal("TLSv1.2", stream:tls().version)
    stream:write "hello\n"
    assert.equal("olleh", stream:readline())
    stream:write(("ab"):rep(5000) .. "\n")
    assert.equal(("ba"):rep(5000), stream:readline())
  end)

  -- What s_client prints that talks to a server of ours, and what it said.
  local function serve(arguments, handler)
    local ended = sluice.Event()
    local server <close> = assert(net.serve(function(stream)
      handler(stream)
      ended:set()
    end, "127.0.0.1", 0, { tls = server_options() }))
    local _, port = server:sockname()
    local client <close> = openssl.client(port, arguments)
    ended:wait()
    return client:output()
  end

  really("s_client is a client for us", function()
    local got
    local text = serve({ "-CAfile", authority.cert, "-verify_return_error",
      "-servername", "localhost", input = "(echo hello; sleep 0.2)" },
      function(stream)
        got = stream:readline()
        stream:write "good day\n"
        assert.equal("", stream:read_all())
      end)
    assert.equal("hello", got)
    assert.matches("Verify return code: 0 %(ok%)", text)
    assert.matches("good day", text, 1, true)
  end)

  really("s_client may change keys", function()
    local got
    serve({ input = "(sleep 0.1; echo K; sleep 0.1; echo k; sleep 0.1;"
      .. " echo hello; sleep 0.2)" }, function(stream)
        got = stream:readline()
        stream:write "after the change\n"
        stream:read_all()
      end)
    assert.equal("hello", got)
  end)

  really("s_client may not renegotiate", function()
    local got
    local text = serve({ "-tls1_2", input = "(sleep 0.1; echo R; sleep 0.2)" },
      function(stream) got = table.pack(stream:read()) end)
    assert.is_nil(got[1])
    assert.matches("no renegotiation", text)
    assert.matches("Secure Renegotiation IS supported", text)
    assert.matches("Compression: NONE", text)
  end)
end)
