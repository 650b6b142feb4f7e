-- Leases over SQLite: how long they are renewed.
local jobs = require "sluice.jobs"
local sluice = require "sluice"
local sqlite = require "spec.support.engines.sqlite"

local function sql(path, text)
  local pipe = assert(io.popen("sqlite3 " .. path, "w"))
  pipe:write(text)
  assert.is_true(pipe:close())
end

-- A table that SQLite checks for longer than a lease lasts.
local function slow_check(path)
  sql(path, [[PRAGMA ignore_check_constraints=ON;
    CREATE TABLE slow(x, CHECK(instr(hex(zeroblob(20000+x)),'1')=0));
    WITH RECURSIVE n(x) AS(SELECT 1 UNION ALL SELECT x+1 FROM n LIMIT 14000)
      INSERT INTO slow SELECT x FROM n;]])
end

-- A worker that is at a job of the queue until it is cancelled.
local function work(store, queue)
  local began = sluice.Event()
  queue:put "a"
  local worker = store:worker(queue.name, function()
    began:set()
    sluice.sleep(10)
  end)
  began:wait()
  return worker
end

describe("sqlite: the lease of a running job", function()
  sqlite.it("ends also when the job cannot be given back", function(store, path)
    local queue = store:queue("mail", { lease = 0.2 })
    local worker = work(store, queue)
    sql(path, [[CREATE TRIGGER never BEFORE UPDATE ON job WHEN NEW.state=0
      BEGIN SELECT raise(ABORT,'never'); END]])
    worker:stop(0)
    sql(path, "DROP TRIGGER never")
    assert.equal(2, queue:reserve(5).attempts)
  end)

  sqlite.it("is renewed while the store is checked", function(store, path)
    slow_check(path)
    local worker = work(store, store:queue("mail", { lease = 0.5 }))
    local other <close> = assert(jobs.open("sqlite:" .. path, sqlite.options))
    local mail = other:queue "mail"
    local task = sluice.create_task(mail.reserve, mail, 1)
    local start = sluice.time()
    assert.is_true(store:check())
    assert.is_true(sluice.time() - start > 0.6, "it was no long check")
    assert.same({ nil, "timeout" }, { task:await() })
    worker:stop(0)
  end)
end)
