local support = dofile "spec/examples/support.lua"

describe("examples/connection_state.lua", function()
  it("runs the queries one at a time once it is connected", function()
    assert.equal([[
  0.00  select 1: the connection is closed
  0.00  select 2: the connection is closed
  0.00  the connection was closed and is connecting
  0.00  select 1: the connection is connecting
  0.00  select 2: the connection is connecting
  3.00  the connection was connecting and is ready
  3.00  select 1: the connection is ready
  3.00  select 1: runs
  6.00  select 1: done
  6.00  select 2: the connection is ready
  6.00  select 2: runs
  9.00  select 2: done
]], support.text(support.run "connection_state"))
  end)
end)
