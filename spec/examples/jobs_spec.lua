-- The example of jobs as processes that it starts itself, over each engine
-- that lasts.

local child = dofile "examples/lib/child.lua"
local engines = require "spec.support.engines"
local process = require "spec.support.process"
local sluice = require "sluice"

local LUA = os.getenv "LUA" or "lua5.4"

--- Runs the example; returns its lines, and what was sent how often.
local function run(...)
  local lines, sent = {}, {}
  sluice.run(function(...)
    local script <close> = child.start {
      LUA, "bin/sluice", "examples/jobs.lua", "--work", "0.1", "--every",
      "0.03", ...,
    }
    local status = script:wait(30)
    lines = script:new_lines()
    assert.equal(0, status, table.concat(lines, "\n"))
  end, ...)
  for _, line in ipairs(lines) do
    local number = line:match "sent mail (%d+)$"
    if number then sent[number] = (sent[number] or 0) + 1 end
  end
  return lines, sent, table.concat(lines, "\n")
end

-- A process that is killed may have sent a mail and not have said so to the
-- store: then it is sent twice.
local function assert_story(lines, sent, text)
  for n = 1, 12 do
    local times = sent[tostring(n)] or 0
    assert.is_true(times == (n == 7 and 0 or 1) or n ~= 7 and times == 2, text)
  end
  assert.truthy(text:find("sends mail 3 to %a+, attempt 2"), text)
  assert.truthy(text:find("worker %d  is killed"), text)
  assert.truthy(lines[#lines - 1]:find "put 12, done 11, tried again %d+ ")
  assert.truthy(lines[#lines]:find("dead +mail 7 to nobody@nowhere after 3 "
    .. "attempts: there is no such address$"))
end

describe("examples/jobs.lua", function()
  it("sends every mail, though a process is killed", function()
    assert_story(run())
  end)

  it("tells things when they happen", function()
    local last = 0
    for _, line in ipairs((run())) do
      local at = tonumber(line:match "^ *([%d.]+)  ")
      assert.is_true(at >= last)
      last = at
    end
    assert.is_true(last > 0.4)
  end)

  it("takes a store that is told", function()
    for _, engine in ipairs(engines.list) do
      if engine.name == "redis" then
        engine.start()
        local url
        sluice.run(function() url = engine.url() end)
        assert_story(run("--store", url))
        engine.finish()
      end
    end
  end)

  --- Runs it with SIGINT after the first mail that was sent.
  local function interrupted()
    local script <close> = child.start { LUA, "bin/sluice",
      "examples/jobs.lua" }
    local text = ""
    while not text:find "sent mail" do
      text = text .. table.concat(script:new_lines(), "\n")
      sluice.sleep(0.02)
    end
    script:signal "INT"
    return script:wait(10), table.concat(script:new_lines(), "\n")
  end

  it("ends without complaint when it is interrupted", function()
    sluice.run(function()
      local status, text = assert(sluice.wait_for(30, interrupted))
      assert.equal(130, status)
      assert.truthy(text:find "sluice: interrupted$")
      assert.is_nil(text:find("nobody awaits", 1, true), text)
    end)
  end)

  it("refuses a store that its processes cannot share", function()
    local result = process.command { LUA, "bin/sluice", "examples/jobs.lua",
      "--store", "memory:" }
    assert.equal(1, result.status)
    assert.truthy(result.stderr:find "%-%-store: memory: lies in one process")
  end)
end)
