local json = require "sluice.jobs.json"

local function round_trip(value)
  local text = json.encode(value)
  local back, message = json.decode(text)
  assert.is_nil(message)
  return back, text
end

describe("a body's JSON", function()
  it("keeps integers, with all their digits", function()
    for _, number in ipairs { 0, -1, 17, 2 ^ 53 | 1, math.maxinteger,
      math.mininteger + 1 } do
      local back = round_trip { number }[1]
      assert.equal(number, back)
      assert.equal("integer", math.type(back))
    end
  end)

  it("keeps floats, with all their bits", function()
    math.randomseed(1)
    local floats = { 0.1, 0.1 + 0.2, 1e300, 5e-324, -2.0, 1 / 3, 2.0 ^ 70 }
    for i = 1, 500 do
      floats[#floats + 1] = math.random() * 10.0 ^ (i % 60 - 30)
    end
    for _, number in ipairs(floats) do
      local back = round_trip { number }[1]
      assert.equal(number, back)
      assert.equal("float", math.type(back))
    end
  end)

  it("keeps strings, with all their bytes", function()
    for byte = 0, 255 do
      local text = "a" .. string.char(byte) .. "b"
      assert.equal(text, round_trip { text }[1])
      assert.equal(1, round_trip({ [text] = 1 })[text])
    end
    assert.equal("ä€😀", round_trip { "ä€😀" }[1])
  end)

  it("keeps lists, objects and what is in them", function()
    local value = { list = { 1, "two", { three = 3.5 }, {} }, yes = true,
      no = false, empty = {}, [""] = "" }
    assert.same(value, round_trip(value))
  end)

  it("says what others read as the same", function()
    local cjson = require "cjson"
    local value = { a = { 1.5, "x\ny\"z\\\1", true }, b = { c = "ü" } }
    assert.same(value, cjson.decode(json.encode(value)))
    assert.same(value, json.decode(cjson.encode(value)))
  end)

  it("has cjson's null", function()
    local cjson = require "cjson"
    assert.equal('[null,1]', json.encode { cjson.null, 1 })
    assert.equal(cjson.null, json.decode("[null]")[1])
  end)

  it("reads escapes as JSON has them", function()
    assert.same({ "😀ä/\b\f", "\\u" }, json.decode
      '["\\ud83d\\ude00\\u00e4\\/\\b\\f", "\\\\u"]')
    assert.same({ "€12" }, json.decode '["\\u20ac12"]')
    assert.same({ "a\nb12ab" }, json.decode '["a\\nb12ab"]')
  end)

  it("cannot say some things", function()
    local cycle = {}
    cycle[1] = cycle
    for _, value in ipairs { { print }, { 0 / 0 }, { math.huge }, cycle,
      { 1, nil, 3 }, { 1, 2, x = 3 }, { [1.5] = 1 }, { [true] = 1 },
      { coroutine.create(print) }, { io.stdout } } do
      local ok, err = pcall(json.encode, value)
      assert.is_false(ok)
      assert.is_string(err)
    end
  end)

  it("is refused when it is none", function()
    for _, text in ipairs { "", "{", "[1,", '{"a"}', "{1:2}", "tru", "[1]x",
      '"abc', '["\\x"]', "-", "[1 2]", ("["):rep(10000) } do
      local value, message = json.decode(text)
      assert.is_nil(value)
      assert.is_string(message)
    end
  end)
end)
