--- sluice.testing: programs on a virtual clock, under many schedules.
--
-- Everything runs through a Runner with a virtual clock, so that no test
-- sleeps: when all tasks are blocked, time jumps to the next deadline. The
-- scheduler's choices come from a seed, so that a failure can be repeated.

local sluice = require "sluice"
local core = sluice.testing

local testing = {}

local function check_main(main, name)
  if type(main) ~= "function" then
    error(("bad argument #1 to '%s' (function expected, got %s)"):format(
      name, type(main)), 3)
  end
end

local function whole(value)
  if type(value) ~= "number" or not math.tointeger(value) then
    return "a whole number"
  end
end

local function seconds(value)
  if math.type(value) == nil or value ~= value or value < 0 then
    return "a number of seconds, 0 or more"
  end
end

local function positive(value)
  if whole(value) or value < 1 then return "a whole number above 0" end
end

local RUN = { seed = whole, start = seconds }
local CASE = { seed = whole, start = seconds, timeout = seconds }
local EXPLORE = { seed = whole, runs = positive }

local function option_error(name, message, ...)
  error(("bad argument #2 to '%s' (%s)"):format(name, message:format(...)), 4)
end

local function check_options(options, known, name)
  if options == nil then return {} end
  if type(options) ~= "table" then
    option_error(name, "table expected, got %s", type(options))
  end
  for key, value in pairs(options) do
    local check = known[key]
    if not check then
      option_error(name, "unknown option '%s'", tostring(key))
    end
    local expected = check(value)
    if expected then
      option_error(name, "option '%s' must be %s, got %s", key, expected,
        tostring(value))
    end
  end
  return options
end

local function virtual(options)
  return sluice.Runner {
    clock = "virtual", seed = options.seed, start = options.start,
  }
end

--- Runs main on a virtual clock.
-- @param main the first task's function
-- @param[opt] options `seed`: draws the schedule, nil: first come, first
-- served; `start`: the time it begins at, 0 unless given
-- @return main's results; raises its error
function testing.run(main, options)
  check_main(main, "run")
  return virtual(check_options(options, RUN, "run")):run(main)
end

--- Waits until every other task is blocked, without moving the clock.
testing.settle = core.settle

