--- What busted loads before the specs.
--
-- SLUICE_GC=aggressive makes the collector run all the time, so that what is
-- not anchored is found: a full collection before and after each spec, and a
-- pause so short that each allocation pays for work.

local busted = require "busted"

if os.getenv "SLUICE_GC" == "aggressive" then
  collectgarbage("incremental", 10, 4000, 4)
  busted.subscribe({ "test", "start" }, function()
    collectgarbage()
    return nil, true
  end)
  busted.subscribe({ "test", "end" }, function()
    collectgarbage()
    return nil, true
  end)
end
