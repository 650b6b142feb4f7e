local errors = require "spec.support.errors"
local jobs = require "sluice.jobs"
local process = require "spec.support.process"
local sluice = require "sluice"
local testing = require "sluice.testing"

-- A test with a store and a queue in memory.
local function case(name, fn)
  testing.it(name, function()
    local store <close> = jobs.open "memory:"
    fn(store:queue "mail", store)
  end)
end

describe("jobs.open", function()
  testing.it("tells of a URL that it does not know", function()
    for _, url in ipairs { "", "orders.db", "mysql:x", "memory" } do
      local store, message, code = jobs.open(url)
      assert.same({ nil, "EINVAL" }, { store, code })
      assert.matches("not the URL of a job store", message)
    end
  end)

  testing.it("tells no password with a URL that is wrong", function()
    for _, url in ipairs { "redis://u:se/cret@h", "redys://u:secret@h" } do
      local _, message = jobs.open(url)
      assert.matches("'%a+://%*%*%*@h'", message)
    end
  end)

  it("says what to install where a library is missing", function()
    for _, case_of in ipairs {
      { "sqlite", "sqlite:x", "SQLite", "libsqlite3-dev" },
      { "hiredis", "redis://h", "hiredis", "libhiredis-dev" } } do
      local name, url, library, package = table.unpack(case_of)
      process.prints(([[nil	sluice was built without %s; install it ]]
        .. "(Debian: %s) and build sluice again\tENOTSUP\n")
        :format(library, package), ([[
        package.preload["sluice.native.%s"] = function()
          error "module 'sluice.native.%s' not found:"
        end
        sluice.run(function()
          print(require("sluice.jobs").open "%s")
        end)]]):format(name, name, url))
    end
  end)

  testing.it("tells of a path that memory: does not have", function()
    assert.equal("EINVAL", select(3, jobs.open "memory:x"))
  end)

  testing.it("raises mistakes at the caller's line", function()
    errors.raises("bad argument #1 to 'open' (string expected, got nil)",
      function() jobs.open() end)
    errors.raises("bad argument #2 to 'open' (unknown option 'duable')",
      function() jobs.open("memory:", { duable = true }) end)
  end)

  it("must be called in a task", function()
    errors.raises_match("'open' can wait, so it must be called in a task",
      function() jobs.open "memory:" end)
  end)
end)

