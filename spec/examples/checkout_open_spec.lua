local support = dofile "spec/examples/support.lua"

local function run(interrupt, ...)
  return support.run("checkout_open", { "--seed", "1", ... },
    { interrupt = interrupt })
end

local function customers(lines, pattern)
  local found = {}
  for i, event in ipairs(support.find(lines, pattern)) do
    found[i] = tonumber(event[1])
  end
  return found
end

local function count_up(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

describe("examples/checkout_open.lua", function()
  local lines = run(30.5)
  local close = support.find(lines, "the shop closes, (%d+) are in line")[1]

  it("lets the customers in and serves them as they came", function()
    local inside = customers(lines, "customer (%d+) is in line")
    assert.same(count_up(#inside), inside)
    assert.same(inside, customers(lines, "serves customer (%d+)"))
  end)

  it("never holds more than five in line, and makes others wait", function()
    local outside = 0
    local figures = support.find(lines, "line (%d+) of 5, (%d+) outside")
    assert.equal(30, #figures)
    for second, figure in ipairs(figures) do
      assert.equal(second, figure.at)
      assert.is_true(tonumber(figure[1]) <= 5)
      outside = math.max(outside, tonumber(figure[2]))
    end
    assert.is_true(outside > 0)
  end)

  it("serves who is in line at Ctrl-C and sends the others home", function()
    assert.same({ "5", 30.5 }, { close[1], close.at })
    local late = 0
    for _, serves in ipairs(support.find(lines, "serves (.*)")) do
      if serves.line > close.line then late = late + 1 end
    end
    assert.equal(5, late)
    assert.is_true(#customers(lines, "customer (%d+) goes home") > 0)
  end)

  it("loses nobody", function()
    local came = customers(lines, "outside, (%d+) came")
    local done = customers(lines, "is done with customer (%d+)")
    local home = customers(lines, "customer (%d+) goes home")
    assert.equal(#done, customers(lines, "(%d+) customers served")[1])
    assert.is_true(#done + #home >= came[#came])
    table.move(home, 1, #home, #done + 1, done)
    table.sort(done)
    assert.same(count_up(#done), done)
  end)

  it("closes by itself when its time is up", function()
    local short = run(nil, "--seconds", "3")
    local events = support.find(short, "the shop (closes)")
    assert.equal(3, events[1].at)
  end)
end)
