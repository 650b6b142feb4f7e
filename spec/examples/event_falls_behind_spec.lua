local support = dofile "spec/examples/support.lua"

describe("examples/event_falls_behind.lua", function()
  it("loses sets with an event and none with a queue", function()
    assert.equal([[
  0.00  set 1
  0.00  worker 1 sees set 1
  1.00  set 2
  1.00  worker 2 sees set 2
  2.00  set 3
  3.00  set 4
  4.00  set 5
  5.00  worker 1 sees set 5
  5.00  set 6
  6.00  worker 2 sees set 6
  6.00  set 7
  7.00  set 8
  8.00  set 9
  9.00  set 10
 10.00  worker 1 sees set 10
 10.00  with an event: 5 of 10 sets lost
 10.00  set 1
 10.00  worker 1 sees set 1
 11.00  set 2
 11.00  worker 2 sees set 2
 12.00  set 3
 13.00  set 4
 14.00  set 5
 15.00  worker 1 sees set 3
 15.00  set 6
 16.00  worker 2 sees set 4
 16.00  set 7
 17.00  set 8
 18.00  set 9
 19.00  set 10
 20.00  worker 1 sees set 5
 21.00  worker 2 sees set 6
 25.00  worker 1 sees set 7
 26.00  worker 2 sees set 8
 30.00  worker 1 sees set 9
 31.00  worker 2 sees set 10
 36.00  with a queue: 0 of 10 sets lost
]], support.text(support.run "event_falls_behind"))
  end)

  it("loses none when the workers keep up", function()
    local lines = support.run("event_falls_behind", { "--work", "0.5" })
    local lost = support.find(lines, "with an? (%w+): (%d+) of 10 sets lost")
    assert.same({ "event", "0" }, { lost[1][1], lost[1][2] })
    assert.same({ "queue", "0" }, { lost[2][1], lost[2][2] })
  end)
end)
