local client = require "spec.support.client"
local http = require "sluice.http"
local process = require "spec.support.process"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"

local it, really, with_raw = client.it, client.really, client.with_raw
local fails, reply = client.fails, client.reply

-- The output of a shell command.
local function output(command)
  local pipe <close> = io.popen(command)
  return pipe:read "a"
end

-- Each answer of the list must end a request with the code.
local function each_fails(code, answers, options)
  for _, text in ipairs(answers) do
    with_raw(function(stream)
      stream:write(text)
    end, function(url)
      local response, message, got = http.get(url, options)
      assert.is_nil(response, text)
      assert.equal(code, got, text:sub(1, 60) .. ": " .. tostring(message))
    end)
  end
end

describe("what is no URL", function()
  it("is told, not raised", function()
    for _, url in ipairs { "", "x", "/path", "//host/", "http:", "http://",
"http://a b/", "http://a/\r\nX: y", "http://a:x/",
      "http://[::1/", "http://a:99999/" } do
      assert.equal("EINVAL", (select(3, http.get(url))), url)
    end
  end)

  it("of HTTP is told, too", function()
    for _, url in ipairs { "ftp://a/", "file:///etc/passwd", "data:,x",
      "javascript:x", "gopher://a/", "httpx://a/" } do
      fails("EPROTONOSUPPORT", http.get(url))
    end
  end)
end)

describe("a connection that cannot be made", function()
  it("is refused", function()
    local url = ("http://127.0.0.1:%d/"):format(sockets.free_port())
    assert.matches("onnect", fails("ECONNREFUSED", http.get(url)))
  end)

  really("to a name that is nobody's is told", function()
    fails("EAI_NONAME", http.get "http://nobody.invalid/")
  end)

  really("takes no longer than it may", function()
    local deaf <close> = sockets.deaf_listener()
    local url = ("http://127.0.0.1:%d/"):format(deaf.port)
    local began = sluice.time()
    fails("ETIMEDOUT", http.get(url, { connect_timeout = 0.2 }))
    assert.equal("the request took longer than 0.2 s (connecting)",
      fails("ETIMEDOUT", http.get(url, { timeout = 0.2 })))
    assert.is_true(sluice.time() - began < 5)
    assert.is_true(sluice.time() - began >= 0.4)
  end)

  it("for want of descriptors is told", function()
    local result = process.lua([[
      local http, sluice = require "sluice.http", require "sluice"
      sluice.run(function()
        http.get "http://127.0.0.1:1/"
        local files = {}
        for i = 1, 50 do files[i] = io.open "/dev/null" end
        print(select(3, http.get "http://127.0.0.1:1/"))
      end)
    ]], "prlimit --nofile=50")
    assert.equal("EMFILE\n", result.stdout)
    assert.equal("", result.stderr)
  end)

  it("has no time at all", function()
    fails("ETIMEDOUT", http.get("http://127.0.0.1:1/", { timeout = 0 }))
  end)

  it("by a proxy or a Unix socket is told, too", function()
    local port = sockets.free_port()
    local url = "http://127.0.0.1:1/"
    fails("ECONNREFUSED",
      http.get(url, { proxy = "http://127.0.0.1:" .. port }))
    fails("ENOENT", http.get(url, { unix = "/nowhere/at/all" }))
    fails("ENAMETOOLONG", http.get(url, { unix = ("x"):rep(1000) }))
  end)
end)

describe("a server that goes", function()
  it("before it answers is told", function()
    each_fails("EOF", { "", "HTTP/1.1 200 OK\r\nX: 1\r\n" })
  end)

  it("before the end of its answer is told", function()
    each_fails("EOF", {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    })
  end)

  it("with a reset is told", function()
    with_raw(function(stream, _, n)
      if n == 2 then stream:write "HTTP/1.1 200 OK\r\n\r\nabc" end
      sluice.sleep(0.01)
    end, function(url)
      local function bytes() return ("x"):rep(100000) end
      local _, _, code = http.post(url, bytes)
      assert.truthy(code == "ECONNRESET" or code == "EPIPE", code)
    end)
  end)
end)

describe("what is not HTTP", function()
  it("is refused", function()
    each_fails("EPROTO", {
      "SSH-2.0-OpenSSH_9.2\r\n",
      "<html>\n",
      "HTTP/9.9 200 OK\r\n\r\n",
      "HTTP/1.1 abc\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd",
      "HTTP/1.1 200 OK\r\n" .. ("X: " .. ("y"):rep(1000) .. "\r\n"):rep(300),
      "HTTP/1.1 200 OK\r\nX: " .. ("y"):rep(200000) .. "\r\n\r\n",
    })
  end)

  it("is refused when it never comes to its end", function()
    with_raw(function(stream)
      while stream:write "HTTP/1.1 100 Continue\r\n\r\n" do end
    end, function(url)
      fails("EPROTO", http.get(url))
    end)
  end)
end)

