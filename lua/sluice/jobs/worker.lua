--- sluice.jobs.worker: tasks that work on the jobs of a queue.
--
-- One task fetches: it reserves as many jobs as there are handlers free (and
-- `prefetch` more) and puts them in an inbox; `concurrency` tasks take them
-- from there. Whatever ends a handler, its job is acknowledged, tried again,
-- or given back: a job that was reserved is never left to its lease.

local sluice = require "sluice"
local backoff = require "sluice.jobs.backoff"
local methods = require "sluice.methods"
local options = require "sluice.jobs.options"

local Worker = {}
Worker.__index = Worker
Worker.__name = "sluice.jobs.Worker"

local MOST = 1000000 -- tasks, and jobs ahead: what memory there may be for

local function bounded(check)
  return function(value)
    local wrong = check(value)
    if not wrong and value > MOST then
      wrong = ("more than %d"):format(MOST)
    end
    return wrong
  end
end

Worker.OPTIONS = {
  concurrency = bounded(options.positive_count),
  prefetch = bounded(options.count),
  heartbeat = options.boolean,
}

local FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5 -- seconds between two tries

-- What may be well again a little later.
local PASSING = { unavailable = true, unknown = true, disk_full = true }

-- Calls fn(...) until it succeeds or fails for good.
local function persist(fn, ...)
  local pause = FIRST_PAUSE
  while true do
    local done, reason, message = fn(...)
    if done or not PASSING[reason] then return done, reason, message end
    sluice.sleep(pause)
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end

-- -- one job --

-- Given back untried, whatever happens to the worker.
local function give_back(worker, jobs)
  local list = {}
  for _, job in ipairs(jobs) do
    if not job.ended then list[#list + 1] = job end
  end
  if #list == 0 then return end
  local queue = worker.queue
  sluice.shield(queue.engine.release, queue.engine, queue.q, list)
  for _, job in ipairs(list) do job.ended = true end
end

local Guard = {
  __close = function(self) give_back(self.worker, { self.job }) end,
}

-- Tells the store how a handler ended. Once it has, its job is not to be done
-- again for a cancellation: the first try is made in any case.
local function finish(job, method, ...)
  local done, reason = sluice.shield(method, job, ...)
  if not done and PASSING[reason] then persist(method, job, ...) end
end

-- Seconds until the next attempt. A backoff function that raises is told like
-- a task that nobody awaits: the job, and what its handler said, matter more.
local function pause_after(job)
  local ok, seconds = sluice.pcall(job.queue.backoff, job.attempts, job)
  if ok then return seconds end
  sluice.call_soon(error, seconds, 0)
  return backoff.default(job.attempts)
end

local function handle(worker, job)
  local _ <close> = setmetatable({ worker = worker, job = job }, Guard)
  local ok, err = sluice.pcall(worker.handler, job)
  if job.ended then return end
  if ok then
    finish(job, job.ack)
    worker.done = worker.done + 1
  else
    -- error() has a reason, too: not that of the failure before.
    if err == nil then err = "nil" end
    finish(job, job.nack, { error = err, delay = pause_after(job) })
    worker.failed = worker.failed + 1
  end
  job.ended = true -- or its lease was lost, or the store closed
end

-- A task that ends before its time was cancelled by its handler. Then the
-- worker ends: what is reserved for it has to be given back.
local Post = {
  __close = function(self)
    self.worker.fetcher:cancel("a handler has cancelled its task")
  end,
}

local function work(worker)
  local _ <close> = setmetatable({ worker = worker }, Post)
  for job in worker.inbox do
    worker.running = worker.running + 1
    handle(worker, job)
    worker.running = worker.running - 1
    worker.places:release()
  end
end

-- -- fetching --

-- Waits for a free place; takes what others are free, too. Returns how many.
local function take_places(worker)
  worker.places:acquire()
  local n = 1
  while n < worker.most and worker.places:acquire(0) do n = n + 1 end
  return n
end

local function fetch_once(worker)
  local queue, n = worker.queue, take_places(worker)
  local jobs, reason, message = persist(queue.reserve_many, queue, n)
  if not jobs then return nil, reason, message end
  for _ = #jobs + 1, n do worker.places:release() end
  if worker.heartbeat then queue.engine:keep(queue.q, jobs) end
  for _, job in ipairs(jobs) do worker.inbox:put_nowait(job) end
  return true
end

-- Nothing is fetched any more: what nobody has begun is given back.
local Inbox = {
  __close = function(self)
    give_back(self.worker, self.worker.inbox:shutdown(true))
  end,
}

local function fetch(worker)
  local _ <close> = setmetatable({ worker = worker }, Inbox)
  local more, reason, message
  repeat more, reason, message = fetch_once(worker) until not more
  if reason == "closed" then return end
  -- A worker that ended without a word would look like an idle one.
  error(("the worker of '%s' ends: %s"):format(worker.queue.name,
    message or reason), 0)
end

-- -- the worker --

local function start_task(worker, fn, what)
  local task = sluice.create_task(fn, worker)
  task.name = ("%s '%s'"):format(what, worker.queue.name)
  return task
end

--- Starts a worker. Never waits.
function Worker.start(queue, handler, opts)
  local concurrency = math.tointeger(opts.concurrency) or 1
  local most = concurrency + (math.tointeger(opts.prefetch) or 0)
  local self = setmetatable({
    queue = queue, handler = handler, most = most,
    heartbeat = opts.heartbeat ~= false,
    inbox = sluice.Queue(), places = sluice.Semaphore(most),
    running = 0, done = 0, failed = 0, tasks = {},
  }, Worker)
  self.fetcher = start_task(self, fetch, "fetch from")
  for i = 1, concurrency do
    self.tasks[i] = start_task(self, work, "work on")
  end
  return self
end

function Worker:__tostring()
  return ("sluice.jobs.Worker ('%s', %d running, %d done, %d failed)")
    :format(self.queue.name, self.running, self.done, self.failed)
end

--- Stops the worker: nothing more is reserved, what was not begun is given
-- back, and the handlers that run are awaited.
-- @param[opt] grace seconds after which handlers are cancelled and their jobs
-- given back; nil is for ever
-- @return true; or nil, "timeout" if handlers had to be cancelled
-- Waits.
function Worker:stop(grace)
  options.check_timeout(grace, 1, "stop")
  for _, task in ipairs(self.tasks) do
    if task == sluice.current_task() then
      error("a handler cannot wait for the end of its own worker", 2)
    end
  end
  require("sluice.core").checkpoint("stop")
  self.fetcher:cancel("the worker is stopped")
  self.fetcher:pawait()
  local _, pending = sluice.wait(self.tasks, { timeout = grace })
  for _, task in ipairs(pending) do task:cancel("the worker is stopped") end
  for _, task in ipairs(pending) do task:pawait() end
  if #pending > 0 then return nil, "timeout" end
  return true
end

return methods.guard(Worker, "start")
