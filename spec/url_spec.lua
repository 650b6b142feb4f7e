-- sluice.url: what a link says, as an absolute URL. The tables are of
-- `reference = result`, false for what is no URL.

local effort = require "spec.support.effort"
local errors = require "spec.support.errors"
local url = require "sluice.url"

local function check(base, cases)
  for reference, expected in pairs(cases) do
    local name = ("%q"):format(reference):gsub("\n", "n")
    it(("makes of %s: %s"):format(name, expected), function()
      local result, message, code = url.join(base, reference)
      assert.equal(expected, result or false)
      if not expected then
        assert.is_string(message)
        assert.equal("EINVAL", code)
      end
    end)
  end
end

local BASE = "http://a/b/c/d;p?q"

describe("url.join, of RFC 3986's normal examples,", function()
  check(BASE, {
    ["g:h"] = "g:h", ["g"] = "http://a/b/c/g", ["./g"] = "http://a/b/c/g",
    ["g/"] = "http://a/b/c/g/", ["/g"] = "http://a/g", ["//g"] = "http://g/",
    ["?y"] = "http://a/b/c/d;p?y", ["g?y"] = "http://a/b/c/g?y",
    ["#s"] = "http://a/b/c/d;p?q#s", ["g#s"] = "http://a/b/c/g#s",
    ["g?y#s"] = "http://a/b/c/g?y#s", [";x"] = "http://a/b/c/;x",
    ["g;x"] = "http://a/b/c/g;x", ["g;x?y#s"] = "http://a/b/c/g;x?y#s",
    [""] = "http://a/b/c/d;p?q", ["."] = "http://a/b/c/",
    ["./"] = "http://a/b/c/", [".."] = "http://a/b/", ["../"] = "http://a/b/",
    ["../g"] = "http://a/b/g", ["../.."] = "http://a/",
    ["../../"] = "http://a/", ["../../g"] = "http://a/g",
  })
end)

describe("url.join, of RFC 3986's abnormal examples,", function()
  check(BASE, {
    ["../../../g"] = "http://a/g", ["../../../../g"] = "http://a/g",
    ["/./g"] = "http://a/g", ["/../g"] = "http://a/g",
    ["g."] = "http://a/b/c/g.", [".g"] = "http://a/b/c/.g",
    ["g.."] = "http://a/b/c/g..", ["..g"] = "http://a/b/c/..g",
    ["./../g"] = "http://a/b/g", ["./g/."] = "http://a/b/c/g/",
    ["g/./h"] = "http://a/b/c/g/h", ["g/../h"] = "http://a/b/c/h",
    ["g;x=1/./y"] = "http://a/b/c/g;x=1/y", ["g;x=1/../y"] = "http://a/b/c/y",
    ["g?y/./x"] = "http://a/b/c/g?y/./x",
    ["g?y/../x"] = "http://a/b/c/g?y/../x",
    ["g#s/./x"] = "http://a/b/c/g#s/./x",
    ["g#s/../x"] = "http://a/b/c/g#s/../x",
    ["http:g"] = "http://a/b/c/g", -- as browsers, not the strict reading
  })
end)

describe("url.join, as browsers,", function()
  check("HTTP://Example.COM:80/dir/page?q#f", {
    [" \t x y \n"] = "http://example.com/dir/x%20y",
    ["x\r\n\ty"] = "http://example.com/dir/xy",
    ["\1\31x\31"] = "http://example.com/dir/x",
    ["x\1y"] = "http://example.com/dir/x%01y",
    ["\\x\\y"] = "http://example.com/x/y",
    ["..\\x?a\\b#c\\d"] = "http://example.com/x?a\\b#c\\d",
    ["\\\\Host\\x"] = "http://host/x", ["///host/x"] = "http://host/x",
    ["http:x"] = "http://example.com/dir/x",
    ["http:/x"] = "http://example.com/x", ["http:\\\\x"] = "http://x/",
    ["https:x"] = "https://x/", ["https:///x/y"] = "https://x/y",
    ["a b?c d#e f"] = "http://example.com/dir/a%20b?c%20d#e%20f",
    ["\"<>`{}?\"<>`{}'#\"<>`{}'"] = "http://example.com/dir/"
      .. "%22%3C%3E%60%7B%7D?%22%3C%3E`{}%27#%22%3C%3E%60{}'",
    ["é?é#é"] = "http://example.com/dir/%C3%A9?%C3%A9#%C3%A9",
    ["\xff?\xff"] = "http://example.com/dir/%FF?%FF",
    ["a\0b"] = "http://example.com/dir/a%00b",
    ["%zz%41%2f"] = "http://example.com/dir/%zz%41%2f",
    ["/%2e/a/%2E%2e/.%2e/b/%2e"] = "http://example.com/b/",
    ["%2e%2e%2e"] = "http://example.com/dir/%2e%2e%2e",
    ["a//b///c"] = "http://example.com/dir/a//b///c",
    ["?"] = "http://example.com/dir/page?",
    ["#"] = "http://example.com/dir/page?q#",
    ["1:x"] = "http://example.com/dir/1:x",
    [":x"] = "http://example.com/dir/:x",
    ["%41:x"] = "http://example.com/dir/%41:x",
  })
end)

