-- Each way in which TLS fails: what both sides are told.

local certificates = require "spec.support.certificates"
local errors = require "spec.support.errors"
local net = require "sluice.net"
local openssl = require "spec.support.openssl"
local process = require "spec.support.process"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local testing = require "sluice.testing"

local raises = errors.raises
local directory, authority, other, own, client_own

setup(function()
  directory = certificates.new()
  authority = directory:authority "authority"
  other = directory:authority "other"
  own = directory:issue(authority, "localhost")
  client_own = directory:issue(authority, "client", { purpose = "clientAuth" })
end)

teardown(function() directory:remove() end)

local plainly = it

local function it(name, fn) -- luacheck: ignore
  testing.it(name, function()
    fn()
    testing.settle()
  end)
end

local function echo(stream)
  for line in stream:lines() do stream:write(line .. "\n") end
end

-- Serves with `server`'s options, connects with `client`'s. Returns what
-- connect does, as a table, and what on_error was told last.
local function meet(server, client, host)
  local told, options = {}, { cert = own.cert, key = own.key }
  for key, value in pairs(server) do options[key] = value end
  options.on_error = function(...) told = { ... } end
  local outcome
  sockets.with_server(echo, function(port)
    outcome = table.pack(net.connect(host or "localhost", port,
      { tls = client }))
    local stream <close> = outcome[1] -- luacheck: ignore
  end, { tls = options })
  return outcome, told
end

-- Checks what a client is told that trusts the authority, and the server.
local function refuses(code, message, certificate, options, host)
  local all = { ca_file = authority.cert }
  for key, value in pairs(options or {}) do all[key] = value end
  local outcome, told = meet(certificate, all, host)
  assert.is_nil(outcome[1])
  assert.equal(code, outcome[3])
  assert.matches(message, outcome[2])
  assert.matches("^ERR_SSL_.*ALERT", told[2])
end

local PAST = { from = "20200101000000Z", to = "20210101000000Z" }
local FUTURE = { from = "20900101000000Z", to = "20910101000000Z" }

describe("a client refuses a certificate", function()
  it("that has expired", function()
    refuses("CERT_HAS_EXPIRED", "^certificate refused: .*expired %(CN=old%)$",
      directory:issue(authority, "old", PAST))
  end)

  it("that is not yet valid", function()
    refuses("CERT_NOT_YET_VALID", "not yet valid %(CN=new%)$",
      directory:issue(authority, "new", FUTURE))
  end)

  it("that is self-signed", function()
    refuses("DEPTH_ZERO_SELF_SIGNED_CERT", "self%-signed",
      directory:issue(authority, "self", { self_signed = true }))
  end)

  it("of an unknown authority", function()
    refuses("UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "unable to get local issuer",
      directory:issue(other, "stranger"))
  end)

  it("of an unknown authority that is sent with it", function()
    local stranger = directory:issue(other, "chained")
    stranger.cert = directory:join("chain.crt", stranger.cert, other.cert)
    refuses("SELF_SIGNED_CERT_IN_CHAIN", "self%-signed certificate in .*chain",
      stranger)
  end)

  it("of an authority that the server should have sent", function()
    local between = directory:authority("between", { issuer = authority })
    refuses("UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "unable to get local issuer",
      directory:issue(between, "far"))
  end)

  it("for another name", function()
    refuses("HOSTNAME_MISMATCH",
      "not for localhost but for DNS:a%.example, DNS:%*%.b%.example$",
      directory:issue(authority, "elsewhere",
        { names = "DNS:a.example, DNS:*.b.example" }))
  end)

  it("for another address", function()
    refuses("IP_ADDRESS_MISMATCH", "for 127%.0%.0%.1 but for IP:10%.0%.0%.1",
      directory:issue(authority, "address", { names = "IP:10.0.0.1" }), nil,
      "127.0.0.1")
  end)

  it("whose common name alone is right", function()
    refuses("HOSTNAME_MISMATCH", "but for DNS:else%.example",
      directory:issue(authority, "common",
        { subject = "localhost", names = "DNS:else.example" }))
  end)

  it("for part of a name", function()
    refuses("HOSTNAME_MISMATCH", "not for www%.a%.example",
      directory:issue(authority, "part", { names = "DNS:w*.a.example" }),
      { server_name = "www.a.example" })
  end)

  it("that was revoked", function()
    local bad = directory:issue(authority, "revoked")
    refuses("CERT_REVOKED", "certificate revoked %(CN=revoked%)", bad,
      { crl_file = directory:revoke(authority, bad) })
  end)

  it("when nobody says whether it was revoked", function()
    refuses("UNABLE_TO_GET_CRL", "CRL", own,
      { crl_file = directory:revoke(other) })
  end)

  it("for another purpose", function()
    refuses("INVALID_PURPOSE", "purpose", client_own)
  end)

  it("signed by one that is no authority", function()
    local between = directory:authority("nobody",
      { issuer = authority, authority = false })
    local bad = directory:issue(between, "signed")
    bad.cert = directory:join("nobody.crt", bad.cert, between.cert)
    refuses("INVALID_CA", "CN=nobody", bad)
  end)
end)

