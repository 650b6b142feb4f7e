---@meta sluice.testing

-- luacheck: ignore 211 212 241
-- `require "sluice.testing"` for lua-language-server; see ../sluice.lua.

---@class sluice.testing
---@field last_failure? sluice.testing.Failure what the last explore found
local testing = {}

---@class sluice.testing.Failure
---@field seed integer
---@field schedule string[] each choice as "taken/options"
---@field error any
---@field traceback string?

---@class sluice.testing.RunOptions
---@field seed? integer draws the schedule
---@field start? sluice.Seconds when it begins, 0 unless given

---Runs main on a virtual clock; its results, or its error.
---@param main fun(): ...
---@param options? sluice.testing.RunOptions
---@return any ...
function testing.run(main, options) end

---Waits until every other task is blocked; the clock does not move.
function testing.settle() end

---@class sluice.testing.ExploreOptions
---@field runs? integer 1000 unless given
---@field seed? integer the first, 1 unless given

---Runs main under many seeded schedules; a failure names its seed.
---@param main fun()
---@param options? sluice.testing.ExploreOptions
---@return integer runs
function testing.explore(main, options) end

---Runs main once for each of its checkpoints, cancelled there.
---@param main fun()
---@return integer checkpoints
function testing.cancel_everywhere(main) end

---@class sluice.testing.CaseOptions : sluice.testing.RunOptions
---@field timeout? sluice.Seconds of virtual time, 60 unless given

---Runs fn as a test: in a task, on a virtual clock, under a timeout.
---@param fn fun()
---@param options? sluice.testing.CaseOptions
function testing.case(fn, options) end

---busted's `it` with fn run by testing.case.
---@param name string
---@param fn fun()
---@param options? sluice.testing.CaseOptions
function testing.it(name, fn, options) end

return testing
