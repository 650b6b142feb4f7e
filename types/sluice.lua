---@meta sluice

-- luacheck: ignore 211 212 241
-- What lua-language-server knows of `require "sluice"`: put this directory
-- on its `workspace.library`. The texts are short; docs/manual.md has the
-- rest. tools/check_docs.lua holds it against the exports.

---@class sluice
---@field _VERSION string the library's name and version
local sluice = {}

---@alias sluice.Seconds number a duration in seconds, not negative, not NaN

---@class sluice.Cancelled the error that a cancellation raises
---@field reason any what was given to cancel, or nil

-- Running --------------------------------------------------------------------

---Runs `main(...)` as the first task until it ends; then cancels and awaits
---what tasks are left. Returns main's results or raises its error.
---@param main fun(...): ...
---@param ... any
---@return any ...
function sluice.run(main, ...) end

---@class sluice.RunnerOptions
---@field clock? "real"|"virtual"
---@field start? sluice.Seconds where a virtual clock begins, 0 unless given
---@field seed? integer draws the schedule; nil: first come, first served
---@field debug? boolean `slow` is 0.1 unless given
---@field slow? sluice.Seconds steps that take longer are told on stderr

---Settings for several runs; a to-be-closed value.
---@param options? sluice.RunnerOptions
---@return sluice.Runner
function sluice.Runner(options) end

---@class sluice.Runner
local Runner = {}

---As sluice.run, with the runner's settings.
---@param main fun(...): ...
---@param ... any
---@return any ...
function Runner:run(main, ...) end

---No more runs.
function Runner:close() end

---Waits that long; 0 lets every other ready task run once.
---@param seconds sluice.Seconds
function sluice.sleep(seconds) end

---The loop's clock in seconds.
---@return number
---@nodiscard
function sluice.time() end

---Runs `fn(...)` in a task of its own as soon as the loop can.
---@param fn fun(...)
---@param ... any
---@return sluice.Handle
function sluice.call_soon(fn, ...) end

---Runs `fn(...)` in a task of its own, not before that time has passed.
---@param seconds sluice.Seconds
---@param fn fun(...)
---@param ... any
---@return sluice.Handle
function sluice.call_later(seconds, fn, ...) end

---Runs `fn(...)` in a task of its own, not before sluice.time() is `time`.
---@param time number
---@param fn fun(...)
---@param ... any
---@return sluice.Handle
function sluice.call_at(time, fn, ...) end

---@class sluice.Handle
local Handle = {}

---The function will not run; if it has begun, its task is cancelled.
---@return boolean cancelled whether it had not ended
function Handle:cancel() end

---@alias sluice.SignalName
---| "SIGINT"
---| "SIGTERM"
---| "SIGHUP"
---| "SIGUSR1"
---| "SIGUSR2"
---| "SIGQUIT"

---Listens for signals, which do nothing else meanwhile; a to-be-closed value.
---@param ... sluice.SignalName
---@return sluice.Signal
function sluice.Signal(...) end

---@class sluice.Signal
local Signal = {}

---Waits for the next signal: its name; nil, "timeout"; nil, "shutdown".
---@param timeout? sluice.Seconds
---@return sluice.SignalName? name
---@return "timeout"|"shutdown"|nil reason
function Signal:wait(timeout) end

---The signals do again what they did.
function Signal:close() end

-- Tasks ----------------------------------------------------------------------

---A task that runs `fn(...)`, from the creator's next checkpoint on.
---@param fn fun(...): ...
---@param ... any
---@return sluice.Task
function sluice.create_task(fn, ...) end

---The running task, nil outside one.
---@return sluice.Task?
---@nodiscard
function sluice.current_task() end

---The tasks that have not ended.
---@return sluice.Task[]
---@nodiscard
function sluice.all_tasks() end

---@class sluice.Task
---@field name string Task-N unless set
---@field id integer
local Task = {}

---Waits until the task has ended; its function's results, or nil, "timeout".
---Raises its error.
---@param timeout? sluice.Seconds
---@return any ...
function Task:await(timeout) end

---As await; true and the results, or false and the error.
---@param timeout? sluice.Seconds
---@return boolean? ok
---@return any ...
function Task:pawait(timeout) end

---Every checkpoint of the task raises from now on. The first reason stays.
---@param reason? any
---@return boolean cancelled whether the task was not done
function Task:cancel(reason) end

---@return boolean # whether it has ended
---@nodiscard
function Task:done() end

---@return boolean # whether it ended by its own cancellation
---@nodiscard
function Task:cancelled() end

---@return any # the error it ended with, or nil
---@nodiscard
function Task:error() end

---@return string? # where it is, or where its error was raised
---@nodiscard
function Task:traceback() end

