local client = require "spec.support.client"
local http = require "sluice.http"
local process = require "spec.support.process"

local it, with_raw, fails = client.it, client.with_raw, client.fails

-- A proxy that answers itself.
local function proxy(_, head)
  if head:find "^CONNECT refused" then
    return "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
  end
  return client.reply(head)
end

describe("a proxy", function()
  it("gets the requests that are to go by it", function()
    with_raw(proxy, function(url)
      local response = assert(http.get("http://a.test/x?y", { proxy = url }))
      assert.matches("^GET http://a.test/x%?y HTTP/1.1\r\n", response.body)
      assert.equal("http://a.test/x?y", response.url)
    end)
  end)

  it("of a client gets all its requests", function()
    with_raw(proxy, function(url)
      local pool <close> = http.Client { proxy = url }
      for _, name in ipairs { "a", "b" } do
        local response = assert(pool:get(("http://%s.test/"):format(name)))
        assert.matches("\nHost: " .. name .. "%.test\r\n", response.body)
      end
    end)
  end)

  it("is told who asks", function()
    with_raw(proxy, function(url)
      url = url:gsub("//", "//user:password@")
      local response = assert(http.get("http://a.test/", { proxy = url }))
      assert.matches("\nProxy%-Authorization: Basic dXNlcjpwYXNzd29yZA==",
        response.body)
    end)
  end)

  it("may refuse a connection by TLS", function()
    with_raw(proxy, function(url)
      local message = fails("EPROTO",
        http.get("https://refused.test/", { proxy = url }))
      assert.matches("403", message)
    end)
  end)

  -- What the environment names is used if it is asked for, and only then.
  local PROGRAM = [[
    local http, net, sluice =
      require "sluice.http", require "sluice.net", require "sluice"
    sluice.run(function()
      local server <close> = net.serve(function(stream)
        print((stream:readline()))
        stream:write "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
      end, "127.0.0.1", tonumber(os.getenv "PORT"))
      local options = { proxy = true, timeout = 5 }
      if %s then options.proxy = nil end
      print(http.get("http://127.0.0.1:1/", options) ~= nil)
    end)
  ]]

  local function run(without)
    local port = require("spec.support.sockets").free_port()
    local result = process.lua(PROGRAM:format(without),
      ("env PORT=%d http_proxy=http://127.0.0.1:%d"):format(port, port))
    assert.equal("", result.stderr)
    return result.stdout
  end

  it("of the environment is used if that is wanted", function()
    assert.equal("GET http://127.0.0.1:1/ HTTP/1.1\ntrue\n", run(false))
    assert.equal("false\n", run(true))
  end)
end)

describe("without libcurl", function()
  it("requests say so, and all else works", function()
    process.prints("nil\tsluice was built without libcurl\tENOTSUP\nhello\n", [[
      package.preload["sluice.native.curl"] = function()
        error("module 'sluice.native.curl' not found:", 0)
      end
      local http, sluice = require "sluice.http", require "sluice"
      sluice.run(function() print(http.get "http://127.0.0.1:1/") end)
      local app = http.App()
      app:get("/", function() return "hello" end)
      print(app:test().body)
    ]])
  end)

  it("none is loaded for a server", function()
    process.prints("hello\n", [[
      local http = require "sluice.http"
      local app = http.App()
      app:get("/", function() return "hello" end)
      print(app:test().body)
      assert(not package.loaded["sluice.http.client"])
      assert(not package.loaded["sluice.native.curl"])
    ]])
  end)
end)
