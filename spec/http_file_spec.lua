local errors = require "spec.support.errors"
local forms = require "spec.support.forms"
local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local it, raises = testing.it, errors.raises
local bytes, with_app = support.bytes, support.with_app

local function write(path, content)
  local file <close> = assert(io.open(path, "wb"))
  file:write(content)
end

-- Runs fn(get, directory, app): get(path, headers, method) asks for a file of
-- the directory, in which there are a few.
local function serving(fn, options)
  forms.with_directory(function(directory)
    write(directory .. "/a.txt", "0123456789")
    write(directory .. "/empty.css", "")
    write(directory .. "/big", ("x"):rep(300000))
    os.execute("mkdir " .. directory .. "/sub")
    write(directory .. "/sub/b.unknown", "b")
    local app = http.App()
    app:get("/{path*}", function(request)
      local given = { root = directory }
      for key, value in pairs(options or {}) do given[key] = value end
      return http.file(request, request.params.path, given)
    end)
    fn(function(path, headers, method)
      return app:test { path = path, headers = headers, method = method }
    end, directory, app)
  end)
end

describe("http.file", function()
  it("is the file, and what it is", function()
    serving(function(get)
      local answer = get "/a.txt"
      assert.equal(200, answer.status)
      assert.equal("0123456789", answer.body)
      assert.equal("text/plain; charset=utf-8", answer.headers["content-type"])
      assert.equal("bytes", answer.headers["accept-ranges"])
      assert.matches('^"%x+%-a"$', answer.headers.etag)
      assert.matches(" GMT$", answer.headers["last-modified"])
      assert.equal("text/css; charset=utf-8",
        get("/empty.css").headers["content-type"])
      assert.equal("application/octet-stream",
        get("/sub/b.unknown").headers["content-type"])
    end)
  end)

  it("is 404 for what is not there, or no file", function()
    serving(function(get)
      for _, path in ipairs { "/none", "/sub", "/sub/", "/", "/a.txt/x" } do
        assert.equal(404, get(path).status)
      end
    end)
  end)

  it("never leaves its root", function()
    serving(function(get)
      for _, path in ipairs { "/../../../../../etc/passwd", "/%2e%2e/x",
        "/sub/..%2f..%2fetc/passwd", "/sub/../a.txt", "/a.txt%00", "//etc",
        "/..%5c..%5cetc", "/%2fetc%2fpasswd" } do
        assert.equal(404, get(path).status)
      end
      assert.equal(200, get("/sub//b.unknown").status)
      assert.equal(200, get("/./a.txt").status)
    end)
  end)

  it("is not waited for if it is a pipe", function()
    serving(function(get, directory)
      os.execute("mkfifo " .. directory .. "/pipe")
      assert.equal(404, get("/pipe").status)
    end)
  end)

  it("has its length, also for HEAD", function()
    serving(function(_, _, app)
      with_app(app, function(port)
        local get = support.ask(port, "GET /big HTTP/1.1\nHost: a\n\n")
        assert.equal("300000", get.headers["content-length"])
        assert.is_true(get.body == ("x"):rep(300000))
        local head = support.ask(port, "HEAD /big HTTP/1.1\nHost: a\n\n", true)
        assert.equal("300000", head.headers["content-length"])
        local empty = support.ask(port, "GET /empty.css HTTP/1.0\n\n")
        assert.equal("0", empty.headers["content-length"])
      end)
    end)
  end)

  it("may be called otherwise", function()
    serving(function(get)
      local headers = get("/a.txt").headers
      assert.equal("image/x", headers["content-type"])
      assert.equal("max-age=60", headers["cache-control"])
      assert.equal([[attachment; filename="a_ _b__.txt"; ]]
        .. [[filename*=UTF-8''a%22%20%5Cb%C3%A9.txt]],
        headers["content-disposition"])
    end, { content_type = "image/x", cache_control = "max-age=60",
      filename = 'a" \\bé.txt' })
  end)

  it("checks its arguments", function()
    local request = { headers = {} }
    raises("bad argument #1 to 'file' (request expected)",
      function() http.file("a") end)
    raises("bad argument #2 to 'file' (string expected, got nil)",
      function() http.file(request) end)
    raises("bad argument #3 to 'file' (unknown option 'rot')",
      function() http.file(request, "a", { rot = "x" }) end)
    raises("bad argument #3 to 'file' ('root' must be a string)",
      function() http.file(request, "a", { root = 5 }) end)
  end)
end)

describe("a file that the client has", function()
  it("is not sent again", function()
    serving(function(get)
      local known = get("/a.txt").headers
      local tag, date = known.etag, known["last-modified"]
      local function status(headers) return get("/a.txt", headers).status end
      assert.equal(304, status { ["If-None-Match"] = tag })
      assert.equal(304, status { ["If-None-Match"] = '"x", W/' .. tag })
      assert.equal(304, status { ["If-None-Match"] = "*" })
      assert.equal(304, status { ["If-Modified-Since"] = date })
      assert.equal(200, status { ["If-None-Match"] = '"x"',
        ["If-Modified-Since"] = date })
      assert.equal(200, status {
        ["If-Modified-Since"] = "Thu, 01 Jan 1970 00:00:00 GMT" })
      local answer = get("/a.txt", { ["If-None-Match"] = tag })
      assert.same({ "", tag }, { answer.body, answer.headers.etag })
    end)
  end)
end)

