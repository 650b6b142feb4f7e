---@meta sluice.jobs

-- luacheck: ignore 211 212 241
-- What lua-language-server knows of `require "sluice.jobs"`; see sluice.lua.

---@class sluice.jobs
local jobs = {}

---@alias sluice.jobs.Reason
---| "closed"
---| "unavailable" nothing happened
---| "unknown" it may have happened
---| "damaged"

---@class sluice.jobs.OpenOptions
---@field max_body? number bytes, 500 MB at most; 16 MiB unless given
---@field durable? boolean a commit survives a power cut; true unless given

---Opens a store: `memory:`, `sqlite:PATH`, `redis://HOST:PORT/DB`,
---`unix:PATH`.
---@param url string
---@param options? sluice.jobs.OpenOptions
---@return sluice.jobs.Store? store
---@return string? message
---@return string? code
function jobs.open(url, options) end

-- Stores ---------------------------------------------------------------------

---A to-be-closed value.
---@class sluice.jobs.Store
local Store = {}

---@class sluice.jobs.Backoff
---@field base? sluice.Seconds after the first failure; 1 unless given
---@field factor? number 2 unless given
---@field max? sluice.Seconds 3600 unless given
---@field jitter? number the part that may be taken off, 0.5 unless given

---@alias sluice.jobs.Delay fun(attempts: integer, job: table): sluice.Seconds

---What is left out stays as it is stored.
---@class sluice.jobs.QueueOptions
---@field maxsize? integer jobs that may be ready or delayed; 0: any number
---@field lease? sluice.Seconds 60 at first
---@field max_attempts? number 25 at first; math.huge: no limit
---@field backoff? sluice.Seconds|sluice.jobs.Backoff|sluice.jobs.Delay

---The queue of that name, made if it is new.
---@param name string
---@param options? sluice.jobs.QueueOptions
---@return sluice.jobs.Queue? queue
---@return sluice.jobs.Reason? reason
---@return string? message
function Store:queue(name, options) end

---The names of all queues, sorted.
---@return string[]? names
---@return sluice.jobs.Reason? reason
---@return string? message
function Store:queues() end

---@class sluice.jobs.WorkerOptions
---@field concurrency? integer handlers at once; 1 unless given
---@field prefetch? integer jobs reserved ahead; 0 unless given
---@field heartbeat? boolean leases are renewed; true unless given

---Runs `handler(job)` in a task for each job: what returns is acknowledged,
---what raises is tried again.
---@param name string of the queue
---@param handler fun(job: sluice.jobs.Job)
---@param options? sluice.jobs.WorkerOptions
---@return sluice.jobs.Worker? worker
---@return sluice.jobs.Reason? reason
---@return string? message
function Store:worker(name, handler, options) end

---Checks all that is stored; may take long.
---@return true? whole
---@return sluice.jobs.Reason? reason
---@return string? message
function Store:check() end

---What was begun is finished; who waits gets nil, "closed".
---@return true
function Store:close() end

-- Queues ---------------------------------------------------------------------

---@class sluice.jobs.Queue
local Queue = {}

---@class sluice.jobs.PutOptions
---@field priority? number the lowest goes first; 0 unless given
---@field delay? sluice.Seconds
---@field at? number instead: seconds since 1970
---@field ttl? sluice.Seconds after which it is dropped, unless leased or dead
---@field lease? sluice.Seconds the queue's unless given
---@field max_attempts? number the queue's unless given
---@field unique? string a key that one job of the queue has
---@field unique_for? sluice.Seconds it stays taken, though the job is gone

---Puts a job: its id, once it is committed, and true if `unique` found it.
---@param body string|table a table goes through JSON
---@param options? sluice.jobs.PutOptions
---@return integer? id
---@return true|sluice.jobs.Reason|"full"|"disk_full"|nil found
---@return string? message
function Queue:put(body, options) end

---@class sluice.jobs.Entry: sluice.jobs.PutOptions
---@field body string|table

---Puts all of them or none, in one commit.
---@param list (string|table|sluice.jobs.Entry)[]
---@return integer[]? ids
---@return table<integer, true>|sluice.jobs.Reason|"full"|"disk_full"|nil found
---@return string? message
function Queue:put_many(list) end

---Waits for a job, and leases it.
---@param timeout? sluice.Seconds
---@return sluice.jobs.Job? job
---@return sluice.jobs.Reason|"timeout"|nil reason
---@return string? message
function Queue:reserve(timeout) end

---Waits for a job, and leases it with what else is there, up to `n`.
---@param n integer
---@param timeout? sluice.Seconds
---@return sluice.jobs.Job[]? list
---@return sluice.jobs.Reason|"timeout"|nil reason
---@return string? message
function Queue:reserve_many(n, timeout) end

