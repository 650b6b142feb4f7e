-- Crawls sites that the spec itself serves, on real sockets and the real
-- clock; the crawler is a process of its own.

local child = dofile "examples/lib/child.lua"
local certificates = require "spec.support.certificates"
local site = require "spec.support.site"
local sluice = require "sluice"

local LUA = os.getenv "LUA" or "lua5.4"

local function start(...)
  return child.start { LUA, "bin/sluice", "examples/crawler.lua", ... }
end

local function number(text, pattern)
  return tonumber(text:match(pattern) or 0)
end

-- What a crawler told, taken apart.
local function read_summary(lines)
  local text = table.concat(lines, "\n")
  local told = { text = text, errors = {}, left = {} }
  told.pages = number(text, "(%d+) pages, %d+ redirects")
  told.redirects = number(text, "(%d+) redirects")
  told.failed = number(text, "redirects, (%d+) failed")
  for count, kind in (text:match("failed: ([^\n]*)") or "")
    :gmatch("(%d+) ([^,]+)") do told.errors[kind] = tonumber(count) end
  for count, kind in (text:match("not asked for: ([^\n]*)") or "")
    :gmatch("(%d+) ([^,]+)") do told.left[kind] = tonumber(count) end
  return told
end

--- Runs the crawler to its end.
local function crawl(...)
  local crawler <close> = start(...)
  local status = crawler:wait(20)
  local told = read_summary(crawler:new_lines())
  told.status = status
  return told
end

local function in_run(fn)
  return function() sluice.run(fn) end
end

local function link(to) return ('<a href="%s">x</a>'):format(to) end

--- An answer for each path of a table; others are not found.
local function answers(pages)
  return function(path, stream)
    local page = pages[path]
    if type(page) == "function" then return page(stream) end
    return page or site.answer(404)
  end
end

local function redirect(status, to)
  return site.answer(status, { Location = to })
end

-- -- a site of 2,000 pages, with all that can go wrong ----------------------

local PAGES, BRANCHES = 2000, 13 -- none is deeper than 3

-- One page, in the ways in which pages are linked.
local function ways_to(path, url)
  local name = path:sub(2)
  return { path, name, "./" .. name, "../" .. name, url .. path,
    url:sub(6) .. path .. "#part", url:upper() .. "/x/.." .. path,
    " \n" .. path .. "\t", "\\" .. name }
end

