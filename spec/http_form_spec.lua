local errors = require "spec.support.errors"
local forms = require "spec.support.forms"
local http = require "sluice.http"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"
local testing = require "sluice.testing"

local plainly, it = it, testing.it
local body, list, post = forms.body, forms.list, forms.post
local with_app, with_directory = support.with_app, forms.with_directory

-- What fn(request) returns for a form, asked without a socket.
local function form_of(content, fn, kind, limits)
  local app, results = http.App(limits), nil
  app:post("/", function(request)
    results = table.pack(fn(request))
    return "ok"
  end)
  local answer = app:test {
    method = "POST", body = content,
    headers = { ["Content-Type"] = kind or forms.TYPE },
  }
  return results, answer
end

local function read_form(request) return request:form() end

describe("a form in parts", function()
  it("has its fields as strings", function()
    local form = form_of(body { { "a", "1" }, { "b", "x\r\ny\0z" },
      { "c", "" }, { "a", "2" } }, read_form)[1]
    assert.same({ a = "1", b = "x\r\ny\0z", c = "" }, form)
    assert.same({ "1", "2" }, http.getall(form, "a"))
  end)

  it("has its files as objects", function()
    local form = form_of(body {
      { "f", "content", "dir/a.txt", "text/plain" }, { "g", "", "" },
      { "f", "other", "b" },
    }, read_form)[1]
    local file = form.f
    assert.same({ "a.txt", "text/plain", 7, nil },
      { file.filename, file.content_type, file.size, file.path })
    assert.equal("sluice.http.File (a.txt, 7 bytes)", tostring(file))
    assert.same({ "", nil, 0 }, { form.g.filename, form.g.content_type,
      form.g.size })
    assert.equal("other", http.getall(form, "f")[2]:text())
  end)

  it("is read once, and returned as often as it is asked for", function()
    form_of(body { { "a", "1" } }, function(request)
      assert.equal(request:form(), request:form())
    end)
    form_of("a=1", function(request)
      assert.equal("a=1", request:text())
      assert.equal(request:form(), request:form())
      assert.equal("1", request:form().a)
    end, "application/x-www-form-urlencoded")
  end)

  it("can be had after the text of the body", function()
    form_of(body { { "a", "1" } }, function(request)
      assert.matches("form%-data", request:text())
      assert.equal("1", request:form().a)
    end)
  end)

  it("may have no parts", function()
    assert.same({}, form_of(body {}, read_form)[1])
  end)

  it("that is malformed is nil and why", function()
    local function wrong(why, content, kind)
      local results, answer = form_of(content, read_form, kind)
      assert.same({ nil, why, n = 2 }, results)
      assert.equal(200, answer.status) -- the handler's to decide
    end
    wrong("the form is cut off", body({ { "a", "1" } }):sub(1, -9))
    wrong("the form is cut off", "")
    wrong("a part has no name", "------spec\r\n\r\n1\r\n------spec--")
    wrong("the form has no valid boundary", "", "multipart/form-data")
    wrong("the body is not a form", "", "multipart/mixed; boundary=a")
    wrong("the body is not a form", "", "text/plain" .. (" "):rep(10000))
  end)

  it("says the same when it is asked again", function()
    form_of("x", function(request)
      local first = table.pack(request:form())
      assert.same(first, table.pack(request:form()))
    end)
  end)

  it("comes in any pieces", function()
    local app, seen = http.App(), {}
    app:post("/", function(request)
      local form = request:form { max_memory = 10 }
      seen[#seen + 1] = form.a .. form.f:text()
      return "ok"
    end)
    local text = post(body { { "a", "1" }, { "f", ("\r\n--"):rep(20), "x" } })
    with_app(app, function(port)
      for _, size in ipairs { 9, 70, 150, 151, 300 } do
        local stream <close> = sockets.connect(port)
        for at = 1, #text, size do
          stream:write(text:sub(at, at + size - 1))
          sluice.sleep(0.001)
        end
        assert.equal("ok", support.answers(stream:read())[1].body)
        assert.equal("1" .. ("\r\n--"):rep(20), seen[#seen])
      end
    end)
  end, { timeout = 100 })

  it("leaves the connection to the next request", function()
    local app = http.App()
    app:post("/", function(request) return request:form().a end)
    with_app(app, function(port)
      local text = support.exchange(port, post(body { { "a", "1" } }
        .. "epilogue") .. post(body { { "a", "2" } }))
      local answers = support.answers(text)
      assert.same({ "1", "2" }, { answers[1].body, answers[2].body })
    end)
  end)
end)

describe("the limits of a form", function()
  local function why(options, content, limits)
    local results, answer = form_of(content, function(request)
      return request:form(options)
    end, nil, limits)
    assert.is_nil(results[1])
    return results[2], answer.status
  end

  local two = body { { "a", "1" }, { "b", "2" } }

  it("are on parts, heads and fields in memory", function()
    assert.equal("the form has too many parts", why({ max_parts = 1 }, two))
    assert.equal("the head of a part is too long",
      why(nil, body { { ("n"):rep(9000), "1" } }))
    assert.equal("the fields of the form are too long",
      why({ max_memory = 1 }, two))
    assert.equal("the form has too many parts", why(nil,
      body(setmetatable({}, { __index = function(_, i)
        return i <= 1001 and { "a", "1" } or nil
      end }))))
  end)

  it("move files to disk before a field is too long", function()
    form_of(body { { "f", ("f"):rep(8), "f" }, { "g", "12", "g" },
      { "a", "1234567" }, { "b", "12345678" } }, function(request)
      local form, message = request:form { max_memory = 10 }
      assert.equal("the fields of the form are too long", message)
      assert.is_nil(form)
    end)
    form_of(body { { "f", ("f"):rep(8), "f" }, { "g", "12", "g" },
      { "a", "1234567" } }, function(request)
      local form = request:form { max_memory = 10 }
      assert.is_string(form.f.path)
      assert.same({ ("f"):rep(8), "12", "1234567" },
        { form.f:text(), form.g:text(), form.a })
    end)
  end)

  it("are on the body: less than the application's", function()
    local message, status = why({ max_body = 20 }, two)
    assert.equal("the body is too long", message)
    assert.equal(413, status)
  end)

  it("are checked", function()
    local function refused(message, options)
      form_of("", function(request)
        errors.raises("bad argument #1 to 'form' (" .. message .. ")",
          function() request:form(options) end)
      end)
    end
    refused("table expected, got number", 5)
    refused("unknown option 'max'", { max = 5 })
    refused("'max_parts' must be a number", { max_parts = "5" })
    refused("'max_body' must not be negative", { max_body = -1 })
    refused("'directory' must be a string", { directory = 5 })
  end)
end)

describe("max_body of a route", function()
  local function serving(fn)
    local app, calls = http.App { max_body = 100 }, {}
    local function handler(request)
      calls[#calls + 1] = request.path
      return tostring(#(request:text() or ""))
    end
    app:post("/", handler)
    app:post("/large", handler, { max_body = 1000 })
    app:post("/small", handler, { max_body = 10 })
    app:post("/{any}/small", handler, { max_body = 10 })
    fn(app, calls)
  end

  local function statuses(ask, calls)
    local got = {}
    for _, case in ipairs { { "/", 100 }, { "/", 101 }, { "/large", 1000 },
      { "/large", 1001 }, { "/small", 10 }, { "/small", 11 },
      { "/x/small", 11 }, { "/none", 500 } } do
      local path, size = case[1], case[2]
      got[#got + 1] = ask(path, ("x"):rep(size))
    end
    assert.same({ 200, 413, 200, 413, 200, 413, 413, 413 }, got)
    assert.same({ "/", "/large", "/small" }, calls)
  end

  it("goes before the application's", function()
    serving(function(app, calls)
      statuses(function(path, text)
        return app:test({ method = "POST", path = path, body = text }).status
      end, calls)
    end)
  end)

  it("goes before the application's, also at a socket", function()
    serving(function(app, calls)
      with_app(app, function(port)
        statuses(function(path, text)
          return support.answers(support.exchange(port,
            support.bytes(("POST %s HTTP/1.1\nHost: a\nContent-Length: %d\n\n")
              :format(path, #text)) .. text))[1].status
        end, calls)
      end)
    end)
  end)

  it("holds for one request, and for chunks", function()
    serving(function(app)
      with_app(app, function(port)
        local chunked = support.bytes "POST %s HTTP/1.1\nHost: a\n"
          .. support.bytes "Transfer-Encoding: chunked\n\n14\n"
          .. ("x"):rep(20) .. support.bytes "\n0\n\n"
        local text = support.exchange(port, chunked:format "/large"
          .. chunked:format "/" .. chunked:format "/small")
        local got = support.answers(text)
        assert.same({ 200, 200, 413 },
          { got[1].status, got[2].status, got[3].status })
      end)
    end)
  end)
end)

-- Runs fn(app, directory): the application puts what is longer than 10 bytes
-- into the directory; `handler` gets the form.
local function on_disk(handler, fn, parent)
  with_directory(function(directory)
    local app = http.App()
    app:post("/", function(request)
      local form, message = request:form {
        max_memory = 10, directory = directory,
      }
      return handler(form, message, directory)
    end)
    fn(app, directory)
    assert.same({}, list(directory))
  end, parent)
end

local long = ("0123456789"):rep(10)
local a_file = post(body { { "f", long, "f.txt" } })

-- Asks without a socket.
local function ask(app, parts)
  return app:test {
    method = "POST", body = body(parts),
    headers = { ["Content-Type"] = forms.TYPE },
  }
end

describe("a file beyond max_memory", function()
  it("is on disk, for its owner only, while the request lasts", function()
    on_disk(function(form, _, directory)
      assert.equal(directory, form.f.path:match "^(.*)/[^/]+$")
      assert.equal("-rw-------", forms.rights(form.f.path))
      assert.equal(long, forms.contents(form.f.path))
      assert.equal(long, form.f:text())
      assert.equal("12", form.a)
      return "ok"
    end, function(app)
      assert.equal(200, ask(app, { { "a", "12" }, { "f", long, "f.txt" },
        { "g", long, "g" } }).status)
    end)
  end)

  it("has no descriptor once it is written", function()
    local parts = {}
    for i = 1, 300 do parts[i] = { "f", long, "f" .. i } end
    on_disk(function(form)
      assert.equal(300, #http.getall(form, "f"))
      local pipe <close> = io.popen "ls /proc/$PPID/fd | wc -l"
      assert.is_true(pipe:read "n" < 50)
      assert.equal(long, http.getall(form, "f")[300]:text())
      return "ok"
    end, function(app) assert.equal("ok", ask(app, parts).body) end)
  end)

  it("can be read in pieces", function()
    on_disk(function(form)
      for _, file in ipairs(http.getall(form, "f")) do
        local pieces = {}
        repeat
          local piece = file:read(7)
          pieces[#pieces + 1] = piece
        until not piece
        assert.equal(long:sub(1, file.size), table.concat(pieces))
        assert.same({ nil, "eof" }, { file:read() })
        assert.equal(file.size, #file:text())
      end
      return "ok"
    end, function(app)
      assert.equal("ok", ask(app, { { "f", "0123456", "in memory" },
        { "f", long, "on disk" } }).body)
    end)
  end)

  it("can be read and sent as the answer", function()
    on_disk(function(form)
      return function() return form.f:read(9) end
    end, function(app)
      with_app(app, function(port)
        local text = support.exchange(port, a_file .. a_file)
        assert.equal(long, support.answers(text)[2].body)
      end)
    end)
  end)

  it("is gone after the request, and says so", function()
    local form
    on_disk(function(given)
      form = given
      return "ok"
    end, function(app)
      ask(app, { { "f", long, "f" }, { "g", "short", "g" } })
      errors.raises("the request has ended, its files are gone",
        function() form.f:text() end)
      assert.equal("short", form.g:text())
    end)
  end)

  plainly("costs no memory", function()
    collectgarbage()
    local before = collectgarbage "count"
    local function upload(form, message)
      assert(form, message)
      collectgarbage()
      return tostring(collectgarbage "count" - before < 20000)
    end
    sluice.run(on_disk, upload, function(app)
      app.limits.max_body, app.router.max_body = math.huge, math.huge
      with_app(app, function(port)
        local stream <close> = sockets.connect(port)
        local size = 40000000
        local head = body { { "f", "", "f" } }
        stream:write(support.bytes(("POST / HTTP/1.1\nHost: a\n"
          .. "Content-Type: %s\nContent-Length: %d\n\n")
          :format(forms.TYPE, #head + size)))
        local at = head:find("\r\n\r\n", 1, true) + 3
        stream:write(head:sub(1, at))
        for _ = 1, size // 100000 do stream:write(("x"):rep(100000)) end
        stream:write(head:sub(at + 1))
        assert.equal("true", support.answers(stream:read())[1].body)
      end)
    end)
  end)
end)

describe("file:save", function()
  local function saved(parts, parent, fn)
    on_disk(function(form, _, directory)
      local path = directory .. "/saved"
      fn(form.f, path)
      return "ok"
    end, function(app, directory)
      assert.equal("ok", ask(app, parts).body)
      assert.same({ "saved" }, list(directory))
      local path = directory .. "/saved"
      assert.equal(parts[1][2], forms.contents(path))
      assert.equal("-rw-r--r--", forms.rights(path))
      os.remove(path)
    end, parent)
  end

  it("keeps a file that is on disk, without a copy", function()
    saved({ { "f", long, "f" } }, nil, function(file, path)
      local before = file.path
      assert.is_true(file:save(path))
      assert.equal(path, file.path)
      assert.is_nil(io.open(before))
      assert.equal(long, file:text())
    end)
  end)

  it("writes a file that is in memory", function()
    saved({ { "f", "short", "f" } }, nil, function(file, path)
      assert.is_true(file:save(path))
      assert.is_true(file:save(path))
    end)
  end)

  plainly("copies from one file system to another, and again", function()
    sluice.run(function()
      with_directory(function(other)
        saved({ { "f", long, "f" } }, nil, function(file, path)
          local first = other .. "/first"
          assert.is_true(file:save(first))
          assert.equal(long, forms.contents(first))
          assert.equal(long, file:text())
          assert.is_true(file:save(path))
        end)
      end, "/dev/shm")
    end)
  end)

  plainly("can save a file where it is saved already", function()
    sluice.run(function()
      saved({ { "f", long, "f" } }, nil, function(file, path)
        assert.is_true(file:save(path))
        assert.is_true(file:save(path))
        assert.equal(long, file:text())
      end)
    end)
  end)

  -- What `file:save(path)` returns for one on disk and one in memory, where
  -- there is no room, and that the place is as it was.
  local function is_not_saved(path, code, check)
    on_disk(function(form)
      for _, name in ipairs { "f", "g" } do
        assert.equal(code, select(3, form[name]:save(path)))
        check()
      end
      return "ok"
    end, function(app)
      assert.equal("ok",
        ask(app, { { "f", long, "f" }, { "g", "short", "g" } }).body)
    end)
  end

  plainly("replaces only plain files", function()
    sluice.run(function()
      with_directory(function(directory)
        local path = directory .. "/pipe"
        os.execute("mkfifo " .. path)
        is_not_saved(path, "EEXIST", function()
          assert.same({ "pipe" }, list(directory))
        end)
        is_not_saved(directory, "EISDIR", function()
          assert.same({ "pipe" }, list(directory))
        end)
        os.remove(path)
      end)
    end)
  end)

  it("returns why it cannot", function()
    on_disk(function(form, _, directory)
      for _, name in ipairs { "f", "g" } do
        local file = form[name]
        assert.same({ nil, "no such file or directory", "ENOENT" },
          { file:save(directory .. "/none/x") })
        assert.is_nil((file:save(directory)))
        errors.raises("bad argument #1 to 'save' (string expected, got nil)",
          function() file:save() end)
        errors.raises("bad argument #1 to 'save' (not a path)",
          function() file:save "/tmp/a\0b" end)
        assert.equal(file.size, #file:text())
      end
      return "ok"
    end, function(app)
      assert.equal("ok",
        ask(app, { { "f", long, "f" }, { "g", "short", "g" } }).body)
    end)
  end)
end)

describe("files on disk are removed", function()
  it("when the form is malformed", function()
    on_disk(function(form, message, directory)
      assert.is_nil(form)
      assert.same({}, list(directory))
      return message
    end, function(app)
      local cut = body { { "f", long, "f" }, { "g", long, "g" } }
      local answer = app:test {
        method = "POST", body = cut:sub(1, -9),
        headers = { ["Content-Type"] = forms.TYPE },
      }
      assert.equal("the form is cut off", answer.body)
    end)
  end)

  it("when the handler raises, takes too long, or is answered for", function()
    local log = support.catch_stderr(function()
      on_disk(function(form)
        if form.f.filename == "raise" then error "oops" end
        sluice.sleep(100)
      end, function(app)
        app.limits.handler_timeout = 1
        with_app(app, function(port)
          local stream <close> = sockets.connect(port)
          for _, case in ipairs { { "raise", 500 }, { "late", 503 } } do
            stream:write(post(body { { "f", long, case[1] } }))
            assert.equal(case[2], support.answers(stream:read())[1].status)
          end
        end)
      end)
    end)
    assert.matches("oops", log)
  end)

  it("when the client goes away, within the form or after it", function()
    for _, size in ipairs { #a_file, #a_file - 30 } do
      local began = sluice.Event()
      on_disk(function(form)
        if not form then return 400 end
        began:set()
        sluice.sleep(1000)
      end, function(app, directory)
        with_app(app, function(port)
          local stream = sockets.connect(port)
          stream:write(a_file:sub(1, size))
          sluice.sleep(0.05)
          assert.equal(1, #list(directory))
          stream:close()
          sluice.sleep(0.05)
          assert.same({}, list(directory))
          assert.equal(size == #a_file, began:is_set())
        end)
      end)
    end
  end)

  it("when the server stops", function()
    on_disk(function() sluice.sleep(1000) end, function(app, directory)
      with_app(app, function(port, server)
        local stream <close> = sockets.connect(port)
        stream:write(a_file)
        sluice.sleep(0.05)
        assert.equal(1, #list(directory))
        server:close()
        server:wait_closed()
        assert.same({}, list(directory))
      end, { grace = 1 })
    end)
  end)

  it("when there is no directory for them", function()
    form_of(body { { "f", long, "f" } }, function(request)
      local form, message = request:form {
        max_memory = 1, directory = "/none",
      }
      assert.is_nil(form)
      assert.equal("no room for a file: no such file or directory", message)
    end)
  end)
end)

describe("curl", function()
  plainly("sends files and fields", function()
    local output = support.session([[
      local http = require "sluice.http"
      local app = http.App { max_body = 1e8 }
      app:post("/", function(request)
        local form = assert(request:form())
        return { form.a, form.f.filename, form.f.content_type, form.f.size,
          form.f:text():sub(1, 3), form.f.path and "disk" or "memory" }
      end)
      app:run { port = 0, on_listen = function(_, port)
        print("port " .. port) io.stdout:flush()
      end }
    ]], [[
      head -c 3000000 /dev/zero | tr '\0' x >$0.big
      printf abc >$0.small
      curl -F 'a=1 "2"' -F "f=@$0.small;filename=a b;type=text/x" $URL; echo
      curl -F a=é -F "f=@$0.big;filename=big" $URL; echo
      rm $0.big $0.small
      stop; status
    ]])
    assert.equal('["1 \\"2\\"","a b","text\\/x",3,"abc","memory"]\n'
      .. '["é","big","application\\/octet-stream",3000000,"xxx","disk"]\n'
      .. "status 0\n", output)
  end)
end)
