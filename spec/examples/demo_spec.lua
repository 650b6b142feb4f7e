local sluice = require "sluice"
local child = dofile "examples/lib/child.lua"

local LUA = os.getenv "LUA" or "lua5.4"

--- Runs the demo, faster than people can watch; its status and its lines.
local function run_demo(...)
  local demo <close> = child.start {
    LUA, "bin/sluice", "examples/demo.lua", "--delay", "0.2",
    "--interval", "0.02", ...,
  }
  local status = demo:wait(15)
  return status, demo:new_lines()
end

describe("examples/demo.lua", function()
  it("serves all orders, power users first, and leaves no process", function()
    local status, lines = sluice.run(run_demo)
    local text = table.concat(lines, "\n")
    assert.equal(0, status, text)
    assert.is_nil(text:find "FAILED", text)
    assert.truthy(text:find("72 finished, 0 lost, 0 done twice", 1, true))
    assert.truthy(text:find("no process is left", 1, true))
  end)

  it("keeps the server's log, to count it oneself", function()
    local path = os.tmpname()
    local status = sluice.run(run_demo, "--log", path)
    local accepted, finished = 0, 0
    for line in io.lines(path) do
      if line:find "%) accepted, " then accepted = accepted + 1 end
      if line:find " finished by " then finished = finished + 1 end
    end
    os.remove(path)
    assert.same({ 0, 72, 72 }, { status, accepted, finished })
  end)
end)