-- The schedule as text: for each choice, which one of how many.
local function schedule_text(choices)
  local shown = math.min(#choices, 200)
  local text = table.concat(choices, " ", 1, shown)
  if #choices > shown then text = text .. " …" end
  return text == "" and "no choices" or text
end

-- Runs main once more under the seed of a failure and tells whether it met
-- the same choices: if not, something else than the scheduler chooses.
local function replays(main, seed)
  core.replay(true)
  pcall(virtual { seed = seed }.run, virtual { seed = seed }, main)
  local _, diverged = core.schedule()
  core.replay(false)
  return not diverged
end

-- Adds a line to an error's text: to a string, or to the message of an
-- error object as luassert's.
local function add_line(err, line)
  if type(err) == "string" then return err .. "\n" .. line end
  if type(err) == "table" and type(rawget(err, "message")) == "string" then
    err.message = err.message .. "\n" .. line
  end
  return err
end

local function with_schedule(err, seed, choices, same)
  local note = same and "" or "\n(run again with the same seed it met other "
    .. "choices: does it depend on the order of pairs, on addresses, on the "
    .. "real clock?)"
  return add_line(err, ("seed %d, schedule %s%s"):format(seed,
    schedule_text(choices), note))
end

local function explore_once(main, seed)
  local ok, err = pcall(testing.run, main, { seed = seed })
  if ok then return end
  local trace = sluice.traceback()
  local choices = core.schedule()
  local same = replays(main, seed)
  testing.last_failure = {
    seed = seed, schedule = choices, error = err, traceback = trace,
  }
  error(with_schedule(err, seed, choices, same), 0)
end

--- Runs main under many schedules. A failure is raised with its seed and
-- schedule added to the text; `testing.run(main, { seed = … })` repeats it.
-- @param main the first task's function, run anew each time
-- @param[opt] options `runs` (1000), `seed` of the first run (1)
-- @return how many runs there were
function testing.explore(main, options)
  check_main(main, "explore")
  options = check_options(options, EXPLORE, "explore")
  local runs, seed = options.runs or 1000, options.seed or 1
  for i = 0, runs - 1 do explore_once(main, seed + i) end
  return runs
end

-- Runs main, cancelled at its n-th checkpoint: on entry, or once parked
-- there. An error other than the cancellation is raised.
local function cancel_at(main, n, parked)
  core.probe(n, parked)
  local ok, err = pcall(testing.run, main)
  core.probe()
  if ok or sluice.is_cancelled(err) then return end
  error(add_line(err, ("(main cancelled %s checkpoint %d)"):format(
    parked and "while waiting at" or "on entry to", n)), 0)
end

--- Runs main once to count its checkpoints, then, for each of them, twice:
-- cancelled on entry to it, and cancelled while waiting there. Main may end
-- or raise the cancellation; any other error is raised, with the checkpoint.
-- @param main the first task's function, run anew each time
-- @return the number of checkpoints
function testing.cancel_everywhere(main)
  check_main(main, "cancel_everywhere")
  core.probe(0)
  local ok, err = pcall(testing.run, main)
  local n = core.probe()
  if not ok then error(err, 0) end
  for i = 1, n do
    cancel_at(main, i, false)
    cancel_at(main, i, true)
  end
  return n
end

-- What a run has left behind, as text, or nil.
local function leftovers(handles)
  local left = core.handles() - handles
  if left > 0 then return left .. " handle(s) left open" end
end

-- Runs fn under a timeout. The watchdog, a moment before it, sees who waits
-- for what when the time is up.
local function within(timeout, fn)
  local seen
  local watchdog = sluice.call_later(timeout * (1 - 1e-9), function()
    seen = sluice.dump()
  end)
  local done = sluice.wait_for(timeout, function()
    fn()
    return true
  end)
  watchdog:cancel()
  if not done then
    error(("the test did not end within %g s\n%s"):format(timeout,
      seen or ""), 0)
  end
end

-- Main's body: runs fn, and looks for tasks left over.
local function supervised(fn, timeout)
  within(timeout, fn)
  local left = {}
  for _, task in ipairs(sluice.all_tasks()) do
    if task ~= sluice.current_task() then left[#left + 1] = task.name end
  end
  if #left > 0 then
    error("tasks left over: " .. table.concat(left, ", ") .. "\n"
      .. sluice.dump(), 0)
  end
end

--- Runs fn as a test of busted's does, in a task on a virtual clock.
-- @param fn the test's function
-- @param[opt] options `timeout` in virtual seconds (60), `seed`, `start`
-- Raises fn's error with its own traceback, a timeout, tasks or handles left
-- over.
function testing.case(fn, options)
  check_main(fn, "case")
  options = check_options(options, CASE, "case")
  collectgarbage()
  local handles = core.handles()
  local runner = virtual(options)
  local ok, err = pcall(runner.run, runner, function()
    supervised(fn, options.timeout or 60)
  end)
  if not ok then
    local trace = sluice.traceback()
    if type(err) == "string" and trace then err = add_line(err, trace) end
    error(err, 0)
  end
  local left = leftovers(handles)
  if left then error(left, 0) end
end

--- busted's `it` with fn run in a task on a virtual clock, with a timeout,
-- the task's own traceback, and a failure when tasks or handles are left
-- over.
-- @param name the test's name
-- @param fn the test's function
-- @param[opt] options as for `testing.case`
function testing.it(name, fn, options)
  if type(name) ~= "string" then
    error("bad argument #1 to 'it' (string expected, got " .. type(name)
      .. ")", 2)
  end
  local it = require("busted").it
  return it(name, function() testing.case(fn, options) end)
end

return testing
