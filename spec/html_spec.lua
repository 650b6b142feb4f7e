-- sluice.html: the links of a page, however it is made.

local effort = require "spec.support.effort"
local errors = require "spec.support.errors"
local html = require "sluice.html"
local process = require "spec.support.process"

local BASE = "http://host/dir/page"

local function links(body, base)
  return table.concat(assert(html.links(body, base or BASE)), " ")
end

-- The page without a tree: below more elements than a tree may be deep.
local function deep_links(body, base)
  return links(("<div>"):rep(600) .. body, base)
end

local function check(cases)
  for body, expected in pairs(cases) do
    it("finds in " .. body:gsub("[\n\t]", " "), function()
      assert.equal(expected, links(body))
      assert.equal(expected, deep_links(body))
    end)
  end
end

describe("html.links", function()
  check {
    [""] = "", ["text"] = "", ["<a>x</a><a name=x>"] = "",
    ["<a href=x>1</a><A HREF='/y'>2</A>"] =
      "http://host/dir/x http://host/y",
    ["<map><area href=x><a href=y></map>"] =
      "http://host/dir/x http://host/dir/y",
    ["<link href=x><img src=y><iframe src=z></iframe><form action=w>"] = "",
    ["<a href='?a=1&amp;b=2&#x26;c'>"] = "http://host/dir/page?a=1&b=2&c",
    ["<a href=\"\n a\n b\t\">"] = "http://host/dir/a%20b",
    ["<a href=#top><a href=''>"] =
      "http://host/dir/page#top http://host/dir/page",
    ["<a href=x><a href=y><a href=x>"] =
      "http://host/dir/x http://host/dir/y http://host/dir/x",
    ["<a href=x href=y>"] = "http://host/dir/x",
    ["<a href=mailto:a@b><a href=javascript:x()><a href='http://a b/'>"] = "",
    ["<a href=//other/><a href=HTTPS://Other/><a href=ftp://other/>"] =
      "http://other/ https://other/",
    ["<a href='>'><a title='<a href=x>' href=y><a href=z"] =
      "http://host/dir/%3E http://host/dir/y",
    ["<!-- <a href=x> --><a href=y><!--><a href=z>"] =
      "http://host/dir/y http://host/dir/z",
    ["<script>'<a href=x>'</script><style><a href=y></style>"] = "",
    ["<title><a href=x></title><textarea><a href=y></textarea>"] = "",
    ["<noscript><a href=x></noscript><svg><a href=y></svg>"] =
      "http://host/dir/x http://host/dir/y",
    ["<template><a href=x></template><a href=y>"] = "http://host/dir/y",
    ["<p><a href=x><p>one link<ul><li>in four<li>elements"] =
      "http://host/dir/x",
    ["<table><a href=x><tr><td><a href=y></table>"] =
      "http://host/dir/x http://host/dir/y",
    ["<a\0 href=x><a href=y\0z>"] = "http://host/dir/y%EF%BF%BDz",
  }

  it("takes a base from the page, the first that has an href", function()
    local page = "<a href=x><base target=_top><base href='../up/'>"
      .. "<base href=/other/><a href=y>"
    assert.equal("http://host/up/x http://host/up/y", links(page))
    assert.equal("http://host/up/x http://host/up/y", deep_links(page))
    assert.equal("http://other/x",
      links "<base href='//other/page'><a href=x>")
  end)

  it("passes over a base that is no URL of the web", function()
    assert.equal("http://host/dir/x",
      links "<base href='http://a b/'><a href=x>")
    assert.equal("http://host/dir/x",
      links "<base href='javascript:x'><a href=x>")
  end)

  it("takes bytes that are not UTF-8 for windows-1252", function()
    local expected = "http://host/dir/caf%C3%A9 http://host/dir/%E2%82%AC"
    assert.equal(expected, links "<a href=caf\xe9><a href=\x80>")
    assert.equal(expected, links "<a href=café><a href=€>")
    assert.equal(expected, links "<a href=café><a href=\x80>")
    assert.equal(expected, links "\xef\xbb\xbf<a href=caf\xe9><a href=€>")
    assert.equal("http://host/dir/%C3%AD%C2%A0%E2%82%AC",
      links "<a href=\xed\xa0\x80>") -- a surrogate
  end)

  it("returns why its base is no URL", function()
    local list, message, code = html.links("<a href=x>", "no/base")
    assert.is_nil(list)
    assert.is_string(message)
    assert.equal("EINVAL", code)
  end)

  it("raises for what is no string", function()
    errors.raises("bad argument #1 to 'links' (string expected, got no value)",
      function() html.links() end)
    errors.raises("bad argument #2 to 'links' (string expected, got number)",
      function() html.links("", 1) end)
  end)

  it("says so where gumbo is missing", function()
    process.prints("nil\tsluice was built without gumbo\tENOTSUP\n", [[
      package.preload["sluice.native.gumbo"] = function()
        error "module 'sluice.native.gumbo' not found:"
      end
      print(require("sluice.html").links("", "http://a/"))
    ]])
  end)
end)