describe("a client", function()
  it("is told that the server wants a certificate", function()
    local options = { client_ca = authority.cert, min_version = "TLSv1.3" }
    local outcome, told = meet(options, { ca_file = authority.cert })
    assert.is_truthy(outcome[1]) -- in TLS 1.3 it learns of it later
    assert.equal("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", told[2])
  end)

  it("shows a certificate of an unknown authority", function()
    local bad = directory:issue(other, "c", { purpose = "clientAuth" })
    local _, told = meet({ client_ca = authority.cert },
      { ca_file = authority.cert, cert = bad.cert, key = bad.key })
    assert.equal("UNABLE_TO_GET_ISSUER_CERT_LOCALLY", told[2])
  end)

  it("shows a certificate of a server", function()
    local _, told = meet({ client_ca = authority.cert },
      { ca_file = authority.cert, cert = own.cert, key = own.key })
    assert.equal("INVALID_PURPOSE", told[2])
  end)

  it("has no protocol in common with the server", function()
    local outcome, told = meet({ alpn = { "h2" } },
      { ca_file = authority.cert, alpn = { "http/1.1", "x" } })
    assert.equal("ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL", outcome[3])
    assert.equal("the peer ended TLS with the alert "
      .. "'no application protocol'", outcome[2])
    assert.equal("ERR_SSL_NO_APPLICATION_PROTOCOL", told[2])
  end)
end)

-- A server without TLS that runs handler; returns what a client is told.
local function connect_to(handler, options)
  local outcome
  sockets.with_server(handler, function(port)
    options = options or {}
    options.tls = { ca_file = authority.cert }
    outcome = table.pack(net.connect("localhost", port, options))
  end)
  assert.is_nil(outcome[1])
  return outcome[3], outcome[2]
end

describe("a client of something else", function()
  it("is told that it does not speak TLS", function()
    local code, message = connect_to(function(stream)
      stream:write "220 mail.example ESMTP\r\n"
      stream:read_all()
    end)
    assert.equal("ERR_SSL_WRONG_VERSION_NUMBER", code)
    assert.matches("^the peer does not speak TLS", message)
  end)

  it("is told so by an HTTP server, too", function()
    local code = connect_to(function(stream)
      stream:read()
      stream:write "HTTP/1.1 400 Bad Request\r\n\r\n"
    end)
    assert.equal("ERR_SSL_WRONG_VERSION_NUMBER", code)
  end)

  it("is told that it closed in the handshake", function()
    local code, message = connect_to(function(stream) stream:read() end)
    assert.equal("ERR_SSL_UNEXPECTED_EOF_WHILE_READING", code)
    assert.equal("the peer closed the connection in the TLS handshake",
      message)
  end)

  it("is told that it reset the connection", function()
    assert.equal("ECONNRESET", (connect_to(function(stream)
      sluice.sleep(0.01)
      stream:close() -- the ClientHello was not read
    end)))
  end)

  it("gives up at its timeout when it says nothing", function()
    local code, message =
      connect_to(function(stream) stream:read_all() end, { timeout = 0.1 })
    assert.equal("ETIMEDOUT", code)
    assert.equal("timeout", message)
  end)
end)