---Whether a value is the error that a cancellation raises.
---@param value any
---@return boolean
---@nodiscard
function sluice.is_cancelled(value) end

---pcall that lets the running task's own cancellation through.
---@param fn fun(...): ...
---@param ... any
---@return boolean ok
---@return any ...
function sluice.pcall(fn, ...) end

---Runs `fn(...)` exempt from cancellation from outside.
---@param fn fun(...): ...
---@param ... any
---@return any ...
function sluice.shield(fn, ...) end

-- Many tasks -----------------------------------------------------------------

---@class sluice.GatherOptions
---@field return_errors? boolean

---The first results of functions and tasks, in the list's order. The first
---error cancels the others and is raised when they have ended.
---@param list (fun(): ...|sluice.Task)[]
---@param options? sluice.GatherOptions
---@return any[] results
---@return table<integer, any>? errors with `return_errors`
function sluice.gather(list, options) end

---@class sluice.WaitOptions
---@field timeout? sluice.Seconds
---@field return_when? "ALL_COMPLETED"|"FIRST_COMPLETED"|"FIRST_ERROR"

---Waits until tasks have ended; cancels none, raises nothing of theirs.
---@param tasks sluice.Task[]
---@param options? sluice.WaitOptions
---@return sluice.Task[] done
---@return sluice.Task[] pending
function sluice.wait(tasks, options) end

---Iterates over tasks in the order in which they end.
---@param tasks sluice.Task[]
---@param timeout? sluice.Seconds for all; a step raises "timeout" then
---@return fun(): sluice.Task?
function sluice.as_completed(tasks, timeout) end

---Runs `fn(group)` and waits until every child has ended; the body's results.
---The first error cancels the others and is raised when all have ended.
---@param fn fun(group: sluice.TaskGroup): ...
---@return any ...
function sluice.task_group(fn) end

---@class sluice.TaskGroup
---@field errors any[] the errors after the first
local TaskGroup = {}

---A child of this group that runs `fn(...)`.
---@param fn fun(...): ...
---@param ... any
---@return sluice.Task
function TaskGroup:create_task(fn, ...) end

---Cancels the body and every child; the group ends without an error.
---@param reason? any
function TaskGroup:cancel(reason) end

-- Deadlines ------------------------------------------------------------------

---Runs `fn(...)` in this task under a deadline; its results, or nil,
---"timeout".
---@param seconds sluice.Seconds
---@param fn fun(...): ...
---@param ... any
---@return any ...
function sluice.wait_for(seconds, fn, ...) end

---A to-be-closed deadline for the block, which is left with the error
---"timeout".
---@param seconds sluice.Seconds
---@return sluice.Timeout
---@nodiscard
function sluice.timeout(seconds) end

---@class sluice.Timeout
local Timeout = {}

---Counts anew, from now; nil: no deadline.
---@param seconds? sluice.Seconds
function Timeout:reschedule(seconds) end

---@return boolean # whether the deadline passed before the block ended
---@nodiscard
function Timeout:expired() end

-- Futures --------------------------------------------------------------------

---A result that somebody else will set.
---@return sluice.Future
---@nodiscard
function sluice.Future() end

---@class sluice.Future
local Future = {}

---The awaiters return these values. Once.
---@param ... any
function Future:set_result(...) end

---The awaiters raise this error. Once.
---@param err any
function Future:set_error(err) end

---Waits until it is set; the values, or nil, "timeout". Raises the error.
---@param timeout? sluice.Seconds
---@return any ...
function Future:await(timeout) end

---@return boolean # whether it was set
---@nodiscard
function Future:done() end

-- Threads --------------------------------------------------------------------

---Runs `fn(...)` in another Lua state on a thread. fn has no upvalues;
---arguments and results are nil, booleans, numbers, strings, tables of them.
---@param fn fun(...): ...
---@param ... any
---@return any ...
function sluice.to_thread(fn, ...) end

-- Introspection --------------------------------------------------------------

---The tree of tasks as text.
---@return string
---@nodiscard
function sluice.dump() end

---@class sluice.Stats
---@field tasks integer that have not ended
---@field ready integer that can run now
---@field timers integer deadlines that are armed
---@field ticks integer polls of the operating system in this run
---@field switches integer steps of tasks in this run
---@field lag number seconds by which the last deadline fired late

---Figures of the loop.
---@return sluice.Stats
---@nodiscard
function sluice.stats() end

---The traceback of the error that the last failed run raised.
---@return string?
---@nodiscard
function sluice.traceback() end

---@alias sluice.OnError fun(task: sluice.Task, err: any, traceback: string?)

---Sets who is told of errors that nobody awaits; nil: stderr.
---@param fn? sluice.OnError
---@return sluice.OnError? before
function sluice.on_error(fn) end

return sluice