describe("html.links of a page of a million", function()
  local function finds_the_last(name, unit, n)
    it(name .. " finds the last link", function()
      assert.equal("http://host/dir/x", links(unit:rep(n) .. "<a href=x>"))
    end)
  end
  finds_the_last("nested elements", "<div>", 1000000)
  finds_the_last("misnested elements", "<b><i></b>", 500000)
  finds_the_last("lists in lists", "<ul><li>", 500000)
  finds_the_last("tables in tables", "<table><tr><td>", 333333)
  finds_the_last("formats in paragraphs", "<font><p>", 500000)
  finds_the_last("elements of SVG", "<svg>", 1000000)
  finds_the_last("scripts", "<script></script>", 1000000)
  finds_the_last("titles without an end", "<title>", 1000000)
  finds_the_last("bytes that are no text", "\xff\0", 500000)
  finds_the_last("angle brackets", "<", 1000000)
  finds_the_last("comments", "<!-- -->", 1000000)

  it("links finds all of them", function()
    local n = effort(1000000)
    assert.equal(n, #html.links(("<a href=x>"):rep(n), BASE))
    assert.equal(n, #html.links(("<a href=x><div>"):rep(n), BASE))
  end)

  it("attributes leaves the tag out", function()
    local attributes = {}
    for i = 1, 200000 do attributes[i] = "x" .. i end
    local tag = "<a href=y " .. table.concat(attributes, " ") .. ">"
    assert.equal("http://host/dir/x", links(tag .. "<a href=x>"))
  end)

  it("copies of an unclosed format needs little memory", function()
    local formats = {}
    for i = 1, 500 do formats[i] = ("<b id=%d>"):format(i) end
    local page = table.concat(formats) .. ("<p>x"):rep(250000)
    assert.equal("http://host/dir/x", links(page .. "<a href=x>"))
  end)
end)

describe("html.links of random", function()
  local parts = { "<a href=%d>", "<a href='%d' title='a>b'>", "<area href=%d>",
    "</a>", "<p>", "<div>", "</div>", "<b>", "</b>", "<i>", "text", "&amp;",
    "<!-- <a href=no> -->", "<!--><a href=%d>", "<!-- --!><a href=%d>",
    "<script>'<a href=no>'</script>", "<template><a href=no></template>",
    "<ul><li>", "</ul>", "<table><tr><td>", "</table>", "<a href=%d/>",
    "<a\nhref\n=\n%d>", "<a =href=no>", "<a / href=%d>", "<?x <a href=%d>",
    "<a href=%d\"'<>", "</ <a href=no>", "<ab href=no>", "< a href=no>",
    "<h1>", "<button>", "<form>", "<svg><a href=%d></a></svg>", "\xff" }

  it("tags is the same with a tree and without", function()
    for _ = 1, effort(3000) do
      local page = {}
      for i = 1, math.random(12) do
        page[i] = parts[math.random(#parts)]:gsub("%%d", i)
      end
      local body = "<body>" .. table.concat(page)
      assert.equal(links(body), deep_links(body), body)
    end
  end)

  it("bytes is a list", function()
    for _ = 1, effort(3000) do
      local page = {}
      for i = 1, math.random(30) do
        local part = parts[math.random(#parts)]
        local cut = math.random(#part)
        page[i] = part:sub(1, cut) .. string.char(math.random(0, 255))
      end
      local body = table.concat(page)
      assert.is_table(html.links(body, BASE))
      assert.is_table(html.links(("<div>"):rep(600) .. body, BASE))
    end
  end)
end)
