---@meta _

-- luacheck: ignore 211 212 241
-- Locks and their kin, and queues, for lua-language-server; see ../sluice.lua.

---@class sluice
local sluice = {}

-- Event ----------------------------------------------------------------------

---@return sluice.Event
---@nodiscard
function sluice.Event() end

---@class sluice.Event
local Event = {}

---Waits until it is set: true, or nil, "timeout".
---@param timeout? sluice.Seconds
---@return true? set
---@return "timeout"? reason
function Event:wait(timeout) end

---Wakes everybody who waits.
function Event:set() end

---Later waits wait for the next set.
function Event:clear() end

---@return boolean
---@nodiscard
function Event:is_set() end

-- Lock -----------------------------------------------------------------------

---@return sluice.Lock
---@nodiscard
function sluice.Lock() end

---@class sluice.Lock
local Lock = {}

---Waits until this task owns it: the lock, a to-be-closed value, or nil,
---"timeout".
---@param timeout? sluice.Seconds
---@return sluice.Lock? guard
---@return "timeout"? reason
function Lock:acquire(timeout) end

---Passes it to the task that has waited longest.
function Lock:release() end

---@return boolean
---@nodiscard
function Lock:locked() end

---@return sluice.Task?
---@nodiscard
function Lock:owner() end

-- Semaphore ------------------------------------------------------------------

---@param n? integer permits, 1 unless given
---@return sluice.Semaphore
---@nodiscard
function sluice.Semaphore(n) end

---A semaphore that never holds more than `n` permits.
---@param n? integer permits, 1 unless given
---@return sluice.BoundedSemaphore
---@nodiscard
function sluice.BoundedSemaphore(n) end

---@class sluice.Semaphore
local Semaphore = {}

---@class sluice.BoundedSemaphore : sluice.Semaphore
local BoundedSemaphore = {}

---Waits for a permit: the semaphore, a to-be-closed value, or nil, "timeout".
---@param timeout? sluice.Seconds
---@return sluice.Semaphore? guard
---@return "timeout"? reason
function Semaphore:acquire(timeout) end

---Gives a permit to the task that has waited longest, or back.
function Semaphore:release() end

---@return boolean # whether no permit is free
---@nodiscard
function Semaphore:locked() end

---@return integer # permits that are free
---@nodiscard
function Semaphore:value() end

-- Condition ------------------------------------------------------------------

---@param lock? sluice.Lock one of its own unless given
---@return sluice.Condition
---@nodiscard
function sluice.Condition(lock) end

---@class sluice.Condition
local Condition = {}

---As Lock:acquire; returns the condition, a to-be-closed value.
---@param timeout? sluice.Seconds
---@return sluice.Condition? guard
---@return "timeout"? reason
function Condition:acquire(timeout) end

---As Lock:release.
function Condition:release() end

---@return boolean
---@nodiscard
function Condition:locked() end

---Releases the lock, waits to be notified, takes the lock again.
---@param timeout? sluice.Seconds
---@return true? notified
---@return "timeout"? reason
function Condition:wait(timeout) end

---Waits until the predicate, called holding the lock, is true.
---@generic T
---@param predicate fun(): T
---@param timeout? sluice.Seconds
---@return T? value the predicate's
---@return "timeout"? reason
function Condition:wait_for(predicate, timeout) end

---Wakes `n` of those who wait, in order.
---@param n? integer 1 unless given
function Condition:notify(n) end

---Wakes all who wait, in order.
function Condition:notify_all() end

-- Barrier --------------------------------------------------------------------

---@param n integer tasks, at least 1
---@return sluice.Barrier
---@nodiscard
function sluice.Barrier(n) end

---@class sluice.Barrier
local Barrier = {}

---Waits until n tasks are here: the index of this one in order of arrival;
---nil, "timeout"; nil, "broken".
---@param timeout? sluice.Seconds
---@return integer? index
---@return "timeout"|"broken"|nil reason
function Barrier:wait(timeout) end

---Who waits gets nil, "broken"; the barrier is as new.
function Barrier:reset() end

---Who waits, and every wait until reset, gets nil, "broken".
function Barrier:abort() end

