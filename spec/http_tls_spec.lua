-- An application over TLS: with curl, with Python, and with streams of ours.

local errors = require "spec.support.errors"
local http = require "sluice.http"
local net = require "sluice.net"
local sluice = require "sluice"
local support = require "spec.support.http"
local testing = require "sluice.testing"
local tls = require "spec.support.tls"

local plainly = it
setup(tls.open)
teardown(tls.close)

local function it(name, fn) -- luacheck: ignore
  testing.it(name, fn, { timeout = 600 })
end

local PROGRAM = [[
local sluice = require "sluice"
local http = require "sluice.http"
local app = http.App { max_body = 100e6 }
app:get("/", function() return "hello\n" end)
app:post("/echo", function(request) return request:text() end)
app:post("/count", function(request)
  local n = 0
  for piece in function() return request:read() end do n = n + #piece end
  return n .. "\n"
end)
app:get("/big", function() return ("0123456789abcdef"):rep(1 << 18) end)
app:get("/chunks", function()
  local n = 0
  return function()
    n = n + 1
    sluice.sleep(0.001)
    return n <= 100 and ("x"):rep(n) .. "\n" or nil
  end
end)
app:get("/slow", function()
  sluice.sleep(0.3)
  return "slow\n"
end)
app:run {
  port = 0, grace = 5, tls = { cert = %q, key = %q },
  on_listen = function(_, port) print("port " .. port) io.flush() end,
}
]]

-- Runs a shell script beside the program: $U is its address, curl trusts it.
local function session(script)
  return support.session(PROGRAM:format(tls.own.cert, tls.own.key),
    ("U=https://localhost:$PORT\nCA=%s\ncurl() { command curl -sS -m 20 "
      .. "--cacert $CA \"$@\"; }\n%s"):format(tls.authority.cert, script))
end

describe("curl", function()
  plainly("is answered over TLS, by HTTP/1.1", function()
    local output, stderr = session [[
      curl -w '%{http_version} %{ssl_verify_result}\n' $U/
      curl --tls-max 1.2 $U/
      curl --http1.1 $U/
      curl --data 'some=data' $U/echo; echo
    ]]
    assert.equal("hello\n1.1 0\nhello\nhello\nsome=data\n", output)
    assert.equal("", stderr)
  end)

  plainly("keeps its connection", function()
    local output = session [[
      curl -w '%{num_connects}\n' $U/ $U/ $U/chunks -o /dev/null -o /dev/null \
        -o /dev/null
    ]]
    assert.equal("1\n0\n0\n", output)
  end)

  plainly("sends and gets what is large", function()
    local output = session [[
      head -c 20000000 /dev/zero | curl --data-binary @- $U/count
      head -c 20000000 /dev/zero |
        curl -H 'Transfer-Encoding: chunked' --data-binary @- $U/count
      curl $U/big | wc -c
      curl --limit-rate 20M $U/big | tail -c 16; echo
      curl $U/chunks | wc -c
    ]]
    assert.equal("20000000\n20000000\n4194304\n0123456789abcdef\n5150\n",
      output)
  end)

  plainly("refuses a certificate that it does not trust", function()
    local output = session [[
      env -u SSL_CERT_FILE -u CURL_CA_BUNDLE curl -s -m 20 $U/; echo $?
      curl --resolve other:$PORT:127.0.0.1 https://other:$PORT/ 2>/dev/null
      echo $?
      curl $U/
    ]]
    assert.equal("60\n60\nhello\n", output)
  end)

  plainly("gets nothing without TLS, and others are served", function()
    local output, stderr = session [[
      command curl -s -m 20 http://localhost:$PORT/; echo $?
      curl $U/
    ]]
    assert.matches("^[1-9]%d*\nhello\n$", output)
    assert.equal("", stderr)
  end)

  plainly("gets its answer though the server is to stop", function()
    local output = session [[
      curl $U/slow & SLOW=$!
      sleep 0.15; stop; wait $SLOW
      status
    ]]
    assert.equal("slow\nstatus 0\n", output)
  end)
end)

