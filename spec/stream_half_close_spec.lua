-- Half-close: each direction of a connection ends by itself.

local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local start = tasks.start
local plainly = it

-- A test with a connection of each kind, on the virtual clock.
local function it(name, fn) -- luacheck: ignore
  for suffix, with_pair in pairs {
    [""] = sockets.with_pair,
    [", by a Unix socket"] = sockets.with_unix_pair,
  } do
    testing.it(name .. suffix, function()
      with_pair(fn)
      testing.settle()
    end)
  end
end

local function really(name, fn)
  plainly(name, function() sluice.run(sockets.with_pair, fn) end)
end

-- More than the kernel's buffers between two sockets hold.
local BIG = ("0123456789abcdef"):rep(1 << 20)

describe("an end that has shut down", function()
  it("still reads", function(a, b)
    assert.is_true(a:shutdown())
    assert.same({ nil, "eof" }, { b:read() })
    for i = 1, 10 do
      b:write(i .. "\n")
      assert.equal(tostring(i), a:readline())
    end
  end)

  it("writes no more, and says so", function(a)
    a:shutdown()
    assert.same({ nil, "broken pipe", "EPIPE", n = 3 },
      table.pack(a:write "x"))
    assert.is_true(a:shutdown())
  end)

  it("tells its peer after what it wrote", function(a, b)
    a:write "last words"
    a:shutdown()
    assert.equal("last words", b:read_all())
  end)

  it("wakes a peer that waits, whatever for", function(a, b)
    local function ends(expected, method, ...)
      local task = start(function(...)
        return table.pack(b[method](b, ...))
      end, ...)
      return function() assert.same(expected, task:await()) end
    end
    local check = ends({ nil, "eof", "ab", n = 3 }, "readexactly", 5)
    a:write "ab"
    a:shutdown()
    check()
    ends({ nil, "eof", "", n = 3 }, "readuntil", "x")()
    ends({ nil, "eof", "", n = 3 }, "readline")()
    ends({ nil, "eof", n = 2 }, "read")()
    ends({ "", n = 1 }, "read_all")()
    ends({ "", n = 1 }, "read", 0)()
    ends({ "", n = 1 }, "readexactly", 0)()
  end)

  really("writes all that is queued first", function(a, b)
    local reader = sluice.create_task(b.read_all, b)
    a:write(BIG, 0)
    assert.is_true(a:shutdown())
    assert.equal(BIG, reader:await())
  end)
end)

describe("an end whose peer has shut down", function()
  it("still writes", function(a, b)
    b:shutdown()
    assert.same({ nil, "eof" }, { a:read() })
    a:write "one"
    a:write "two"
    assert.equal("onetwo", b:readexactly(6))
    a:shutdown()
    assert.same({ nil, "eof" }, { b:read() })
  end)

  really("still writes much", function(a, b)
    b:shutdown()
    assert.same({ nil, "eof" }, { a:read() })
    local task = sluice.create_task(function()
      a:write(BIG)
      a:shutdown()
    end)
    assert.equal(BIG, b:read_all())
    task:await()
  end)
end)

describe("both ends that shut down at once", function()
  it("have both ended", function(a, b)
    sluice.gather {
      function() assert.is_true(a:shutdown()) end,
      function() assert.is_true(b:shutdown()) end,
    }
    assert.same({ nil, "eof" }, { a:read() })
    assert.same({ nil, "eof" }, { b:read() })
  end)

  really("get all that the other wrote", function(a, b)
    local function exchange(stream)
      return function()
        local reader = sluice.create_task(stream.read_all, stream)
        stream:write(BIG)
        stream:shutdown()
        return #reader:await()
      end
    end
    assert.same({ #BIG, #BIG },
      sluice.gather { exchange(a), exchange(b) })
  end)
end)

describe("stream:shutdown", function()
  really("does not wait for ever when the peer is gone", function(a, b)
    a:write(BIG, 0)
    local task = start(function() return table.pack(a:shutdown()) end)
    b:close()
    local ok, _, code = table.unpack(task:await(5), 1, 3)
    assert.is_nil(ok)
    assert.is_true(code == "EPIPE" or code == "ECONNRESET")
  end)

  really("may be waited for by several", function(a, b)
    a:write(BIG, 0)
    local list = tasks.start_each(3, function() return a:shutdown() end)
    b:readexactly(#BIG)
    for _, task in ipairs(list) do assert.is_true(task:await(5)) end
  end)

  it("ends with the stream when another task closes it", function(a)
    a:write(BIG, 0)
    local task = start(function() return table.pack(a:shutdown()) end)
    a:close()
    assert.same({ nil, "the stream is closed", "EBADF", n = 3 },
      task:await())
  end)
end)

describe("a peer that breaks off", function()
  it("is told from one that ends, also behind what it wrote", function(a, b)
    b:write "part"
    sockets.reset(b, a)
    local all, _, code = a:read_all()
    assert.is_nil(all)
    assert.equal("ECONNRESET", code)
  end)

  it("leaves what it wrote to be read", function(a, b)
    b:write "part"
    sockets.reset(b, a)
    assert.equal("part", a:readexactly(4))
    assert.equal("ECONNRESET", (select(3, a:read())))
    assert.equal("ECONNRESET", (select(3, a:readline())))
  end)

  -- The kernel of a TCP socket tells of a reset once.
  it("is told to who reads when it was told to who writes", function(a, b)
    b:write "part"
    sockets.reset(b, a)
    assert.is_nil((a:write "more"))
    assert.equal("part", a:readexactly(4))
    assert.equal("ECONNRESET", (select(3, a:read())))
  end)
end)