---@return integer # tasks that wait
---@nodiscard
function Barrier:n_waiting() end

---@return boolean # whether it was aborted and not reset
---@nodiscard
function Barrier:broken() end

-- Queues ---------------------------------------------------------------------

---First in, first out.
---@param maxsize? integer nil, 0 and negative: unbounded
---@return sluice.Queue
---@nodiscard
function sluice.Queue(maxsize) end

---Last in, first out.
---@param maxsize? integer nil, 0 and negative: unbounded
---@return sluice.LifoQueue
---@nodiscard
function sluice.LifoQueue(maxsize) end

---The lowest priority first, equals in the order they were put.
---@param maxsize? integer nil, 0 and negative: unbounded
---@return sluice.PriorityQueue
---@nodiscard
function sluice.PriorityQueue(maxsize) end

---@class sluice.Queue
---@field maxsize integer 0: unbounded
---@operator len: integer
---@overload fun(): any
local Queue = {}

---@class sluice.LifoQueue : sluice.Queue
local LifoQueue = {}

---Waits while it is full: true, or nil, "timeout", and the item is not in.
---@param item any not nil
---@param timeout? sluice.Seconds
---@return true? put
---@return "timeout"? reason
function Queue:put(item, timeout) end

---@param item any not nil
---@return true? put
---@return "full"? reason
function Queue:put_nowait(item) end

---Waits for an item: it; nil, "timeout"; nil, "shutdown".
---@param timeout? sluice.Seconds
---@return any item
---@return "timeout"|"shutdown"|nil reason
function Queue:get(timeout) end

---@return any item
---@return "empty"|"shutdown"|nil reason
function Queue:get_nowait() end

---An item that was got is worked off.
function Queue:task_done() end

---Waits until every item put has been marked done.
---@param timeout? sluice.Seconds
---@return true? done
---@return "timeout"? reason
function Queue:join(timeout) end

---No more puts; `immediate`: drops and returns the items.
---@param immediate? boolean
---@return any[]? items
function Queue:shutdown(immediate) end

---@return integer
---@nodiscard
function Queue:qsize() end

---@return boolean
---@nodiscard
function Queue:empty() end

---@return boolean
---@nodiscard
function Queue:full() end

---@class sluice.QueueStats
---@field puts integer
---@field gets integer
---@field size integer
---@field high_water integer
---@field getters integer that wait
---@field putters integer that wait
---@field unfinished integer

---@return sluice.QueueStats
---@nodiscard
function Queue:stats() end

---@alias sluice.Priority number|string|table a table needs __lt

---@class sluice.PriorityQueue : sluice.Queue
---@overload fun(): any, sluice.Priority
local PriorityQueue = {}

---As Queue:put; left out, the item is its own priority.
---@param item any not nil
---@param priority? sluice.Priority
---@param timeout? sluice.Seconds
---@return true? put
---@return "timeout"? reason
function PriorityQueue:put(item, priority, timeout) end

---As Queue:put_nowait; left out, the item is its own priority.
---@param item any not nil
---@param priority? sluice.Priority
---@return true? put
---@return "full"? reason
function PriorityQueue:put_nowait(item, priority) end

---Waits for an item: it and its priority; nil, "timeout"; nil, "shutdown".
---@param timeout? sluice.Seconds
---@return any item
---@return sluice.Priority|"timeout"|"shutdown" priority or why there is none
function PriorityQueue:get(timeout) end

---@return any item
---@return sluice.Priority|"empty"|"shutdown" priority or why there is none
function PriorityQueue:get_nowait() end

---The priority heap by itself.
---@return sluice.Heap
---@nodiscard
function sluice.Heap() end

---@class sluice.Heap
---@operator len: integer
local Heap = {}

---Adds an item; left out, it is its own priority.
---@param item any not nil
---@param priority? sluice.Priority
function Heap:push(item, priority) end

---Takes the item of the lowest priority: it and its priority, or nil.
---@return any item
---@return sluice.Priority? priority
function Heap:pop() end

---What pop would return.
---@return any item
---@return sluice.Priority? priority
---@nodiscard
function Heap:peek() end
