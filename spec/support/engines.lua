--- The engines of sluice.jobs, for specs that run over each of them.
--
-- An engine's support file, spec/support/engines/NAME.lua, returns a table:
--   name      as in the titles of the specs
--   url()     of a new, empty place; start() was called before
--   start()   what must run before its first spec; finish() after the last
--   clean()   after each spec: removes what url made
--   virtual   its specs run on a virtual clock
--   options   for jobs.open
--   lasting   what was put is there when its place is opened again
--
-- A spec gets a store that is open; after it nothing may be left: no task, no
-- handle.

local core = require "sluice.core"
local jobs = require "sluice.jobs"
local sluice = require "sluice"
local testing = require "sluice.testing"

local busted = require "busted"

local engines = {}

local LIMIT = 20 -- seconds for a spec

-- Left out only where the module over its library was not built.
local function load_engine(name)
  local engine = require("spec.support.engines." .. name)
  engine.name = name
  return engine
end

engines.list = {}
for _, name in ipairs { "memory", "sqlite", "redis" } do
  local path = "spec/support/engines/" .. name .. ".lua"
  local file = io.open(path)
  if file then
    file:close()
    engines.list[#engines.list + 1] = load_engine(name)
  end
end

-- Fails if tasks other than this one are left.
local function check_tasks()
  local left = {}
  for _, task in ipairs(sluice.all_tasks()) do
    if task ~= sluice.current_task() then left[#left + 1] = task.name end
  end
  if #left > 0 then
    error("tasks left over: " .. table.concat(left, ", ") .. "\n"
      .. sluice.dump(), 0)
  end
end

local function limited(fn)
  local seen
  local watchdog = sluice.call_later(LIMIT, function()
    seen = sluice.dump()
  end)
  local done = sluice.wait_for(LIMIT + 0.1, function()
    fn()
    return true
  end)
  watchdog:cancel()
  if not done then error("the test did not end\n" .. (seen or ""), 0) end
  check_tasks()
end

-- Runs fn in real time, with sluice.testing's checks.
local function real_case(fn)
  local handles = core.testing.handles()
  local ok, err = pcall(sluice.run, limited, fn)
  if not ok then
    local trace = sluice.traceback()
    error(type(err) == "string" and trace and err .. "\n" .. trace or err, 0)
  end
  collectgarbage()
  sluice.run(sluice.sleep, 0)
  local left = core.testing.handles() - handles
  if left > 0 then error(left .. " handle(s) left open", 0) end
end

--- Runs fn(...) in a task, as a test over that engine.
function engines.run(engine, fn)
  if engine.virtual then return testing.case(fn) end
  return real_case(fn)
end

--- Opens a store at a new place; it is closed with the variable.
function engines.open(engine, opts)
  return assert(jobs.open(engine.url(), opts or engine.options))
end

-- busted's `it` over an engine: fn(store).
local function make_it(engine)
  return function(name, fn)
    busted.it(name, function()
      engines.run(engine, function()
        local store <close> = engines.open(engine)
        fn(store)
      end)
    end)
  end
end

--- Describes the same over each engine: body(it, engine), where `it` is as
-- busted's and gives each test an open store.
function engines.describe(title, body)
  for _, engine in ipairs(engines.list) do
    busted.describe(title .. " over " .. engine.name, function()
      busted.setup(engine.start or function() end)
      busted.after_each(engine.clean or function() end)
      busted.teardown(engine.finish or function() end)
      body(make_it(engine), engine)
    end)
  end
end

return engines
