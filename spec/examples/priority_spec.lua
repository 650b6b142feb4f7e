local support = dofile "spec/examples/support.lua"

describe("examples/priority.lua", function()
  it("gives out the highest priority first", function()
    assert.equal([[
  0.00  a priority beside each item
  0.00    highest, priority 1
  0.00    middle, priority 2
  0.00    lowest, priority 3
  0.00  items that compare themselves
  0.00    Ada, power user
  0.00    Bert, power user
  0.00    Dora
]], support.text(support.run "priority"))
  end)
end)
