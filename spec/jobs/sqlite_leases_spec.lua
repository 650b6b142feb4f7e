-- Leases over SQLite: how long they are renewed.
local jobs = require "sluice.jobs"
local sluice = require "sluice"
local sqlite = require "spec.support.engines.sqlite"

local function sql(path, text)
  local pipe = assert(io.popen("sqlite3 " .. path, "w"))
  pipe:write(text)
  assert.is_true(pipe:close())
end

-- A test with a new store and its path, in a run.
local function case(name, fn)
  it(name, function()
    sluice.run(function()
      local path = sqlite.path()
      local store <close> = assert(jobs.open("sqlite:" .. path,
        sqlite.options))
      fn(store, path)
    end)
    sqlite.clean()
  end)
end

describe("sqlite: the lease of a running job", function()
  case("ends also when the job cannot be given back", function(store, path)
    local queue = store:queue("mail", { lease = 0.2 })
    queue:put "a"
    local began = sluice.Event()
    local worker = store:worker("mail", function()
      began:set()
      sluice.sleep(10)
    end)
    began:wait()
    sql(path, [[CREATE TRIGGER never BEFORE UPDATE ON job WHEN NEW.state=0
      BEGIN SELECT raise(ABORT,'never'); END]])
    worker:stop(0)
    sql(path, "DROP TRIGGER never")
    assert.equal(2, queue:reserve(5).attempts)
  end)
end)
