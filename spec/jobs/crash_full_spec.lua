-- A disk without room: a small one, which is mounted for each test;
-- tests/crash/full.lua has what is done on it. The control has no ballast.
local crash = require "spec.support.crash"
local process = require "spec.support.process"

local permitted = os.execute "tests/crash/disk.sh /tmp 1m true 2>/dev/null"

local function on_small_disk(name, title)
  it(title, function()
    if not permitted then
      pending "the system does not permit to mount a disk"
      return
    end
    local directory = crash.sh "mktemp -d"
    local result = process.command { "tests/crash/disk.sh", directory, "24m",
      os.getenv "LUA" or "lua5.4", "tests/crash/full.lua", name, directory }
    os.execute("rm -rf " .. directory .. " " .. directory .. "-notes")
    assert.equal("well\n", result.stdout, result.stderr)
  end)
end

describe("a full disk", function()
  on_small_disk("acks", "refuses puts, while all that is there is done")
  on_small_disk("no_ballast", "stops everything if nothing can be given up")
  on_small_disk("room", "takes puts again when there is room")
  on_small_disk("processes", "loses nothing that several were promised")
end)
