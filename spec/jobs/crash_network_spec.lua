-- Several machines on one Redis server, each with an address of its own, in
-- network namespaces; tests/crash/machines.lua has what they do.
local crash = require "spec.support.crash"
local process = require "spec.support.process"

local permitted = os.execute "tests/crash/network.sh true 2>/dev/null"

local function machines(name, title, rounds)
  it(title, function()
    if not permitted then
      pending "the system permits no network namespaces"
      return
    end
    local result = process.command { "tests/crash/network.sh",
      os.getenv "LUA" or "lua5.4", "tests/crash/machines.lua", name,
      rounds or 1 }
    assert.equal("well\n", result.stdout, result.stderr)
  end)
end

describe("machines on one Redis server", function()
  machines("addresses", "each have an address")
  machines("wake", "wake each other")
  machines("work", "lose and double nothing when cables are pulled out",
    crash.times(1, 15))
  machines("pulled", "take over from one whose cable is pulled out")
  machines("plugged", "take nothing from one who can be reached")
end)
