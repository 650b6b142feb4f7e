-- Sockets on a virtual clock: time stands while bytes are on their way, and
-- moves when a peer holds up a connect or a write.

local net = require "sluice.net"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local testing = require "sluice.testing"

-- More than the kernel's buffers between two sockets hold.
local BIG = ("0123456789abcdef"):rep(1 << 20)

local plainly = it

-- A test with a connection: fn(client, peer).
local function it(name, fn) -- luacheck: ignore
  testing.it(name, function()
    sockets.with_pair(fn)
    sluice.sleep(0.01)
  end)
end

-- How long fn(...) takes.
local function took(fn, ...)
  local began = sluice.time()
  fn(...)
  return sluice.time() - began
end

describe("a virtual deadline ends", function()
  it("a connect that nobody answers", function()
    local deaf <close> = sockets.deaf_listener()
    local began = sluice.time()
    local _, _, code =
      net.connect("127.0.0.1", deaf.port, { timeout = 30 })
    assert.equal("ETIMEDOUT", code)
    assert.equal(30, sluice.time() - began)
  end)

  it("a write that nobody reads", function(a)
    assert.equal(30, took(function()
      assert.same({ nil, "timeout" }, { a:write(BIG, 30) })
    end))
  end)

  it("a shutdown behind such a write", function(a)
    a:write(BIG, 0)
    assert.equal(30, took(function()
      assert.same({ nil, "timeout" }, {
        sluice.wait_for(30, a.shutdown, a) })
    end))
  end)

  it("a read of what does not come", function(a, b)
    b:write "part"
    assert.equal(30, took(function()
      assert.is_nil((sluice.wait_for(30, a.readexactly, a, 5)))
    end))
    assert.equal("part", a:read())
  end)
end)

describe("a virtual clock", function()
  it("stands while bytes are on their way", function(a, b)
    assert.equal(0, took(function()
      local task = sluice.create_task(a.write, a, BIG)
      local deadline <close> = sluice.timeout(0.001) -- luacheck: ignore
      assert.equal(#BIG, #b:readexactly(#BIG))
      task:await()
    end))
  end)

  it("stands while a peer is answered that sleeps for it", function(a, b)
    local task = sluice.create_task(function()
      a:write(BIG)
      return sluice.time()
    end)
    local began = sluice.time()
    sluice.sleep(7)
    b:readexactly(#BIG)
    assert.equal(7, task:await() - began)
  end)

  it("stands while a thread is at work, whatever writes wait", function(a)
    a:write(BIG, 0)
    assert.equal(0, took(function()
      local deadline <close> = sluice.timeout(0.001) -- luacheck: ignore
      assert.equal("done", sluice.to_thread(function()
        local ends = os.clock() + 0.4
        while os.clock() < ends do end
        return "done"
      end))
    end))
  end)

  plainly("gives idle sockets their moment, also after a real run", function()
    -- The timer of the real run has rung when the virtual one begins.
    sluice.run(function() sluice.sleep(0.001) end)
    local began = sluice.time()
    testing.run(function()
      local server <close> = -- luacheck: ignore
        assert(net.serve(print, "127.0.0.1", 0))
      for _ = 1, 5 do sluice.sleep(1) end
    end)
    local took_really = sluice.time() - began
    assert.is_true(took_really >= 5 * 0.019 and took_really < 3)
  end)
end)