describe("a mistake", function()
  case("in a body is raised by put", function(queue)
    errors.raises("bad argument #1 to 'put' (string or table expected, got "
      .. "nil)", function() queue:put() end)
    errors.raises_match("#1 to 'put' %(the body cannot be said in JSON",
      function() queue:put { f = print } end)
    errors.raises_match("#1 to 'put' %(the body cannot be said in JSON",
      function() queue:put { 0 / 0 } end)
    assert.equal(0, queue:stats().puts)
  end)

  case("is raised in a script whose path is like ours", function(queue)
    local script = assert(load("local q = ... return function() q:put() end",
      "@sluice/jobs/mail.lua"))
    errors.raises("bad argument #1 to 'put' (string or table expected, got "
      .. "nil)", script(queue))
  end)

  case("in a body's size is raised by put", function()
    local store <close> = jobs.open("memory:", { max_body = 10 })
    local queue = store:queue "mail"
    assert.is_number(queue:put(("x"):rep(10)))
    errors.raises("bad argument #1 to 'put' (the body has 11 bytes, at most "
      .. "10 are allowed)", function() queue:put(("x"):rep(11)) end)
  end)

  case("in a body is what is larger than engines can store", function()
    local store <close> = jobs.open("memory:", { max_body = math.huge })
    assert.equal(500000000, store.max_body)
  end)

  case("in an option is raised by put", function(queue)
    errors.raises("bad argument #2 to 'put' (unknown option 'prio')",
      function() queue:put("a", { prio = 1 }) end)
    errors.raises("bad argument #2 to 'put' (option 'priority': number is "
      .. "NaN)", function() queue:put("a", { priority = 0 / 0 }) end)
    errors.raises("bad argument #2 to 'put' (option 'delay': duration is "
      .. "negative)", function() queue:put("a", { delay = -1 }) end)
    errors.raises("bad argument #2 to 'put' (option 'lease': number "
      .. "expected, got string)",
      function() queue:put("a", { lease = "1" }) end)
    errors.raises("bad argument #2 to 'put' (options 'at' and 'delay' exclude "
      .. "each other)", function() queue:put("a", { at = 1, delay = 1 }) end)
    errors.raises("bad argument #2 to 'put' (option 'unique': string is "
      .. "empty)", function() queue:put("a", { unique = "" }) end)
    errors.raises("bad argument #2 to 'put' (option 'unique_for' needs "
      .. "'unique')", function() queue:put("a", { unique_for = 1 }) end)
  end)

  case("in the number of tasks is raised by worker", function(_, store)
    errors.raises("bad argument #3 to 'worker' (option 'concurrency': more "
      .. "than 1000000)",
      function() store:worker("mail", print, { concurrency = 1e9 }) end)
    errors.raises("bad argument #3 to 'worker' (option 'prefetch': more than "
      .. "1000000)",
      function() store:worker("mail", print, { prefetch = math.huge }) end)
  end)

  case("in the length of a list is raised by put_many", function(queue)
    queue.engine = { most_put = 2 } -- as that of Redis, which has a limit
    errors.raises("bad argument #1 to 'put_many' (3 jobs, at most 2 are "
      .. "allowed)", function() queue:put_many { "a", "b", "c" } end)
  end)

  case("in a name is raised by queue", function(_, store)
    errors.raises_match("#1 to 'queue' %(1 to 128 bytes",
      function() store:queue "" end)
    errors.raises_match("#1 to 'queue' %(string expected, got number",
      function() store:queue(1) end)
    errors.raises_match("#2 to 'queue' %(option 'backoff': unknown field 'a'",
      function() store:queue("a", { backoff = { a = 1 } }) end)
  end)

  case("in a timeout or a number is raised by reserve", function(queue)
    errors.raises("bad argument #1 to 'reserve' (duration is negative)",
      function() queue:reserve(-1) end)
    errors.raises("bad argument #1 to 'reserve_many' (number has no integer "
      .. "representation)", function() queue:reserve_many(1.5) end)
    errors.raises("bad argument #1 to 'reserve_many' (number is zero)",
      function() queue:reserve_many(0) end)
  end)

  case("in a state is raised by peek and purge", function(queue)
    errors.raises("bad argument #1 to 'peek' ('ready', 'delayed', 'leased' or "
      .. "'dead' expected, got 'done')", function() queue:peek "done" end)
    errors.raises_match("leased jobs belong to who works on them",
      function() queue:purge "leased" end)
  end)

  case("in an item is raised by put_many, which tells it", function(queue)
    errors.raises("bad argument #1 to 'put_many' (item 2: string or table "
      .. "expected, got boolean)", function() queue:put_many { "a", true } end)
    errors.raises("bad argument #1 to 'put_many' (item 1: option 'ttl': "
      .. "duration is zero)",
      function() queue:put_many { { body = "a", ttl = 0 } } end)
    assert.equal(0, queue:stats().puts)
  end)

  case("in a list with a hole is raised by put_many", function(queue)
    errors.raises("bad argument #1 to 'put_many' (a list expected; item 2 is "
      .. "nil, but there are 2)",
      function() queue:put_many { "a", nil, "b" } end)
    errors.raises("bad argument #1 to 'put_many' (a list expected; item 1 is "
      .. "nil, but there are 1)", function() queue:put_many { body = "a" } end)
  end)

  case("in a list with a hole is raised by ack_many", function(queue)
    queue:put_many { "a", "b" }
    local list = queue:reserve_many(2)
    errors.raises("bad argument #1 to 'ack_many' (a list expected; item 2 is "
      .. "nil, but there are 2)",
      function() queue:ack_many { list[1], nil, list[2] } end)
    assert.is_true(queue:ack_many(list))
  end)

  case("in a list of jobs is raised by ack_many", function(queue, store)
    local news = store:queue "news"
    news:put "a"
    local job = news:reserve(0)
    errors.raises("bad argument #1 to 'ack_many' (item 1 is not a job of this "
      .. "queue)", function() queue:ack_many { job } end)
    assert.equal(1, news:stats().leased)
  end)

  case("in an id is raised by cancel and job", function(queue)
    errors.raises("bad argument #1 to 'cancel' (id expected, got string)",
      function() queue:cancel "1" end)
    errors.raises("bad argument #1 to 'job' (id expected, got float)",
      function() queue:job(1.0) end)
  end)
end)

describe("a job store", function()
  case("tells what it is", function(queue, store)
    queue:put "a"
    local job = queue:reserve(0)
    assert.equal("sluice.jobs.Store (memory:)", tostring(store))
    assert.equal("sluice.jobs.Queue ('mail' of memory:)", tostring(queue))
    assert.equal("sluice.jobs.Job (1000000001 of 'mail', leased, attempt 1)",
      tostring(job))
    job:ack()
    assert.matches("ended", tostring(job))
  end)

  case("is a wait: a cancellation comes before any effect", function(queue)
    local task = sluice.create_task(function()
      pcall(sluice.sleep, 10)
      queue:put "a"
    end)
    testing.settle()
    task:cancel()
    task:pawait()
    assert.equal(0, queue:stats().puts)
  end)

  it("outlives the run that opened it", function()
    local store, queue = testing.run(function()
      local store = jobs.open "memory:"
      local queue = store:queue "mail"
      queue:put "a"
      return store, queue
    end)
    testing.run(function()
      assert.equal("a", queue:reserve(0).body)
      store:close()
    end)
  end)
end)
