local certificates = require "spec.support.certificates"
local client = require "spec.support.client"
local http = require "sluice.http"
local sockets = require "spec.support.sockets"

local it, with_app, fails = client.it, client.with_app, client.fails
local directory, authority, own

setup(function()
  directory = certificates.new()
  authority = directory:authority "authority"
  own = directory:issue(authority, "localhost")
end)

teardown(function() directory:remove() end)

-- Runs fn(url) while an application serves with that certificate.
local function with_https(certificate, fn)
  local app = http.App()
  app:get("/", function() return "secret" end)
  local tls = { cert = certificate.cert, key = certificate.key }
  for key, value in pairs(certificate) do tls[key] = value end
  tls.dir, tls.config, tls.on_error = nil, nil, function() end
  with_app(app, function(plain)
    fn((plain:gsub("http://127.0.0.1", "https://localhost")))
  end, { tls = tls })
end

-- Asks the server that has the certificate.
local function ask(certificate, options)
  local result
  with_https(certificate, function(url)
    local pool <close> = http.Client()
    local all = { ca_file = authority.cert }
    for key, value in pairs(options or {}) do all[key] = value end
    result = table.pack(pool:get(url, all))
  end)
  return table.unpack(result, 1, result.n)
end

describe("a request by TLS", function()
  it("goes to a server whose certificate is good", function()
    local response = assert(ask(own))
    assert.equal("secret", response.body)
    assert.matches("^https://", response.url)
  end)

  it("keeps its connection, too", function()
    with_https(own, function(url)
      local pool <close> =
        http.Client { max_connections = 1, ca_file = authority.cert }
      for _ = 1, 5 do assert.equal("secret", assert(pool:get(url)).body) end
    end)
  end)

  it("goes to no server of an authority that it does not know", function()
    assert.matches("certificate", fails("ECERT", ask(own,
      { ca_file = directory:authority("other").cert })))
    with_https(own, function(url)
      fails("ECERT", http.get(url))
    end)
  end)

  it("goes to no server that signed its own", function()
    fails("ECERT", ask(directory:issue(authority, "alone",
      { self_signed = true })))
  end)

  it("goes to no server of another name", function()
    assert.matches("name", fails("ECERT", ask(directory:issue(authority,
      "elsewhere", { names = "DNS:elsewhere.test" }))))
  end)

  it("goes to no server whose time is over, or is still to come", function()
    fails("ECERT", ask(directory:issue(authority, "old",
      { from = "20010101000000Z", to = "20020101000000Z" })))
    fails("ECERT", ask(directory:issue(authority, "young",
      { from = "20400101000000Z", to = "20410101000000Z" })))
  end)

  it("goes to any server if it is told to", function()
    local certificate = directory:issue(authority, "any",
      { self_signed = true, names = "DNS:elsewhere.test" })
    assert.equal("secret", assert(ask(certificate, { verify = false })).body)
  end)

  it("that checks uses no connection of one that does not", function()
    with_https(own, function(url)
      local pool <close> = http.Client()
      assert(pool:get(url, { verify = false }))
      fails("ECERT", pool:get(url))
    end)
  end)

  it("needs the files that it names", function()
    fails("ECERT", ask(own, { ca_file = "/nowhere" }))
    fails("ECERT", ask(own, { cert_file = "/nowhere" }))
  end)

  it("shows its own certificate where it is asked for one", function()
    local mine = directory:issue(authority, "mine",
      { purpose = "clientAuth" })
    local strict = { cert = own.cert, key = own.key,
      client_ca = authority.cert }
    local response = assert(ask(strict,
      { cert_file = mine.cert, key_file = mine.key }))
    assert.equal("secret", response.body)
    local _, _, code = ask(strict)
    assert.truthy(code == "ETLS" or code == "EPROTO" or code == "EOF", code)
  end)

  it("to a server without TLS is told", function()
    sockets.with_server(function(stream)
      stream:read()
      stream:write "HTTP/1.1 400 Bad Request\r\n\r\n"
    end, function(port)
      fails("ETLS", http.get("https://localhost:" .. port))
    end)
  end)

  it("to a server that goes in the handshake is told", function()
    sockets.with_server(function(stream)
      stream:read()
    end, function(port)
      fails("ETLS", http.get("https://localhost:" .. port))
    end)
  end)

  it("is not turned into one without by a redirect unseen", function()
    local app = http.App()
    app:get("/", function(request)
      return request.headers.authorization or "nothing"
    end)
    with_app(app, function(plain)
      client.with_raw("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\z
        Location: " .. plain .. "\r\n\r\n", function(url)
        local response = assert(http.get(url,
          { ca_file = authority.cert, auth = { "a", "b" } }))
        assert.equal("nothing", response.body)
        assert.same({ url .. "/" }, response.history)
      end, { tls = { cert = own.cert, key = own.key } })
    end)
  end)
end)