local function tree_page(n, url, extra)
  local links = { link "/", link("#top"), link("/p" .. n) }
  for other = BRANCHES * (n - 1) + 2, BRANCHES * n + 1 do
    local ways = ways_to("/p" .. other, url)
    if other > PAGES then break end
    links[#links + 1] = link(ways[other % #ways + 1])
  end
  return site.page(table.concat(links, "\n") .. (extra or ""))
end

local function special_pages(resets, secure)
  return {
    ["/robots.txt"] = site.answer(200, {},
      "User-agent: *\nDisallow: /private"),
    ["/to/301"] = redirect(301, "../p5"),
    ["/to/302"] = redirect(302, "/to/307"),
    ["/to/307"] = redirect(307, "//localhost/elsewhere"),
    ["/to/new"] = redirect(308, "?only=here"),
    ["/to/new?only=here"] = site.page "only by a redirect",
    ["/loop/1"] = redirect(302, "/loop/2"),
    ["/loop/2"] = redirect(302, "/loop/1"),
    ["/to/mail"] = redirect(302, "mailto:a@b"),
    ["/never-ends"] = site.trickle,
    ["/cut-off"] = function(stream)
      stream:write(site.answer(200, { ["Content-Length"] = 1000 }, "x"))
    end,
    ["/too-long"] = function(stream)
      stream:write(site.answer(200, { ["Content-Length"] = 1 },
        "x" .. link "/never"))
    end,
    ["/100MB"] = site.answer(200, { ["Content-Length"] = 100000000 }),
    ["/100MB-in-chunks"] = function(stream) site.flood(stream, 100) end,
    ["/gzip"] = site.answer(200, { ["Content-Encoding"] = "gzip",
      ["Content-Type"] = "text/html" }, "this is no gzip"),
    ["/binary"] = site.page(("\0\xff\xfe<\x80"):rep(1000)
      .. link "/behind-binary"),
    ["/behind-binary"] = site.page "",
    ["/charset"] = site.answer(200, {
      ["Content-Type"] = "text/html; charset=none-such" },
      link "/caf\xe9"),
    ["/caf%C3%A9"] = site.page "",
    ["/picture"] = site.answer(200, { ["Content-Type"] = "image/png" },
      link "/never"),
    ["/500"] = site.answer(500), ["/204"] = site.answer(204),
    ["/nonsense"] = function(stream) stream:write("nonsense\r\n\r\n") end,
    extra = table.concat { link "/to/301", link "/to/302", link "/to/new",
      link "/loop/1", link "/chain/1", link "/to/mail", link "/never-ends",
      link "/cut-off", link "/too-long", link "/100MB",
      link "/100MB-in-chunks", link "/gzip",
      link "/binary", link "/charset", link "/picture", link "/500",
      link "/204", link "/404", link "/nonsense", link "/private/1",
      link "http://localhost/elsewhere", link "mailto:a@b",
      link(resets.url .. "/reset"), link(secure.url .. "/secure") },
  }
end

-- Every redirect of a chain leads to the next.
local function chain(path)
  local n = path:match("^/chain/(%d+)$")
  return n and redirect(302, "/chain/" .. n + 1)
end

local function serve_large_site(resets, secure)
  local pages, large = special_pages(resets, secure), nil
  local others = answers(pages)
  large = site.serve(function(path, stream)
    local n = path == "/" and 1 or tonumber(path:match("^/p(%d+)$"))
    if not n then return chain(path) or others(path, stream) end
    return tree_page(n, large.url, n == 2 and pages.extra)
  end)
  return large
end

local function check_large_site(large, told)
  for n = 2, PAGES do assert.equal(1, large.hits["/p" .. n], n) end
  for path, hits in pairs(large.hits) do assert.equal(1, hits, path) end
  for _, path in ipairs { "/p1", "/", "/to/new?only=here", "/behind-binary",
    "/caf%C3%A9", "/picture" } do
    assert.equal(1, large.hits[path], path)
  end
  for _, path in ipairs { "/private/1", "/never", "/chain/12" } do
    assert.is_nil(large.hits[path], path)
  end
  -- The tree, its root by two names, eight more in the clear, one by TLS.
  assert.equal(PAGES + 1 + 8 + 1, told.pages)
  assert.equal(4 + 2 + 10, told.redirects)
  assert.same({
    timeout = 1, ["cut off"] = 1, ["too large"] = 2, ["HTTP 404"] = 1,
    ["HTTP 500"] = 1, ["bad answer"] = 2, ["bad redirect"] = 1,
    ["too many redirects"] = 1, ["connection reset"] = 1,
  }, told.errors)
  assert.equal(11, told.failed)
  assert.same({ ["of other hosts"] = 1, ["forbidden by robots.txt"] = 1 },
    told.left)
end

-- Every line of the DOT has its form, every link its pages.
local function check_dot(path, nodes)
  local known, edges = {}, 0
  for line in io.lines(path) do
    local from, to = line:match('^  "([^"]+)" %-> "([^"]+)";$')
    local node = line:match('^  "([^"]+)" %[color=%w+%];$')
    if node then known[node], nodes = true, nodes - 1 end
    if from then
      edges = edges + 1
      assert.is_true(known[from] and known[to])
    end
    assert.is_truthy(from or node or line == "digraph links {"
      or line:find("^  node %[") or line == "}", line)
  end
  assert.equal(0, nodes)
  return edges
end

-- XML as far as it goes here: elements are closed in order, and every `&`
-- begins an entity. Returns how many circles there are.
local function check_svg(path)
  local file <close> = assert(io.open(path))
  local text, open = file:read("a"), {}
  local circles = select(2, text:gsub("<circle ", ""))
  text = text:gsub("<(/?)(%w+)([^<>]*)>", function(slash, name, rest)
    if slash == "/" then
      assert.equal(table.remove(open), name)
    elseif rest:sub(-1) ~= "/" then
      open[#open + 1] = name
    end
    return rest:gsub('[%w:-]+="[^"]*"', ""):gsub("[%s/]", "")
  end)
  assert.equal(0, #open)
  assert.is_nil(text:gsub("&%l+;", ""):find("[&<>]"))
  return circles
end

describe("examples/crawler.lua", function()
  local authority, own
  local directory
  setup(function()
    directory = certificates.new()
    authority = directory:authority("authority")
    own = directory:issue(authority, "site")
  end)
  teardown(function() directory:remove() end)

  it("finds every page of a large site once, whatever fails", in_run(function()
    local resets <close> = site.serve_resets()
    local secure <close> = site.serve(answers {
      ["/secure"] = site.page(link "/secure"),
    }, { cert = own.cert, key = own.key })
    local large <close> = serve_large_site(resets, secure)
    local graph = directory.path .. "/graph.dot"
    local told = crawl(large.url, "--per-host", "100", "--timeout", "1.5",
      "--max-size", "1000000", "--ca", authority.cert, "--graph", graph)
    assert.equal(0, told.status, told.text)
    check_large_site(large, told)
    assert.is_true(PAGES < check_dot(graph,
      told.pages + told.redirects + told.failed))
  end))

  it("reaches what a slow, short way brings into reach", in_run(function()
    local small <close> = site.serve(answers {
      ["/"] = site.page(link "/fast" .. link "/slow"),
      ["/fast"] = site.page(link "/middle"),
      ["/slow"] = function(stream)
        sluice.sleep(0.2)
        stream:write(redirect(302, "/middle"))
      end,
      ["/middle"] = site.page(link "/last"),
      ["/last"] = site.page(link "/too-deep"),
    })
    local told = crawl(small.url, "--depth", "2")
    assert.equal(1, small.hits["/last"])
    assert.equal(4, told.pages)
    assert.same({ deeper = 1 }, told.left)
  end))

  it("asks for no more pages than it is told to", in_run(function()
    local endless <close> = site.serve(function(path)
      local n = tonumber(path:match("%d+")) or 0
      return site.page(link("/" .. 2 * n + 1) .. link("/" .. 2 * n + 2))
    end)
    local told = crawl(endless.url, "--max-pages", "50", "--depth", "1000",
      "--no-robots")
    local hits = 0
    for _, count in pairs(endless.hits) do hits = hits + count end
    assert.equal(50, hits)
    assert.equal(50, told.pages)
    assert.is_true(told.left["over the limit"] > 0)
  end))

  it("asks a host for so much at once, with a pause between", in_run(function()
    local links = {}
    for n = 1, 12 do links[n] = link("/" .. n) end
    local slow <close> = site.serve(function(path)
      sluice.sleep(path == "/robots.txt" and 0 or 0.02)
      return path == "/" and site.page(table.concat(links)) or site.page ""
    end)
    assert.equal(13, crawl(slow.url, "--per-host", "3").pages)
    assert.is_true(slow.busiest > 1 and slow.busiest <= 3)
    local before = sluice.time()
    assert.equal(13, crawl(slow.url, "--delay", "0.04").pages)
    assert.is_true(sluice.time() - before >= 12 * 0.04)
  end))

  it("does not let one slow host hold up another", in_run(function()
    local slow <close> = site.serve(function(path)
      sluice.sleep(path == "/robots.txt" and 0 or 1)
      return site.page ""
    end)
    local links = {}
    for n = 1, 9 do links[n] = link(("%s/?%d"):format(slow.url, n)) end
    local quick <close> = site.serve(answers {
      ["/"] = site.page(table.concat(links) .. link "/1"),
      ["/1"] = site.page(link "/2"), ["/2"] = site.page "",
    })
    local crawler <close> = start(quick.url, "--workers", "3", "--per-host",
      "1", "--timeout", "5")
    for _ = 1, 100 do
      if quick.hits["/2"] then break end
      sluice.sleep(0.02)
    end
    assert.equal(1, quick.hits["/2"])
    assert.is_nil(crawler:status())
  end))

  it("stays where it starts and is led to, or goes anywhere", in_run(function()
    local other <close> = site.serve(answers { ["/"] = site.page "" })
    local elsewhere = other.url:gsub("127.0.0.1", "localhost")
    local pages = {}
    local first <close> = site.serve(answers(pages))
    pages["/"] = site.page(link(elsewhere))
    assert.same({ ["of other hosts"] = 1 }, crawl(first.url).left)
    assert.equal(2, crawl(first.url, "--any-host").pages)
    pages["/"] = redirect(301, elsewhere)
    local told = crawl(first.url)
    assert.equal(1, told.redirects)
    assert.equal(1, told.pages)
  end))

  it("heeds robots.txt unless it is told not to", in_run(function()
    local pages = {
      ["/"] = site.page(link "/a" .. link "/b"), ["/a"] = site.page "",
      ["/b"] = site.page "",
      ["/robots.txt"] = site.answer(200, {},
        "User-agent: sluice-crawler\nDisallow: /a\n"),
    }
    local small <close> = site.serve(answers(pages))
    local told = crawl(small.url)
    assert.equal(2, told.pages)
    assert.same({ ["forbidden by robots.txt"] = 1 }, told.left)
    assert.equal(3, crawl(small.url, "--no-robots").pages)
    pages["/robots.txt"] = site.answer(503)
    assert.same({ ["HTTP 503"] = 1 }, crawl(small.url).errors)
  end))

  it("checks certificates unless it is told not to", in_run(function()
    local secure <close> = site.serve(answers { ["/"] = site.page "" },
      { cert = own.cert, key = own.key })
    assert.same({ ["bad certificate"] = 1 }, crawl(secure.url).errors)
    assert.equal(1, crawl(secure.url, "--insecure").pages)
    assert.equal(1, crawl(secure.url, "--ca", authority.cert).pages)
  end))

  it("sums up after Ctrl-C", in_run(function()
    local arrived = sluice.Event()
    local slow <close> = site.serve(answers {
      ["/"] = site.page(link "/slow"),
      ["/slow"] = function() arrived:set() sluice.sleep(30) end,
    })
    local crawler <close> = start(slow.url)
    assert.is_true(arrived:wait(10))
    crawler:signal("INT")
    assert.equal(0, crawler:wait(10))
    local told = read_summary(crawler:new_lines())
    assert.equal(1, told.pages)
    assert.same({ ["not reached in time"] = 1 }, told.left)
  end))

  it("crawls a site of its own, and draws it", in_run(function()
    local path = directory.path .. "/graph.svg"
    local told = crawl("--depth", "10", "--graph", path)
    assert.equal(119, told.pages)
    assert.equal(4, told.redirects)
    assert.same({ ["HTTP 404"] = 6 }, told.errors)
    assert.equal(119 + 4 + 6, check_svg(path))
  end))

  it("says what is wrong with its options", in_run(function()
    for _, words in ipairs {
      { "--graph", "x.png" }, { "--graph", "/no/such/directory/x.svg" },
      { "ftp://host/" }, { "http://a b/" }, { "http://a/", "http://b/" },
      { "--nonsense" }, { "--workers", "0" }, { "--per-host", "1.5" },
      { "--depth", "deep" }, { "--depth", "1.5" }, { "--timeout", "-1" },
      { "--max-size", "0.5" }, { "--every", "0" },
    } do
      local told = crawl(table.unpack(words))
      assert.equal(2, told.status)
      assert.is_nil(told.text:find("\n"), told.text) -- no traceback
    end
  end))
end)