-- A plain client of a TLS server; returns what the server is told, and what
-- the client was sent.
local function say(bytes, options)
  local told, answer = nil, nil
  local tls = { cert = own.cert, key = own.key }
  for key, value in pairs(options or {}) do tls[key] = value end
  tls.on_error = function(...) told = { ... } end
  sockets.with_server(echo, function(port)
    local stream <close> = sockets.connect(port)
    if bytes then stream:write(bytes) end
    answer = stream:read_all()
    testing.settle()
  end, { tls = tls })
  return told, answer
end

describe("a server", function()
  it("is told that a client speaks HTTP", function()
    local told = say "GET / HTTP/1.1\r\n\r\n"
    assert.equal("ERR_SSL_HTTP_REQUEST", told[2])
    assert.matches("^the peer speaks HTTP without TLS", told[1])
    assert.equal("127.0.0.1", told[3])
    assert.equal("integer", math.type(told[4]))
  end)

  it("is told that a client does not speak TLS", function()
    assert.matches("^ERR_SSL_", say("hello\r\nworld\r\n")[2])
    assert.matches("^ERR_SSL_", say(("\0"):rep(100))[2])
    assert.matches("^ERR_SSL_", say("\22\3\1\0\5hello")[2])
  end)

  it("drops a client that says nothing", function()
    local told = say(nil, { handshake_timeout = 0.2 })
    assert.equal("the TLS handshake was not done in time", told[1])
    assert.equal("ETIMEDOUT", told[2])
  end)

  it("drops it after 10 seconds, unless told otherwise", function()
    local began = sluice.time()
    say(nil)
    assert.equal(10, math.floor(sluice.time() - began + 0.5))
  end)

  it("drops a client that stops in the middle", function()
    local told = say("\22\3\1\1\0", { handshake_timeout = 0.2 })
    assert.equal("ETIMEDOUT", told[2])
  end)

  it("goes on serving, and tells nobody unless asked", function()
    sockets.with_server(echo, function(port)
      local bad <close> = sockets.connect(port)
      bad:write "nonsense\r\n"
      bad:read_all()
      local good <close> = assert(net.connect("localhost", port,
        { tls = { ca_file = authority.cert } }))
      good:write "hello\n"
      assert.equal("hello", good:readline())
    end, { tls = { cert = own.cert, key = own.key } })
  end)

  it("reports an error of on_error", function()
    local reported
    sluice.on_error(function(_, err) reported = err end)
    sockets.with_server(echo, function(port)
      local bad <close> = sockets.connect(port)
      bad:write "nonsense\r\n"
      bad:read_all()
    end, { tls = {
      cert = own.cert, key = own.key, on_error = function() error "mine" end,
    } })
    sluice.on_error(nil)
    assert.matches("mine", reported)
  end)
end)

-- As `it`, in real time: another process takes part.
local function really(name, fn)
  plainly(name, function()
    sluice.run(function()
      assert(sluice.wait_for(30, function()
        fn()
        return true
      end))
    end)
  end)
end

