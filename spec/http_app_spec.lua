local errors = require "spec.support.errors"
local http = require "sluice.http"
local sluice = require "sluice"
local support = require "spec.support.http"

local raises = errors.raises

local function returning(...)
  local values = table.pack(...)
  return function() return table.unpack(values, 1, values.n) end
end

-- The answer of an application with one route.
local function answer_of(...)
  local app = http.App()
  app:get("/", returning(...))
  return app:test()
end

-- The answer to a handler that fails, without its log on stderr.
local function failing(...)
  local values = table.pack(...)
  local answer
  local log = support.catch_stderr(function()
    answer = answer_of(table.unpack(values, 1, values.n))
  end)
  assert.equal(500, answer.status)
  assert.equal("500 Internal Server Error\n", answer.body)
  return log
end

describe("a route", function()
  local app = http.App()
  local function tell(request) return request.params end
  app:get("/", returning "root")
  app:get("/fixed", returning "fixed")
  app:get("/orders/{id}", tell)
  app:get("/orders/latest", returning "latest")
  app:delete("/orders/{number}", function(request)
    return "deleted " .. request.params.number
  end)
  app:get("/orders/{id}/items/{item}", tell)
  app:get("/files/{path*}", tell)
  app:get("/files/exact/one", returning "exact")
  app:route("PURGE", "/fixed", returning "purged")

  local function get(path) return app:test { path = path } end

  -- What a handler's params were, by the JSON of its answer.
  local function params(path)
    return require("cjson").decode(get(path).body)
  end

  it("answers at its path only", function()
    assert.equal("root", get("/").body)
    assert.equal("fixed", get("/fixed").body)
    assert.equal(404, get("/fixed/").status)
    assert.equal(404, get("/fixe").status)
    assert.equal(404, get("/FIXED").status)
    assert.equal("404 Not Found\n", get("/nowhere").body)
  end)

  it("takes parameters from the path", function()
    assert.same({ id = "7" }, params "/orders/7")
    assert.same({ id = "7", item = "2" }, params "/orders/7/items/2")
    assert.equal(404, get("/orders/").status)
    assert.equal(404, get("/orders/7/items").status)
  end)

  it("goes with a literal before a parameter", function()
    assert.equal("latest", get("/orders/latest").body)
    assert.equal("exact", get("/files/exact/one").body)
    assert.same({ path = "exact/two" }, params "/files/exact/two")
  end)

  it("of one path has parameters of its own names", function()
    local answer = app:test { method = "DELETE", path = "/orders/7" }
    assert.equal("deleted 7", answer.body)
    answer = app:test { method = "DELETE", path = "/orders/latest" }
    assert.equal("deleted latest", answer.body)
  end)

  it("takes the rest of the path", function()
    assert.same({ path = "a" }, params "/files/a")
    assert.same({ path = "a/b/c" }, params "/files/a/b/c")
    assert.same({ path = "" }, params "/files/")
    assert.equal(404, get("/files").status)
  end)

  it("sees parameters decoded, after the path was cut", function()
    assert.same({ id = "a/b c" }, params "/orders/a%2Fb%20c")
    assert.same({ id = "a+b" }, params "/orders/a+b")
    assert.equal("fixed", get("/fi%78ed").body)
    assert.equal(404, get("/orders%2F7").status)
  end)

  it("of another method gets 405 with Allow", function()
    local answer = app:test { method = "POST", path = "/fixed" }
    assert.equal(405, answer.status)
    assert.equal("GET, HEAD, PURGE", answer.headers.allow)
    answer = app:test { method = "PUT", path = "/orders/latest" }
    assert.equal(405, answer.status)
    assert.equal("DELETE, GET, HEAD", answer.headers.allow)
  end)

  it("of GET answers HEAD", function()
    local answer = app:test { method = "HEAD", path = "/fixed" }
    assert.equal(200, answer.status)
    assert.equal("", answer.body)
  end)

  it("can have any method", function()
    assert.equal("purged",
      app:test({ method = "PURGE", path = "/fixed" }).body)
    for _, name in ipairs { "get", "post", "put", "patch", "delete" } do
      app[name](app, "/" .. name, returning(name))
      assert.equal(name,
        app:test({ method = name:upper(), path = "/" .. name }).body)
    end
  end)

  it("is refused at the caller's line", function()
    local path = "a path begins with '/'"
    raises("bad argument #1 to 'get' (" .. path .. ")",
      function() app:get("x", print) end)
    raises("bad argument #2 to 'get' (function expected, got nil)",
      function() app:get("/x") end)
    raises("bad argument #1 to 'route' (not a method)",
      function() app:route("A B", "/x", print) end)
    raises("bad argument #2 to 'route' (" .. path .. ")",
      function() app:route("GET", "", print) end)
    raises("bad argument #3 to 'route' (function expected, got string)",
      function() app:route("GET", "/x", "y") end)
    raises("there is a route for GET /fixed already",
      function() app:get("/fixed", print) end)
    raises("bad path '/a{b}' (a parameter is a whole segment: {name})",
      function() app:get("/a{b}", print) end)
    raises("bad path '/{a}/{a*}' ({a} is there twice)",
      function() app:get("/{a}/{a*}", print) end)
    raises("bad path '/{a*}/b' ({a*} must be its end)",
      function() app:get("/{a*}/b", print) end)
  end)
end)

