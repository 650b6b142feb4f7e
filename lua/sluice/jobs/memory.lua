--- sluice.jobs.memory: the engine `memory:`, which the core has in C.
--
-- Its jobs live as long as the store. For tests, and for programs that need
-- leases and retries but not that jobs survive.

local core = require "sluice.core.store"

local memory = {}

--- Opens an empty engine.
-- @param rest of the URL; must be empty
-- @return the engine; or nil, message, code
function memory.open(rest)
  if rest ~= "" then
    return nil, "memory: has no path ('" .. rest .. "')", "EINVAL"
  end
  return core.open()
end

return memory