---Acknowledges jobs in one commit.
---@param list sluice.jobs.Job[]
---@return true? done
---@return sluice.jobs.Reason|"lease_lost"|nil reason
---@return sluice.jobs.Job[]|string|nil lost
function Queue:ack_many(list) end

---Takes a job out that nobody works on.
---@param id integer
---@return true? done
---@return sluice.jobs.Reason|"not_found"|"leased"|nil reason
---@return string? message
function Queue:cancel(id) end

---Makes dead jobs ready: so many, or the one with that id.
---@param which integer
---@return integer? count
---@return sluice.jobs.Reason? reason
---@return string? message
function Queue:kick(which) end

---@alias sluice.jobs.State "ready"|"delayed"|"leased"|"dead"

---Looks at jobs, in the order in which they would go.
---@param state sluice.jobs.State
---@param n? integer 100 unless given
---@return sluice.jobs.Job[]? list
---@return sluice.jobs.Reason? reason
---@return string? message
function Queue:peek(state, n) end

---Looks at a job.
---@param id integer
---@return sluice.jobs.Job? job
---@return sluice.jobs.Reason|"not_found"|nil reason
---@return string? message
function Queue:job(id) end

---Nobody gets a job until `resume`, in any process.
---@return true? done
---@return sluice.jobs.Reason? reason
---@return string? message
function Queue:pause() end

---@return true? done
---@return sluice.jobs.Reason? reason
---@return string? message
function Queue:resume() end

---Takes all jobs of a state out.
---@param state "ready"|"delayed"|"dead"
---@return integer? count
---@return sluice.jobs.Reason? reason
---@return string? message
function Queue:purge(state) end

---Waits until no job is ready, delayed or leased.
---@param timeout? sluice.Seconds
---@return true? done
---@return sluice.jobs.Reason|"timeout"|nil reason
---@return string? message
function Queue:drain(timeout) end

---@class sluice.jobs.Stats
---@field ready integer
---@field delayed integer
---@field leased integer
---@field dead integer
---@field puts integer
---@field acks integer
---@field retries integer
---@field expired integer
---@field cancelled integer
---@field paused boolean

---Figures, in constant time.
---@return sluice.jobs.Stats? stats
---@return sluice.jobs.Reason? reason
---@return string? message
function Queue:stats() end

-- Jobs -----------------------------------------------------------------------

---@class sluice.jobs.JobFields
---@field id integer
---@field body string|table|nil nil of a damaged job that is looked at
---@field priority number
---@field created number seconds since 1970
---@field attempts integer
---@field max_attempts number
---@field state sluice.jobs.State
---@field lease sluice.Seconds how long it is leased
---@field token? integer of a reserved job
---@field deadline? number of a leased job
---@field due? number of a delayed job
---@field unique? string
---@field error? string of its last failure
---@field queue sluice.jobs.Queue
---@field ended? true its lease was ended

---@class sluice.jobs.Job: sluice.jobs.JobFields
local Job = {}

---The work is done: the job is gone.
---@return true? done
---@return sluice.jobs.Reason|"lease_lost"|nil reason
---@return string? message
function Job:ack() end

---@class sluice.jobs.NackOptions
---@field delay? sluice.Seconds the queue's backoff unless given
---@field error? any what went wrong

---The work failed: it goes again, or is dead.
---@param options? sluice.jobs.NackOptions
---@return true? done
---@return sluice.jobs.Reason|"lease_lost"|nil reason
---@return string? message
function Job:nack(options) end

---@class sluice.jobs.ReleaseOptions
---@field delay? sluice.Seconds

---Gives it back untried: the attempt does not count.
---@param options? sluice.jobs.ReleaseOptions
---@return true? done
---@return sluice.jobs.Reason|"lease_lost"|nil reason
---@return string? message
function Job:release(options) end

---It is dead, whatever attempts it has left.
---@param err? any why
---@return true? done
---@return sluice.jobs.Reason|"lease_lost"|nil reason
---@return string? message
function Job:bury(err) end

---Prolongs the lease.
---@param seconds? sluice.Seconds the job's lease unless given
---@return true? done
---@return sluice.jobs.Reason|"lease_lost"|nil reason
---@return string? message
function Job:touch(seconds) end

-- Workers --------------------------------------------------------------------

---@class sluice.jobs.Worker
local Worker = {}

---Reserves nothing more and awaits the handlers.
---@param grace? sluice.Seconds after which they are cancelled
---@return true? done
---@return "timeout"? reason
function Worker:stop(grace) end

return jobs
