-- What TLS adds to streams and servers. That streams over TLS are streams is
-- in tls_stream_spec, what the network may do in tls_wire_spec, how TLS fails
-- in tls_errors_spec.

local errors = require "spec.support.errors"
local net = require "sluice.net"
local process = require "spec.support.process"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"
local tls = require "spec.support.tls"

local plainly = it
local client_options, server_options = tls.client, tls.server
local echo, with_pair = tls.echo, tls.with_pair
local directory, authority, own, client_own

setup(function()
  tls.open()
  directory, authority, own = tls.directory, tls.authority, tls.own
  client_own = directory:issue(authority, "client", { purpose = "clientAuth" })
end)

teardown(tls.close)

local function it(name, fn) -- luacheck: ignore
  testing.it(name, function()
    fn()
    testing.settle()
  end)
end

-- What both sides say of a connection.
local function described(server, client)
  local ours, theirs
  with_pair(server, client, function(a, b) ours, theirs = a:tls(), b:tls() end)
  return ours, theirs
end

describe("stream:tls", function()
  it("tells what was agreed upon", function()
    local ours = described()
    assert.equal("TLSv1.3", ours.version)
    assert.matches("^TLS_", ours.cipher)
    assert.is_nil(ours.alpn)
  end)

  it("tells who the peer is", function()
    local peer = described().peer
    assert.equal("CN=localhost", peer.subject)
    assert.equal("CN=authority", peer.issuer)
    assert.equal("DNS:localhost, IP:127.0.0.1, IP:::1", peer.names)
    assert.matches("^%x+$", peer.serial)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", peer.not_after)
    assert.is_true(peer.not_before < peer.not_after)
    assert.matches("^" .. ("%x"):rep(64) .. "$", peer.sha256)
  end)

  it("shows no punctuation that a certificate made up", function()
    local odd = directory:issue(authority, "odd",
      { names = "@names\n[names]\nDNS.1 = localhost\n"
        .. "URI.1 = a, DNS:b.example" })
    local peer = described({ cert = odd.cert, key = odd.key },
      { server_name = "localhost" }).peer
    assert.equal("DNS:localhost, URI:a??DNS:b.example", peer.names)
  end)

  it("is nil without TLS", function()
    sockets.with_pair(function(a)
      assert.same({ n = 1 }, table.pack(a:tls()))
      a:close()
      assert.equal("EBADF", (select(3, a:tls())))
    end)
  end)

  it("knows no certificate of a client without one", function()
    local _, theirs = described()
    assert.is_nil(theirs.peer)
  end)
end)