describe("Python", function()
  plainly("is answered over TLS", function()
    local output, stderr = session [[
      /usr/bin/python3 - $PORT $CA <<'EOF'
import http.client, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
connection = http.client.HTTPSConnection("localhost", int(sys.argv[1]),
                                         context=context, timeout=20)
for i in range(3):
    connection.request("GET", "/")
    print(connection.getresponse().read().decode(), end="")
connection.request("POST", "/echo", body="x" * 100000)
print(len(connection.getresponse().read()))
print(connection.sock.version())
connection.close()
EOF
    ]]
    assert.equal("hello\nhello\nhello\n100000\nTLSv1.3\n", output)
    assert.equal("", stderr)
  end)

  plainly("sees an orderly end of TLS", function()
    local output = session [[
      /usr/bin/python3 - $PORT $CA <<'EOF'
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
plain = socket.create_connection(("localhost", int(sys.argv[1])), 20)
with context.wrap_socket(plain, server_hostname="localhost",
                         suppress_ragged_eofs=False) as stream:
    stream.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    text = b""
    while True:
        piece = stream.recv(100)
        if not piece: break
        text += piece
    print(text.decode().splitlines()[-1])
    stream.unwrap()
    print("ended")
EOF
    ]]
    assert.equal("hello\nended\n", output)
  end)
end)

-- Runs fn(connect) while the application serves; connect(more) makes a stream.
local function with_app(app, fn)
  support.with_app(app, function(port)
    fn(function(more)
      return assert(net.connect("127.0.0.1", port,
        { tls = tls.client(more) }))
    end)
  end, { tls = tls.server() })
end

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

describe("an application over TLS", function()
  it("speaks HTTP/1.1 by ALPN", function()
    with_app(support.app(), function(connect)
      local stream <close> = connect { alpn = { "h2", "http/1.1" } }
      assert.equal("http/1.1", stream:tls().alpn)
    end)
  end)

  it("answers a pipeline in order", function()
    local app, n = http.App(), 0
    app:get("/", function()
      n = n + 1
      return tostring(n)
    end)
    with_app(app, function(connect)
      local stream <close> = connect()
      stream:write(GET:rep(10))
      stream:shutdown()
      local answers = support.answers(stream:read_all())
      assert.equal(10, #answers)
      for i, answer in ipairs(answers) do
        assert.equal(tostring(i), answer.body)
      end
    end)
  end)

  it("lets a connection rest, and goes on", function()
    with_app(support.app(), function(connect)
      local stream <close> = connect()
      for _ = 1, 3 do
        stream:write(GET)
        assert.matches("^HTTP/1.1 200", (stream:readuntil "hello"))
        sluice.sleep(5)
      end
      sluice.sleep(100)
      assert.same({ nil, "eof" }, { stream:read() })
    end)
  end)

  it("cancels a handler whose client goes away", function()
    local app, cancelled = http.App(), sluice.Queue()
    app:get("/", function()
      local _ <close> = setmetatable({}, { __close = function(_, err)
        cancelled:put_nowait(sluice.is_cancelled(err))
      end })
      sluice.sleep(1000)
    end)
    with_app(app, function(connect)
      local stream = connect()
      stream:write(GET)
      sluice.sleep(0.1)
      stream:close()
      assert.is_true(cancelled:get(10))
    end)
  end)

  it("refuses a slow head", function()
    with_app(support.app(), function(connect)
      local stream <close> = connect()
      stream:write "GET / HTTP/1.1\r\nHo"
      assert.matches("^HTTP/1.1 408 ", (stream:read_all()))
    end)
  end)

  it("stops while somebody shakes hands", function()
    support.with_app(support.app(), function(port, server)
      local silent <close> = assert(net.connect("127.0.0.1", port))
      sluice.sleep(0.1)
      server:close()
      assert.is_true(server:wait_closed(15))
      silent:close()
    end, { tls = tls.server(), grace = 1 })
  end)

  it("takes a context, with the protocols that it has", function()
    local context = net.TLSContext(tls.server { alpn = { "x" } })
    support.with_app(support.app(), function(port)
      local stream <close> = assert(net.connect("127.0.0.1", port,
        { tls = tls.client { alpn = { "x" } } }))
      assert.equal("x", stream:tls().alpn)
    end, { tls = context })
  end)

  it("cannot be served with files that cannot be used", function()
    local server, message, code =
      http.App():serve { port = 0, tls = { cert = "/missing" } }
    assert.is_nil(server)
    assert.equal("cannot use cert '/missing': No such file or directory",
      message)
    assert.equal("ENOENT", code)
  end)

  it("wants right options", function()
    errors.raises("bad argument #1 to 'serve' (tls: cert: a server needs one)",
      function() http.App():serve { port = 0, tls = {} } end)
    errors.raises("bad argument #1 to 'serve' "
      .. "(tls: table expected, got boolean)",
      function() http.App():serve { port = 0, tls = true } end)
  end)
end)
