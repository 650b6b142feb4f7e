-- The module is opened without memory; then with it, and it works.
local ok, err = require "sweep".armed(require, "sluice")
assert(ok or tostring(err):find "memory" or tostring(err):find "loop", err)
if not ok then package.loaded["sluice.core"] = nil end
local sluice = require "sluice"
assert(sluice.run(function()
  sluice.sleep(0)
  return sluice.create_task(function() return 42 end):await()
end) == 42)