describe("of two that do not agree", function()
  local function connect(arguments, options)
    local server <close> = openssl.server(arguments)
    options.ca_file = options.ca_file or authority.cert
    local stream, message, code =
      net.connect("127.0.0.1", server.port, { tls = options })
    assert.is_nil(stream)
    return code, message
  end

  really("a server knows too old versions only", function()
    local code, message = connect({ "-tls1_2", cert = own },
      { min_version = "TLSv1.3" })
    assert.equal("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", code)
    assert.equal("the peer ended TLS with the alert 'protocol version'",
      message)
  end)

  really("a server's key is too weak", function()
    local weak = directory:issue(authority, "weak", { bits = 1024 })
    local code, message =
      connect({ "-cipher", "DEFAULT@SECLEVEL=0", cert = weak }, {})
    assert.equal("EE_KEY_TOO_SMALL", code)
    assert.matches("^certificate refused: .*too weak %(CN=weak%)$", message)
  end)

  really("an authority's key is too weak", function()
    local small = directory:authority("small", { bits = 1024 })
    local code = connect({ "-cipher", "DEFAULT@SECLEVEL=0",
      cert = directory:issue(small, "of_small") }, { ca_file = small.cert })
    assert.equal("CA_KEY_TOO_SMALL", code)
  end)

  really("a server has none of the ciphers", function()
    local rsa = directory:issue(authority, "rsa", { bits = 2048 })
    local code = connect({ "-tls1_2", "-cipher", "AES128-SHA", cert = rsa },
      {})
    assert.equal("ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE", code)
  end)

  -- What a server is told of a client of the openssl command.
  local function serve(options, arguments)
    local told = sluice.Queue()
    local tls = { cert = own.cert, key = own.key }
    for key, value in pairs(options) do tls[key] = value end
    tls.on_error = function(message, code) told:put { message, code } end
    local server <close> =
      assert(net.serve(echo, "127.0.0.1", 0, { tls = tls }))
    local _, port = server:sockname()
    local client <close> = openssl.client(port, arguments) -- luacheck: ignore
    return told:get(10)
  end

  really("a client knows too old versions only", function()
    local told = serve({ min_version = "TLSv1.3" }, { "-tls1_2" })
    assert.equal("ERR_SSL_UNSUPPORTED_PROTOCOL", told[2])
    assert.matches("^no version of TLS in common", told[1])
  end)

  really("a client knows TLS 1.1 only", function()
    local told = serve({},
      { "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0" })
    assert.equal("ERR_SSL_UNSUPPORTED_PROTOCOL", told[2])
  end)

  really("a client has none of the ciphers", function()
    local told = serve({}, { "-tls1_2", "-cipher", "AES128-SHA" })
    assert.equal("ERR_SSL_NO_SHARED_CIPHER", told[2])
  end)
end)

describe("files that cannot be used", function()
  local function connect(options)
    local stream, message, code =
      net.connect("127.0.0.1", 1, { tls = options })
    assert.is_nil(stream)
    return code, message
  end

  local function serve(options)
    local server, message, code =
      net.serve(echo, "127.0.0.1", 0, { tls = options })
    assert.is_nil(server)
    return code, message
  end

  it("are not there", function()
    local missing = directory.path .. "/missing"
    local code, message = connect { ca_file = missing }
    assert.equal("ENOENT", code)
    assert.equal(("cannot use ca_file '%s': No such file or directory")
      :format(missing), message)
    assert.equal("ENOENT", (connect { crl_file = missing }))
    assert.equal("ENOENT", (connect { cert = missing }))
    assert.equal("ENOENT", (connect { cert = own.cert, key = missing }))
    assert.equal("ENOENT", (serve { cert = missing }))
    assert.equal("ENOENT",
      (serve { cert = own.cert, key = own.key, client_ca = missing }))
  end)

  it("hold something else", function()
    local nonsense = directory:write("nonsense", "nonsense\n")
    local code, message = serve { cert = nonsense }
    assert.equal("ERR_OSSL_PEM_NO_START_LINE", code)
    assert.equal(("cannot use cert '%s': it holds nothing of the kind in PEM "
      .. "(no start line)"):format(nonsense), message)
    assert.equal("ERR_OSSL_PEM_NO_START_LINE", (serve { cert = own.key }))
    assert.matches("^ERR_OSSL_", (serve { cert = own.cert, key = nonsense }))
    assert.matches("^ERR_OSSL_", (connect { ca_file = nonsense }))
    assert.matches("^ERR_OSSL_", (connect { crl_file = own.cert }))
  end)

  it("hold another certificate's key", function()
    local code, message = serve { cert = own.cert, key = client_own.key }
    assert.equal("ERR_OSSL_X509_KEY_VALUES_MISMATCH", code)
    assert.matches("it is not the key of the certificate", message)
  end)

  it("hold a certificate without its key", function()
    local code, message = serve { cert = own.cert }
    assert.equal("ERR_OSSL_UNSUPPORTED", code)
    assert.matches("cannot use key .*: it holds nothing of the kind", message)
  end)

  it("hold a weak key", function()
    local weak = directory:issue(authority, "feeble", { bits = 1024 })
    local code, message = serve { cert = weak.cert, key = weak.key }
    assert.equal("ERR_SSL_EE_KEY_TOO_SMALL", code)
    assert.matches("the key of the certificate is too weak", message)
  end)

  it("are encrypted, and nobody is asked for the password", function()
    local key = directory:encrypt(own.key, "secret")
    local _, message = serve { cert = own.cert, key = key }
    assert.matches("it is encrypted, and no password is given", message)
    for i = 1, 300 do -- one of 256 passes for right at first
      _, message = serve { cert = own.cert, key = key, password = "no" .. i }
      assert.matches("the password is wrong", message)
    end
  end)
end)

