-- The end of the process and of the Lua state, with everything in flight.

local process = require "spec.support.process"

-- Starts one of everything, then runs `last` in main.
local function with_everything(last)
  return [[
    local function everything()
      local queue, lock, event = sluice.Queue(1), sluice.Lock(), sluice.Event()
      local tasks = {}
      local function start(fn, ...)
        tasks[#tasks + 1] = sluice.create_task(fn, ...)
      end
      start(queue.get, queue)
      start(event.wait, event, 60)
      start(function()
        local _ <close> = lock:acquire()
        sluice.sleep(60)
      end)
      start(function() local _ <close> = lock:acquire() end)
      start(sluice.wait_for, 50, sluice.sleep, 60)
      start(sluice.shield, sluice.sleep, 0.01)
      start(sluice.task_group, function(group)
        for _ = 1, 3 do group:create_task(sluice.sleep, 60) end
        local _ <close> = sluice.timeout(50)
        sluice.sleep(60)
      end)
      start(sluice.gather, { tasks[1], tasks[2], function()
        sluice.sleep(60)
      end })
      start(sluice.wait, { tasks[1], tasks[3] })
      start(function()
        for _ in sluice.as_completed { tasks[1], tasks[2] } do print "x" end
      end)
      start(sluice.to_thread, function() return 1 end)
      sluice.call_later(50, error)
      sluice.create_task(type, 1)
      tasks[1].name = "first"
      return tasks
    end
    ]] .. last
end

local function ends(status, program)
  local result = process.lua(with_everything(program))
  assert.equal("", result.stderr)
  assert.equal(status, result.status)
  return result.stdout
end

describe("os.exit in a task", function()
  it("ends the process", function()
    ends(7, [[
      sluice.run(function()
        everything()
        sluice.sleep(0)
        os.exit(7)
      end)]])
  end)

  it("that closes the state does too", function()
    ends(7, [[
      sluice.run(function()
        everything()
        sluice.sleep(0)
        os.exit(7, true)
      end)]])
  end)

  it("works in a child, a coroutine, a finaliser", function()
    for _, exit in ipairs {
      "sluice.create_task(os.exit, 7, true) sluice.sleep(1)",
      "coroutine.wrap(os.exit)(7, true)",
      "setmetatable({}, { __gc = function() os.exit(7, true) end }) "
        .. "collectgarbage()",
      "sluice.task_group(function(group) "
        .. "group:create_task(os.exit, 7, true) end)",
    } do
      ends(7, ([[
        sluice.run(function()
          everything()
          sluice.sleep(0)
          %s
        end)]]):format(exit))
    end
  end)
end)

describe("the end of the state", function()
  it("after a run with everything leaves nothing", function()
    ends(0, [[
      sluice.run(function()
        everything()
        sluice.sleep(0)
      end)]])
  end)

  it("finds objects in any order of their finalisers", function()
    ends(0, [[
      kept = {}
      for _ = 1, 3 do
        sluice.run(function()
          for _, task in ipairs(everything()) do kept[#kept + 1] = task end
          kept[#kept + 1] = sluice.timeout(5)
          sluice.task_group(function(group) kept[#kept + 1] = group end)
          sluice.sleep(0)
        end)
      end
      setmetatable(kept, { __gc = function(list)
        for _, object in ipairs(list) do tostring(object) end
        pcall(sluice.run, type, 1)
        pcall(list[1].cancel, list[1])
        sluice.stats()
        sluice.dump()
      end })]])
  end)

  it("after an error that ended the script leaves nothing", function()
    local result = process.lua(with_everything [[
      sluice.run(function()
        everything()
        sluice.sleep(0)
        error "spoiled milk"
      end)]])
    assert.equal(1, result.status)
    assert.truthy(result.stderr:find("spoiled milk", 1, true))
  end)
end)

describe("a module that is loaded twice", function()
  it("is the same module, whose objects work together", function()
    ends(0, [[
      package.loaded.sluice, package.loaded["sluice.core"] = nil, nil
      local again = require "sluice"
      collectgarbage()
      local queue = sluice.Queue()
      again.run(function()
        sluice.create_task(queue.put, queue, "x")
        assert(queue:get() == "x")
      end)
      sluice.run(again.sleep, 0)]])
  end)
end)

describe("a process without stdin, stdout and stderr", function()
  -- No socket of ours gets a number that print writes to.
  it("runs tasks, and prints to nowhere", function()
    local result = process.lua([[
      local net = require "sluice.net"
      local function echo(stream) stream:write(stream:readline()) end
      sluice.run(function()
        local server <close> = assert(net.serve(echo, "127.0.0.1", 0))
        local stream <close> = assert(net.connect(server:sockname()))
        print "text"
        stream:write "line\n"
        os.exit(stream:read_all() == "line" and 3)
      end)]], "sh -c 'exec \"$@\" <&- >&- 2>&-' sh")
    assert.same({ 3, "", "" }, { result.status, result.stdout, result.stderr })
  end)
end)
