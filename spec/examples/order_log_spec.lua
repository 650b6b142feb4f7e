local order_log = dofile "examples/lib/order_log.lua"

local function read(...)
  local log = order_log.new()
  for at, event in ipairs { ... } do
    log:read(("%6.2f  order %s"):format(at, event))
  end
  return log
end

describe("examples/lib/order_log.lua", function()
  it("knows who waits, power users first, and for how long", function()
    local log = read("1 (ordinary user) accepted, 1 waiting",
      "2 (ordinary user) accepted, 2 waiting",
      "3 (power user) accepted, 3 waiting",
      "3 (power user) started by worker 4, 2 waiting")
    local waiting = log:waiting()
    assert.same({ 1, 2 }, { waiting[1].id, waiting[2].id })
    assert.equal(4, log.served[1].worker)
    assert.equal(1, (log:mean_wait(true)))
    assert.same({ 1, 1 }, { log.contested, log.power_first })
  end)

  it("notices a power user who was passed over", function()
    local log = read("1 (ordinary user) accepted, 1 waiting",
      "2 (power user) accepted, 2 waiting",
      "1 (ordinary user) started by worker 1, 1 waiting")
    assert.same({ 1, 0 }, { log.contested, log.power_first })
  end)

  it("counts no start of an order that an idle worker was handed", function()
    local log = read("1 (ordinary user) accepted, 0 waiting",
      "2 (power user) accepted, 1 waiting",
      "3 (ordinary user) accepted, 2 waiting",
      "1 (ordinary user) started by worker 1, 2 waiting")
    assert.same({ 0, 0 }, { log.contested, log.power_first })
  end)

  it("notices what is lost and what is done twice", function()
    local log = read("1 (ordinary user) accepted, 1 waiting",
      "2 (power user) accepted, 2 waiting",
      "2 (power user) started by worker 1, 1 waiting",
      "2 (power user) started by worker 2, 1 waiting",
      "2 (power user) finished by worker 1")
    assert.same({ 1 }, log:lost())
    assert.equal(1, log.twice)
  end)

  it("passes over lines that are about no order", function()
    local log = order_log.new()
    log:read("  0.00  listening on http://127.0.0.1:8080")
    log:read("  0.10  order 1 (power user) refused: the queue is full")
    assert.same({}, log.orders)
  end)
end)
