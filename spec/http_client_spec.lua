local client = require "spec.support.client"
local errors = require "spec.support.errors"
local http = require "sluice.http"
local json = require "sluice.http.json"
local sluice = require "sluice"

local it, with_app, with_raw = client.it, client.with_app, client.with_raw
local reply, raises = client.reply, errors.raises

-- An application that tells what it was sent.
local function mirror()
  local app = http.App()
  local function tell(request)
    return {
      method = request.method, path = request.path, query = request.query,
      headers = request.headers, body = request:text(),
    }
  end
  for _, method in ipairs { "GET", "POST", "PUT", "DELETE", "PURGE" } do
    app:route(method, "/{path*}", tell)
  end
  return app
end

-- Runs fn(ask): ask(options) is what the mirror saw.
local function with_mirror(fn)
  with_app(mirror(), function(url)
    fn(function(options)
      options.url = url .. (options.url or "/")
      return assert(http.request(options)):json()
    end)
  end)
end

describe("a request", function()
  it("returns status, headers, body and URL", function()
    local app = http.App()
    app:get("/a", function() return 201, "hello", { ["X-One"] = "1" } end)
    with_app(app, function(url)
      local response = assert(http.get(url .. "/a"))
      assert.equal(201, response.status)
      assert.equal("hello", response.body)
      assert.equal(url .. "/a", response.url)
      assert.equal("1.1", response.http_version)
      assert.same({}, response.history)
      assert.equal("1", response.headers["x-one"])
      assert.equal("1", response.headers["X-ONE"])
      assert.equal("sluice.http.Response (201 " .. url .. "/a)",
        tostring(response))
    end)
  end)

  it("returns repeated fields joined, and cookies as a list", function()
    local fields = "A: 1\r\nSet-Cookie: a=1, 2\r\na:2 \r\nSET-COOKIE:b=\r\n"
    with_raw(reply("", fields), function(url)
      local headers = assert(http.get(url)).headers
      assert.equal("1, 2", headers.a)
      assert.same({ "a=1, 2", "b=" }, headers["Set-Cookie"])
    end)
  end)

  it("returns the last head after others, without the trailer", function()
    local text = "HTTP/1.1 103 Early Hints\r\nX: early\r\n\r\n\z
      HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: late\r\n\r\n\z
      3\r\nabc\r\n0\r\nX: trailing\r\n\r\n"
    with_raw(text, function(url)
      local response = assert(http.get(url))
      assert.equal("late", response.headers.x)
      assert.equal("abc", response.body)
    end)
  end)

  it("returns a field of several lines in one", function()
    with_raw("HTTP/1.1 200 OK\r\nA: one\r\n two\r\n\tthree\r\nB: x\r\n"
      .. "Content-Length: 0\r\n\r\n", function(url)
      local headers = assert(http.get(url)).headers
      assert.equal("one two\tthree", headers.a)
      assert.equal("x", headers.b)
    end)
  end)

  it("returns any status as it is", function()
    with_raw("HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", function(url)
      assert.equal(599, assert(http.get(url)).status)
    end)
  end)

  it("is a GET, or a POST if it has a body", function()
    with_mirror(function(ask)
      assert.equal("GET", ask({}).method)
      assert.equal("POST", ask({ body = "" }).method)
      assert.equal("PUT", ask({ body = "x", method = "put" }).method)
      assert.equal("DELETE", ask({ method = "DELETE" }).method)
      assert.equal("PURGE", ask({ method = "PURGE", body = "x" }).method)
      assert.equal("x", ask({ method = "GET", body = "x" }).body)
    end)
  end)

  it("of HEAD has no body", function()
    with_app(mirror(), function(url)
      local response = assert(http.request { url = url, method = "HEAD" })
      assert.equal(200, response.status)
      assert.equal("", response.body)
      assert.matches("^%d+$", response.headers["content-length"])
    end)
  end)

  it("sends its headers, and those by default", function()
    with_mirror(function(ask)
      local headers = ask({ headers = {
        One = "1", Two = 2, Three = { "a", "b" }, Empty = "",
      } }).headers
      assert.equal("1", headers.one)
      assert.equal("2", headers.two)
      assert.equal("a, b", headers.three)
      assert.equal("", headers.empty)
      assert.equal("sluice/0.1", headers["user-agent"])
      assert.equal("*/*", headers.accept)
      assert.matches("gzip", headers["accept-encoding"])
      assert.is_nil(headers["content-type"])
    end)
  end)

  it("sends other headers in the place of its own, or none", function()
    with_mirror(function(ask)
      local headers = ask({ body = "x", decompress = false, headers = {
        ["user-agent"] = "me", ACCEPT = {}, ["Content-Type"] = "a/b",
      } }).headers
      assert.equal("me", headers["user-agent"])
      assert.is_nil(headers.accept)
      assert.is_nil(headers["accept-encoding"])
      assert.equal("a/b", headers["content-type"])
    end)
  end)

  it("adds a query to its URL", function()
    with_mirror(function(ask)
      local seen = ask { url = "/p?a=1#end", query = { b = "& é", c = 3 } }
      assert.same({ a = "1", b = "& é", c = "3" }, seen.query)
      assert.same({ a = "1" }, ask({ url = "/p?a=1", query = {} }).query)
    end)
  end)

  it("has a user and a password", function()
    with_mirror(function(ask)
      local headers = ask({ auth = { "Aladdin", "open sesame" } }).headers
      assert.equal("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        headers.authorization)
    end)
  end)

  it("goes by a Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    with_app(mirror(), function()
      local response = assert(http.get("http://a.test/x", { unix = path }))
      assert.equal("a.test", response:json().headers.host)
    end, { unix = path })
  end)

  it("must be made in a task", function()
    sluice.call_soon(function()
      local ok, err = coroutine.resume(coroutine.create(function()
        http.get "http://127.0.0.1:1/"
      end))
      assert.is_false(ok)
      assert.matches("'get' can wait", err)
    end)
    sluice.sleep(0)
  end)
end)

