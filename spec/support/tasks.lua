--- Small helpers for specs that start several tasks.

local assert = require "luassert"
local sluice = require "sluice"
local testing = require "sluice.testing"

local tasks = {}

--- Starts fn(...) and lets it run until it blocks.
function tasks.start(fn, ...)
  local task = sluice.create_task(fn, ...)
  testing.settle()
  return task
end

--- Starts n tasks fn(i), in order, each until it blocks.
function tasks.start_each(n, fn)
  local list = {}
  for i = 1, n do list[i] = tasks.start(fn, i) end
  return list
end

--- Cancels tasks and waits until they have ended.
function tasks.cancel(...)
  for _, task in ipairs { ... } do task:cancel() end
  for _, task in ipairs { ... } do task:pawait() end
end

--- What a task that was cancelled ended with: its error must be that.
function tasks.ends_cancelled(task)
  local ok, err = task:pawait()
  assert.is_false(ok)
  assert.is_true(sluice.is_cancelled(err))
end

return tasks