describe("what a handler returns", function()
  it("is text if it is a string", function()
    local answer = answer_of "hello"
    assert.equal(200, answer.status)
    assert.equal("text/plain; charset=utf-8", answer.headers["content-type"])
    assert.equal("hello", answer.body)
  end)

  it("is JSON if it is a table", function()
    local answer = answer_of { list = { 1, "two" } }
    assert.equal("application/json", answer.headers["content-type"])
    assert.equal('{"list":[1,"two"]}', answer.body)
  end)

  it("is called for chunks if it is a function", function()
    local chunks = { "one ", "", "two" }
    local i = 0
    local answer = answer_of(function()
      i = i + 1
      return chunks[i]
    end)
    assert.equal("one two", answer.body)
    assert.equal("application/octet-stream", answer.headers["content-type"])
  end)

  it("may begin with a status", function()
    assert.same({ 201, "made" },
      { answer_of(201, "made").status, answer_of(201, "made").body })
    assert.equal('{"a":1}', answer_of(400, { a = 1 }).body)
    assert.equal("", answer_of(202).body)
    assert.equal(204, answer_of().status)
    assert.equal("", answer_of(204, "no body").body)
  end)

  it("may end with headers", function()
    local answer = answer_of(200, "<p>", {
      ["Content-Type"] = "text/html", ["X-Number"] = 5,
      ["Set-Cookie"] = { "a=1", "b=2" },
    })
    assert.equal("text/html", answer.headers["content-type"])
    assert.equal("5", answer.headers["x-number"])
    assert.same({ "a=1", "b=2" }, answer.headers["set-cookie"])
  end)

  it("is 500 with the reason in the log if it is nothing of these", function()
    assert.matches("a handler returned a boolean as the body",
      failing(true))
    assert.matches("a handler returned a userdata as the body",
      failing(200, io.stdout))
    assert.matches("a chunk of the body is a number",
      failing(function() return 5 end))
    assert.matches("Cannot serialise function",
      failing { f = print })
    assert.matches("NaN", failing { f = 0 / 0 })
  end)

  it("is 500 if something of it would be lost without a word", function()
    assert.matches("a handler returned nil, connection reset",
      failing(nil, "connection reset", "ECONNRESET"))
    assert.matches("a handler returned headers without a status",
      failing("<p>", { ["Content-Type"] = "text/html" }))
    assert.equal("b", answer_of(("a"):gsub("a", "b")).body)
  end)

  it("is 413 as soon as the body cannot be had", function()
    local app = http.App { max_body = 3 }
    app:post("/", function(request) return request:text() end)
    local answer = app:test { method = "POST", path = "/", body = "long" }
    assert.equal(413, answer.status)
  end)

  it("is 500 if a header would break the head", function()
    for _, value in ipairs { "a\r\nb", "a\nb", "a\0b" } do
      assert.matches("invalid value", failing(200, "", { X = value }))
    end
    assert.matches("invalid name", failing(200, "", { ["X Y"] = "a" }))
    assert.matches("invalid name", failing(200, "", { ["X\r\n"] = "a" }))
  end)
end)

describe("a handler that raises", function()
  it("is answered 500, the traceback goes to the log", function()
    local app = http.App()
    app:get("/secret", function() error "the password is hunter2" end)
    local answer
    local log = support.catch_stderr(function()
      answer = app:test { path = "/secret" }
    end)
    assert.equal(500, answer.status)
    assert.equal("500 Internal Server Error\n", answer.body)
    assert.matches("^sluice.http: error in GET /secret: ", log)
    assert.matches("http_app_spec.lua:%d+: the password is hunter2", log)
    assert.matches("stack traceback", log)
  end)

  it("says nothing in the log that a terminal obeys", function()
    local app = http.App()
    app:post("/", function(request) error("bad: " .. request:text(), 0) end)
    local log = support.catch_stderr(function()
      app:test { method = "POST", path = "/", body = "\27[2J\ta\127\r\nb" }
    end)
    assert.truthy(log:find("bad: \\x1B[2J\ta\\x7F\\x0D\nb", 1, true), log)
  end)

  it("may raise anything", function()
    local app = http.App()
    local values = {
      ["/nil"] = nil, ["/table"] = {}, ["/number"] = 5,
      ["/object"] = setmetatable({}, {
        __tostring = function() return "told" end,
      }),
    }
    app:get("/{name}", function(request) error(values[request.path]) end)
    for _, name in ipairs { "nil", "table", "number", "object" } do
      local log = support.catch_stderr(function()
        assert.equal(500, app:test({ path = "/" .. name }).status)
      end)
      if name == "object" then assert.matches("told", log) end
    end
  end)
end)

