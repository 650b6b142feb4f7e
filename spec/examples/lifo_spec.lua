local support = dofile "spec/examples/support.lua"

describe("examples/lifo.lua", function()
  it("goes deep first with a LifoQueue, level by level with a Queue", function()
    assert.equal([[
  0.00  last in, first out
  0.00  worker 1: /
  0.10  worker 1:   /about
  0.20  worker 1:   /products
  0.30  worker 1:     /products/lamp
  0.40  worker 1:       /products/lamp/manual
  0.50  worker 1:     /products/chair
  0.60  worker 1:   /news
  0.70  worker 1:     /news/archive
  0.80  worker 1:     /news/today
  0.90  first in, first out
  0.90  worker 1: /
  1.00  worker 1:   /news
  1.10  worker 1:   /products
  1.20  worker 1:   /about
  1.30  worker 1:     /news/today
  1.40  worker 1:     /news/archive
  1.50  worker 1:     /products/chair
  1.60  worker 1:     /products/lamp
  1.70  worker 1:       /products/lamp/manual
]], support.text(support.run "lifo"))
  end)

  it("visits every page once with several workers", function()
    local lines = support.run("lifo", { "--workers", "3" })
    for _, first in ipairs { 2, 12 } do
      local seen = {}
      for i = first, first + 8 do
        local page = lines[i]:match("worker %d: +(/.*)")
        assert.is_nil(seen[page])
        seen[page] = true
      end
    end
    assert.equal(20, #lines)
  end)
end)
