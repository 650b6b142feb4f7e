local support = dofile "spec/examples/support.lua"

describe("examples/lock_and_semaphore.lua", function()
  local lines = support.run "lock_and_semaphore"

  it("loses updates without a lock and none with one", function()
    assert.equal("  0.01  10 tasks count to 1 without a lock", lines[1])
    assert.equal("  0.11  10 tasks count to 10 with a lock", lines[2])
  end)

  it("does a thousand requests, ten at once and never more", function()
    local running = support.find(lines, "%d+ requests done, (%d+) running")
    assert.equal(10, #running)
    for i = 1, 9 do assert.equal("10", running[i][1]) end
    assert.truthy(lines[#lines]:find(
      "1000 requests done, at most 10 at once", 1, true))
  end)

  it("keeps to another limit", function()
    local few = support.run("lock_and_semaphore",
      { "--requests", "50", "--limit", "3" })
    assert.truthy(few[#few]:find("50 requests done, at most 3 at once", 1,
      true))
  end)
end)