describe("a part of a file", function()
  it("is sent if there is such a part", function()
    serving(function(get)
      local function part(range)
        local answer = get("/a.txt", { Range = range })
        return { answer.status, answer.body, answer.headers["content-range"] }
      end
      assert.same({ 206, "012", "bytes 0-2/10" }, part "bytes=0-2")
      assert.same({ 206, "9", "bytes 9-9/10" }, part "bytes=9-")
      assert.same({ 206, "89", "bytes 8-9/10" }, part "bytes=8-99")
      assert.same({ 206, "789", "bytes 7-9/10" }, part "bytes=-3")
      assert.same({ 206, "0123456789", "bytes 0-9/10" }, part "bytes=-99")
      for _, range in ipairs { "bytes=10-", "bytes=99-100", "bytes=-0" } do
        assert.same({ 416, "", "bytes */10" }, part(range))
      end
      for _, range in ipairs { "bytes=3-2", "bytes=-", "bytes=0-1,3-4",
        "lines=0-1", "bytes=a-b", "bytes=" .. ("9"):rep(40) .. "-" } do
        assert.same({ 200, "0123456789" }, part(range))
      end
    end)
  end)

  it("is sent only of the file that the client knows", function()
    serving(function(get)
      local known = get("/a.txt").headers
      local function status(validator)
        return get("/a.txt",
          { Range = "bytes=0-1", ["If-Range"] = validator }).status
      end
      assert.equal(206, status(known.etag))
      assert.equal(206, status(known["last-modified"]))
      assert.equal(200, status '"other"')
    end)
  end)

  it("arrives at a socket", function()
    serving(function(_, _, app)
      with_app(app, function(port)
        local answer = support.ask(port, "GET /big HTTP/1.1\nHost: a\n"
          .. "Range: bytes=70000-199999\n\n")
        assert.equal(206, answer.status)
        assert.equal("130000", answer.headers["content-length"])
        assert.equal(130000, #answer.body)
      end)
    end)
  end)
end)

describe("a file that is being sent", function()
  it("has ranges only for GET", function()
    serving(function(get)
      local answer = get("/a.txt", { Range = "bytes=0-0" }, "HEAD")
      assert.equal(200, answer.status)
      assert.is_nil(answer.headers["content-range"])
    end)
  end)

  -- How many descriptors this process has open on files of the directory.
  local function open_files(directory)
    local pipe <close> = io.popen("ls -l /proc/$PPID/fd")
    local _, count = pipe:read("a"):gsub(directory:gsub("%p", "%%%0"), "")
    return count
  end

  it("is closed when it was sent, or was not to be", function()
    serving(function(get, directory)
      for _, method in ipairs { "GET", "HEAD" } do
        get("/a.txt", nil, method)
        get("/a.txt", { Range = "bytes=99-" }, method)
        get("/a.txt", { ["If-None-Match"] = "*" }, method)
      end
      assert.equal(0, open_files(directory))
    end)
  end)

  it("is closed when the client goes away", function()
    serving(function(_, directory, app)
      write(directory .. "/huge", ("x"):rep(20000000))
      with_app(app, function(port)
        local stream = sockets.connect(port)
        stream:write(bytes "GET /huge HTTP/1.1\nHost: a\n\n")
        stream:readexactly(100)
        assert.equal(1, open_files(directory))
        stream:close()
        sluice.sleep(1)
        assert.equal(0, open_files(directory))
      end)
    end)
  end)

  it("cuts the connection off if it becomes shorter", function()
    local text
    local log = support.catch_stderr(function()
      serving(function(_, directory, app)
        app:use(function(request, next)
          local status, body, headers = next(request)
          write(directory .. "/a.txt", "0123")
          return status, body, headers
        end)
        with_app(app, function(port)
          text = support.exchange(port, bytes "GET /a.txt HTTP/1.0\n\n")
        end)
      end)
    end)
    assert.matches("Content%-Length: 10\r\n.*\r\n\r\n0123$", text)
    assert.matches("a file became shorter: it ended", log)
  end)
end)

describe("http.redirect", function()
  local function answer(...)
    local arguments = table.pack(...)
    local app = http.App()
    app:get("/", function()
      return http.redirect(table.unpack(arguments, 1, arguments.n))
    end)
    return app:test()
  end

  it("sends the client elsewhere", function()
    assert.same({ 302, "/x?y=z" }, { answer("/x?y=z").status,
      answer("/x?y=z").headers.location })
    assert.equal(308, answer("https://example.org/", 308).status)
    assert.equal("", answer("/").body)
  end)

  it("checks its arguments", function()
    for _, url in ipairs { "", "/a b", "/a\r\nX: y" } do
      raises("bad argument #1 to 'redirect' (not a URL)",
        function() http.redirect(url) end)
    end
    raises("bad argument #2 to 'redirect' (301, 302, 303, 307 or 308 "
      .. "expected)", function() http.redirect("/", 200) end)
  end)
end)
