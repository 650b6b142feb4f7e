local sluice = require "sluice"
local child = dofile "examples/lib/child.lua"

local LUA = os.getenv "LUA" or "lua5.4"

--- Runs the demo, faster than people can watch; its status and its lines.
local function run_demo(log)
  local demo <close> = child.start {
    LUA, "bin/sluice", "examples/demo.lua", "--workers", "3",
    "--delay", "0.15", "--burst", "72", "--log", log,
  }
  local status = demo:wait(15)
  return status, table.concat(demo:new_lines(), "\n")
end

describe("examples/demo.lua", function()
  local log, status, text

  setup(function()
    log = os.tmpname()
    status, text = sluice.run(run_demo, log)
  end)

  teardown(function() os.remove(log) end)

  it("serves all orders, power users first, and leaves no process", function()
    assert.equal(0, status, text)
    assert.is_nil(text:find "FAILED")
    assert.truthy(text:find("72 finished, 0 lost, 0 done twice", 1, true))
    assert.truthy(text:find("exit status 0, no process is left", 1, true))
  end)

  it("keeps the server's log, to count it oneself", function()
    local accepted, finished = 0, 0
    for line in io.lines(log) do
      if line:find "%) accepted, " then accepted = accepted + 1 end
      if line:find "%) finished by " then finished = finished + 1 end
    end
    assert.same({ 72, 72 }, { accepted, finished })
  end)
end)