describe("middleware", function()
  local function tag(name)
    return function(request, next)
      request.trail = (request.trail or "") .. name
      local body = next(request)
      return body .. name
    end
  end

  it("goes around every handler, the first outermost", function()
    local app = http.App()
    app:use(tag "a")
    app:get("/", function(request) return request.trail .. ":" end)
    app:use(tag "b")
    assert.equal("ab:ba", app:test().body)
  end)

  it("sees the parameters, and requests that have no route", function()
    local app, seen = http.App(), {}
    app:use(function(request, next)
      seen[#seen + 1] = request.params.id or "none"
      return next(request)
    end)
    app:get("/{id}", returning "x")
    app:test { path = "/7" }
    assert.equal(404, app:test({ path = "/7/8" }).status)
    assert.equal(405, app:test({ method = "PUT", path = "/9" }).status)
    assert.same({ "7", "none", "none" }, seen)
  end)

  it("may answer by itself, or change what it is given", function()
    local app = http.App()
    app:use(function(request, next)
      if request.query.key ~= "open" then return 401, "who are you?" end
      local status, body, headers = next(request)
      headers["X-Seen"] = "yes"
      return status, body:upper(), headers
    end)
    app:get("/", function() return 200, "hello", { A = "1" } end)
    assert.equal(401, app:test().status)
    local answer = app:test { path = "/?key=open" }
    assert.equal("HELLO", answer.body)
    assert.equal("yes", answer.headers["x-seen"])
  end)
end)

describe("app:test", function()
  it("gives the handler what a request has", function()
    local app = http.App()
    app:post("/orders/{id}", function(request)
      local body = request:json()
      return {
        request.method, request.path, request.params.id, request.query.a,
        request.headers["X-Header"], request.headers["x-header"], body.b,
      }
    end)
    local answer = app:test {
      method = "POST", path = "/orders/7?a=1",
      headers = { ["X-Header"] = "x" }, body = '{"b":true}',
    }
    assert.equal('["POST","\\/orders\\/7","7","1","x","x",true]',
      answer.body)
  end)

  it("lets a handler wait, inside a task and outside", function()
    local app = http.App()
    app:get("/", function()
      sluice.sleep(0)
      return "slept"
    end)
    assert.equal("slept", app:test().body)
    assert.equal("slept", sluice.run(app.test, app).body)
  end)

  it("keeps the limit of bodies", function()
    local app = http.App { max_body = 4 }
    app:post("/", function(request) return (request:text()) end)
    assert.equal("1234", app:test({ method = "POST", body = "1234" }).body)
    assert.equal(413, app:test({ method = "POST", body = "12345" }).status)
  end)

  it("lets a body be read in pieces", function()
    local app = http.App()
    app:post("/", function(request)
      local pieces = {}
      repeat
        local piece = request:read(2)
        pieces[#pieces + 1] = piece
      until not piece
      return pieces
    end)
    local answer = app:test { method = "POST", body = "abcdef" }
    assert.equal('["ab","cd","ef"]', answer.body)
  end)
end)

describe("http.App", function()
  it("tells how many routes it has", function()
    local app = http.App()
    app:get("/", print)
    assert.equal("sluice.http.App (1 routes)", tostring(app))
  end)

  it("refuses what it does not know, at the caller's line", function()
    raises("bad argument #1 to 'App' (unknown option 'max_bodi')",
      function() http.App { max_bodi = 1 } end)
    raises("bad argument #1 to 'App' (table expected, got number)",
      function() http.App(5) end)
    raises("bad argument #1 to 'App' ('max_body' must be a number that is "
      .. "not negative)",
      function() http.App { max_body = -1 } end)
    raises("bad argument #1 to 'App' ('head_timeout' must be a number that "
      .. "is not negative)",
      function() http.App { head_timeout = "1" } end)
    raises("bad argument #1 to 'App' ('max_connections' must be at least 1)",
      function() http.App { max_connections = 0 } end)
    raises("bad argument #1 to 'App' ('max_head' must be a whole number)",
      function() http.App { max_head = 1.5 } end)
    raises("bad argument #3 to 'get' ('max_body' must be a whole number)",
      function() http.App():get("/", print, { max_body = 1.5 }) end)
    raises("bad argument #1 to 'serve' (unknown option 'prot')",
      function() http.App():serve { prot = 1 } end)
    raises("bad argument #1 to 'run' ('host' must be a string)",
      function() http.App():run { host = 1 } end)
    raises("bad argument #1 to 'run' (port: integer from 0 to 65535 expected)",
      function() http.App():run { port = 65536 } end)
    raises("bad argument #1 to 'serve' (grace: number that is not negative "
      .. "expected)",
      function() http.App():serve { grace = 0 / 0 } end)
    raises("bad argument #1 to 'serve' (backlog: integer from 1 to 2147483647 "
      .. "expected)",
      function() http.App():serve { backlog = 0 } end)
    raises("bad argument #1 to 'use' (function expected, got nil)",
      function() http.App():use() end)
    raises("bad argument #1 to 'on_startup' (function expected, got nil)",
      function() http.App():on_startup() end)
  end)
end)
