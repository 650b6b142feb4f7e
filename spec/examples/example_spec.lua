local sluice = require "sluice"
local child = dofile "examples/lib/child.lua"

local LUA = os.getenv "LUA" or "lua5.4"

--- The exit status and the output of a script with arguments.
local function run(...)
  return sluice.run(function(...)
    local script <close> = child.start {
      LUA, "bin/sluice", "examples/queue_limits.lua", ...,
    }
    return script:wait(5), table.concat(script:new_lines(), "\n")
  end, ...)
end

describe("examples/lib/example.lua", function()
  it("prints the top of the script as its help", function()
    local status, text = run "--help"
    assert.equal(0, status)
    assert.truthy(text:find("^The two ends of a queue"))
    assert.truthy(text:find("Options: %-%-timeout 0.5 seconds.$"))
  end)

  it("takes a value after a blank or an equals sign", function()
    assert.truthy(select(2, run("--timeout", "0")):find("0.00  get returns"))
    assert.truthy(select(2, run "--timeout=0.2"):find("0.20  get returns"))
  end)

  it("refuses what it does not know", function()
    for _, words in ipairs {
      { "--timeouts", "1" }, { "1" }, { "--timeout" }, { "--timeout", "x" },
    } do
      local status, text = run(table.unpack(words))
      assert.equal(2, status)
      assert.truthy(text:find("^examples/queue_limits.lua: "))
    end
  end)
end)
