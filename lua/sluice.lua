--- sluice: queues, tasks and the event loop they run on.
--
-- The core is C (`sluice.core`): everything that touches another coroutine,
-- the clock or a handle. What is here is policy over it: waiting for many
-- tasks at once. `require "sluice"` returns the core's table with these
-- functions added.

local core = require "sluice.core"

-- The public table is a copy, and the core's is hidden behind a proxy, so
-- that tracebacks and errors find each function under one name.
local sluice = {}
local internal = {
  watch = true, is_task = true, has_failed = true, checkpoint = true,
  report = true,
}
for name, value in pairs(core) do
  if not internal[name] then sluice[name] = value end
end
package.loaded["sluice.core"] = setmetatable({}, { __index = core })

sluice._VERSION = "sluice 0.1.0"

local watch, checkpoint = core.watch, core.checkpoint
local is_task, has_failed = core.is_task, core.has_failed

local here = debug.getinfo(1, "S").source

-- Raises an argument error as C functions do, at the line of the caller of
-- the public function: the first that is not in this file.
local function argument_error(n, name, message)
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info or info.source ~= here then break end
    level = level + 1
  end
  error(("bad argument #%d to '%s' (%s)"):format(n, name, message), level)
end

local function check_list(list, n, name)
  if type(list) ~= "table" then
    argument_error(n, name, "table expected, got " .. type(list))
  end
end

local function check_options(options, known, n, name)
  if options == nil then return {} end
  if type(options) ~= "table" then
    argument_error(n, name, "table expected, got " .. type(options))
  end
  for key in pairs(options) do
    if not known[key] then
      argument_error(n, name, ("unknown option '%s'"):format(tostring(key)))
    end
  end
  return options
end

local function check_timeout(timeout, n, name)
  if timeout == nil then return end
  if math.type(timeout) == nil then
    argument_error(n, name, "number expected, got " .. type(timeout))
  elseif timeout ~= timeout then
    argument_error(n, name, "duration is NaN")
  elseif timeout < 0 then
    argument_error(n, name, "duration is negative")
  end
end

