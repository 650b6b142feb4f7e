local errors = require "spec.support.errors"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local raises, start = errors.raises, tasks.start
local plainly = it

-- Each test has a connection; what it leaves to be closed is closed before
-- its tasks are counted.
local function it(name, fn, options) -- luacheck: ignore
  testing.it(name, function()
    sockets.with_pair(fn, options)
    testing.settle()
  end)
end

-- Lets what was written arrive.
local function arrive() sluice.sleep(0.01) end

-- In real time: what fills the kernel's buffers moves at the kernel's pace.
local function really(name, fn)
  plainly(name, function() sluice.run(sockets.with_pair, fn) end)
end

-- More than the kernel's buffers between two sockets hold.
local BIG = ("0123456789abcdef"):rep(1 << 20)

describe("stream:read", function()
  it("returns what there is, as soon as there is any", function(a, b)
    local got
    local task = start(function() got = a:read() end)
    b:write "hello"
    task:await()
    assert.equal("hello", got)
  end)

  it("returns at most n bytes", function(a, b)
    b:write "hello"
    assert.equal("he", a:read(2))
    assert.equal("llo", a:read(100))
    assert.equal("", a:read(0))
  end)

  it("is binary safe", function(a, b)
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local text = table.concat(bytes)
    b:write(text)
    assert.equal(text, a:readexactly(256))
  end)

  it("returns what is left before eof", function(a, b)
    b:write "bye"
    b:shutdown()
    arrive()
    assert.equal("bye", a:read())
    assert.same({ nil, "eof" }, { a:read() })
    assert.same({ nil, "eof" }, { a:read() })
  end)

  it("times out, and reads the next time", function(a, b)
    assert.same({ nil, "timeout" }, { a:read(1, 0.5) })
    assert.same({ nil, "timeout" }, { a:read(1, 0) })
    b:write "late"
    assert.equal("late", a:read())
  end)

  it("sees what is there with a timeout of 0", function(a, b)
    b:write "there"
    assert.equal("there", a:read(nil, 0))
    b:shutdown()
    assert.same({ nil, "eof" }, { a:read(1, 0) })
  end)

  it("loses no byte when it is cancelled", function(a, b)
    local task = start(a.readexactly, a, 10)
    b:write "12345"
    arrive()
    task:cancel()
    tasks.ends_cancelled(task)
    b:write "67890"
    assert.equal("1234567890", a:readexactly(10))
  end)

  it("does not read in a cancelled task", function(a, b)
    b:write "kept"
    arrive()
    local task = sluice.create_task(a.read, a)
    task:cancel()
    tasks.ends_cancelled(task)
    assert.equal("kept", a:read())
  end)

  -- TLS says goodbye instead, and swallows what was not read.
  local plain_it = sockets.is_plain and it or function() end
  plain_it("returns that the peer was reset", function(a, b)
    sockets.reset(b, a)
    assert.same({ nil, "connection reset by peer", "ECONNRESET", n = 3 },
      table.pack(a:read()))
  end)

  it("returns that the stream was closed by another task", function(a)
    local got
    local task = start(function() got = table.pack(a:read()) end)
    a:close()
    task:await()
    assert.same({ nil, "the stream is closed", "EBADF", n = 3 }, got)
    assert.same(got, table.pack(a:read()))
  end)

  it("raises when another task reads", function(a, b)
    local task = start(a.read, a)
    raises("another task is reading this stream",
      function() a:readexactly(1) end)
    b:write "x"
    assert.equal("x", task:await())
  end)

  really("lets the peer wait when nobody reads", function(a, b)
    assert.same({ nil, "timeout" }, { b:write(BIG, 0.05) })
    assert.equal(#BIG, #a:readexactly(#BIG))
    assert.is_true(b:write "x")
  end)

  it("checks its arguments", function(a)
    raises("bad argument #1 to 'read' (number expected, got string)",
      function() a:read("5") end)
    raises("bad argument #1 to 'read' (negative size)",
      function() a:read(-1) end)
    raises("bad argument #1 to 'readexactly' "
      .. "(number has no integer representation)",
      function() a:readexactly(1.5) end)
    errors.refuses_durations(2, "read",
      function(seconds) a:read(1, seconds) end)
  end)
end)

describe("stream:readexactly", function()
  it("waits until there are n bytes", function(a, b)
    local task = start(a.readexactly, a, 6)
    b:write "abc"
    arrive()
    assert.is_false(task:done())
    b:write "defg"
    assert.equal("abcdef", task:await())
    assert.equal("", a:readexactly(0))
  end)

  it("returns what there was when the peer ends before", function(a, b)
    b:write "abc"
    b:shutdown()
    assert.same({ nil, "eof", "abc", n = 3 }, table.pack(a:readexactly(4)))
    assert.same({ nil, "eof", "", n = 3 }, table.pack(a:readexactly(4)))
  end)
end)

describe("stream:readuntil", function()
  it("returns the bytes with the separator", function(a, b)
    b:write "one--two--three"
    assert.equal("one--", a:readuntil "--")
    assert.equal("two--", a:readuntil "--")
  end)

  it("finds a separator that comes in two pieces", function(a, b)
    local task = start(a.readuntil, a, "\r\n\r\n")
    for _, piece in ipairs { "a\r", "\n\r", "\r\n", "\r", "\nrest" } do
      assert.is_false(task:done())
      b:write(piece)
      arrive()
    end
    assert.equal("a\r\n\r\r\n\r\n", task:await())
    assert.equal("rest", a:read())
  end)

  it("returns what there was when the peer ends before", function(a, b)
    b:write "half"
    b:shutdown()
    assert.same({ nil, "eof", "half", n = 3 },
      table.pack(a:readuntil "\0"))
  end)

  it("stops at the stream's limit", function(a, b)
    a:set_limit(4)
    b:write "1234;12345;"
    assert.equal("1234;", a:readuntil ";")
    assert.same({ nil, "limit", "1234", n = 3 }, table.pack(a:readuntil ";"))
    assert.equal("5;", a:readuntil ";")
  end)

  it("has a limit of 64 KiB", function(a, b)
    local task = sluice.create_task(b.write, b, ("x"):rep(70000) .. "\n")
    local line, reason, partial = a:readline()
    assert.is_nil(line)
    assert.equal("limit", reason)
    assert.equal(65536, #partial)
    task:await()
  end)

  it("checks its arguments", function(a)
    raises("bad argument #1 to 'readuntil' (empty separator)",
      function() a:readuntil "" end)
    raises("bad argument #1 to 'readuntil' (string expected, got no value)",
      function() a:readuntil() end)
  end)
end)

describe("stream:readline", function()
  it("returns a line without its end, LF or CRLF", function(a, b)
    b:write "one\ntwo\r\n\n\r\n a \r b \nlast"
    b:shutdown()
    local lines = {}
    for i = 1, 5 do lines[i] = a:readline() end
    assert.same({ "one", "two", "", "", " a \r b " }, lines)
    assert.same({ nil, "eof", "last", n = 3 }, table.pack(a:readline()))
  end)
end)

describe("stream:lines", function()
  it("yields each line, also a last one without end", function(a, b)
    b:write "one\ntwo\n\nlast"
    b:shutdown()
    local lines = {}
    for line in a:lines() do lines[#lines + 1] = line end
    assert.same({ "one", "two", "", "last" }, lines)
  end)

  it("raises when a line is too long", function(a, b)
    a:set_limit(4)
    b:write "abc\nabcdefg\n"
    local lines = {}
    assert.matches("limit", errors.of(function()
      for line in a:lines() do lines[#lines + 1] = line end
    end))
    assert.same({ "abc" }, lines)
  end)
end)

describe("stream:read_all", function()
  really("returns everything until the peer ends", function(a, b)
    local task = sluice.create_task(function()
      b:write(BIG)
      b:shutdown()
    end)
    assert.equal(BIG, a:read_all())
    task:await()
    assert.equal("", a:read_all())
  end)

  it("stops past its limit", function(a, b)
    b:write "12345"
    b:shutdown()
    assert.same({ nil, "limit", "1234", n = 3 }, table.pack(a:read_all(4)))
    assert.equal("5", a:read_all(4))
  end)
end)

describe("stream:write", function()
  really("waits while the peer does not read", function(a, b)
    local written = false
    local task = start(function()
      assert.is_true(a:write(BIG))
      written = true
    end)
    assert.is_false(written)
    local seen = #b:readexactly(#BIG - 100000)
    arrive()
    seen = seen + #b:readexactly(100000)
    task:await()
    assert.is_true(written)
    assert.equal(#BIG, seen)
  end)

  really("sends what it has queued also after a timeout", function(a, b)
    assert.same({ nil, "timeout" }, { a:write(BIG, 0.05) })
    assert.same({ nil, "timeout" }, { a:write("more", 0) })
    assert.equal(BIG .. "more", b:readexactly(#BIG + 4))
  end)

  really("sends what it has queued also when it is cancelled", function(a, b)
    local task = start(a.write, a, BIG)
    task:cancel()
    tasks.ends_cancelled(task)
    assert.equal(BIG, b:readexactly(#BIG))
  end)

  really("keeps the order of several writers", function(a, b)
    local first = start(a.write, a, BIG)
    local second = start(a.write, a, "second")
    local third = start(a.write, a, "third")
    assert.equal(BIG .. "secondthird", b:readexactly(#BIG + 11))
    for _, task in ipairs { first, second, third } do
      assert.is_true(task:await())
    end
  end)

  really("returns that the peer is gone", function(a, b)
    b:close()
    arrive()
    local ok, message, code
    repeat
      ok, message, code = a:write(BIG)
      sluice.sleep(0.1)
    until not ok
    assert.is_string(message)
    assert.is_true(code == "EPIPE" or code == "ECONNRESET")
    assert.same({ nil, message, code, n = 3 }, table.pack(a:write "x"))
  end)

  really("returns that the stream was closed by another task", function(a)
    local task = start(function() return table.pack(a:write(BIG)) end)
    a:close()
    assert.same({ nil, "the stream is closed", "EBADF", n = 3 },
      task:await())
  end)

  it("does nothing in a cancelled task", function(a, b)
    local task = sluice.create_task(a.write, a, "no")
    task:cancel()
    tasks.ends_cancelled(task)
    a:write "yes"
    a:shutdown()
    assert.equal("yes", b:read_all())
  end)

  it("checks its arguments", function(a)
    raises("bad argument #1 to 'write' (string expected, got number)",
      function() a:write(5) end)
    raises("bad argument #1 to 'write' (string expected, got nil)",
      function() a:write(nil) end)
    errors.refuses_durations(2, "write",
      function(seconds) a:write("x", seconds) end)
  end)
end)

describe("stream:shutdown", function()
  really("tells the peer after all that was written", function(a, b)
    local task = start(function()
      a:write(BIG)
      return a:shutdown()
    end)
    assert.equal(#BIG, #b:read_all())
    assert.is_true(task:await())
    b:write "still heard"
    assert.equal("still heard", a:read())
    assert.is_true(a:shutdown())
    assert.equal("EPIPE", (select(3, a:write "x")))
  end)

  really("goes on when it is cancelled", function(a, b)
    local task = start(function()
      a:write(BIG, 0)
      a:shutdown()
    end)
    task:cancel()
    tasks.ends_cancelled(task)
    assert.equal(#BIG, #b:read_all())
  end)
end)

describe("stream:close", function()
  really("sends what is queued, in the background", function(a, b)
    a:write(BIG, 0)
    a:close()
    assert.equal("sluice.Stream (closed)", tostring(a))
    assert.equal(#BIG, #b:read_all())
  end)

  it("may be called twice, and nothing works after it", function(a)
    a:close()
    a:close()
    local closed = { nil, "the stream is closed", "EBADF", n = 3 }
    assert.same(closed, table.pack(a:write "x"))
    assert.same(closed, table.pack(a:shutdown()))
    assert.same(closed, table.pack(a:peername()))
    assert.same(closed, table.pack(a:sockname()))
    assert.same(closed, table.pack(a:readline()))
  end)

  it("is what leaving a block does", function(a, b)
    do
      local _ <close> = a
    end
    assert.same({ nil, "eof" }, { b:read() })
  end)
end)

describe("a stream", function()
  it("is closed when it is collected", function(_, b)
    local port
    local server <close> = require("sluice.net").serve(function(stream)
      stream:read_all()
    end, "127.0.0.1", 0)
    port = select(2, server:sockname())
    sockets.connect(port)
    arrive()
    collectgarbage()
    collectgarbage()
    server:close()
    assert.is_true(server:wait_closed(10))
    assert.is_not_nil(b)
  end)

  plainly("can be cancelled at every checkpoint", function()
    local net = require "sluice.net"
    testing.cancel_everywhere(function()
      local server <close> = assert(net.serve(function(stream)
        for line in stream:lines() do stream:write(line .. "\n") end
      end, "127.0.0.1", 0))
      local port = select(2, server:sockname())
      local stream <close> = sockets.connect(port)
      stream:write "hello\n"
      assert.equal("hello", stream:readline())
      stream:shutdown()
    end)
  end)
end)
