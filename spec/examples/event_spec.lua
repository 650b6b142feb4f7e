local support = dofile "spec/examples/support.lua"

describe("examples/event.lua", function()
  it("wakes both tasks when the timer sets the event", function()
    assert.equal([[
  0.00  worker 1 waits for the event
  0.00  worker 2 waits for the event
  5.00  the event is set
  5.00  worker 1 works
  5.00  worker 2 works
  6.00  worker 1 is done
  6.00  worker 2 is done
]], support.text(support.run "event"))
  end)
end)