describe("options that are wrong", function()
  local function client(options, why)
    local where = "bad argument #3 to 'connect' (tls: " .. why .. ")"
    raises(where, function() net.connect("h", 1, { tls = options }) end)
  end

  local function server(options, why)
    local where = "bad argument #4 to 'serve' (tls: " .. why .. ")"
    raises(where, function() net.serve(echo, nil, 0, { tls = options }) end)
  end

  it("are errors of the caller of connect", function()
    client("yes", "boolean or table expected, got string")
    client({ nonsense = 1 }, "nonsense: unknown option")
    client({ client_ca = "x" }, "client_ca: unknown option")
    client({ ca_file = 5 }, "ca_file: string expected, got number")
    client({ ca_file = "a\0b" }, "ca_file: not a name")
    client({ verify = "no" }, "verify: boolean expected, got string")
    client({ alpn = "h2" }, "alpn: table expected, got string")
    client({ alpn = {} }, "alpn: list of strings expected")
    client({ alpn = { "" } }, "alpn: list of strings expected")
    client({ alpn = { ("x"):rep(255) } }, "alpn: longer than 255 bytes")
    client({ min_version = "TLSv1.1" },
      "min_version: 'TLSv1.2' or 'TLSv1.3' expected")
    client({ key = "x" }, "key: without a cert")
  end)

  it("are errors of the caller of serve", function()
    server(true, "table expected, got boolean")
    server({}, "cert: a server needs one")
    server({ cert = "x", ca_file = "x" }, "ca_file: unknown option")
    server({ cert = "x", verify_client = "maybe" },
      "verify_client: 'required' or 'optional' expected")
    server({ cert = "x", handshake_timeout = 0 },
      "handshake_timeout: duration must be positive")
    server({ cert = "x", on_error = 5 },
      "on_error: function expected, got number")
    server(net.TLSContext {}, "cert: a server needs one")
  end)

  it("are errors of the caller of the others", function()
    raises("bad argument #1 to 'TLSContext' (nonsense: unknown option)",
      function() net.TLSContext { nonsense = true } end)
    raises("bad argument #1 to 'TLSContext' (table expected, got boolean)",
      function() net.TLSContext(true) end)
    raises("bad argument #2 to 'connect_unix' (tls: server_name is needed)",
      function() net.connect_unix("x", { tls = true }) end)
  end)
end)

describe("a sluice without OpenSSL", function()
  it("says so when TLS is asked for, and works otherwise", function()
    process.prints([[
nil	TLS is not built in: sluice was built without OpenSSL	ENOTSUP
nil	TLS is not built in: sluice was built without OpenSSL	ENOTSUP
hello
]], [[
      package.preload["sluice.native.tls"] = function()
        error("module 'sluice.native.tls' not found:")
      end
      local net = require "sluice.net"
      sluice.run(function()
        local function greet(stream) stream:write "hello" end
        print(net.connect("localhost", 443, { tls = true }))
        print(net.serve(greet, nil, 0, { tls = { cert = "x" } }))
        local server <close> = assert(net.serve(greet, nil, 0))
        local stream <close> = assert(net.connect(server:sockname()))
        print(stream:read_all())
      end)
    ]])
  end)
end)
