local sluice = require "sluice"
local child = dofile "examples/lib/child.lua"

--- Runs fn with a shell's program; returns its pid once it is closed.
local function run(program, fn)
  return sluice.run(function()
    local process <close> = child.start { "sh", "-c", program }
    process.patience = 0.2
    repeat sluice.sleep(0.01) until process:new_lines()[1] == "ready"
    fn(process)
    return process:pid()
  end)
end

local function is_alive(pid)
  return os.execute(("kill -0 %d 2>/dev/null"):format(pid)) or false
end

describe("examples/lib/child.lua", function()
  it("passes words on as they are", function()
    sluice.run(function()
      local echo <close> = child.start { "echo", "it's", "$HOME; \"x\"" }
      assert.equal(0, echo:wait(5))
      assert.same({ "it's $HOME; \"x\"" }, echo:new_lines())
    end)
  end)

  it("knows the exit status", function()
    run("echo ready; exit 7", function(process)
      assert.equal(7, process:wait(5))
      assert.is_false(process:alive())
    end)
  end)

  it("reads only complete lines, each once", function()
    run("echo ready; sleep 0.1; printf 'a\\nb'; sleep 0.1; printf 'c\\n'",
      function(process)
        local lines = {}
        repeat
          sluice.sleep(0.01)
          local ended = process:status()
          table.move(process:new_lines(), 1, 9, #lines + 1, lines)
        until ended
        assert.same({ "a", "bc" }, lines)
      end)
  end)

  it("leaves no process behind, also after an error", function()
    local pid
    assert.has_error(function()
      run("echo ready; exec sleep 100", function(process)
        pid = process:pid()
        assert.is_true(process:alive())
        error "failed"
      end)
    end)
    assert.is_false(is_alive(pid))
  end)

  it("kills what does not end when asked to", function()
    local pid = run("trap '' TERM; echo ready; while :; do sleep 0.01; done",
      function() end)
    assert.is_false(is_alive(pid))
  end)
end)
