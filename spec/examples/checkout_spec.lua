local support = dofile "spec/examples/support.lua"

local BASKETS = "examples/data/baskets.csv"
local SECONDS = { beer = 2, bananas = 0.5, sausage = 0.2, diapers = 0.2 }

--- Follows each cashier through the lines: one customer at a time, and for
-- as long as the products take. Returns who was served, in order, and how
-- many products were scanned.
local function follow(lines)
  local serving, ends, served, scanned = {}, {}, {}, 0
  for _, line in ipairs(lines) do
    local at, cashier, event = line:match("([%d.]+)  cashier (%d+) (.*)")
    local customer = event and event:match("^serves (.*)")
    local product = event and event:match("^scans (%l+) of ")
    local done = event and event:match("^is done with (.*)")
    if customer then
      assert.is_nil(serving[cashier])
      serving[cashier], ends[cashier] = customer, tonumber(at)
      served[#served + 1] = customer
    elseif product then
      ends[cashier] = ends[cashier] + SECONDS[product]
      scanned = scanned + 1
    elseif done then
      assert.equal(serving[cashier], done)
      assert.near(ends[cashier], tonumber(at), 0.001)
      serving[cashier] = nil
    end
  end
  assert.is_nil(next(serving))
  return served, scanned
end

--- The customers of the sample in its order, and how many products they
-- have, read without the CSV reader under test.
local function expected_baskets()
  local customers, products, last = {}, 0, nil
  for line in io.lines(BASKETS) do
    local customer, quantity = line:match('^"(.*)",[^,]*,(%d+)$')
    if customer then
      customer = customer:gsub('""', '"')
      if customer ~= last then customers[#customers + 1] = customer end
      last, products = customer, products + tonumber(quantity)
    end
  end
  return customers, products
end

describe("examples/checkout.lua", function()
  it("serves the customers in the order of the line", function()
    local lines = support.run("checkout", { "--seed", "1" })
    local served = follow(lines)
    assert.equal(10, #served)
    for i, customer in ipairs(served) do
      assert.equal("customer " .. i, customer)
    end
    assert.truthy(lines[#lines]:find("10 customers served", 1, true))
  end)

  it("starts with a customer at each of the cashiers", function()
    local lines = support.run("checkout", { "--seed", "1" })
    assert.equal("  0.00  cashier 1 serves customer 1", lines[1])
    assert.equal("  0.00  cashier 2 serves customer 2", lines[2])
    assert.equal("  0.00  cashier 3 serves customer 3", lines[3])
  end)

  it("sends each cashier home when the line is empty", function()
    local lines = support.run("checkout", { "--cashiers=4", "--seed=2" })
    local home = support.find(lines, "cashier (%d+) goes home")
    local serves = support.find(lines, "serves (.*)")
    assert.equal(4, #home)
    assert.is_true(home[1].line > serves[#serves].line)
  end)

  it("serves the thousand customers of the sample baskets", function()
    local lines = support.run("checkout", { "--baskets", BASKETS })
    local customers, products = expected_baskets()
    local served, scanned = follow(lines)
    assert.equal(1000, #customers)
    assert.same(customers, served)
    assert.equal(products, scanned)
  end)
end)

describe("examples/lib/csv.lua", function()
  local csv = dofile "examples/lib/csv.lua"

  local function read(text)
    local rows = {}
    for number, row in csv.rows(text) do rows[number] = row end
    return rows
  end

  it("names the fields by the header", function()
    assert.same({ { a = "1", b = "2" }, { a = "", b = "4" } },
      read "a,b\n1,2\r\n,4")
  end)

  it("reads commas, quotes and line breaks in quoted fields", function()
    assert.same({ { a = 'Abel, "Ada"', b = "two\nlines" }, { a = "", b = "" } },
      read 'a,b\n"Abel, ""Ada""","two\nlines"\n"",""\n')
  end)

  it("refuses what is not CSV", function()
    assert.error(function() read 'a,b\n"1,2\n' end,
      "a quoted field is never closed")
    assert.error(function() read 'a,b\n"1"x,2\n' end,
      "text after a quoted field")
    assert.error(function() read "a,b\n1\n" end, "1 fields, expected 2")
  end)
end)
