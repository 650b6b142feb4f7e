-- sluice.Runner: a loop with a clock of its own, a seed, and a report of slow
-- steps.

local errors = require "spec.support.errors"
local process = require "spec.support.process"
local sluice = require "sluice"

-- The order in which ten tasks take their steps under a seed.
local function schedule(seed)
  local order = {}
  local runner = sluice.Runner { clock = "virtual", seed = seed }
  runner:run(function()
    sluice.task_group(function(group)
      for i = 1, 10 do
        group:create_task(function()
          sluice.sleep(0)
          order[#order + 1] = i
          sluice.sleep(1)
          order[#order + 1] = i
        end)
      end
    end)
  end)
  return table.concat(order, " ")
end

describe("sluice.Runner", function()
  it("runs main as sluice.run does", function()
    local runner = sluice.Runner {}
    local packed = table.pack(runner:run(table.pack, 1, nil, 3))
    assert.same({ 1, nil, 3, n = 3 }, packed[1])
    local object = {}
    local ok, err = pcall(runner.run, runner, error, object)
    assert.same({ false, object }, { ok, err })
  end)

  it("needs no options", function()
    assert.equal(1, sluice.Runner():run(function() return 1 end))
  end)

  it("keeps the real clock unless told otherwise", function()
    local runner = sluice.Runner { clock = "real" }
    local before = sluice.time()
    runner:run(sluice.sleep, 0.01)
    assert.is_true(sluice.time() - before >= 0.01)
  end)

  it("has a virtual clock on which sleeping takes no time", function()
    local runner = sluice.Runner { clock = "virtual" }
    local began = os.clock()
    assert.equal(86400, runner:run(function()
      sluice.sleep(86400)
      return sluice.time()
    end))
    assert.is_true(os.clock() - began < 1)
  end)

  it("never lets its virtual clock go back between runs", function()
    local runner = sluice.Runner { clock = "virtual" }
    runner:run(sluice.sleep, 5)
    assert.equal(5, runner:run(sluice.time))
    pcall(runner.run, runner, function() sluice.sleep(2) error("x") end)
    assert.equal(7, runner:run(sluice.time))
    sluice.run(sluice.sleep, 0)
    assert.equal(7, runner:run(sluice.time))
  end)

  it("has a virtual clock of its own", function()
    local one = sluice.Runner { clock = "virtual" }
    local other = sluice.Runner { clock = "virtual" }
    one:run(sluice.sleep, 5)
    other:run(sluice.sleep, 1)
    assert.equal(5, one:run(sluice.time))
    assert.equal(1, other:run(sluice.time))
  end)

  it("leaves the real clock to others", function()
    local before = sluice.time()
    local runner = sluice.Runner { clock = "virtual" }
    runner:run(sluice.sleep, 1e6)
    local after = sluice.time()
    assert.is_true(after >= before and after < before + 1000)
  end)

  it("runs no more once it is closed", function()
    local runner = sluice.Runner {}
    runner:run(sluice.sleep, 0)
    runner:close()
    runner:close()
    errors.raises_match("closed", function() runner:run(print) end)
    assert.equal(1, sluice.run(function() return 1 end))
  end)

  it("is a to-be-closed value", function()
    local kept
    do
      local runner <close> = sluice.Runner {}
      kept = runner
    end
    assert.is_false(pcall(kept.run, kept, print))
  end)

  it("tells what it is", function()
    local runner = sluice.Runner { clock = "virtual" }
    assert.truthy(tostring(runner):find("sluice.Runner", 1, true))
  end)
end)

describe("the options of a Runner", function()
  local function refused(fn)
    errors.raises_match("^bad argument #1 to 'Runner' ", fn)
  end

  it("must be a table", function()
    errors.raises("bad argument #1 to 'Runner' (table expected, got number)",
      function() sluice.Runner(5) end)
  end)

  it("refuse what they do not know", function()
    errors.raises("bad argument #1 to 'Runner' (unknown option 'clocks')",
      function() sluice.Runner { clocks = "virtual" } end)
    errors.raises("bad argument #1 to 'Runner' (unknown option '1')",
      function() sluice.Runner { "virtual" } end)
  end)

  it("refuse an unknown clock", function()
    refused(function() sluice.Runner { clock = "wall" } end)
    refused(function() sluice.Runner { clock = 1 } end)
  end)

  it("refuse a slow that is no duration", function()
    for _, slow in ipairs { -1, 0 / 0, "1", {} } do
      refused(function() sluice.Runner { slow = slow } end)
    end
  end)

  it("refuse a seed that is no whole number", function()
    for _, seed in ipairs { 1.5, "1", {} } do
      refused(function() sluice.Runner { seed = seed } end)
    end
  end)
end)

describe("a seed", function()
  it("gives the same schedule each time", function()
    for seed = 1, 10 do assert.equal(schedule(seed), schedule(seed)) end
  end)

  it("gives other schedules than other seeds", function()
    local seen, n = {}, 0
    for seed = 1, 20 do
      local order = schedule(seed)
      if not seen[order] then n = n + 1 end
      seen[order] = true
    end
    assert.is_true(n > 10)
  end)

  it("may be negative or large", function()
    for _, seed in ipairs { -1, 0, math.maxinteger, math.mininteger } do
      assert.equal(schedule(seed), schedule(seed))
    end
  end)

  it("is needed: without it the first that is ready goes first", function()
    assert.equal("1 2 3 4 5 6 7 8 9 10 1 2 3 4 5 6 7 8 9 10", schedule(nil))
  end)

  it("loses no task and no result", function()
    for seed = 1, 50 do
      local numbers = {}
      for n in schedule(seed):gmatch("%d+") do
        numbers[n] = (numbers[n] or 0) + 1
      end
      for i = 1, 10 do assert.equal(2, numbers[tostring(i)]) end
    end
  end)
end)

describe("a step that does not wait", function()
  local busy = [[
    local function busy(seconds)
      local stop = os.clock() + seconds
      while os.clock() < stop do end
    end
  ]]

  it("is reported when it took longer than slow", function()
    local result = process.lua(busy .. [[
      sluice.Runner{ slow = 0.01 }:run(function()
        sluice.current_task().name = "plodder"
        sluice.sleep(0)
        busy(0.05)
        sluice.sleep(0)
      end)]])
    assert.equal(0, result.status)
    assert.truthy(result.stderr:find("plodder", 1, true))
    assert.equal(1, select(2, result.stderr:gsub("\n", "")))
  end)

  it("is reported after a tenth of a second in debug", function()
    local result = process.lua(busy .. [[
      sluice.Runner{ debug = true }:run(function() busy(0.2) end)]])
    assert.truthy(result.stderr:find("Task-1", 1, true))
  end)

  it("is not reported unless asked for", function()
    local result = process.lua(busy .. "sluice.run(function() busy(0.2) end)")
    assert.equal("", result.stderr)
  end)
end)
