local support = dofile "spec/examples/support.lua"

describe("examples/queue_limits.lua", function()
  it("returns why, and goes on", function()
    assert.equal([[
  0.00  sluice.Queue (0 of 1 item, 0 getters, 0 putters)
  0.00  get_nowait returns nil, empty
  0.50  get returns nil, timeout
  0.50  put_nowait returns true
  0.50  sluice.Queue (1 of 1 item, 0 getters, 0 putters)
  0.50  put_nowait returns nil, full
  1.00  put returns nil, timeout
  1.00  get_nowait returns first
  1.00  get_nowait returns nil, shutdown
]], support.text(support.run "queue_limits"))
  end)
end)
