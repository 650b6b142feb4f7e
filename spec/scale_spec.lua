-- Many tasks: what they cost, and that it is given back. Real time, with
-- bounds that only a wrong order of growth can miss.

local process = require "spec.support.process"

-- These take gigabytes, or hours under a tool that watches every access.
local pending_under_tools = os.getenv "SLUICE_TOOL" and pending or it

local function prints(expected, program)
  local result = process.lua(program)
  assert.equal("", result.stderr)
  assert.equal(expected, result.stdout)
end

describe("a day of virtual sleeps", function()
  pending_under_tools("takes under a second", function()
    prints("86400.0\ttrue\n", [[
      local testing = require "sluice.testing"
      local began = os.clock()
      local ended = testing.run(function()
        for _ = 1, 86400 do sluice.sleep(1) end
        return sluice.time()
      end)
      print(ended, os.clock() - began < 1)]])
  end)
end)

describe("100,000 tasks cancelled at once", function()
  pending_under_tools("end in under a second", function()
    prints("0\ttrue\n", [[
      local took
      sluice.run(function()
        local tasks = {}
        for i = 1, 100000 do
          tasks[i] = sluice.create_task(sluice.sleep, 1000)
        end
        sluice.sleep(0)
        local began = os.clock()
        for i = 1, 100000 do tasks[i]:cancel() end
        sluice.wait(tasks)
        took = os.clock() - began
      end)
      print(sluice.stats().tasks, took < 1)]])
  end)

  pending_under_tools("in a group, or by the end of the run, as well",
    function()
      prints("true\n", [[
        local function many()
          for _ = 1, 100000 do sluice.create_task(sluice.sleep, 1000) end
          sluice.sleep(0)
        end
        local began = os.clock()
        sluice.run(sluice.task_group, function(group)
          many()
          group:cancel()
        end)
        sluice.run(many)
        print(os.clock() - began < 4)]])
    end)
end)

describe("1,000,000 tasks asleep at once", function()
  pending_under_tools("take under 1.65 GB, given to the next million",
    function()
      prints("true\ttrue\n", [[
        local function resident()
          for line in io.lines "/proc/self/status" do
            local kilobytes = line:match "^VmHWM:%s*(%d+)"
            if kilobytes then return tonumber(kilobytes) * 1024 end
          end
          return 0
        end
        local function million()
          for _ = 1, 1000000 do sluice.create_task(sluice.sleep, 1000) end
          sluice.sleep(0)
        end
        sluice.run(million)
        local first = resident()
        sluice.run(million)
        print(first < 1.65e9, resident() < first * 1.1)]])
    end)
end)

describe("what a task costs", function()
  pending_under_tools("does not grow with their number", function()
    prints("true\n", [[
      local testing = require "sluice.testing"
      local function cost(n)
        local began = os.clock()
        testing.run(function()
          for i = 1, n do sluice.create_task(sluice.sleep, i % 100) end
          sluice.sleep(1000)
        end)
        return (os.clock() - began) / n
      end
      cost(1000)
      print(cost(200000) < 20 * cost(2000))]])
  end)

  pending_under_tools("to await in a chain does not grow with it", function()
    prints("100000\n", [[
      local testing = require "sluice.testing"
      print(testing.run(function()
        local task = sluice.create_task(function()
          sluice.sleep(1)
          return 0
        end)
        for _ = 1, 100000 do
          local before = task
          task = sluice.create_task(function() return before:await() + 1 end)
        end
        return task:await()
      end))]])
  end)
end)