describe("the body of a request", function()
  local function type_of(seen) return seen.headers["content-type"] end

  it("may be a string", function()
    with_mirror(function(ask)
      local bytes = ("\0\r\n\255"):rep(100000)
      local app = http.App { max_body = 1 << 20 }
      app:post("/", function(request) return request:text() == bytes end)
      local seen = ask { body = "a\nb" }
      assert.equal("a\nb", seen.body)
      assert.equal("3", seen.headers["content-length"])
      assert.equal("text/plain; charset=utf-8", type_of(seen))
    end)
  end)

  it("may be a table, as JSON, or any value", function()
    with_mirror(function(ask)
      local seen = ask { body = { a = { 1, 2 } } }
      assert.equal('{"a":[1,2]}', seen.body)
      assert.equal("application/json", type_of(seen))
      assert.equal("false", ask({ json = false }).body)
      assert.equal('"x"', ask({ json = "x" }).body)
    end)
  end)

  it("may be a form", function()
    with_mirror(function(ask)
      local seen = ask { form = { b = "1 & 2", a = { "x", "y" } } }
      assert.equal("a=x&a=y&b=1%20%26%202", seen.body)
      assert.equal("application/x-www-form-urlencoded", type_of(seen))
    end)
  end)

  it("may come from a function, which may wait", function()
    with_mirror(function(ask)
      local n = 0
      local seen = ask { body = function()
        n = n + 1
        sluice.sleep(1)
        return ({ "one ", "", "two" })[n]
      end }
      assert.equal("one two", seen.body)
      assert.equal("chunked", seen.headers["transfer-encoding"])
      assert.equal("application/octet-stream", type_of(seen))
    end)
  end)

  it("from a function may have its length told", function()
    with_mirror(function(ask)
      local list = { "one ", "two" }
      local seen = ask {
        body = function() return table.remove(list, 1) end,
        headers = { ["Content-Length"] = 7 },
      }
      assert.equal("one two", seen.body)
      assert.equal("7", seen.headers["content-length"])
      assert.is_nil(seen.headers["transfer-encoding"])
    end)
  end)

  it("from a function must have the length that was told", function()
    with_mirror(function(ask)
      for _, told in ipairs { 2, 4 } do
        local list = { "abc" }
        local ok, err = pcall(ask, {
          body = function() return table.remove(list, 1) end,
          headers = { ["Content-Length"] = told },
        })
        assert.is_false(ok)
        assert.equal(("the body has 3 bytes and not %d"):format(told), err)
      end
    end)
  end)

  it("from a function raises what that raises", function()
    with_mirror(function(ask)
      local err = {}
      local ok, raised = pcall(ask, { body = function() error(err) end })
      assert.is_false(ok)
      assert.equal(err, raised)
      ok, raised = pcall(ask, { body = function() return 1 end })
      assert.is_false(ok)
      assert.matches("must return a string or nil, not a number", raised)
    end)
  end)

  it("waits to be asked for, if the headers say so", function()
    local text = ("x"):rep(10000)
    with_raw(function(stream, head)
      assert.matches("\nExpect: 100%-continue\r\n", head)
      stream:write "HTTP/1.1 100 Continue\r\nX: early\r\n\r\n"
      return reply(stream:readexactly(#text))
    end, function(url)
      local response = assert(http.post(url, text,
        { headers = { Expect = "100-continue" } }))
      assert.equal(text, response.body)
      assert.is_nil(response.headers.x)
    end)
  end)

  it("is refused by a server before it is sent", function()
    local app = http.App { max_body = 10 }
    app:post("/", function(request) return request:text() end)
    with_app(app, function(url)
      local response = assert(http.post(url, ("x"):rep(11)))
      assert.equal(413, response.status)
    end)
  end)
end)

describe("the body of a response", function()
  it("is what came, byte for byte", function()
    local bytes = ("\0\r\n\255"):rep(50000)
    with_raw(reply(bytes), function(url)
      local response = assert(http.get(url))
      assert.is_true(response.body == bytes)
      assert.equal(response.body, response:text())
    end)
  end)

  it("is decoded from JSON", function()
    with_raw(function(_, head)
      return reply(head:find "good" and '{"a": [1, null]}' or "{")
    end, function(url)
      local value = assert(http.get(url .. "/good")):json()
      assert.equal(1, value.a[1])
      local none, message = assert(http.get(url .. "/bad")):json()
      assert.is_nil(none)
      assert.is_string(message)
    end)
  end)

  it("can be read in pieces and lines, as if it came", function()
    with_raw(reply "one\r\ntwo\n\nlast", function(url)
      local response <close> = assert(http.get(url))
      local lines = {}
      for line in response:lines() do lines[#lines + 1] = line end
      assert.same({ "one", "two", "", "last" }, lines)
      assert.same({ nil, "eof" }, { response:read(1) })
      assert.equal("one\r\ntwo\n\nlast", response.body)
    end)
  end)
end)

describe("wrong arguments", function()
  local URL = "http://127.0.0.1:1/"

  it("are raised at the caller's line", function()
    raises("bad argument #1 to 'request' (table expected, got no value)",
      function() http.request() end)
    raises("bad argument #1 to 'request' ('url' is missing)",
      function() http.request {} end)
    raises("bad argument #1 to 'get' (string expected, got no value)",
      function() http.get() end)
    raises("bad argument #2 to 'get' (table expected, got number)",
      function() http.get(URL, 5) end)
    raises("bad argument #3 to 'post' ('timeout' must be a duration in "
      .. "seconds)", function() http.post(URL, "", { timeout = -1 }) end)
    raises("bad argument #2 to 'post' (a string, a table or a function "
      .. "expected, got number)", function() http.post(URL, 5) end)
    raises("bad argument #1 to 'Client' (unknown option 'url')",
      function() http.Client { url = URL } end)
    raises("bad argument #1 to 'Client' ('max_connections' must be a "
      .. "positive integer)",
      function() http.Client { max_connections = 0 } end)
  end)

  it("are methods called with a dot", function()
    local pool <close> = http.Client()
    for _, name in ipairs { "request", "get", "post", "close" } do
      local call = pool[name]
      raises("bad argument #1 to '" .. name .. "' (sluice.http.Client "
        .. "expected, got string)", function() call(URL) end)
    end
  end)

  local function refuses(options, message)
    options.url = options.url or URL
    raises("bad argument #1 to 'request' (" .. message .. ")",
      function() http.request(options) end)
  end

  it("are options of the wrong type", function()
    refuses({ timout = 1 }, "unknown option 'timout'")
    refuses({ timeout = 0 / 0 }, "'timeout' must be a duration in seconds")
    refuses({ max_redirects = 1.5 },
      "'max_redirects' must be an integer that is not negative")
    refuses({ method = "GET /" }, "'method' must be a method")
    refuses({ method = "CONNECT" }, "'method' is CONNECT")
    refuses({ url = "http://a/\0" }, "'url' must be a string without zeros")
    refuses({ body = "", json = 1 }, "one of 'body', 'json' and 'form'")
    refuses({ method = "HEAD", body = "" }, "HEAD has no body")
    refuses({ http_version = "3" }, "'http_version' must be \"1.1\" or \"2\"")
    local why = "'auth' must be a list of user, without a colon, and password"
    refuses({ auth = { "a" } }, why)
    refuses({ auth = { "a:b", "c" } }, why)
    refuses({ unix = "" },
      "'unix' must be a string that is not empty, without zeros")
    refuses({ query = { a = print } }, "'a' in 'query' is a function")
    refuses({ form = { a = { {} } } }, "'a' in 'form' is a table")
  end)

  it("are headers that no request can have", function()
    refuses({ headers = { a = "x\r\nb: y" } },
      "the header 'a' has an invalid value")
    refuses({ headers = { a = "x\0" } },
      "the header 'a' has an invalid value")
    refuses({ headers = { a = { "x", "\n" } } },
      "the header 'a' has an invalid value")
    refuses({ headers = { ["a\r\nb"] = "x" } },
      "the header 'a\r\nb' has an invalid name")
    refuses({ headers = { ["a b"] = "x" } },
      "the header 'a b' has an invalid name")
    refuses({ headers = { "x" } }, "a header's name must be a string")
    refuses({ headers = { a = {} , b = true } },
      "the header 'b' must be a string or a number")
    refuses({ headers = { ["Transfer-Encoding"] = "chunked" } },
      "'Transfer-Encoding' cannot be set")
    refuses({ body = "ab", headers = { ["Content-Length"] = 3 } },
      "'Content-Length' is not the length of the body")
  end)

  it("are bodies that are no JSON", function()
    refuses({ json = print },
      "no JSON: Cannot serialise function: type not supported")
    assert.is_string(json.encode { 1 })
  end)
end)
