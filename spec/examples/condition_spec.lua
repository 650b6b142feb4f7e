local support = dofile "spec/examples/support.lua"

describe("examples/condition.lua", function()
  it("notifies both at once, and they work one after the other", function()
    assert.equal([[
  0.00  worker 1 has the lock, lets it go and waits
  0.00  worker 2 has the lock, lets it go and waits
  5.00  all are notified
  5.00  worker 1 was notified, has the lock again and works
  6.00  worker 1 is done
  6.00  worker 2 was notified, has the lock again and works
  7.00  worker 2 is done
  7.00  worker 1 has the lock, lets it go and waits
  7.00  worker 2 has the lock, lets it go and waits
 10.00  all are notified
 10.00  worker 1 was notified, has the lock again and works
 11.00  worker 1 is done
 11.00  worker 2 was notified, has the lock again and works
 12.00  worker 2 is done
]], support.text(support.run "condition"))
  end)
end)
