local errors = require "spec.support.errors"
local forms = require "spec.support.forms"
local http = require "sluice.http"
local sluice = require "sluice"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local it, raises = testing.it, errors.raises
local with_app = support.with_app

-- An application that tells what it was asked, as JSON.
local function telling()
  local app = http.App { max_body = 500 }
  local list = http.getall
  app:route("GET", "/ask/{id}", function(request)
    return {
      request.method, request.path, request.params.id,
      list(request.query, "a"), list(request.query, "b c"),
      request.headers["x-h"] or "none", list(request.cookies, "c"),
    }
  end)
  app:post("/body", function(request)
    local text, message = request:text()
    return text and 200 or 400, text or message
  end)
  app:post("/json", function(request)
    local value, message = request:json()
    return message and 400 or 200, { value = value, failed = message ~= nil }
  end)
  app:post("/form", function(request)
    local form, message = request:form()
    if not form then return 400, message end
    local file = form.f
    return { form.a or "", list(form, "b"), type(file) == "table"
      and { file.filename, file.content_type, file:text() } or "none" }
  end)
  app:post("/pieces", function(request)
    local count = 0
    repeat
      local piece = request:read(3)
      count = count + #(piece or "")
    until not piece
    return 202, tostring(count)
  end)
  return app
end

-- Answers of all kinds.
local function answering(app)
  local given = {
    text = { "é" }, none = {}, status = { 201 }, json = { 202, { 1 } },
    nothing = { 204, "a body" }, not_modified = { 304, "a body" },
    odd = { 299, "odd" }, big = { ("x"):rep(50000) },
    headers = { 200, "<p>", { ["Content-Type"] = "text/html", ["X-N"] = 5,
      ["Set-Cookie"] = { "a=1", "b=2" }, ["X-F"] = 1.5 } },
    close = { 200, "x", { Connection = "close" } },
    not_text = { true }, bad_value = { 200, "", { X = "a\nb" } },
    bad_name = { 200, "", { ["a b"] = "x" } },
    no_values = { 200, "", { X = {} } },
    table_value = { 200, "", { X = { {} } } }, ours = { 200, "",
      { ["Content-Length"] = 5 } }, low = { 100 }, high = { 1000 },
    fraction = { 200.5 }, redirect = { http.redirect("/x", 303) },
    no_json = { { print } },
  }
  for name, values in pairs(given) do
    app:get("/give/" .. name, function()
      return table.unpack(values, 1, 3)
    end)
  end
  app:get("/give/error", function() error "oops" end)
  app:get("/give/pieces", function()
    local n = 0
    return function()
      n = n + 1
      return n < 5 and tostring(n) or nil
    end
  end)
  app:get("/give/events", function()
    return http.event_stream(function(events) events:send { data = { 1 } } end)
  end)
  app:get("/give/file", function(request)
    return http.file(request, "LICENSE", { root = "." })
  end)
  local names = { "error", "pieces", "events", "file" }
  for name in pairs(given) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- -- both ways --

-- What the connection adds.
local ADDED = {
  "date", "content-length", "transfer-encoding", "connection",
}