describe("a client", function()
  it("asks for the name that it connects to", function()
    sockets.with_server(function(stream)
      stream:write(tostring(stream:tls().server_name) .. "\n")
    end, function(port)
      local function asked(host, more)
        local stream <close> = assert(net.connect(host, port,
          { tls = client_options(more) }))
        return stream:readline()
      end
      assert.equal("localhost", asked "localhost")
      sockets.with_name("localhost.", { "127.0.0.1" }, function()
        assert.equal("localhost", asked "localhost.")
      end)
      assert.equal("nil", asked "127.0.0.1")
      assert.equal("localhost", asked("127.0.0.1",
        { server_name = "localhost" }))
      assert.equal("x.example", asked("127.0.0.1",
        { server_name = "x.example", verify = false }))
    end, { tls = server_options() })
  end)

  it("takes any certificate if it is told to", function()
    local own_signed = directory:issue(authority, "s", { self_signed = true })
    local ours = described(
      { cert = own_signed.cert, key = own_signed.key }, { verify = false })
    assert.equal("CN=s", ours.peer.subject)
  end)

  it("trusts a directory of authorities", function()
    os.execute("cd " .. authority.dir .. " && openssl rehash . 2>/dev/null")
    sockets.with_tls_pair(function(a)
      assert.equal("CN=authority", a:tls().peer.issuer)
    end, server_options(), { ca_path = authority.dir })
  end)

  it("trusts who is certified by one between", function()
    local between = directory:authority("between", { issuer = authority })
    local far = directory:issue(between, "far")
    local chain = directory:join("chain.crt", far.cert, between.cert)
    assert.equal("CN=between",
      described({ cert = chain, key = far.key }).peer.issuer)
  end)

  it("takes one that was not revoked", function()
    local list = directory:revoke(authority)
    assert.is_table(described(nil, { crl_file = list }))
  end)

  it("takes a wildcard of one label", function()
    local wild = directory:issue(authority, "wild",
      { names = "DNS:*.a.example" })
    assert.is_table(described({ cert = wild.cert, key = wild.key },
      { server_name = "www.a.example" }))
  end)

  it("speaks of protocols", function()
    local list = { alpn = { "h2", "http/1.1" } }
    local ours, theirs = described(list, { alpn = { "x", "http/1.1" } })
    assert.equal("http/1.1", ours.alpn)
    assert.equal("http/1.1", theirs.alpn)
    ours = described(list, { alpn = { "http/1.1", "h2" } })
    assert.equal("h2", ours.alpn) -- the server's first
    assert.is_nil(described(list).alpn)
    assert.is_nil(described(nil, list).alpn)
  end)

  it("connects by a Unix socket", function()
    local path = sockets.path()
    local server <close> =
      assert(net.serve_unix(echo, path, { tls = server_options() }))
    local stream = assert(net.connect_unix(path,
      { tls = client_options { server_name = "localhost" } }))
    stream:write "hello\n"
    assert.equal("hello", stream:readline())
    stream:close()
    server:close()
    assert(server:wait_closed(10))
    os.remove(path)
  end)

  plainly("trusts the system's authorities", function()
    process.prints("CN=authority\nDEPTH_ZERO_SELF_SIGNED_CERT\n", ([[
      local net = require "sluice.net"
      local function serve(cert, key)
        return assert(net.serve(function(stream) stream:read_all() end,
          "127.0.0.1", 0, { tls = { cert = cert, key = key } }))
      end
      local function connect(server)
        return net.connect("localhost", select(2, server:sockname()),
          { tls = true })
      end
      local trusted = %q
      if os.getenv "SSL_CERT_FILE" ~= trusted then
        os.exit(os.execute("SSL_CERT_FILE=" .. trusted .. " %s " .. arg[0]))
      end
      sluice.run(function()
        local server <close> = serve(%q, %q)
        local stream <close> = assert(connect(server))
        print(stream:tls().peer.issuer)
        local other <close> = serve(%q, %q)
        print((select(3, connect(other))))
      end)
    ]]):format(authority.cert, os.getenv "LUA" or "lua5.4", own.cert, own.key,
      directory:issue(authority, "t", { self_signed = true }).cert,
      authority.dir .. "/t.key"))
  end)
end)

describe("a server", function()
  it("has clients show certificates", function()
    local _, theirs = described({ client_ca = authority.cert },
      { cert = client_own.cert, key = client_own.key })
    assert.equal("CN=client", theirs.peer.subject)
  end)

  it("refuses a client without one, which learns it by reading", function()
    local told
    sockets.with_server(echo, function(port)
      local stream <close> = assert(net.connect("localhost", port,
        { tls = client_options() }))
      told = table.pack(stream:read())
    end, { tls = server_options { client_ca = authority.cert } })
    assert.equal("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", told[3])
    assert.equal("the peer ended TLS with the alert 'certificate required'",
      told[2])
  end)

  it("serves a client without one if that is optional", function()
    local options =
      { client_ca = authority.cert, verify_client = "optional" }
    local _, theirs = described(options)
    assert.is_nil(theirs.peer)
    _, theirs = described(options,
      { cert = client_own.cert, key = client_own.key })
    assert.equal("CN=client", theirs.peer.subject)
  end)

  it("has its key in the file of the certificate, or encrypted", function()
    local both = directory:join("both.pem", own.cert, own.key)
    local key = directory:encrypt(own.key, "secret")
    sockets.with_tls_pair(function() end, { cert = both }, client_options())
    with_pair({ key = key, password = "secret" }, nil, function() end)
  end)

  it("counts connections that shake hands", function()
    sockets.with_server(echo, function(port)
      local silent = sockets.connect(port)
      local stream, _, code = net.connect("localhost", port,
        { tls = client_options(), timeout = 1 })
      assert.is_nil(stream)
      assert.equal("ETIMEDOUT", code)
      silent:close()
      stream = assert(net.connect("localhost", port,
        { tls = client_options() }))
      stream:close()
    end, { tls = server_options(), max_connections = 1 })
  end)

  it("closes what shakes hands when its task is cancelled", function()
    local serving = sluice.Future()
    local task = sluice.create_task(sluice.task_group, function()
      serving:set_result(net.serve(echo, nil, 0, { tls = server_options() }))
      sluice.sleep(100)
    end)
    local server = serving:await()
    local silent <close> = sockets.connect(select(2, server:sockname()))
    sluice.sleep(0.01)
    tasks.cancel(task)
    assert.same({ nil, "eof" }, { silent:read() })
    assert.is_true(server:wait_closed(5))
  end)
end)

