local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"

local bytes = support.bytes

local function read_file(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- Limits of 1.5 s for a head, an idle connection and a write.
local SERVER = "arg = { 1.5, 1.5, 1.5 }\n"
  .. read_file "bench/http/slow_server.lua"

-- Two crowds one after the other, so that what the first one has left behind
-- for good (coroutines at rest, memory of the allocator) is not counted.
local SCRIPT = [[
LUA=${LUA:-lua5.4}
stats() { curl $URL/stats; }
honest() { $LUA bench/http/honest.lua $PORT $1; }
crowd() {
  $LUA bench/http/slow_clients.lua $PORT 500 500 50 0.5 >$0.clients &
  CLIENTS=$!
  for _ in $(seq 300); do
    grep -q connected $0.clients && break
    sleep 0.05
  done
}
gone() {
  for _ in $(seq 200); do stats | grep -q '^1 ' && break; sleep 0.05; done
  kill -KILL $CLIENTS
  wait $CLIENTS 2>/dev/null
}
ulimit -n 1200 2>/dev/null
crowd; gone
echo "before $(stats)"
crowd
echo "honest $(honest 1)"
gone
echo "after $(stats)"
cat $0.clients
rm $0.clients
stop; status
]]

local function numbers(output, name)
  local a, b, c = output:match("%f[%w]" .. name .. " (%d+) (%d+) (%d+)")
  return tonumber(a), tonumber(b), tonumber(c)
end

describe("slow clients, a thousand and fifty of them", function()
  local output

  setup(function()
    -- So that the allocator gives large blocks back when they are freed.
    output = support.session(SERVER, SCRIPT, "MALLOC_MMAP_THRESHOLD_=131072")
  end)

  it("keep no honest client from its answers", function()
    local requests, failed = numbers(output, "honest")
    assert.is_true(requests > 10)
    assert.equal(0, failed)
  end)

  it("are all gone when their time is up", function()
    assert.matches("connected 1050\n", output)
    assert.matches("slow gone %d", output)
    assert.matches("silent gone %d", output)
    assert.equal(1, (numbers(output, "after"))) -- the one that asks
    assert.matches("status 0\n", output)
  end)

  it("leave no memory behind", function()
    local _, lua_before, rss_before = numbers(output, "before")
    local _, lua_after, rss_after = numbers(output, "after")
    assert.is_true(lua_after - lua_before < 1024) -- KiB
    if os.getenv "SLUICE_TOOL" then return end -- it keeps memory itself
    assert.is_true(rss_after - rss_before < 16384)
  end)
end)

describe("a client that does not read", function()
  local big = ("x"):rep(20000000)

  -- Asks for a large answer; fn(stream) after the time to write is up.
  local function dropped(path, fn)
    local app = http.App { write_timeout = 0.1 }
    app:get("/big", function() return big end)
    app:get("/chunks", function() return function() return big end end)
    sluice.run(function()
      support.with_app(app, function(port, server)
        local stream <close> = sockets.connect(port)
        stream:write(bytes(("GET %s HTTP/1.1\nHost: a\n\n"):format(path)))
        sluice.sleep(0.05)
        repeat sluice.sleep(0.01)
        until tostring(server):find("(0 connections", 1, true)
        fn(stream)
      end)
    end)
  end

  -- Else the kernel would go on offering it what it took, for minutes.
  it("is reset when the time to write is up", function()
    for _, path in ipairs { "/big", "/chunks" } do
      dropped(path, function(stream)
        assert.equal("ECONNRESET", select(3, stream:write "x"))
      end)
    end
  end)

  it("is not read on, however much it sends", function()
    local app, handled = http.App { write_timeout = 0.2 }, 0
    app:get("/", function()
      handled = handled + 1
      return "hello"
    end)
    local requests = bytes("GET / HTTP/1.1\nHost: a\n\n"):rep(1000)
    sluice.run(function()
      support.with_app(app, function(port)
        local stream <close> = sockets.connect(port)
        local sent = 0
        while sent < 1000 and stream:write(requests, 0.1) do
          sent = sent + 1
        end
        assert.is_true(sent < 1000)
        assert.is_true(handled < 1000000)
      end)
    end)
  end)
end)
