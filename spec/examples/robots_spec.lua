-- examples/lib/robots.lua: which paths a robots.txt allows.

local robots = dofile "examples/lib/robots.lua"

local function rules(text) return robots.parse(text, "crawler") end

local function check(name, text, cases)
  it(name, function()
    local parsed = rules(text)
    for path, allowed in pairs(cases) do
      assert.equal(allowed, parsed:allows(path), path)
    end
  end)
end

describe("examples/lib/robots.lua", function()
  check("allows all that no rule forbids", "", { ["/"] = true })
  check("knows no group without a name", "Disallow: /", { ["/a"] = true })
  check("lets an empty rule forbid nothing",
    "User-agent: *\nDisallow:\n", { ["/a"] = true })
  check("takes the group of the crawler before that of all",
    "user-agent: *\nDisallow: /\n\nUSER-AGENT: Crawler/2.0\nDisallow: /a",
    { ["/a"] = false, ["/b"] = true })
  check("takes all groups of the crawler together",
    "User-agent: x\nUser-agent: crawler\nDisallow: /a\n"
    .. "User-agent: y\nDisallow: /c\nUser-agent: crawler\nDisallow: /b",
    { ["/a"] = false, ["/b"] = false, ["/c"] = true })
  check("takes the longest rule, and the kinder of two",
    "User-agent: *\nDisallow: /a\nAllow: /a/b\nDisallow: /c\nAllow: /c",
    { ["/a"] = false, ["/a/b"] = true, ["/ab"] = false, ["/c"] = true })
  check("knows stars and ends",
    "User-agent: *\nDisallow: /*.php$\nDisallow: /x*y*z\nDisallow: /q?*=1",
    { ["/a.php"] = false, ["/a.php?x"] = true, ["/xayz"] = false,
      ["/xzy"] = true, ["/q?a=1"] = false, ["/q?a=2"] = true })
  check("compares what is percent-encoded",
    "User-agent: *\nDisallow: /caf\xc3\xa9\nDisallow: /%7eu",
    { ["/caf%C3%A9"] = false, ["/~u/"] = false, ["/%7Eu"] = false })
  check("reads any ends of lines, comments and a byte order mark",
    "\xef\xbb\xbfUser-agent: * # all\r\nDisallow: /a # not this\r"
    .. "# Disallow: /b\rDisallow : /c\r\nnonsense\n\0\xff\n",
    { ["/a"] = false, ["/b"] = true, ["/c"] = false })

  it("tells the pause that is asked for", function()
    assert.equal(1.5, rules("User-agent: *\nCrawl-delay: 1.5").delay)
    assert.is_nil(rules("User-agent: *\nCrawl-delay: soon").delay)
  end)

  it("forbids everything where nothing can be known", function()
    assert.is_false(robots.deny_all():allows("/"))
  end)

  it("takes no longer for rules that are made to", function()
    local stars = "User-agent: *\nDisallow: /" .. ("*a"):rep(500) .. "*b$\n"
    assert.is_true(rules(stars):allows("/" .. ("a"):rep(10000)))
    assert.is_true(rules(("a"):rep(1000000)):allows("/"))
    assert.is_true(rules((" "):rep(1000000)):allows("/"))
  end)
end)