describe("net.TLSContext", function()
  it("is used for any number of both sides", function()
    local both = net.TLSContext(server_options(client_options()))
    for _ = 1, 3 do
      sockets.with_tls_pair(function(a, b)
        a:write "x"
        assert.equal("x", b:read())
      end, both, both)
    end
  end)

  it("reads its files when it is used, and once", function()
    local copy = directory:join("copy.crt", authority.cert)
    local context = net.TLSContext { ca_file = copy }
    sockets.with_tls_pair(function() end, server_options(), context)
    os.remove(copy)
    sockets.with_tls_pair(function() end, server_options(), context)
  end)

  it("reads them again when it is told to", function()
    local cert = directory:join("moving.crt", own.cert)
    local key = directory:join("moving.key", own.key)
    local context = net.TLSContext { cert = cert, key = key }
    local function serial()
      local seen
      sockets.with_tls_pair(function(a) seen = a:tls().peer.serial end,
        context, client_options())
      return seen
    end
    local first = serial()
    local renewed = directory:issue(authority, "renewed")
    directory:join("moving.crt", renewed.cert)
    local ok, _, code = context:reload()
    assert.is_nil(ok)
    assert.equal("ERR_OSSL_X509_KEY_VALUES_MISMATCH", code)
    assert.equal(first, serial()) -- it stays as it was
    directory:join("moving.key", renewed.key)
    assert.is_true(context:reload())
    assert.are_not.equal(first, serial())
  end)

  it("stays as it was on both sides when one cannot be read", function()
    local pem = directory:join("both.pem", own.cert, own.key)
    local ca = directory:join("both.crt", authority.cert)
    local both = net.TLSContext { cert = pem, ca_file = ca }
    local function serial()
      local seen
      sockets.with_tls_pair(function(a) seen = a:tls().peer.serial end, both,
        both)
      return seen
    end
    local first = serial()
    local newer = directory:issue(authority, "newer")
    directory:join("both.pem", newer.cert, newer.key)
    os.remove(ca)
    assert.equal("ENOENT", select(3, both:reload()))
    assert.equal(first, serial())
  end)

  plainly("tells of files that cannot be used also before its first use",
    function()
      for _, options in pairs { { cert = "/nowhere" }, { ca_file = "/no" } } do
        local ok, _, code = net.TLSContext(options):reload()
        assert.same({ nil, "ENOENT" }, { ok, code })
      end
    end)

  plainly("is what reload is called on", function()
    errors.raises("bad argument #1 to 'reload' (sluice.net.TLSContext "
      .. "expected, got nil)", function() net.TLSContext({}).reload() end)
  end)

  it("is not changed by changes of the options", function()
    local options = client_options()
    local context = net.TLSContext(options)
    options.ca_file = nil
    sockets.with_tls_pair(function() end, server_options(), context)
  end)

  it("tells what it is", function()
    assert.equal("sluice.net.TLSContext (alpn, ca_file)",
      tostring(net.TLSContext { ca_file = "x", alpn = { "h2" } }))
  end)
end)
