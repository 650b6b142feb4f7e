local support = dofile "spec/examples/support.lua"

describe("examples/bread.lua", function()
  it("eats every bread, in the order they were baked", function()
    assert.equal([[
  0.50  John bakes bread 1, 0 on the shelf
  0.50  Mike bakes bread 1, 0 on the shelf
  0.50  Grace eats John's bread 1
  0.50  Lucy eats Mike's bread 1
  1.00  John bakes bread 2, 1 on the shelf
  1.00  Mike bakes bread 2, 2 on the shelf
  1.50  Grace eats John's bread 2
  1.50  Lucy eats Mike's bread 2
  1.50  John bakes bread 3, 1 on the shelf
  1.50  Mike bakes bread 3, 2 on the shelf
  2.00  John bakes bread 4, 3 on the shelf
  2.00  Mike bakes bread 4, 4 on the shelf
  2.50  Grace eats John's bread 3
  2.50  Lucy eats Mike's bread 3
  2.50  John bakes bread 5, 3 on the shelf
  2.50  Mike bakes bread 5, 4 on the shelf
  3.00  John bakes bread 6, 5 on the shelf
  3.00  Mike bakes bread 6, 6 on the shelf
  3.00  the bakers go home
  3.50  Grace eats John's bread 4
  3.50  Lucy eats Mike's bread 4
  4.50  Grace eats John's bread 5
  4.50  Lucy eats Mike's bread 5
  5.50  Grace eats John's bread 6
  5.50  Lucy eats Mike's bread 6
  6.50  all breads are eaten
]], support.text(support.run "bread"))
  end)

  it("lets the eaters wait when the bakers are slower", function()
    local lines = support.run("bread", { "--breads", "2", "--bake=2" })
    local eaten = support.find(lines, "(%w+) eats (.*)")
    assert.same({ 2, 2, 4, 4 },
      { eaten[1].at, eaten[2].at, eaten[3].at, eaten[4].at })
    assert.equal("  5.00  all breads are eaten", lines[#lines])
  end)
end)