local function essence(answer)
  local headers = {}
  for name, value in pairs(answer.headers) do
    headers[name] = type(value) == "table" and value[#value] or value
  end
  for _, name in ipairs(ADDED) do headers[name] = nil end
  return { answer.status, answer.body, headers }
end

-- The bytes that a client sends for what is asked of app:test; written anew,
-- so that one looks at the other.
local function request_bytes(asked)
  local content = asked.body
  local lines = {
    ("%s %s HTTP/1.1"):format(asked.method or "GET", asked.path),
    "Host: test",
  }
  for name, value in pairs(asked.headers or {}) do
    lines[#lines + 1] = name .. ": " .. value
  end
  if content then lines[#lines + 1] = "Content-Length: " .. #content end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (content or "")
end

-- Asks in both ways and compares.
local function compare(app, port, asked)
  local text = support.exchange(port, request_bytes(asked))
  local answer = support.answers(text, asked.method == "HEAD")[1]
  assert.same(essence(answer), essence(app:test(asked)), asked.path)
end

-- Runs fn(ask, names): ask(request) asks in both ways and compares.
local function both_ways(fn)
  support.catch_stderr(function()
    local app = telling()
    local names = answering(app)
    with_app(app, function(port)
      fn(function(asked) compare(app, port, asked) end, names)
    end)
  end)
end

describe("app:test answers as a socket does", function()
  it("whatever a handler returns", function()
    both_ways(function(ask, names)
      for _, name in ipairs(names) do
        for _, method in ipairs { "GET", "HEAD", "POST" } do
          ask { path = "/give/" .. name, method = method }
        end
      end
    end)
  end)

  it("whatever is asked for", function()
    both_ways(function(ask)
      for _, path in ipairs { "/", "/none", "/ask/", "/ask/1", "/ask/%41?",
        "/ask/a%2Fb", "/ask/1?a=1&a=2&&b+c=%20", "/ask/%zz", "/ask/1#x",
        "/body" } do
        for _, method in ipairs { "GET", "HEAD", "PUT", "DELETE" } do
          ask { path = path, method = method }
        end
      end
    end)
  end)

  it("whatever headers there are", function()
    both_ways(function(ask)
      for _, headers in ipairs { { ["X-H"] = "a" }, { ["x-h"] = " b\t" },
        { ["X-H"] = "" }, { Cookie = "c=1; c=2; d" } } do
        ask { path = "/ask/1", headers = headers }
      end
    end)
  end)

  it("whatever body is sent", function()
    both_ways(function(ask)
      local bodies = { "", "a=1&b=2&b=3", "{", '{"a":[1,null]}', "\0\r\n",
        ("x"):rep(500), ("x"):rep(501),
        forms.body { { "a", "1" }, { "f", "2", "n", "t" } }, "--" }
      local kinds = { "text/plain", "application/x-www-form-urlencoded",
        forms.TYPE }
      for _, path in ipairs { "/body", "/json", "/form", "/pieces" } do
        for _, body in ipairs(bodies) do
          for _, kind in ipairs(kinds) do
            ask({ path = path, method = "POST", body = body,
              headers = { ["Content-Type"] = kind } })
          end
        end
      end
    end)
  end)
end)

describe("app:test makes", function()
  local function json(answer)
    return require("cjson").decode(answer.body)
  end

  it("a query", function()
    local query = { a = { 1, "ü&" }, ["b c"] = "+ " }
    local answer = telling():test { path = "/ask/1", query = query }
    assert.same({ { "1", "ü&" }, { "+ " } },
      { json(answer)[4], json(answer)[5] })
    answer = telling():test { path = "/ask/1?a=0", query = query }
    assert.same({ "0", "1", "ü&" }, json(answer)[4])
  end)

  it("headers and cookies", function()
    local answer = telling():test {
      path = "/ask/1", headers = { ["X-H"] = 5 },
      cookies = { c = "1", d = 2 },
    }
    assert.equal("5", json(answer)[6])
    assert.same({ "1" }, json(answer)[7])
  end)

  it("JSON", function()
    local answer = telling():test { path = "/json", json = { a = { 1 } } }
    assert.same({ a = { 1 } }, json(answer).value)
    answer = telling():test { path = "/json", json = false }
    assert.same({ value = false, failed = false }, json(answer))
  end)

  it("forms", function()
    local answer = telling():test {
      path = "/form", form = { a = "x y&", b = { 1, 2 } },
    }
    assert.same({ "x y&", { "1", "2" }, "none" }, json(answer))
  end)

  it("forms with files", function()
    local body = "\r\n------sluice0\r\n"
    local answer = telling():test { path = "/form", form = {
      a = "é", b = { "1", "2" },
      f = { filename = 'q".txt', content_type = "text/x", body = body },
    } }
    assert.same({ "é", { "1", "2" }, { 'q".txt', "text/x", body } },
      json(answer))
  end)

  it("what a client sends", function()
    local app, seen = http.App(), nil
    app:post("/", function(request)
      seen = request.headers
      return ""
    end)
    app:test { form = { a = 1 } }
    assert.same({ "test", "3", "application/x-www-form-urlencoded" },
      { seen.host, seen["content-length"], seen["content-type"] })
    app:test { form = { a = 1 }, headers = { Host = "h",
      ["content-type"] = "x" } }
    assert.same({ "h", "x" }, { seen.host, seen["content-type"] })
  end)
end)

describe("app:test", function()
  it("refuses what it does not know, at the caller's line", function()
    local app = telling()
    local function refused(why, options)
      raises("bad argument #1 to 'test' (" .. why .. ")",
        function() app:test(options) end)
    end
    refused("table expected, got string", "/")
    refused("unknown option 'url'", { url = "/" })
    refused("'body' must be a string", { body = {} })
    refused("'query' must be a table", { query = "a=b" })
    refused("the name of a header must be a string", { headers = { "a" } })
    refused("invalid name of the header 'a b'", { headers = { ["a b"] = 1 } })
    refused("invalid value of the header 'a'", { headers = { a = "\n" } })
    refused("'path' begins with '/'", { path = "x" })
  end)

  it("can be cancelled and given a time", function()
    local app, undone = http.App(), false
    app:get("/", function()
      local _ <close> = setmetatable({}, {
        __close = function() undone = true end,
      })
      sluice.sleep(100)
    end)
    assert.same({ nil, "timeout" }, { sluice.wait_for(1, app.test, app) })
    assert.is_true(undone)
  end)

  it("runs no hooks", function()
    local app = telling()
    for _, name in ipairs { "startup", "shutdown", "cleanup" } do
      app["on_" .. name](app, function() error "called" end)
    end
    assert.equal(404, app:test().status)
  end)
end)
