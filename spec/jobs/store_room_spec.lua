-- How many calls a store has in flight: more wait for room. And what memory
-- they take.
local process = require "spec.support.process"
local sluice = require "sluice"
local sqlite = require "spec.support.engines.sqlite"
local testing = require "sluice.testing"

local MOST = 8192 -- calls in flight

-- A test with a queue over SQLite, and its store's path.
local function case(name, fn)
  sqlite.it(name, function(store, path) fn(store:queue "mail", path) end)
end

-- Keeps what is put in flight until it is let go, when all have put.
local function hold(path)
  local pipe = io.popen(("flock %s-lock sh -c 'echo held; "
    .. "until [ -e %s-go ]; do sleep 0.01; done'"):format(path, path))
  assert.equal("held", pipe:read "l")
  return function()
    testing.settle()
    io.open(path .. "-go", "w"):close()
    pipe:close()
    os.remove(path .. "-go")
  end
end

-- Tasks that put one job each, with their number as its body.
local function put_many(queue, first, last, after)
  local tasks = {}
  for i = first, last do
    tasks[#tasks + 1] = sluice.create_task(function()
      queue:put(tostring(i))
      if after then after() end
    end)
  end
  return tasks
end

-- The most MiB that a program with `store` has had at once.
local function peak(program)
  local result = process.lua(([[
    local store
    sluice.run(function()
      store = assert(require("sluice.jobs").open(%q, { durable = false }))
      %s
      store:close()
    end)
    for line in io.lines "/proc/self/status" do
      print(line:match "VmHWM:%%s+(%%d+)" or "")
    end
  ]]):format(sqlite.url(), program))
  sqlite.clean()
  assert.equal("", result.stderr)
  return tonumber(result.stdout:match "%d+") // 1024
end

describe("who waits for a call's place", function()
  case("has it when those before do not use theirs", function(queue, path)
    local let_go, crowd = hold(path), nil
    put_many(queue, 1, MOST, function()
      for _, task in ipairs(crowd) do task:cancel() end
      crowd = {}
    end)
    crowd = put_many(queue, 1, MOST)
    local last = sluice.create_task(queue.put, queue, "last")
    let_go()
    assert.is_number((last:await(60)))
    assert.equal(MOST + 1, queue:stats().ready)
  end)

  case("has it in the order of arrival", function(queue, path)
    local let_go = hold(path)
    local tasks = put_many(queue, 1, MOST + 1000)
    let_go()
    sluice.wait(tasks)
    local bodies = {}
    for i, job in ipairs(queue:peek("ready", MOST + 1000)) do
      bodies[i] = tonumber(job.body) == i or nil
    end
    assert.equal(MOST + 1000, #bodies)
  end)

  case("does not wait for those who wait in the store", function(queue)
    queue:put "a"
    local job, tasks = queue:reserve(), {}
    for i = 1, MOST + 1 do
      tasks[i] = sluice.create_task(queue.drain, queue)
    end
    sluice.sleep(0.05)
    assert.is_true(sluice.wait_for(2, job.ack, job))
    assert.equal(MOST + 1, #sluice.wait(tasks))
  end)

  it("has it when there is memory for the call", function()
    if os.getenv "SLUICE_TOOL" then return end -- which needs more
    assert.is_true(peak([[
      local queue, body, puts = store:queue "mail", ("x"):rep(1 << 22), {}
      for i = 1, 48 do puts[i] = function() queue:put(body) end end
      sluice.gather(puts)
    ]]) < 150)
  end)
end)

describe("a call that raises", function()
  it("leaves nothing behind", function()
    if os.getenv "SLUICE_TOOL" then return end
    assert.is_true(peak([[
      local queue = store:queue "mail"
      local wrong = { { id = 1, token = "none" } }
      for _ = 1, 50000 do
        assert(not pcall(store.engine.ack, store.engine, queue.q, wrong))
      end
    ]]) < 25)
  end)
end)
