local client = require "spec.support.client"
local http = require "sluice.http"

local it, with_app, with_raw = client.it, client.with_app, client.with_raw
local fails = client.fails

local function redirect(status, location, body)
  return ("HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: %d\r\n\r\n%s")
    :format(status, location, #(body or ""), body or "")
end

-- Answers each request by the table's entry for its path.
local function by_path(answers)
  return function(_, head)
    local path = head:match "^%u+ (%S+)"
    return answers[path] or client.reply(head)
  end
end

describe("a redirect", function()
  it("is followed, and told of", function()
    with_raw(by_path {
      ["/a"] = redirect(301, "/b"), ["/b"] = redirect(302, "c/d?e"),
    }, function(url)
      local response = assert(http.get(url .. "/a"))
      assert.equal(url .. "/c/d?e", response.url)
      assert.same({ url .. "/a", url .. "/b" }, response.history)
      assert.matches("^GET /c/d%?e ", response.body)
    end)
  end)

  it("goes by the connection that it came by, body and all", function()
    with_raw(by_path { ["/a"] = redirect(302, "/b", ("x"):rep(60000)) },
      function(url, seen)
        assert(http.get(url .. "/a"))
        assert.equal(2, #seen)
        assert.equal(1, seen.connections)
      end)
  end)

  it("with a body without end is followed all the same", function()
    with_raw(function(stream, head)
      if head:find "^GET /b " then return client.reply "here" end
      stream:write "HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n"
      while stream:write(("x"):rep(10000)) do end
    end, function(url)
      assert.equal("here", assert(http.get(url .. "/a")).body)
    end)
  end)

  it("is not followed without a place, or if it is none", function()
    with_raw(by_path {
      ["/a"] = "HTTP/1.1 302 Found\r\nContent-Length: 1\r\n\r\nx",
      ["/b"] = redirect(304, "/c"), ["/d"] = redirect(300, "/c"),
    }, function(url)
      assert.equal("x", assert(http.get(url .. "/a")).body)
      assert.equal(304, assert(http.get(url .. "/b")).status)
      assert.equal(300, assert(http.get(url .. "/d")).status)
    end)
  end)

  it("is not followed if none may be", function()
    with_raw(by_path { ["/a"] = redirect(302, "/b", "gone") }, function(url)
      local response = assert(http.get(url .. "/a", { max_redirects = 0 }))
      assert.equal(302, response.status)
      assert.equal("/b", response.headers.location)
      assert.equal("gone", response.body)
    end)
  end)

  it("in a circle ends", function()
    with_raw(function() return redirect(302, "/again") end,
      function(url, seen)
        fails("ETOOMANYREDIRECTS", http.get(url))
        assert.equal(11, #seen)
        fails("ETOOMANYREDIRECTS", http.get(url, { max_redirects = 1 }))
        assert.equal(13, #seen)
      end)
  end)

  it("leads to http and https only", function()
    with_raw(by_path {
      ["/a"] = redirect(302, "file:///etc/passwd"),
      ["/b"] = redirect(302, "ftp://127.0.0.1/"),
      ["/c"] = redirect(302, "http://"),
    }, function(url)
      fails("EPROTONOSUPPORT", http.get(url .. "/a"))
      fails("EPROTONOSUPPORT", http.get(url .. "/b"))
      fails("EINVAL", http.get(url .. "/c"))
    end)
  end)
end)

describe("what is redirected", function()
  -- The first line and the body that arrive after a redirect of that kind.
  local function after(status, options)
    local line, body
    local app = http.App()
    local function tell(request)
      line, body = request.method .. " " .. request.path, request:text()
      return ""
    end
    for _, method in ipairs { "GET", "POST", "PUT" } do
      app:route(method, "/to", tell)
      app:route(method, "/from", function(request)
        request:text()
        return status, "", { Location = "/to" }
      end)
    end
    with_app(app, function(url)
      options.url = url .. "/from"
      assert(http.request(options))
    end)
    return line, body
  end

  it("by 303, or as a POST by 301 and 302, is a GET from then on", function()
    for _, status in ipairs { 301, 302, 303 } do
      local line, body = after(status, { body = "x" })
      assert.equal("GET /to", line)
      assert.equal("", body)
    end
    assert.equal("GET /to", after(303, { method = "PUT", body = "x" }))
  end)

  it("else stays what it was", function()
    for _, status in ipairs { 307, 308 } do
      local line, body = after(status, { json = { 1 } })
      assert.equal("POST /to", line)
      assert.equal("[1]", body)
    end
    local line, body = after(302, { method = "PUT", body = "x" })
    assert.equal("PUT /to", line)
    assert.equal("x", body)
  end)

  it("is not, if its body came from a function", function()
    local function piece_once()
      local sent = false
      return function()
        if sent then return nil end
        sent = true
        return "x"
      end
    end
    assert.equal("GET /to", after(302, { body = piece_once() }))
    with_raw(function() return redirect(307, "/b") end, function(url)
      fails("ESPIPE", http.post(url, piece_once()))
    end)
  end)

  -- The head that a second server gets, to which the first one leads.
  local function elsewhere(options)
    local got
    with_raw(function(_, head)
      got = head:lower()
      return client.reply ""
    end, function(second)
      with_raw(function() return redirect(302, second) end, function(first)
        assert(http.get(first, options))
      end)
    end)
    return got
  end

  local SECRET = {
    headers = { Authorization = "Bearer x", Cookie = "a=1", Host = "a.test",
      ["X-Other"] = "y" },
  }

  it("elsewhere goes without what tells who asks", function()
    local head = elsewhere(SECRET)
    assert.is_nil(head:find "authorization")
    assert.is_nil(head:find "cookie")
    assert.is_nil(head:find "a.test")
    assert.truthy(head:find "x%-other: y")
    head = elsewhere { auth = { "user", "password" } }
    assert.is_nil(head:find "authorization")
  end)

  it("at the same place goes with it", function()
    with_raw(by_path { ["/a"] = redirect(302, "/b") }, function(url, seen)
      assert(http.get(url .. "/a", SECRET))
      assert.equal(2, #seen)
      for _, head in ipairs(seen) do
        assert.matches("\nAuthorization: Bearer x\r\n", head)
        assert.matches("\nCookie: a=1\r\n", head)
        assert.matches("\nHost: a.test\r\n", head)
      end
    end)
  end)
end)
