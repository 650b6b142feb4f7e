-- A model test: the same random operations on two stores, one of them
-- memory:, return the same. Each job has a body of its own, by which it is
-- known in both. Left out is what depends on the fraction of a second: the
-- order of jobs that are delayed or dead, and of those that are leased.

local engines = require "spec.support.engines"
local jobs = require "sluice.jobs"

local PRIORITIES = { 0, 0, 0, -0.0, 1, -1, 0.5, 1e308, -math.huge, math.huge }
local DELAYS = { 0, 1000 }
local STATES = { "ready", "delayed", "dead" }
local FINISH = { "ack", "ack", "nack", "release", "bury", "touch" }

local random = math.random

local function one_of(list)
  return list[random(#list)]
end

local function some_options(body)
  local key = random(5) == 1 and "key" .. random(3) or nil
  return {
    body = body, priority = one_of(PRIORITIES), unique = key,
    unique_for = key and random(2) == 1 and 1000 or nil,
    delay = random(6) == 1 and one_of(DELAYS) or nil,
    ttl = random(8) == 1 and 1000 or nil,
    max_attempts = random(5) == 1 and random(2) or nil,
  }
end

-- One of two stores: its queue, its ids by body, the jobs it has given.
local Side = {}
Side.__index = Side

local function new_side(store)
  local queue = assert(store:queue("model", { maxsize = 15, backoff = 0 }))
  return setmetatable({ queue = queue, ids = {}, taken = {} }, Side)
end

local function view(job)
  return { job.body, job.priority, job.state, job.attempts, job.max_attempts,
    job.error or false, job.unique or false }
end

function Side:put(list)
  local ids, found = self.queue:put_many(list)
  for i, id in ipairs(ids or {}) do
    if not (found and found[i]) then self.ids[list[i].body] = id end
  end
  return ids and #ids, found
end

function Side:reserve(n)
  local got, reason = self.queue:reserve_many(n, 0)
  local seen = {}
  for i, job in ipairs(got or {}) do
    self.taken[#self.taken + 1] = job
    seen[i] = view(job)
  end
  return seen, reason
end

function Side:finish(at, method, argument)
  local job = self.taken[#self.taken - at]
  if job then return job.body, job[method](job, argument) end
end

function Side:job(body)
  local job, reason = self.queue:job(self.ids[body] or 1)
  return job and view(job), reason
end

function Side:cancel(body)
  return self.queue:cancel(self.ids[body] or 1)
end

function Side:kick(body)
  return self.queue:kick(body and self.ids[body] or 1000)
end

function Side:peek(n)
  local seen = {}
  for i, job in ipairs(self.queue:peek("ready", n)) do seen[i] = view(job) end
  return seen
end

function Side:call(method, ...)
  return self.queue[method](self.queue, ...)
end

local ARGUMENT = {
  nack = function()
    return { delay = one_of(DELAYS), error = random(2) == 1 and "e" or nil }
  end,
  release = function() return { delay = one_of(DELAYS) } end,
  bury = function() return random(2) == 1 and "no" or nil end,
}

local function put(step)
  local list = {}
  for i = 1, random(3) do list[i] = some_options(step .. "." .. i) end
  return "put", list
end

local function finish()
  local method = one_of(FINISH)
  return "finish", random(0, 4), method, ARGUMENT[method] and ARGUMENT[method]()
end

local function some_body(step)
  return random(step) .. ".1"
end

-- Each returns a method of Side and its arguments.
local OPERATIONS = {
  put, put, put, finish, finish, finish,
  function() return "reserve", random(3) end,
  function() return "reserve", random(3) end,
  function(step) return "job", some_body(step) end,
  function(step) return "cancel", some_body(step) end,
  function(step) return "kick", random(2) == 1 and some_body(step) or nil end,
  function() return "peek", random(20) end,
  function() return "call", random(3) == 1 and "pause" or "resume" end,
  function() return "call", "drain", 0 end,
  function()
    if random(5) > 1 then return "peek", 1 end
    return "call", "purge", one_of(STATES)
  end,
}

local function check_step(step, model, side)
  local what = table.pack(one_of(OPERATIONS)(step))
  local method = what[1]
  local wanted = table.pack(model[method](model, table.unpack(what, 2, what.n)))
  local got = table.pack(side[method](side, table.unpack(what, 2, what.n)))
  wanted.n, got.n = nil, nil -- a nil at the end is no difference
  assert.same(wanted, got, ("step %d: %s"):format(step, method))
  assert.same(model.queue:stats(), side.queue:stats(),
    ("the figures after step %d: %s"):format(step, method))
end

engines.describe("a store", function(it)
  it("does as a model, whatever is asked of it", function(store)
    local reference <close> = assert(jobs.open "memory:")
    local seed = random(2^31)
    math.randomseed(seed)
    local model, side = new_side(reference), new_side(store)
    for step = 1, 300 do
      local ok, err = pcall(check_step, step, model, side)
      if not ok then error(("seed %d, %s"):format(seed, tostring(err)), 0) end
    end
    assert.is_true(store:check())
  end)
end)
