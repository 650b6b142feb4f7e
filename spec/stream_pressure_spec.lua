-- Back pressure: a reader that is slow slows its peer, a peer that is slow
-- slows the writer, and what lies between them is bounded.

local process = require "spec.support.process"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local tasks = require "spec.support.tasks"

local start = tasks.start

local HIGH = 65536 -- bytes that are queued, or read ahead, before it waits
local PIECE = ("0123456789abcdef"):rep(1024) -- 16 KiB

-- A test in real time, with a connection of each kind.
local function it_by_both(name, fn)
  it(name, function() sluice.run(sockets.with_pair, fn) end)
  it(name .. ", by a Unix socket", function()
    sluice.run(sockets.with_unix_pair, fn)
  end)
end

-- What the stream tells of its buffers: bytes to read, bytes to write.
local function buffered(stream)
  local to_read, to_write =
    tostring(stream):match("(%d+) bytes to read, (%d+) to write")
  return tonumber(to_read), tonumber(to_write)
end

-- Writes pieces until it is cancelled; how many lie in the table's n.
local function write_on(stream, count)
  count.n = 0
  while stream:write(PIECE) do count.n = count.n + 1 end
end

-- Waits until a number no longer changes; returns it.
local function settled(get)
  local last
  repeat
    last = get()
    sluice.sleep(0.05)
  until get() == last
  return last
end

describe("a peer that does not read", function()
  it_by_both("stops the writer, who holds little", function(a)
    local count = {}
    local task = start(write_on, a, count)
    settled(function() return count.n end)
    local _, to_write = buffered(a)
    assert.is_true(to_write > HIGH and to_write <= HIGH + #PIECE)
    tasks.cancel(task)
  end)

  it_by_both("lets it go on when it reads again", function(a, b)
    local count = {}
    local task = start(write_on, a, count)
    for _ = 1, 3 do
      local stopped = settled(function() return count.n end)
      for _ = 1, 200 do b:readexactly(#PIECE) end
      settled(function() return count.n end)
      assert.is_true(count.n >= stopped + 100)
    end
    tasks.cancel(task)
  end)

  it_by_both("stops every writer, and wakes them in order", function(a, b)
    local n = 0
    local filler = start(function()
      while a:write(PIECE, 0.05) do n = n + 1 end
      n = n + 1 -- it was queued, too
    end)
    filler:await()
    local order = {}
    tasks.start_each(5, function(i)
      a:write(PIECE)
      order[#order + 1] = i
    end)
    assert.same({}, order)
    for _ = 1, n + 5 do assert.equal(PIECE, b:readexactly(#PIECE)) end
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end)
end)

describe("a reader that is slow", function()
  it_by_both("reads little ahead", function(a, b)
    local count = {}
    local task = start(write_on, a, count)
    for _ = 1, 20 do
      assert.equal("0123", b:readexactly(4))
      sluice.sleep(0.002)
      assert.is_true((buffered(b)) <= 3 * HIGH)
      assert.equal("456789abcdef", b:readuntil "f")
    end
    tasks.cancel(task)
  end)

  it_by_both("gets every byte, in order", function(a, b)
    local task = start(function()
      for i = 1, 3000 do a:write(("%08d"):format(i):rep(64)) end
      a:shutdown()
    end)
    for i = 1, 3000 do
      assert.equal(("%08d"):format(i):rep(64), b:readexactly(512))
      if i % 500 == 0 then sluice.sleep(0.01) end
    end
    assert.same({ nil, "eof" }, { b:read() })
    task:await()
  end)

  it_by_both("may want more than is usually kept", function(a, b)
    local task = start(write_on, a, {})
    local big = b:readexactly(64 * #PIECE * 4)
    assert.equal(PIECE:rep(64 * 4), big)
    tasks.cancel(task)
  end)
end)

describe("both ends that write and do not read", function()
  it_by_both("stop, and go on when either reads", function(a, b)
    local ours, theirs = {}, {}
    local one = start(write_on, a, ours)
    local other = start(write_on, b, theirs)
    settled(function() return ours.n + theirs.n end)
    a:readexactly(100 * #PIECE)
    b:readexactly(100 * #PIECE)
    settled(function() return ours.n + theirs.n end)
    assert.is_true(ours.n > 100 and theirs.n > 100)
    tasks.cancel(one, other)
    sluice.gather { -- what is queued would hold up their end
      function() a:shutdown() end, function() b:shutdown() end,
      function() a:read_all() end, function() b:read_all() end,
    }
  end)
end)

describe("memory", function()
  local PROGRAM = [[
    local net = require "sluice.net"
    local function rss()
      for line in io.lines("/proc/self/status") do
        local kb = line:match("^VmHWM:%s+(%d+)")
        if kb then return tonumber(kb) / 1024 end
      end
    end
    local piece = ("x"):rep(1 << 16)
    sluice.run(function()
      local server <close> = net.serve(function(stream)
        for _ = 1, 3200 do stream:write(piece) end
      end, "127.0.0.1", 0)
      local before = rss()
      local stream <close> = net.connect(server:sockname())
      local n = 0
      READ
      print(n, rss() - before < MOST)
    end)
  ]]

  -- In megabytes. Sanitizers keep what was freed for a while.
  local MOST = os.getenv "SLUICE_TOOL" and 600 or 24

  local function with(code)
    return (PROGRAM:gsub("READ", code):gsub("MOST", MOST))
  end

  it("stays where it was when 200 MB pass", function()
    process.prints("209715200\ttrue\n", with [[
      repeat
        local data = stream:read()
        n = n + (data and #data or 0)
      until not data
    ]])
  end)

  it("stays where it was, whoever is slow", function()
    process.prints("209715200\ttrue\n", with [[
      repeat
        local data = stream:readexactly(1 << 20)
        n = n + (data and #data or 0)
        if math.fmod(n >> 20, 40) == 0 then sluice.sleep(0.01) end
      until not data
    ]])
  end)
end)
