local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local it = testing.it
local answers, bytes, with_app =
  support.answers, support.bytes, support.with_app

-- The answer of a handler that has 2 seconds, and how many it took.
local function answer_of(handler, setup)
  local app = http.App { handler_timeout = 2 }
  if setup then setup(app) end
  app:get("/", handler)
  local began = sluice.time()
  return app:test(), sluice.time() - began
end

describe("handler_timeout", function()
  it("cancels the handler and answers 503", function()
    local reason
    local answer, seconds = answer_of(function()
      local _ <close> = setmetatable({}, {
        __close = function(_, err) reason = err.reason end,
      })
      sluice.sleep(100)
    end)
    assert.equal(503, answer.status)
    assert.equal("503 Service Unavailable\n", answer.body)
    assert.equal("timeout", reason)
    assert.equal(2, seconds)
  end)

  it("leaves alone what is in time", function()
    local answer = answer_of(function()
      sluice.sleep(1)
      return 201, { a = 1 }, { ["X-A"] = "1" }
    end)
    assert.same({ 201, '{"a":1}', "1" },
      { answer.status, answer.body, answer.headers["x-a"] })
    assert.equal(204, answer_of(function() end).status)
  end)

  it("counts middleware, too", function()
    local after = false
    local answer = answer_of(function() return "x" end, function(app)
      app:use(function(request, next)
        sluice.sleep(3)
        after = true
        return next(request)
      end)
    end)
    assert.equal(503, answer.status)
    assert.is_false(after)
  end)

  it("waits for what is shielded, whose result counts", function()
    local function save() return sluice.shield(function()
      sluice.sleep(5)
      return "saved"
    end) end
    local answer, seconds = answer_of(save)
    assert.same({ 200, "saved", 5 }, { answer.status, answer.body, seconds })
    answer = answer_of(function()
      save()
      sluice.sleep(1)
    end)
    assert.equal(503, answer.status)
  end)

  it("does not count the answer in pieces", function()
    local answer = answer_of(function()
      local n = 0
      return function()
        sluice.sleep(1)
        n = n + 1
        return n <= 5 and "x" or nil
      end
    end)
    assert.same({ 200, "xxxxx" }, { answer.status, answer.body })
  end)

  it("of a route goes before the application's", function()
    local app = http.App { handler_timeout = 2 }
    local function slow()
      sluice.sleep(5)
      return "done"
    end
    app:get("/usual", slow)
    app:get("/slow", slow, { handler_timeout = 10 })
    app:get("/any/{x}", slow, { handler_timeout = math.huge })
    app:get("/fast", slow, { handler_timeout = 1 })
    local function status(path) return app:test({ path = path }).status end
    assert.same({ 503, 200, 200, 503 }, { status "/usual", status "/slow",
      status "/any/x", status "/fast" })
  end)

  it("leaves the connection to the next request", function()
    local app = http.App { handler_timeout = 2 }
    app:post("/", function(request)
      if request.query.read then request:text() end
      sluice.sleep(100)
    end)
    app:get("/", function() return "hello" end)
    local get = bytes "GET / HTTP/1.1\nHost: a\n\n"
    with_app(app, function(port)
      local stream <close> = sockets.connect(port)
      for _, target in ipairs { "/", "/?read=1" } do
        stream:write(bytes(("POST %s HTTP/1.1\nHost: a\n"
          .. "Content-Length: 4\n\nbody"):format(target)))
        assert.equal(503, answers(stream:read())[1].status)
        stream:write(get)
        assert.equal("hello", answers(stream:read())[1].body)
      end
    end)
  end)

  it("answers a client whose body does not come", function()
    local app = http.App { handler_timeout = 2 }
    app:post("/", function(request) return request:text() end)
    with_app(app, function(port)
      local stream <close> = sockets.connect(port)
      stream:write(bytes "POST / HTTP/1.1\nHost: a\nContent-Length: 9\n\nx")
      local answer = answers(stream:readuntil "Unavailable\n")[1]
      assert.equal(503, answer.status)
    end)
  end)
end)