describe("a body that is too large", function()
  it("is refused by its announced length, at once", function()
    with_raw("HTTP/1.1 200 OK\r\nContent-Length: 10485761\r\n\r\n",
      function(url)
        fails("EFBIG", http.get(url))
      end)
  end)

  it("is refused when more has come than may", function()
    with_raw(function(stream)
      stream:write "HTTP/1.1 200 OK\r\n\r\n"
      while stream:write(("x"):rep(50000)) do end
    end, function(url)
      fails("EFBIG", http.get(url))
      assert.equal("the body is larger than max_body",
        fails("EFBIG", http.get(url, { max_body = 10 })))
      fails("EFBIG", http.get(url, { max_body = 0 }))
    end)
  end)

  it("is one of more bytes than that, not of as many", function()
    with_raw(reply "12345", function(url)
      assert.equal("12345", assert(http.get(url, { max_body = 5 })).body)
      fails("EFBIG", http.get(url, { max_body = 4 }))
    end)
    with_raw(reply "", function(url)
      assert.equal("", assert(http.get(url, { max_body = 0 })).body)
    end)
  end)

  it("may be let in", function()
    local body = ("x"):rep(11 << 20)
    with_raw(reply(body), function(url)
      local response = assert(http.get(url, { max_body = math.huge }))
      assert.is_true(response.body == body)
    end)
  end)
end)

describe("a compressed body", function()
  local function zipped(tool, text, fields)
    return reply(output(text .. " | " .. tool),
      fields or "Content-Encoding: gzip\r\n")
  end

  it("is decompressed, unless that is not wanted", function()
    with_raw(zipped("gzip -c", "printf abc"), function(url)
      assert.equal("abc", assert(http.get(url)).body)
      local as_it_is = assert(http.get(url, { decompress = false })).body
      assert.equal("\x1f\x8b", as_it_is:sub(1, 2))
    end)
  end)

  it("counts as what it becomes", function()
    local bomb = zipped("gzip -9c", "head -c 20000000 /dev/zero")
    assert.is_true(#bomb < 100000)
    with_raw(bomb, function(url)
      fails("EFBIG", http.get(url))
      fails("EFBIG", http.get(url, { max_body = 100000 }))
      local response <close> =
        assert(http.get(url, { stream = true, max_body = 100000 }))
      fails("EFBIG", response:text())
    end)
  end)

  it("that is none is refused", function()
    each_fails("EPROTO", {
      reply("no gzip at all", "Content-Encoding: gzip\r\n"),
      reply("abc", "Content-Encoding: unheard-of\r\n"),
    })
  end)

  it("that is cut off is told", function()
    local whole = output "head -c 5000 /dev/urandom | gzip -c"
    each_fails("EOF", {
      ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\z
        \r\n%s"):format(#whole, whole:sub(1, -9)),
    })
  end)
end)

describe("a server that is slow", function()
  -- Says a part and no more.
  local function mute(text)
    return function(stream)
      stream:write(text)
      stream:read()
    end
  end

  it("with its first byte is given up", function()
    with_raw(mute "", function(url)
      local began = sluice.time()
      assert.equal("nothing came or went for 60 s (waiting)",
        fails("ETIMEDOUT", http.get(url)))
      assert.is_true(sluice.time() - began >= 60)
      assert.equal("the request took longer than 20 s (waiting)",
        fails("ETIMEDOUT", http.get(url, { timeout = 20 })))
    end)
  end, { timeout = 1000 })

  it("with the rest is given up", function()
    for _, text in ipairs { "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc" } do
      with_raw(mute(text), function(url)
        assert.equal("nothing came or went for 9 s (receiving)",
          fails("ETIMEDOUT", http.get(url, { idle_timeout = 9 })))
      end)
    end
  end, { timeout = 1000 })

  it("but never stops is given up after all", function()
    with_raw(function(stream)
      stream:write "HTTP/1.1 200 OK\r\n\r\n"
      while stream:write "x" do sluice.sleep(10) end
    end, function(url)
      local began = sluice.time()
      fails("ETIMEDOUT", http.get(url))
      assert.is_true(sluice.time() - began >= 300)
    end)
  end, { timeout = 1000 })

  it("is waited for as long as bytes come", function()
    with_raw(function(stream)
      stream:write "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"
      for _ = 1, 20 do
        sluice.sleep(5)
        stream:write "x"
      end
      stream:read()
    end, function(url)
      local response = assert(http.get(url, { idle_timeout = 6 }))
      assert.equal(("x"):rep(20), response.body)
    end)
  end, { timeout = 1000 })

  it("in taking a body is given up", function()
    local done = sluice.Event()
    with_raw(function()
      done:wait()
    end, function(url)
      local body = ("x"):rep(20 << 20)
      fails("ETIMEDOUT", http.post(url, body, { idle_timeout = 5 }))
      fails("ETIMEDOUT", http.post(url, function() return body end,
        { idle_timeout = 5 }))
      done:set()
    end)
  end, { timeout = 1000 })

  -- The function never waits, so it is the client that lets time pass.
  really("is not waited for with a body that gives nothing", function()
    with_raw(function(stream) stream:read_all() end, function(url)
      local others = 0
      local task = sluice.create_task(function()
        while true do sluice.sleep(0.01) others = others + 1 end
      end)
      local function ask()
        return http.post(url, function() return "" end, { timeout = 0.2 })
      end
      fails("ETIMEDOUT", sluice.wait_for(5, ask))
      task:cancel()
      assert.is_true(others > 5)
    end)
  end)

  it("is not to blame for a slow body", function()
    with_raw(function(stream)
      stream:readuntil "\r\n0\r\n\r\n"
      return reply "thanks"
    end, function(url)
      local n = 0
      local function slow()
        n = n + 1
        sluice.sleep(50)
        return n < 4 and "x" or nil
      end
      assert.equal("thanks",
        assert(http.post(url, slow, { idle_timeout = 9 })).body)
      fails("ETIMEDOUT", http.post(url, function() sluice.sleep(1000) end,
        { timeout = 20 }))
    end)
  end, { timeout = 1000 })
end)
