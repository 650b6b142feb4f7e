local errors = require "spec.support.errors"
local http = require "sluice.http"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local it = testing.it
local raises = errors.raises

-- The cookies that a handler sees of a header.
local function seen(header)
  local app, cookies = http.App(), nil
  app:get("/", function(request)
    cookies = request.cookies
    return ""
  end)
  app:test { headers = { Cookie = header } }
  return cookies
end

describe("request.cookies", function()
  it("has the names and values", function()
    assert.same({ a = "1", b = "x=y", c = "" }, seen "a=1; b=x=y; c=")
    assert.same({}, seen(nil))
    assert.same({}, seen "")
  end)

  it("takes quotes off, and leaves encodings alone", function()
    assert.same({ a = "b c", d = "%41+" }, seen 'a="b c"; d=%41+')
  end)

  it("passes over what is none", function()
    assert.same({ a = "1" }, seen "; x;; =y; a=1;")
  end)

  it("has the first of equal names; getall has them all", function()
    local cookies = seen "a=1; a=2; b=3; a=1"
    assert.same({ a = "1", b = "3" }, cookies)
    assert.same({ "1", "2", "1" }, http.getall(cookies, "a"))
    assert.same({ "3" }, http.getall(cookies, "b"))
    assert.same({}, http.getall(cookies, "c"))
  end)

  it("reads a long hostile header in no time", function()
    local began = os.clock()
    seen((" "):rep(15000) .. "x")
    seen(("a=\" "):rep(4000))
    seen(("="):rep(15000))
    assert.is_true(os.clock() - began < 0.5)
  end)
end)

describe("http.getall", function()
  it("knows repeated names of queries and forms", function()
    local app = http.App()
    app:post("/", function(request)
      return { http.getall(request.query, "tag"),
        http.getall(request:form(), "f") }
    end)
    local answer = app:test {
      method = "POST", path = "/?tag=a&x=y&tag=b%20c", body = "f=1&f=2",
      headers = { ["Content-Type"] = "application/x-www-form-urlencoded" },
    }
    assert.equal('[["a","b c"],["1","2"]]', answer.body)
  end)

  it("returns a list of the caller's own", function()
    local cookies = seen "a=1; a=2"
    table.remove(http.getall(cookies, "a"))
    assert.same({ "1", "2" }, http.getall(cookies, "a"))
  end)

  it("checks its argument", function()
    raises("bad argument #1 to 'getall' (table expected, got nil)",
      function() http.getall(nil, "a") end)
  end)
end)

describe("http.cookie", function()
  it("is a name, a value and a path", function()
    assert.equal("a=b; Path=/", http.cookie("a", "b"))
    assert.equal("n=5; Path=/", http.cookie("n", 5))
    assert.equal("a=; Path=/x y", http.cookie("a", "", { path = "/x y" }))
  end)

  it("has the attributes that are given", function()
    assert.equal("__Host-a=b; Path=/; Max-Age=60; Secure; HttpOnly; "
      .. "SameSite=Strict", http.cookie("__Host-a", "b", { max_age = 60,
        secure = true, http_only = true, same_site = "strict" }))
    assert.equal("a=b; Path=/; Domain=example.org; Max-Age=0",
      http.cookie("a", "b", { domain = "example.org", max_age = 0,
        secure = false }))
    assert.equal("a=b; Path=/; Expires=Sun, 06 Nov 1994 08:49:37 GMT; "
      .. "Secure; SameSite=None", http.cookie("a", "b", {
        expires = 784111777, secure = true, same_site = "None" }))
  end)

  it("refuses what no cookie can have", function()
    for _, name in ipairs { "", "a b", "a=b", "a;b", "\n", "é" } do
      raises("bad argument #1 to 'cookie' (not a name of a cookie)",
        function() http.cookie(name, "x") end)
    end
    for _, value in ipairs { " ", '"', ",", ";", "\\", "\r\n", "\0", "é",
      "\127" } do
      raises("bad argument #2 to 'cookie' (a cookie's value has no blanks, "
        .. "quotes, commas, semicolons, backslashes, controls or other bytes "
        .. "than ASCII's: encode it)",
        function() http.cookie("a", value) end)
    end
  end)

  it("refuses what an attribute cannot be", function()
    local function refuses(why, options)
      raises("bad argument #3 to 'cookie' (" .. why .. ")",
        function() http.cookie("a", "b", options) end)
    end
    for _, path in ipairs { "x", "/;", "/\r\n", "" } do
      refuses("'path' begins with '/' and has no ';' and no controls",
        { path = path })
    end
    refuses("'domain' must be the name of a host", { domain = "a b" })
    refuses("'domain' must be the name of a host", { domain = "" })
    refuses("'max_age' must be a whole number of seconds", { max_age = 0.5 })
    refuses("'expires' must be a time as os.time gives it",
      { expires = "tomorrow" })
    refuses("'same_site' must be 'strict', 'lax' or 'none'",
      { same_site = true })
    refuses("unknown option 'httponly'", { httponly = true })
    refuses("table expected, got string", "secure")
  end)

  it("refuses what a browser would drop", function()
    local none = { same_site = "none" }
    raises("bad argument #3 to 'cookie' ('same_site' of 'none' requires "
      .. "'secure')", function() http.cookie("a", "b", none) end)
    raises("bad argument #3 to 'cookie' (a cookie named '__Secure-' requires "
      .. "'secure')", function() http.cookie("__Secure-a", "b") end)
    raises("bad argument #3 to 'cookie' (a cookie named '__Host-' requires "
      .. "'secure', the path '/' and no 'domain')",
      function() http.cookie("__Host-a", "b", { secure = true,
        path = "/x" }) end)
  end)

  it("can be sent more than once in an answer", function()
    local app = http.App()
    app:get("/", function()
      return 200, "hello", { ["Set-Cookie"] = {
        http.cookie("a", "1"), http.cookie("b", "2", { max_age = 5 }),
      } }
    end)
    support.with_app(app, function(port)
      local text = support.exchange(port, "GET / HTTP/1.0\r\n\r\n")
      assert.matches("\r\nSet%-Cookie: a=1; Path=/\r\n", text)
      assert.matches("\r\nSet%-Cookie: b=2; Path=/; Max%-Age=5\r\n", text)
    end)
  end)
end)
