-- SIGINT and SIGQUIT, sent to real processes.

local process = require "spec.support.process"

local function has(text, word)
  assert.truthy(text:find(word, 1, true), ("no %q in:\n%s"):format(word, text))
end

describe("SIGINT", function()
  it("cancels main with the reason interrupted", function()
    local result = process.lua [[
      local ok, err = pcall(sluice.run, function()
        signal "INT"
        sluice.sleep(60)
      end)
      print(ok, sluice.is_cancelled(err), err.reason)]]
    assert.equal("false\ttrue\tinterrupted\n", result.stdout)
  end)

  it("ends a script with status 130", function()
    local result = process.sluice 'signal "INT" sluice.sleep(60)'
    assert.equal(130, result.status)
    has(result.stderr, "interrupted")
  end)

  it("wakes a loop that is asleep", function()
    local result = process.sluice [[
      io.popen("(sleep 0.1; kill -INT $PPID) & true"):close()
      local began = sluice.time()
      local ok = pcall(sluice.sleep, 50)
      print(ok, sluice.time() - began < 20)]]
    assert.equal("false\ttrue\n", result.stdout)
  end)

  it("lets main wind up", function()
    local result = process.sluice [[
      local _ <close> = setmetatable({}, { __close = function()
        sluice.shield(sluice.sleep, 0.01)
        print "wound up"
      end })
      signal "INT"
      sluice.sleep(60)]]
    assert.equal("wound up\n", result.stdout)
    assert.equal(130, result.status)
  end)

  it("leaves the other tasks to the end of the run", function()
    local result = process.sluice [[
      local task = sluice.create_task(function()
        local ok, err = pcall(sluice.sleep, 60)
        print("task", ok, err.reason == "interrupted")
      end)
      sluice.sleep(0)
      signal "INT"
      local ok, err = pcall(sluice.sleep, 60)
      print("main", err.reason, task:done())]]
    assert.equal("main\tinterrupted\tfalse\ntask\tfalse\tfalse\n",
      result.stdout)
  end)

  it("stays a cancellation, whatever main swallows", function()
    local result = process.sluice [[
      signal "INT"
      for i = 1, 3 do print(pcall(sluice.sleep, 60)) end]]
    assert.equal(("false\tcancelled: interrupted\n"):rep(3), result.stdout)
  end)

  it("keeps the reason that main was cancelled with before", function()
    local result = process.sluice [[
      sluice.current_task():cancel("first")
      signal "INT"
      print(pcall(sluice.sleep, 60))]]
    assert.equal("false\tcancelled: first\n", result.stdout)
  end)

  it("works in each run anew", function()
    local result = process.lua [[
      for _ = 1, 3 do
        print(pcall(sluice.run, function() signal "INT" sluice.sleep(60) end))
      end]]
    assert.equal(("false\tcancelled: interrupted\n"):rep(3), result.stdout)
  end)

  it("before a run or after one ends the process as usual", function()
    local result = process.lua [[
      sluice.run(sluice.sleep, 0)
      signal "INT"
      for _ = 1, 1e9 do end]]
    assert.not_equal(0, result.status)
    assert.falsy(result.stderr:find("sluice:", 1, true))
  end)
end)

describe("a second SIGINT", function()
  it("ends the process with status 130", function()
    local result = process.sluice [[
      local _ <close> = setmetatable({}, { __close = function()
        signal "INT"
        sluice.shield(sluice.sleep, 60)
      end })
      signal "INT"
      sluice.sleep(60)]]
    assert.equal(130, result.status)
  end)

  it("ends a script that computes for ever", function()
    local result = process.sluice [[
      signal "INT"
      signal "INT"
      while true do end]]
    assert.equal(130, result.status)
  end)

  it("ends a script that a plain interpreter runs", function()
    local result = process.lua [[
      sluice.run(function()
        signal "INT"
        signal "INT"
        while true do end
      end)]]
    assert.equal(130, result.status)
  end)

  it("ends a script whose tasks hang at its end", function()
    local result = process.sluice [[
      sluice.create_task(sluice.shield, function()
        signal "INT"
        sluice.sleep(60)
      end)
      signal "INT"
      sluice.sleep(0)]]
    assert.equal(130, result.status)
  end)
end)

describe("SIGQUIT", function()
  it("prints the dump and the script goes on", function()
    local result = process.sluice [[
      sluice.current_task().name = "head baker"
      local task = sluice.create_task(function()
        sluice.current_task().name = "eater"
        sluice.Event():wait()
      end)
      sluice.sleep(0)
      signal "QUIT"
      sluice.sleep(0.01)
      print "went on"]]
    assert.equal("went on\n", result.stdout)
    assert.equal(0, result.status)
    has(result.stderr, "head baker")
    has(result.stderr, "eater")
    has(result.stderr, "Event:wait")
  end)

  it("works any number of times", function()
    local result = process.sluice [[
      for _ = 1, 3 do
        signal "QUIT"
        sluice.sleep(0.01)
      end]]
    assert.equal(0, result.status)
    assert.equal(3, select(2, result.stderr:gsub("%(main%)", "")))
  end)
end)

describe("a script that was started with SIGQUIT ignored", function()
  it("goes on ignoring it", function()
    local result = process.lua [[
      local script = os.tmpname()
      local file = io.open(script, "w")
      file:write [=[
        local sluice = require "sluice"
        sluice.run(function()
          io.popen("kill -QUIT $PPID"):close()
          sluice.sleep(0.01)
          print "unharmed"
        end)]=]
      file:close()
      os.execute("trap '' QUIT; " .. (os.getenv "LUA" or "lua5.4") .. " "
        .. script)
      os.remove(script)]]
    assert.equal("unharmed\n", result.stdout)
    assert.equal("", result.stderr)
  end)
end)

describe("a listener", function()
  it("is of at least one signal, and says of which", function()
    process.prints("false\nsluice.Signal (SIGINT, SIGUSR1)\n"
      .. "sluice.Signal (SIGINT, SIGUSR1, closed)\n", [[
      local sluice = require "sluice"
      sluice.run(function()
        print((pcall(sluice.Signal)))
        local signal = sluice.Signal("SIGUSR1", "SIGINT")
        print(signal)
        signal:close()
        print(signal)
      end)]])
  end)
end)

describe("a task that listens for a signal", function()
  it("is no deadlock when another listener has had its own", function()
    process.prints("SIGUSR1\nSIGUSR2\n", [[
      local sluice = require "sluice"
      sluice.run(function()
        local one <close> = sluice.Signal "SIGUSR1"
        local two <close> = sluice.Signal "SIGUSR2"
        local first = sluice.create_task(one.wait, one)
        local second = sluice.create_task(two.wait, two)
        sluice.sleep(0)
        local pid = io.open("/proc/self/stat"):read("n")
        os.execute("kill -USR1 " .. pid)
        print(first:await())
        os.execute("(sleep 0.1; kill -USR2 " .. pid .. ") &")
        print(second:await())
      end)]])
  end)
end)
