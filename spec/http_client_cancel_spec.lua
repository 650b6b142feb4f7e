local client = require "spec.support.client"
local http = require "sluice.http"
local process = require "spec.support.process"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local plainly = it
local it, really, with_raw = client.it, client.really, client.with_raw

-- Runs a request in a pool of one, cancels it when `ready` is set or after a
-- moment, and checks that its place is free again.
local function cancel(request, ready)
  local pool <close> = http.Client { max_connections = 1 }
  local task = sluice.create_task(request, pool)
  if ready then assert(ready:wait(5)) else sluice.sleep(0.05) end
  testing.settle()
  task:cancel()
  tasks.ends_cancelled(task)
  assert.matches("0 of 1", tostring(pool))
end

-- A server that does `talk(stream)`, then tells by an event that it was
-- there, and then waits for its client to go.
local function with_witness(talk, fn, options)
  local ready, gone = sluice.Event(), sluice.Event()
  with_raw(function(stream)
    if talk then talk(stream) end
    ready:set()
    while stream:read() do end
    gone:set()
  end, function(url)
    fn(url, ready)
    assert(gone:wait(5))
  end, options)
end

describe("a request is cancelled", function()
  really("while a name is looked up", function()
    for _ = 1, 5 do
      local pool <close> = http.Client()
      local task = tasks.start(pool.get, pool, "http://nobody.invalid/")
      task:cancel()
      tasks.ends_cancelled(task)
    end
  end)

  really("while it connects", function()
    local deaf <close> = sockets.deaf_listener()
    cancel(function(pool)
      pool:get("http://127.0.0.1:" .. deaf.port)
    end)
  end)

  really("in the handshake", function()
    local silent, done = sluice.Event(), sluice.Event()
    sockets.with_server(function(stream)
      stream:read()
      silent:set()
      done:wait()
    end, function(port)
      cancel(function(pool)
        pool:get("https://localhost:" .. port)
      end, silent)
      done:set()
    end)
  end)

  really("while its body is sent", function()
    local ready, done = sluice.Event(), sluice.Event()
    with_raw(function()
      ready:set()
      done:wait()
    end, function(url)
      local body = ("x"):rep(20 << 20)
      cancel(function(pool) pool:post(url, body) end, ready)
      cancel(function(pool)
        pool:post(url, function() return body end)
      end)
      done:set()
    end)
  end)

  it("while its body's function waits", function()
    with_witness(nil, function(url, ready)
      local closed
      cancel(function(pool)
        pool:post(url, function()
          local _ <close> = setmetatable({}, {
            __close = function() closed = true end,
          })
          sluice.sleep(1000)
        end)
      end, ready)
      assert.is_true(closed)
    end)
  end)

  it("while it waits for the first byte", function()
    with_witness(nil, function(url, ready)
      cancel(function(pool) pool:get(url) end, ready)
    end)
  end)

  it("while it receives", function()
    with_witness(function(stream)
      stream:write "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"
    end, function(url, ready)
      cancel(function(pool) pool:get(url) end, ready)
    end)
  end)

  it("while it streams", function()
    with_witness(function(stream)
      stream:write "HTTP/1.1 200 OK\r\n\r\nabc"
    end, function(url, ready)
      cancel(function(pool)
        local response <close> = pool:get(url, { stream = true })
        repeat until not response:read()
      end, ready)
    end)
  end)

  it("while it waits for its turn", function()
    with_witness(nil, function(url, ready)
      local pool <close> = http.Client { max_connections = 1 }
      local first = sluice.create_task(pool.get, pool, url)
      assert(ready:wait(5))
      local second = tasks.start(pool.get, pool, url)
      tasks.cancel(second, first)
      tasks.ends_cancelled(second)
      assert.matches("0 of 1", tostring(pool))
    end)
  end)

  it("by a deadline around it", function()
    with_witness(nil, function(url)
      local pool <close> = http.Client()
      assert.same({ nil, "timeout" },
        { sluice.wait_for(5, pool.get, pool, url) })
      assert.matches("0 of 100", tostring(pool))
    end)
  end)

  plainly("at every checkpoint, and leaves nothing", function()
    testing.cancel_everywhere(function()
      with_raw(client.reply "abc", function(url)
        local pool <close> = http.Client { max_per_host = 1 }
        local _ <close> = setmetatable({}, { __close = function()
          assert.matches("0 of 100", tostring(pool))
        end })
        assert(pool:post(url, "x"))
        local response <close> = assert(pool:get(url, { stream = true }))
        assert.equal("abc", response:text())
      end)
    end)
  end)

  it("before it begins", function()
    with_raw(client.reply "", function(url, seen)
      local task = sluice.create_task(http.get, url)
      task:cancel()
      tasks.ends_cancelled(task)
      testing.settle()
      assert.equal(0, #seen)
    end)
  end)
end)

describe("a program that ends", function()
  local FRAME = [[
    local http, net, sluice =
      require "sluice.http", require "sluice.net", require "sluice"
    local function serve(stream)
      stream:write "HTTP/1.1 200 OK\r\n\r\nabc"
      stream:read_all()
    end
    local server, url
    local function start()
      server = net.serve(serve, "127.0.0.1", 0)
      url = ("http://127.0.0.1:%%d/"):format(select(2, server:sockname()))
    end
    %s
    print "end"
  ]]

  it("in the middle of requests is clean", function()
    process.prints("end\n", FRAME:format [[
      sluice.run(function()
        start()
        for _ = 1, 5 do sluice.create_task(http.get, url) end
        response = http.get(url, { stream = true })
        sluice.create_task(http.get, "http://nobody.invalid/")
        sluice.sleep(0.01)
      end)
    ]])
  end)

  it("by os.exit in the middle of requests is clean", function()
    process.prints("end\n", FRAME:format [[
      sluice.run(function()
        start()
        client = http.Client()
        for _ = 1, 5 do sluice.create_task(client.get, client, url) end
        response = client:get(url, { stream = true })
        sluice.create_task(http.get, "http://nobody.invalid/")
        sluice.sleep(0.01)
        print "end"
        os.exit(0, true)
      end)
    ]])
  end)

  it("with idle connections is clean, and no deadlock is missed", function()
    process.prints("end\n", FRAME:format [[
      serve = function(stream)
        while stream:readuntil "\r\n\r\n" do
          stream:write "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        end
      end
      sluice.run(function()
        start()
        assert(http.get(url))
        server:close()
      end)
      local ok, err = pcall(sluice.run, function() sluice.Event():wait() end)
      assert(not ok and err:find "^deadlock", err)
    ]])
  end)
end)