-- The tasks of a list, each once, for functions that take only tasks.
local function distinct_tasks(list, name)
  check_list(list, 1, name)
  local tasks, seen = {}, {}
  for i = 1, #list do
    local task = list[i]
    if not is_task(task) then
      argument_error(1, name, "not a task at index " .. i)
    end
    if not seen[task] then
      seen[task] = true
      tasks[#tasks + 1] = task
    end
  end
  return tasks
end

-- That each of a list is a task or a function.
local function check_all(list, name)
  check_list(list, 1, name)
  for i = 1, #list do
    local kind = type(list[i])
    if kind ~= "function" and not is_task(list[i]) then
      argument_error(1, name, "not a function or a task at index " .. i)
    end
  end
end

local function check_not_own(list, name)
  local own = sluice.current_task()
  for i = 1, #list do
    if list[i] == own then
      argument_error(1, name, "a task cannot await itself")
    end
  end
end

-- The functions of a list become tasks; a task twice in the list is awaited
-- once and its result stands twice.
local function start_all(list)
  local tasks = {}
  for i = 1, #list do
    local item = list[i]
    tasks[i] = is_task(item) and item or sluice.create_task(item)
  end
  return tasks
end

-- Cancels what has not ended and waits for it, whatever comes.
local function cancel_and_await(tasks, reason)
  for _, task in ipairs(tasks) do
    if not task:done() then task:cancel(reason) end
  end
  sluice.shield(function()
    local all, err = true, nil
    for _, task in ipairs(tasks) do
      local ok, why = pcall(task.pawait, task)
      if not ok and all then all, err = false, why end
    end
    if not all then error(err, 0) end -- a circle: the others have ended
  end)
end

local function distinct(tasks)
  local list, seen = {}, {}
  for _, task in ipairs(tasks) do
    if not seen[task] then
      seen[task] = true
      list[#list + 1] = task
    end
  end
  return list
end

-- Waits for all of a set; stops at the first error if told so.
local function await_set(set, stop_at_error)
  while true do
    local task = set:next()
    if not task then return nil end
    if stop_at_error and has_failed(task) then return task end
  end
end

-- Runs `body` and, if it raises (the caller was cancelled), ends the tasks.
local function owning(tasks, body, ...)
  local results = table.pack(pcall(body, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  cancel_and_await(tasks, "gather was cancelled")
  error(results[2], 0)
end

-- Errors after the first are nobody's: they are told to on_error.
local function report_others(tasks, first)
  for _, task in ipairs(distinct(tasks)) do
    if task ~= first then core.report(task) end
  end
end

local function outcomes(tasks)
  local results, errors = {}, {}
  for i, task in ipairs(tasks) do
    local ok, value = task:pawait()
    if ok then results[i] = value else errors[i] = value end
  end
  return results, errors
end

local GATHER = { return_errors = true }

--- Runs functions and awaits tasks together.
-- @param list functions (each becomes a task) and tasks
-- @param[opt] options `{ return_errors = true }`: nothing is raised but the
-- caller's own cancellation
-- @return a list of first results in the list's order; with `return_errors`
-- the results and the errors, each at its place in the list
-- Raises the first error, after the others were cancelled and have ended;
-- what else they raised is told to `sluice.on_error`. Waits.
function sluice.gather(list, options)
  options = check_options(options, GATHER, 2, "gather")
  check_all(list, "gather")
  checkpoint("gather")
  check_not_own(list, "gather")
  local tasks = start_all(list)
  local set <close> = watch(distinct(tasks), true)
  local failed = owning(tasks, await_set, set, not options.return_errors)
  if failed then
    local ok, err = pcall(cancel_and_await, tasks, "another task failed")
    if not ok then error(err, 0) end
    report_others(tasks, failed)
    return failed:await()
  end
  local results, errors = sluice.shield(outcomes, tasks)
  if options.return_errors then return results, errors end
  return results
end

local stops = {
  ALL_COMPLETED = function() return false end,
  FIRST_COMPLETED = function() return true end,
  FIRST_ERROR = has_failed,
}

local function split(tasks)
  local done, pending = {}, {}
  for _, task in ipairs(tasks) do
    local list = task:done() and done or pending
    list[#list + 1] = task
  end
  return done, pending
end

local WAIT = { timeout = true, return_when = true }

--- Waits until tasks have ended. Cancels none, raises nothing of theirs.
-- @param tasks a list of tasks
-- @param[opt] options `timeout` in seconds; `return_when`: "ALL_COMPLETED"
-- (the default), "FIRST_COMPLETED" or "FIRST_ERROR"
-- @return the list of those done and the list of those pending
-- Waits.
function sluice.wait(tasks, options)
  options = check_options(options, WAIT, 2, "wait")
  local list = distinct_tasks(tasks, "wait")
  local when = options.return_when or "ALL_COMPLETED"
  local stop = stops[when]
  if not stop then
    argument_error(2, "wait", "return_when is not one of ALL_COMPLETED, "
      .. "FIRST_COMPLETED, FIRST_ERROR")
  end
  check_timeout(options.timeout, 2, "wait")
  checkpoint("wait")
  local due = options.timeout and sluice.time() + options.timeout
  local set <close> = watch(list, when == "ALL_COMPLETED")
  while true do
    local left = due and math.max(0, due - sluice.time())
    local task = set:next(left)
    if not task or stop(task) then return split(list) end
  end
end

--- Iterates over tasks in the order in which they end.
-- @param tasks a list of tasks, each of which comes once
-- @param[opt] timeout seconds for all of them; raises "timeout" then
-- @return for a generic for: the next task that has ended
-- Each step waits.
function sluice.as_completed(tasks, timeout)
  local list = distinct_tasks(tasks, "as_completed")
  check_timeout(timeout, 2, "as_completed")
  local due = timeout and sluice.time() + timeout
  local set = watch(list)
  local function step()
    checkpoint("as_completed")
    local left = due and math.max(0, due - sluice.time())
    local task, reason = set:next(left)
    if task then return task end
    if reason == "timeout" then error("timeout", 0) end
    return nil
  end
  return step, nil, nil, set
end

return sluice
