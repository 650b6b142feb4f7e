local client = require "spec.support.client"
local http = require "sluice.http"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"

local it, really, with_raw = client.it, client.really, client.with_raw
local reply, fails = client.reply, client.fails

-- Starts n requests at once; returns their responses.
local function ask_all(pool, url, n, options)
  local list = {}
  for i = 1, n do
    list[i] = function() return assert(pool:get(url .. "/" .. i, options)) end
  end
  return sluice.gather(list)
end

-- A server that holds its answers back, and counts how many wait for one.
local function slow(seconds)
  local now, most = 0, 0
  return function()
    now = now + 1
    most = math.max(most, now)
    sluice.sleep(seconds)
    now = now - 1
    return reply "late"
  end, function() return most end
end

describe("a client", function()
  it("uses a connection again", function()
    with_raw(reply "x", function(url, seen)
      local pool <close> = http.Client()
      for _ = 1, 20 do assert(pool:get(url)) end
      assert.equal(20, #seen)
      assert.equal(1, seen.connections)
    end)
  end)

  it("notices that a connection was closed meanwhile", function()
    with_raw(function(stream)
      stream:write(reply "x")
    end, function(url, seen)
      local pool <close> = http.Client()
      for _ = 1, 5 do assert.equal("x", assert(pool:get(url)).body) end
      assert.equal(5, seen.connections)
    end)
  end)

  -- The third request gets no answer: its connection ends.
  local function fickle(_, _, n) return n ~= 3 and reply "x" or nil end

  it("sends again what was lost with a kept connection", function()
    with_raw(fickle, function(url, seen)
      local pool <close> = http.Client()
      for _ = 1, 3 do assert(pool:request { url = url, method = "PUT" }) end
      assert.equal(4, #seen)
    end)
  end)

  it("sends nothing twice that may do harm twice", function()
    with_raw(fickle, function(url, seen)
      local pool <close> = http.Client()
      for _ = 1, 2 do assert(pool:post(url, "order")) end
      fails("EOF", pool:post(url, "order"))
      assert.equal(3, #seen)
      assert.equal("x", assert(pool:post(url, "order")).body)
    end)
  end)

  it("has many requests under way at once", function()
    local all = sluice.Barrier(200)
    with_raw(function()
      assert(all:wait(100))
      return reply "late"
    end, function(url, seen)
      local pool <close> = http.Client { max_connections = 200 }
      assert.equal(200, #ask_all(pool, url, 200))
      assert.equal(200, seen.connections)
    end)
  end)

  really("is no deadlock while it waits without end", function()
    with_raw(slow(0.05), function(url)
      local pool <close> =
        http.Client { timeout = math.huge, idle_timeout = math.huge }
      assert.equal("late", assert(pool:get(url)).body)
    end)
  end)

  it("keeps to the connections that it may have", function()
    local handler, most = slow(1)
    with_raw(handler, function(url, seen)
      local pool <close> = http.Client { max_connections = 3 }
      ask_all(pool, url, 12)
      assert.equal(3, seen.connections)
      assert.equal(3, most())
      assert.equal("sluice.http.Client (open, 0 of 3 connections used)",
        tostring(pool))
    end)
  end)

  it("closes an idle connection for one to somewhere else", function()
    with_raw(reply "a", function(first, seen)
      with_raw(reply "b", function(second)
        local pool <close> = http.Client { max_connections = 1 }
        for _ = 1, 3 do
          assert.equal("a", assert(pool:get(first)).body)
          assert.equal("b", assert(pool:get(second)).body)
        end
      end)
      assert.equal(3, seen.connections)
    end)
  end)

  it("keeps to what it may ask of a host, and asks others", function()
    local handler, most = slow(1)
    with_raw(handler, function(busy)
      with_raw(reply "other", function(other)
        local pool <close> = http.Client { max_per_host = 2 }
        local task = sluice.create_task(ask_all, pool, busy, 8)
        sluice.sleep(0)
        assert.equal("other", assert(pool:get(other)).body)
        assert.is_false(task:done())
        assert.equal(8, #task:await())
        assert.equal(2, most())
      end)
    end)
  end)

  it("serves its requests in their order", function()
    with_raw(function()
      sluice.sleep(1)
      return reply ""
    end, function(url, seen)
      local pool <close> = http.Client { max_connections = 1 }
      ask_all(pool, url, 5)
      for i, head in ipairs(seen) do assert.matches("^GET /" .. i, head) end
    end)
  end)

  it("lets a request wait for its turn no longer than it may", function()
    with_raw(slow(10), function(url, seen)
      local pool <close> = http.Client { max_connections = 1 }
      local task = tasks.start(pool.get, pool, url)
      local message = fails("ETIMEDOUT", pool:get(url, { timeout = 5 }))
      assert.equal("no connection was free in time", message)
      local waiter = tasks.start(pool.get, pool, url)
      tasks.cancel(waiter)
      tasks.ends_cancelled(waiter)
      assert.equal("late", assert(task:await()).body)
      assert.equal(1, #seen)
      assert.matches("0 of 1", tostring(pool))
    end)
  end)

  it("has what holds for all its requests", function()
    with_raw(function(_, head) return reply(head) end, function(url)
      local pool <close> = http.Client {
        headers = { A = "client", B = "client" }, max_body = 400,
      }
      local head = assert(pool:get(url, { headers = { b = "mine" } })).body
      assert.matches("\nA: client\r\n", head)
      assert.matches("\nb: mine\r\n", head)
      assert.is_nil(head:find "B: client")
      fails("EFBIG", pool:get(url .. "/" .. ("x"):rep(400)))
    end)
  end)

  it("keeps cookies only if it is told to", function()
    with_raw(function(_, head)
      return reply(head, "Set-Cookie: a=1\r\n")
    end, function(url)
      local pool <close> = http.Client { cookies = true }
      assert.is_nil(assert(pool:get(url)).body:find "Cookie")
      assert.matches("Cookie: a=1\r\n", assert(pool:get(url)).body)
      assert(http.get(url))
      assert.is_nil(assert(http.get(url)).body:find "Cookie")
    end)
  end)
end)

describe("a client that is closed", function()
  it("ends its requests", function()
    with_raw(slow(10), function(url)
      local pool = http.Client { max_connections = 2 }
      local list = tasks.start_each(3, function() return pool:get(url) end)
      pool:close()
      fails("ECANCELED", list[1]:await())
      fails("ECANCELED", list[2]:await())
      fails("EBADF", list[3]:await())
    end)
  end)

  it("takes no more", function()
    local pool = http.Client()
    pool:close()
    pool:close()
    fails("EBADF", pool:get "http://127.0.0.1:1/")
    assert.equal("sluice.http.Client (closed, 0 of 100 connections used)",
      tostring(pool))
  end)

  it("ends the responses that stream", function()
    with_raw("HTTP/1.1 200 OK\r\n\r\nabc", function(url)
      local pool = http.Client()
      local response = assert(pool:get(url, { stream = true }))
      assert.equal("abc", response:read())
      local task = tasks.start(response.read, response)
      pool:close()
      fails("ECANCELED", task:await())
      fails("ECANCELED", response:read())
    end)
  end)
end)

describe("a client that is collected", function()
  really("takes nothing from the connections that come after it", function()
    with_raw(reply "x", function(url)
      for _ = 1, 6 do
        assert.equal("x", assert(http.Client():get(url)).body)
        collectgarbage()
        collectgarbage()
      end
    end)
  end)
end)

describe("the client of several runs", function()
  local pool

  setup(function() pool = http.Client() end)
  teardown(function() pool:close() end)

  for i = 1, 3 do
    really("asks in run " .. i, function()
      with_raw(reply "x", function(url)
        assert.equal("x", assert(pool:get(url)).body)
        assert.equal("x", assert(http.get(url)).body)
      end)
    end)
  end
end)
