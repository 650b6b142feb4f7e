local support = dofile "spec/examples/support.lua"

describe("examples/priority_ties.lua", function()
  it("gives out equal priorities in the order they were put", function()
    assert.equal([[
  0.00  put low, first, priority 3
  0.00  put low, second, priority 3
  0.00  put low, third, priority 3
  0.00  put medium, priority 2
  0.00  put high, priority 1
  0.00  got high, priority 1
  0.00  got medium, priority 2
  0.00  got low, first, priority 3
  0.00  got low, second, priority 3
  0.00  got low, third, priority 3
]], support.text(support.run "priority_ties"))
  end)
end)
