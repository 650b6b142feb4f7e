local client = require "spec.support.client"
local errors = require "spec.support.errors"
local http = require "sluice.http"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local it, really, with_raw = client.it, client.really, client.with_raw
local fails, raises = client.fails, errors.raises

local HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
local STREAM = { stream = true }

-- Runs fn(response, stream): both ends of a body that the test writes. `head`
-- announces no length, so the body ends with the connection.
local function with_stream(fn, head, options)
  local streams, done = sluice.Queue(), sluice.Event()
  with_raw(function(stream)
    stream:write(head or HEAD)
    streams:put(stream)
    done:wait()
  end, function(url)
    local all = { stream = true, url = url }
    for key, value in pairs(options or {}) do all[key] = value end
    local response <close> = assert(http.request(all))
    local ok, err = pcall(fn, response, streams:get())
    done:set()
    if not ok then error(err, 0) end
  end)
end

-- An iterator over the pieces of a response.
local function pieces(response)
  return function() return (response:read()) end
end

-- Bytes that are all different for a while, so that one lost is noticed.
local function pattern(n)
  local parts = {}
  for i = 1, n // 8 do parts[i] = ("%08d"):format(i) end
  return table.concat(parts)
end

describe("a response that streams", function()
  it("is there with its head", function()
    with_stream(function(response)
      assert.equal(200, response.status)
      assert.equal("text/plain", response.headers["content-type"])
      assert.is_nil(response.body)
    end)
  end)

  it("gives the pieces as they come", function()
    with_stream(function(response, stream)
      stream:write "one"
      assert.equal("one", response:read())
      local task = tasks.start(response.read, response)
      assert.is_false(task:done())
      stream:write "two"
      assert.equal("two", task:await())
      stream:close()
      assert.same({ nil, "eof" }, { response:read() })
      assert.same({ nil, "eof" }, { response:read() })
    end)
  end)

  it("gives no more than is asked for", function()
    with_stream(function(response, stream)
      stream:write "abcdef"
      assert.equal("ab", response:read(2))
      assert.equal("c", response:read(1))
      assert.equal("def", response:read(10))
    end)
  end)

  it("gives lines, and the rest as text", function()
    with_stream(function(response, stream)
      stream:write "one\r\ntw"
      local next_line = response:lines()
      assert.equal("one", next_line())
      stream:write "o\nthree\n\nlast"
      stream:close()
      assert.equal("two", next_line())
      assert.equal("three", next_line())
      assert.equal("", next_line())
      assert.equal("last", next_line())
      assert.is_nil(next_line())
    end)
    with_stream(function(response, stream)
      stream:write "[1,"
      assert.equal("[", response:read(1))
      stream:write "2]"
      stream:close()
      assert.equal("1,2]", response:text())
      assert.equal("1,2]", response.body)
    end)
  end)

  it("has lines of a length that is bearable", function()
    with_raw(function(stream)
      stream:write(HEAD .. "short\n" .. ("x"):rep(3 << 20))
    end, function(url)
      local response <close> = assert(http.get(url, STREAM))
      local next_line = response:lines()
      assert.equal("short", next_line())
      local ok, err = pcall(next_line)
      assert.is_false(ok)
      assert.equal("a line is longer than 1048576 bytes", err)
      local whole = assert(http.get(url)):lines()
      assert.equal("short", whole())
      assert.equal(3 << 20, #whole())
    end)
  end)

  it("has time without end, unless it is given some", function()
    with_stream(function(response, stream)
      for _ = 1, 20 do
        sluice.sleep(50)
        stream:write "x"
        assert.equal("x", response:read())
      end
      fails("ETIMEDOUT", response:read())
      fails("ETIMEDOUT", response:read())
    end)
    with_stream(function(response)
      local message = fails("ETIMEDOUT", response:read())
      assert.equal("the request took longer than 7 s (receiving)", message)
    end, nil, { timeout = 7 })
  end, { timeout = 2000 })

  it("may have a limit, too", function()
    with_stream(function(response, stream)
      stream:write "abc"
      assert.equal("abc", response:read())
      stream:write "de"
      fails("EFBIG", response:read())
    end, nil, { max_body = 4 })
  end)

  it("tells when it is cut off", function()
    with_stream(function(response, stream)
      stream:write "abc"
      testing.settle()
      stream:close()
      assert.equal("abc", response:read())
      fails("EOF", response:read())
      fails("EOF", response:text())
      local ok, err = pcall(response:lines())
      assert.is_false(ok)
      assert.matches("transfer closed", err)
    end, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
  end)

  it("is read by one task at a time", function()
    with_stream(function(response)
      local why = "another task is waiting for this HTTP response"
      local step = response:lines()
      local task = tasks.start(response.read, response)
      raises(why, function() local _ = response:read() end)
      raises(why, function() local _ = response:text() end)
      raises(why, function() local _ = response:json() end)
      raises(why, function() local _ = step() end)
      tasks.cancel(task)
      assert.is_nil(sluice.wait_for(1, response.read, response))
    end)
  end)

  it("calls the function of the request's body in one task at a time",
    function()
      local there, called = false, 0
      local inside, go = sluice.Event(), sluice.Event()
      local function body()
        if not there then sluice.sleep(0.01) return "x" end
        called = called + 1
        inside:set()
        go:wait()
      end
      with_stream(function(response, stream)
        there = true
        local task = tasks.start(response.read, response)
        inside:wait()
        assert.is_false((pcall(response.read, response)))
        assert.equal(1, called)
        go:set()
        stream:write "abc"
        assert.equal("abc", task:await(5))
      end, nil, { body = body })
    end)

  it("loses nothing when a read is cancelled", function()
    with_stream(function(response, stream)
      local task = tasks.start(response.read, response)
      tasks.cancel(task)
      stream:write "all of it"
      assert.equal("all of it", response:read())
      task = tasks.start(response.read, response)
      stream:write "and more"
      testing.settle()
      assert.equal("and more", task:await())
    end)
  end)

  it("is read at checkpoints, whatever has arrived", function()
    with_stream(function(response, stream)
      stream:write "abc"
      assert.equal("a", response:read(1))
      for _, read in ipairs { response.read, response.text } do
        local task = sluice.create_task(function()
          sluice.current_task():cancel()
          return read(response)
        end)
        assert.is_true(sluice.is_cancelled(select(2, task:pawait())))
      end
      assert.is_false(pcall(string.gsub, "x", "x", function()
        return response:read(1)
      end))
      assert.equal("bc", response:read())
    end)
  end)

  it("loses nothing when text is cancelled", function()
    with_stream(function(response, stream)
      local task = tasks.start(response.text, response)
      stream:write "some of it, "
      sluice.sleep(1) -- virtual: the bytes arrive before it ends
      tasks.cancel(task)
      assert.equal("some", response:read(4))
      stream:write "and more"
      stream:close()
      assert.equal(" of it, and more", response:text())
    end)
  end)

  it("is followed to where it is", function()
    with_raw(function(_, head)
      if head:find "^GET /to " then return client.reply "there" end
      return "HTTP/1.1 302 Found\r\nLocation: /to\r\n\z
        Content-Length: 3\r\n\r\nxyz"
    end, function(url)
      local response <close> = assert(http.get(url, STREAM))
      assert.equal("there", response:text())
    end)
  end)

  it("is decompressed as it comes", function()
    local path = os.tmpname()
    local file <close> = io.popen("printf 'one two' | gzip -c")
    local zipped = file:read "a"
    os.remove(path)
    with_stream(function(response, stream)
      for i = 1, #zipped do
        stream:write(zipped:sub(i, i))
        testing.settle()
      end
      stream:close()
      assert.equal("one two", response:text())
    end, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
  end)
end)

describe("a response that streams, closed,", function()
  it("gives its connection back if its body has ended", function()
    with_raw(client.reply "abc", function(url, seen)
      local pool <close> = http.Client { max_connections = 1 }
      for _ = 1, 3 do
        local response <close> = assert(pool:get(url, STREAM))
        assert.equal("abc", response:text())
      end
      assert.equal(1, seen.connections)
    end)
  end)

  it("ends its connection if its body has not", function()
    local gone = sluice.Event()
    with_raw(function(stream)
      stream:write(HEAD)
      stream:read()
      gone:set()
    end, function(url)
      local pool <close> = http.Client { max_connections = 1 }
      local response = assert(pool:get(url, STREAM))
      response:close()
      response:close()
      fails("EBADF", response:read())
      assert(gone:wait(5))
      assert.matches("0 of 1", tostring(pool))
    end)
  end)

  it("wakes who reads it", function()
    with_stream(function(response)
      local task = tasks.start(response.read, response)
      response:close()
      client.fails("EBADF", task:await())
    end)
  end)

  it("by the collector gives back what it had", function()
    local gone = sluice.Event()
    with_raw(function(stream)
      stream:write(HEAD)
      stream:read()
      gone:set()
    end, function(url)
      local pool <close> = http.Client { max_connections = 1 }
      assert(pool:get(url, STREAM))
      collectgarbage()
      collectgarbage()
      assert(gone:wait(5))
      assert.matches("0 of 1", tostring(pool))
    end)
  end)
end)

describe("back pressure", function()
  really("holds up a server that is faster than its reader", function()
    local sent, all = 0, 8 * 1024 * 1024
    local piece = pattern(65536)
    with_raw(function(stream)
      stream:write(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(
        all))
      while sent < all and stream:write(piece) do sent = sent + #piece end
      stream:read()
    end, function(url)
      local response <close> = assert(http.get(url, STREAM))
      assert.equal(16, #response:read(16))
      sluice.sleep(0.3)
      assert.is_true(sent < all)
      local text = assert(response:text())
      assert.equal(all, #text + 16)
      assert.is_true(text:sub(-65536) == piece)
    end)
  end)

  really("holds up a function that is faster than its server", function()
    local given, all = 0, 8 * 1024 * 1024
    local go, piece, got = sluice.Event(), pattern(65536), 0
    with_raw(function(stream)
      go:wait()
      while got < all do got = got + #stream:read(65536) end
      return client.reply "done"
    end, function(url)
      local task = sluice.create_task(http.post, url, function()
        if given == all then return nil end
        given = given + #piece
        return piece
      end, { headers = { ["Content-Length"] = all } })
      sluice.sleep(0.3)
      assert.is_true(given < all)
      go:set()
      assert.equal("done", assert(task:await()).body)
      assert.equal(all, got)
    end)
  end)

  really("in both directions at once holds up neither for ever", function()
    local app = http.App { max_body = math.maxinteger }
    app:post("/", function(request)
      return function() return (request:read()) end
    end)
    client.with_app(app, function(url)
      local n, total = 0, 0
      local piece = pattern(65536)
      local response <close> = assert(http.post(url, function()
        n = n + 1
        return n <= 100 and piece or nil
      end, STREAM))
      for got in pieces(response) do total = total + #got end
      assert.equal(100 * 65536, total)
    end)
  end)

  really("takes 100 MB in the memory of a few pieces", function()
    local piece, count = ("x"):rep(1 << 20), 100
    with_raw(function(stream)
      stream:write(HEAD)
      for _ = 1, count do stream:write(piece) end
    end, function(url)
      collectgarbage()
      local total, most = 0, 0
      local response <close> = assert(http.get(url, STREAM))
      for got in pieces(response) do
        total = total + #got
        most = math.max(most, #got)
      end
      assert.equal(count << 20, total)
      assert.is_true(most <= 128 * 1024)
    end)
  end)
end)
