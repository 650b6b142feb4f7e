-- Cancellation and time-outs close nothing by accident and lose nothing: the
-- stream is as it was, whichever call was given up, wherever.

local errors = require "spec.support.errors"
local net = require "sluice.net"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local start = tasks.start
local plainly = it

local function it(name, fn) -- luacheck: ignore
  testing.it(name, function()
    sockets.with_pair(fn)
    testing.settle()
  end)
end

local function really(name, fn)
  plainly(name, function() sluice.run(sockets.with_pair, fn) end)
end

local BIG = ("0123456789abcdef"):rep(1 << 20)

-- Every form of reading, which waits for more than "abc".
local READS = {
  readexactly = { 10 }, readuntil = { ";" }, readline = {},
  read_all = {},
}

describe("a read that is cancelled", function()
  for name, arguments in pairs(READS) do
    it("leaves what had come to the next one: " .. name, function(a, b)
      local task = start(a[name], a, table.unpack(arguments))
      b:write "abc"
      sluice.sleep(0.01)
      task:cancel()
      tasks.ends_cancelled(task)
      assert.equal("abc", a:read())
    end)

    it("leaves it also when it timed out: " .. name, function(a, b)
      b:write "abc"
      assert.same({ nil, "timeout" }, {
        sluice.wait_for(0.5, a[name], a, table.unpack(arguments)) })
      assert.equal("abc", a:read())
    end)
  end

  it("leaves what comes later, too", function(a, b)
    local task = start(a.read, a)
    task:cancel()
    tasks.ends_cancelled(task)
    sluice.sleep(1)
    b:write "later"
    sluice.sleep(1)
    assert.equal("later", a:read())
  end)

  it("has read when the bytes came first", function(a, b)
    local task = start(a.readexactly, a, 3)
    b:write "abcdef"
    sluice.call_soon(function() task:cancel() end)
    local ok, got = task:pawait()
    assert.equal(ok and "def" or "abcdef", a:readexactly(ok and 3 or 6))
    if ok then assert.equal("abc", got) end
  end)

  it("lets another task read at once", function(a, b)
    local task = start(a.readline, a)
    task:cancel()
    local other = start(a.readline, a)
    b:write "line\n"
    tasks.ends_cancelled(task)
    assert.equal("line", other:await())
  end)

  it("many times loses no byte", function(a, b)
    local text = ("abcdefghij"):rep(30)
    local writer = sluice.create_task(function()
      for i = 1, #text, 7 do
        b:write(text:sub(i, i + 6))
        sluice.sleep(0.003)
      end
    end)
    local got = ""
    while #got < #text do
      local piece = sluice.wait_for(0.005, a.readexactly, a, 10)
      if piece then got = got .. piece end
    end
    writer:await()
    assert.equal(text, got)
  end)
end)

describe("a write that is cancelled", function()
  really("leaves the stream to the next one", function(a, b)
    local task = start(a.write, a, BIG)
    task:cancel()
    tasks.ends_cancelled(task)
    local reader = sluice.create_task(b.read_all, b)
    assert.is_true(a:write "the rest")
    assert.is_true(a:shutdown())
    assert.equal(BIG .. "the rest", reader:await())
  end)

  really("leaves the other writers waiting", function(a, b)
    local list = tasks.start_each(3, function() return a:write(BIG) end)
    list[2]:cancel()
    tasks.ends_cancelled(list[2])
    assert.equal(3 * #BIG, #b:readexactly(3 * #BIG))
    assert.is_true(list[1]:await())
    assert.is_true(list[3]:await())
  end)
end)

describe("a shutdown that is cancelled", function()
  really("has begun, and reading goes on", function(a, b)
    a:write(BIG, 0)
    local task = start(a.shutdown, a)
    task:cancel()
    tasks.ends_cancelled(task)
    assert.equal(BIG, b:read_all())
    b:write "answer"
    assert.equal("answer", a:read())
  end)
end)

describe("a call in a task that is cancelled already", function()
  it("does nothing", function(a, b)
    b:write "kept"
    sluice.sleep(0.01)
    for _, call in ipairs {
      function() a:read() end, function() a:readexactly(2) end,
      function() a:readuntil "k" end, function() a:readline() end,
      function() a:read_all() end, function() a:write "no" end,
      function() a:shutdown() end,
      function() net.connect(b:sockname()) end,
    } do
      local task = sluice.create_task(call)
      task:cancel()
      tasks.ends_cancelled(task)
    end
    assert.equal("kept", a:read())
    a:write "yes"
    assert.equal("yes", b:read())
  end)
end)

describe("a second reader", function()
  local CALLS = {
    read = {}, readexactly = { 1 }, readuntil = { "x" }, readline = {},
    read_all = {},
  }
  for name, arguments in pairs(CALLS) do
    it("is an error, and disturbs nobody: " .. name, function(a, b)
      local first = start(a.readline, a)
      local err = errors.of(a[name], a, table.unpack(arguments))
      assert.matches("another task is reading this stream$", err)
      b:write "first\nsecond"
      assert.equal("first", first:await())
      assert.equal("second", a:read())
    end)
  end

  it("is an error also in a loop over lines", function(a, b)
    local first = start(a.readline, a)
    assert.matches("another task is reading this stream$",
      errors.of(a:lines(), a))
    b:write "\n"
    first:await()
  end)
end)

describe("a stream that is collected", function()
  -- The other end of a stream that wrote `text` and was collected.
  local function collected(text, fn)
    sockets.with_server(function(stream)
      fn(stream)
    end, function(port)
      do
        local stream = sockets.connect(port)
        stream:write(text, 0)
      end
      collectgarbage()
      collectgarbage()
      sluice.sleep(0.01)
    end)
  end

  plainly("still sends what it had queued", function()
    sluice.run(collected, BIG, function(stream)
      assert.equal(BIG, stream:read_all())
    end)
  end)

  testing.it("ends for its peer", function()
    collected("", function(stream)
      assert.same({ nil, "eof" }, { stream:read(1, 5) })
    end)
  end)

  testing.it("is not, as long as a task waits in it", function()
    sockets.with_server(function(stream)
      sluice.sleep(1)
      stream:write "late"
    end, function(port)
      local task = sluice.create_task(function()
        local stream <close> = sockets.connect(port)
        return stream:read()
      end)
      for _ = 1, 10 do
        sluice.sleep(0.05)
        collectgarbage()
      end
      assert.equal("late", task:await())
    end)
  end)
end)

describe("a deadline around a conversation", function()
  it("ends whichever call waits, and nothing else", function(a, b)
    local ok, err = pcall(function()
      local deadline <close> = sluice.timeout(3) -- luacheck: ignore
      while true do
        a:write "ping\n"
        assert.equal("ping", b:readline())
        sluice.sleep(0.7)
      end
    end)
    assert.is_false(ok)
    assert.equal("timeout", err)
    a:write "still here\n"
    assert.equal("still here", b:readline())
  end)
end)