describe("url.join, of a host,", function()
  check(BASE, {
    ["HTTP://HOST/X"] = "http://host/X", ["//HOST"] = "http://host/",
    ["http://host:80/"] = "http://host/", ["http://host:/"] = "http://host/",
    ["https://host:443/"] = "https://host/",
    ["https://host:80/"] = "https://host:80/",
    ["http://host:00081/"] = "http://host:81/",
    ["http://h%4fst/"] = "http://host/",
    ["http://user:pass word@host/"] = "http://user:pass%20word@host/",
    ["http://a@b@host/"] = "http://a%40b@host/",
    ["http://host\\@other/"] = "http://host/@other/",
    ["http://0x7f.1/"] = "http://127.0.0.1/",
    ["http://[2001:DB8::1]:80/x"] = "http://[2001:db8::1]/x",
    ["http://münchen.de/"] = "http://xn--mnchen-3ya.de/",
    ["http://MÜNCHEN.de/"] = "http://xn--mnchen-3ya.de/",
    ["http://m%C3%BCnchen.de/"] = "http://xn--mnchen-3ya.de/",
    ["http://ＧＯ.com/"] = "http://go.com/",
    ["http://"] = false, ["//"] = false, ["http://?x"] = false,
    ["http://user@/"] = false, ["http://:80/"] = false,
    ["http://a b/"] = false, ["http://a\0b/"] = false,
    ["http://a%00b/"] = false, ["http://a%2fb/"] = false,
    ["http://a%2541/"] = false, ["http://%/"] = false,
    ["http://a<b/"] = false, ["http://a^b/"] = false,
    ["http://a|b/"] = false, ["http://\xff/"] = false,
    ["http://host:x/"] = false, ["http://host:65536/"] = false,
    ["http://[::1/"] = false, ["http://[::g]/"] = false,
  })
end)

describe("url.join, of a scheme that is not the web's,", function()
  check(BASE, {
    ["mailto:a@b.org"] = "mailto:a@b.org", ["tel:+1-2"] = "tel:+1-2",
    ["JavaScript:void(0)"] = "javascript:void(0)",
    ["java\nscript:alert(1)"] = "javascript:alert(1)",
    ["data:text/html,<b>x"] = "data:text/html,<b>x",
    ["file:///etc/passwd"] = "file:///etc/passwd",
    ["foo://Host/x/../y"] = "foo://Host/x/../y",
    ["ftp://HOST:21/a/../b"] = "ftp://host/b",
  })
end)

describe("url.join, of other bases,", function()
  check("https://a", {
    ["b"] = "https://a/b", ["?q"] = "https://a/?q", ["#f"] = "https://a/#f",
    [""] = "https://a/", [".."] = "https://a/", ["//b"] = "https://b/",
    ["http:b"] = "http://b/",
  })
  check("foo://h/a/b?q", {
    ["c"] = "foo://h/a/c", ["/c"] = "foo://h/c", ["//d/e"] = "foo://d/e",
    ["?r"] = "foo://h/a/b?r", ["\\c"] = "foo://h/a/\\c",
  })
  check("mailto:a@b", { ["http://c"] = "http://c/", ["c"] = false })
  check("a/relative/base", { ["http://c"] = "http://c/", ["c"] = false })
  check("http://a b/", { ["http://c"] = "http://c/", ["c"] = false })
end)

describe("url.join", function()
  it("raises for what is no string", function()
    errors.raises("bad argument #2 to 'join' (string expected, got no value)",
      function() url.join("http://a/") end)
    errors.raises("bad argument #1 to 'join' (string expected, got table)",
      function() url.join({}, "x") end)
  end)

  it("is linear in what it is given", function()
    assert.equal("http://a/", url.join("http://a/", ("../"):rep(1e6)))
    assert.equal(#"http://a/" + 2e6,
      #url.join("http://a/", ("a/"):rep(1e6)))
    assert.is_nil(url.join("http://" .. ("ü"):rep(1e5) .. "/", ""))
    assert.is_nil(url.join("http://a/", ("x"):rep(9e6)))
  end)
end)

describe("url.join, of random bytes,", function()
  local words = { "http:", "https:", "//", "/", "\\", "..", ".", "?", "#",
    "@", ":", ":80", "[", "]", "%", "%2e", "%00", "host", "ü", "xn--", "a",
    " ", "\t", "\0", "\xff", "::1", "0x7f", "mailto:", "file:" }

  local function random_text()
    local parts = {}
    for i = 1, math.random(12) do
      parts[i] = math.random(4) > 1 and words[math.random(#words)]
        or string.char(math.random(0, 255))
    end
    return table.concat(parts)
  end

  it("returns a URL that joins to itself, or a message", function()
    for _ = 1, effort(20000) do
      local base, reference = random_text(), random_text()
      local result, message = url.join("http://a/b/" .. base, reference)
      assert.is_string(result or message)
      if result and result:find("^https?:") then
        assert.equal((result:gsub("#.*", "")), url.join(result, ""))
        assert.equal(result, url.join(base, result))
        assert.is_nil(result:find("[^!-~]"))
      end
    end
  end)
end)
