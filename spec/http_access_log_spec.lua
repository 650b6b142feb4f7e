local errors = require "spec.support.errors"
local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local it = testing.it
local ask, bytes = support.ask, support.bytes
local exchange, with_app = support.exchange, support.with_app

local GET = bytes "GET / HTTP/1.1\nHost: a\n\n"

-- The lines and entries that requests come to.
local function logged(app, text)
  local lines, entries = {}, {}
  with_app(app, function(port) exchange(port, text) end, {
    access_log = function(line, entry)
      lines[#lines + 1], entries[#entries + 1] = line, entry
    end,
  })
  return lines, entries
end

describe("the access log", function()
  it("has a line for each request, in the combined format", function()
    local lines = logged(support.app(), bytes("GET /?a=b HTTP/1.1\nHost: a\n"
      .. "Referer: http://x/\nUser-Agent: spec/1 (a; b)\n\n"
      .. "POST /echo HTTP/1.1\nHost: a\nContent-Length: 8\n\n12345678"
      .. "\r\nHEAD / HTTP/1.1\nHost: a\n\n"
      .. "GET /none HTTP/1.0\nConnection: keep-alive\n\nnonsense\n"))
    local want = {
      '"GET /?a=b HTTP/1.1" 200 5 "http://x/" "spec/1 (a; b)"',
      '"POST /echo HTTP/1.1" 200 8 "-" "-"',
      '"HEAD / HTTP/1.1" 200 0 "-" "-"',
      '"GET /none HTTP/1.0" 404 14 "-" "-"', '"-" 400 0 "-" "-"',
    }
    assert.equal(#want, #lines)
    for i, line in ipairs(lines) do
      local stamp, told, seconds = line:match(
        '^127%.0%.0%.1 %- %- %[([^]]+)%] (".*") (%d+%.%d%d%d%d%d%d)$')
      assert.matches("^%d%d/%a%a%a/%d%d%d%d:%d%d:%d%d:%d%d %+0000$", stamp)
      assert.equal(want[i], told)
      assert.is_true(tonumber(seconds) >= 0)
    end
  end)

  it("gives a function the fields, too", function()
    local app = http.App()
    app:get("/{name}", function()
      sluice.sleep(2)
      return "hello"
    end)
    local _, entries = logged(app, bytes "GET /a%20b?c HTTP/1.1\nHost: a\n"
      .. bytes "Connection: close\nUser-Agent: x\n\n")
    local entry = entries[1]
    assert.same({ "GET", "/a b", "GET /a%20b?c HTTP/1.1", 200, 5, "127.0.0.1",
      "-", "x" }, { entry.method, entry.path, entry.line, entry.status,
      entry.bytes, entry.peer, entry.referer, entry.user_agent })
    assert.is_true(entry.seconds >= 2 and entry.seconds < 2.1)
  end)

  it("says why a request was refused", function()
    local _, entries = logged(support.app(), bytes "GET / HTTP/1.1\n\n")
    assert.equal(400, entries[1].status)
    assert.is_string(entries[1].reason)
  end)

  it("cannot be forged", function()
    local lines, entries = logged(support.app(), "\r\n"
      .. bytes 'GET /%0a"?"\\ HTTP/1.1\nHost: a\nReferer: " 200 5 "\\\n'
      .. "User-Agent: caf\xc3\xa9\x9b\t\r\nCookie: a\r\n\r\n")
    assert.equal('"GET /%0a\\x22?\\x22\\x5c HTTP/1.1" 404 14 '
      .. '"\\x22 200 5 \\x22\\x5c" "caf\\xc3\\xa9\\x9b"',
      lines[1]:match '%] (.*) %S+$')
    assert.equal("/\\x0a\\x22", entries[1].path)
  end)

  it("tells of requests that failed", function()
    local app, lines, entries = support.app(), nil, nil
    app:get("/fail", function()
      sluice.sleep(2)
      error "oops"
    end)
    support.catch_stderr(function()
      lines, entries = logged(app,
        bytes "GET /fail HTTP/1.1\nHost: a\nConnection: close\n\n")
    end)
    assert.equal(1, #lines)
    assert.matches('"GET /fail HTTP/1.1" 500', lines[1])
    assert.equal(#"500 Internal Server Error\n", entries[1].bytes)
    assert.is_true(entries[1].seconds >= 2)
  end)

  it("tells the bytes of the body that was sent", function()
    local app = http.App()
    app:get("/empty", function() return 204, "nothing of it" end)
    app:post("/", function(request) return tostring(request:text()) end)
    local _, entries = logged(app, bytes("GET /empty HTTP/1.1\nHost: a\n\n"
      .. "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\nzz\n"))
    assert.same({ 204, 0, 400, 0 }, { entries[1].status, entries[1].bytes,
      entries[2].status, entries[2].bytes })
  end)

  it("has one line of a stream whose client goes away", function()
    local app = http.App()
    app:get("/", function()
      return function() return ("x"):rep(1000) end
    end)
    local entries = {}
    with_app(app, function(port)
      local stream = sockets.connect(port)
      stream:write(GET)
      stream:readuntil "\r\n\r\n"
      stream:close()
      sluice.sleep(1)
    end, { access_log = function(_, entry) table.insert(entries, entry) end })
    assert.equal(1, #entries)
    assert.equal(499, entries[1].status)
  end)

  it("goes to a file, or to stderr", function()
    local file <close> = io.tmpfile()
    with_app(support.app(), function(port) exchange(port, GET) end,
      { access_log = file })
    file:seek "set"
    assert.matches('"GET / HTTP/1.1" 200 5', file:read "a")
    local text = support.catch_stderr(function()
      with_app(support.app(), function(port) exchange(port, GET) end,
        { access_log = true })
    end)
    assert.matches('"GET / HTTP/1.1" 200 5.*\n$', text)
  end)

  it("that fails is told of, and costs the connection", function()
    local function failing() error "disk full" end
    local log = support.catch_stderr(function()
      with_app(support.app(), function(port)
        assert.equal(200, ask(port, "GET / HTTP/1.1\nHost: a\n\n").status)
      end, { access_log = failing })
    end)
    assert.matches("disk full", log)
  end)

  it("is true, a file or a function", function()
    errors.raises("bad argument #1 to 'serve' (access_log: true, an open "
      .. "file or a function expected)",
      function() http.App():serve { access_log = "x" } end)
  end)
end)
