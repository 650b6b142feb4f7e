local core = require "sluice.core"
local jobs = require "sluice.jobs"
local process = require "spec.support.process"
local sluice = require "sluice"
local sqlite = require "spec.support.engines.sqlite"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

local function sql(path, text)
  local ok = os.execute(("sqlite3 %s '%s' >/dev/null"):format(path, text))
  assert.is_true(ok)
end

-- A test with a new path, in a run.
local function case(name, fn)
  it(name, function()
    sluice.run(fn, sqlite.path())
    sqlite.clean()
  end)
end

local function fails(code, pattern, url)
  local store, message, got = jobs.open(url)
  assert.is_nil(store)
  assert.equal(code, got, message)
  assert.matches(pattern, message)
end

-- No locks of bytes; a SQLite that is for one thread only.
local SHIM = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
int fcntl64(int fd, int command, ...) {
  int (*system)(int, int, ...) = dlsym(RTLD_NEXT, "fcntl64");
  va_list list;
  va_start(list, command);
  void *arg = va_arg(list, void *);
  va_end(list);
  if (command != F_OFD_SETLK || getenv("NO_LOCKS") == NULL)
    return system(fd, command, arg);
  errno = ENOLCK;
  return -1;
}
int fcntl(int fd, int command, ...) __attribute__((alias("fcntl64")));
int sqlite3_threadsafe(void) { return getenv("ONE_THREAD") == NULL; }
]]

-- What the opening of a store at `path` returns with that.
local function open_with(setting, path)
  local source, library = path .. ".c", path .. ".so"
  write(source, SHIM)
  assert(os.execute(("cc -shared -fPIC -o %s %s -ldl"):format(library,
    source)))
  local result = process.lua(([[
    print(sluice.run(require("sluice.jobs").open, %q))
  ]]):format("sqlite:" .. path), ("env %s=1 LD_PRELOAD=%s "
    .. "SLUICE_PRELOAD=%s"):format(setting, library, library))
  os.remove(source)
  os.remove(library)
  assert.equal("", result.stderr)
  return result.stdout
end

describe("sqlite: opens", function()
  case("no path that is none", function()
    fails("EINVAL", "no path", "sqlite:")
    fails("EINVAL", "no path", "sqlite::memory:")
  end)

  case("no URI of SQLite, but a path that looks like one", function(path)
    fails("ENOENT", "unable to open", "sqlite:file:" .. path .. "?nolock=1")
    fails("ENOENT", "unable to open", "sqlite:file:" .. path)
    assert.is_nil(io.open(path))
  end)

  case("nothing in a directory that is not there", function()
    fails("ENOENT", "unable to open", "sqlite:/no/such/directory/orders.db")
  end)

  case("no directory", function()
    fails("EISDIR", "unable to open", "sqlite:/tmp")
  end)

  case("an absolute path after two slashes", function(path)
    local store <close> = assert(jobs.open("sqlite://" .. path))
    assert.is_number(store:queue("mail"):put "a")
    assert.is_string(read(path))
  end)

  case("no device and no pipe", function(path)
    fails("EFTYPE", "not a regular file", "sqlite:/dev/null")
    os.execute("mkfifo " .. path)
    fails("EFTYPE", "not a regular file", "sqlite:" .. path)
    assert.is_nil(io.open(path .. "-lock"))
  end)

  case("nothing without the lock that says that it lives", function(path)
    assert.matches("^nil\t.*the notify file: .*\tENOLCK\n$",
      open_with("NO_LOCKS", path))
  end)

  case("nothing with a SQLite for one thread", function(path)
    assert.matches("^nil\t.*for one thread only\tENOTSUP\n$",
      open_with("ONE_THREAD", path))
  end)

  case("as many files as a process may have", function(path)
    local result = process.lua(([[
      local jobs, stores = require "sluice.jobs", {}
      sluice.run(function()
        for i = 1, 40 do
          local message, code
          stores[i], message, code = jobs.open(%q)
          if message then assert(code == "EMFILE", message .. code) end
        end
        print(#stores > 0, #stores < 40, stores[1]:queue("a"):put "a" ~= nil)
      end)
    ]]):format("sqlite:" .. path), "sh -c 'ulimit -n 32; exec \"$0\" \"$@\"'")
    assert.equal("", result.stderr)
    assert.equal("true\ttrue\ttrue\n", result.stdout)
  end)

  case("no database of somebody else's", function(path)
    sql(path, "CREATE TABLE orders(id)")
    local before = read(path)
    fails("EFTYPE", "not a job store", "sqlite:" .. path)
    assert.equal(before, read(path))
    assert.is_nil(io.open(path .. "-lock"))
  end)

  case("no file that is no database", function(path)
    write(path, ("hello\n"):rep(1000))
    fails("EFTYPE", "not a database", "sqlite:" .. path)
    assert.equal(("hello\n"):rep(1000), read(path))
  end)

  case("no URL of SQLite's", function()
    fails("ENOENT", "^%./file:/nowhere",
      "sqlite:file:/nowhere/x.db?mode=memory")
  end)

  case("no store of a newer version", function(path)
    jobs.open("sqlite:" .. path):close()
    sql(path, "PRAGMA user_version=2")
    fails("ENOTSUP", "newer version", "sqlite:" .. path)
  end)

  case("no store without its tables", function(path)
    jobs.open("sqlite:" .. path):close()
    sql(path, "DROP TABLE queue")
    fails("EILSEQ", ".", "sqlite:" .. path)
  end)

  case("an empty file", function(path)
    write(path, "")
    local store <close> = assert(jobs.open("sqlite:" .. path))
    assert.is_number(store:queue("mail"):put "a")
  end)

  case("one file by two names as one", function(path)
    local link = path .. ".link"
    local store <close> = assert(jobs.open("sqlite:" .. path))
    os.execute(("ln -s %s %s"):format(path, link))
    local other <close> = assert(jobs.open("sqlite:" .. link))
    store:queue("mail"):put "a"
    assert.equal("a", other:queue("mail"):reserve(0).body)
    assert.is_nil(io.open(link .. "-lock"))
    os.remove(link)
  end)

  case("with a checksum that is the same on every machine", function(path)
    local store <close> = assert(jobs.open("sqlite:" .. path))
    store:queue("mail"):put "hello"
    local pipe <close> = io.popen("sqlite3 " .. path
      .. " 'SELECT crc FROM job'")
    assert.equal("295495456", pipe:read "l")
  end)

  case("with a time that goes on though the clock is set", function(path)
    local store = assert(jobs.open("sqlite:" .. path))
    store:queue("mail"):put "a"
    store:close()
    -- As if the machine had run for an hour more when it was written.
    sql(path, "UPDATE root SET boot=\"another\";"
      .. "UPDATE queue SET last_ns=last_ns+3600000000000")
    local again <close> = assert(jobs.open("sqlite:" .. path))
    local queue = again:queue("mail", { lease = 0.1 })
    queue:put "b"
    assert.equal(2, #queue:reserve_many(2, 0))
    assert.equal("b", queue:reserve(2).body)
  end)
end)

describe("a damaged file", function()
  -- Everything that a script can do, for whatever it returns.
  local function use(path, bodies)
    local store = jobs.open("sqlite:" .. path, { durable = false })
    if not store then return "refused" end
    local queue = store:queue "mail"
    if queue then
      for _, state in ipairs { "ready", "delayed", "leased", "dead" } do
        queue:peek(state)
      end
      queue:put "new"
      bodies.new = true
      for _ = 1, 60 do
        local job = queue:reserve(0)
        if not job then break end
        assert.is_true(bodies[job.body], "a wrong body")
        job:ack()
      end
      queue:stats()
      queue:kick(10)
    end
    store:check()
    store:close()
    return "used"
  end

  -- A store of 40 jobs, small and large, as the text of its files.
  local function make(path)
    local store = assert(jobs.open("sqlite:" .. path))
    local queue, bodies = store:queue "mail", {}
    for i = 1, 40 do
      local body = ("%d "):format(i):rep(i % 5 == 0 and 900 or 50)
      bodies[body] = true
      queue:put(body, { unique = i % 3 == 0 and tostring(i) or nil })
    end
    store:close()
    return read(path), read(path .. "-wal"), bodies
  end

  local function flip(text, random)
    local at = random(#text)
    local byte = text:byte(at) ~ (1 << random(0, 7))
    return text:sub(1, at - 1) .. string.char(byte) .. text:sub(at + 1)
  end

  case("never gives a wrong body, whatever bit is flipped", function(path)
    local random = math.random
    math.randomseed(1)
    local database, log, bodies = make(path)
    for round = 1, 150 do
      local in_log = round % 2 == 0
      os.remove(path .. "-shm")
      write(path, in_log and database or flip(database, random))
      write(path .. "-wal", in_log and flip(log, random) or log)
      use(path, bodies)
    end
  end)

  case("that is cut off is refused or a prefix", function(path)
    local database, log, bodies = make(path)
    for part = 0, 20 do
      os.remove(path .. "-shm")
      write(path, database)
      write(path .. "-wal", log:sub(1, #log * part // 20))
      use(path, bodies)
    end
  end)

  case("is told of by check", function(path)
    local store = assert(jobs.open("sqlite:" .. path))
    store:queue("mail"):put "hello"
    store:close()
    sql(path, "UPDATE job SET body=cast(\"jello\" AS BLOB)")
    local again <close> = assert(jobs.open("sqlite:" .. path))
    local ok, reason, message = again:check()
    assert.same({ nil, "damaged" }, { ok, reason })
    assert.matches("body of job 1000000001 is damaged", message)
    local queue = again:queue "mail"
    assert.same({ nil, "timeout" }, { queue:reserve(0) })
    assert.equal("the body is damaged", queue:peek("dead")[1].error)
  end)

  case("is told of by the call that meets it", function(path)
    local store = assert(jobs.open("sqlite:" .. path))
    store:queue("mail"):put "a"
    store:close()
    sql(path, "UPDATE queue SET last_id=1000000000")
    local again <close> = assert(jobs.open("sqlite:" .. path))
    local queue = again:queue "mail"
    assert.equal("damaged", select(2, queue:put "a"))
    sql(path, "DROP TABLE unique_key")
    assert.equal("damaged", select(2, queue:put("a", { unique = "k" })))
    assert.is_true(queue:reserve(0):ack())
  end)

  case("may have numbers that cannot be", function(path)
    local store = assert(jobs.open("sqlite:" .. path))
    store:queue("mail"):put "a"
    store:close()
    for _, number in ipairs { -5, 1 << 40, math.maxinteger } do
      sql(path, "UPDATE queue SET id=" .. number)
      local again <close> = assert(jobs.open("sqlite:" .. path))
      assert.equal("damaged", select(2, again:queue "mail"))
      assert.equal("damaged", select(2, again:check()))
    end
  end)

  case("has counters that check compares", function(path)
    jobs.open("sqlite:" .. path):close()
    local store = assert(jobs.open("sqlite:" .. path))
    store:queue("mail"):put "hello"
    store:close()
    sql(path, "UPDATE queue SET ready=5")
    local again <close> = assert(jobs.open("sqlite:" .. path))
    assert.matches("5 ready jobs are counted, 1 are there",
      select(3, again:check()))
  end)
end)

describe("a full disk", function()
  local program = [[
    local jobs = require "sluice.jobs"
    sluice.run(function()
      local path = arg[1] .. "/orders.db"
      local store <close> = assert(jobs.open("sqlite:" .. path))
      local queue = store:queue "mail"
      local body, n, reason = ("x"):rep(5000), 0
      while true do
        local id
        id, reason = queue:put(body)
        if not id then break end
        n = n + 1
      end
      print(reason, n > 500)
      for i = 1, 100 do assert(queue:reserve(0):ack()) end
      print((select(2, queue:put(body))))
      os.remove(arg[1] .. "/filler")
      print(type(queue:put(body)), store:check())
      local stats = queue:stats()
      print(stats.ready == n - 99, stats.acks)
    end)
  ]]

  -- In a namespace of its own, which has a small disk.
  it("refuses puts, not the rest, until there is room", function()
    local path, disk = os.tmpname(), os.tmpname() .. ".d"
    write(path, "local sluice = require 'sluice'\n" .. program)
    local script = ([[
      mkdir "$3" && mount -t tmpfs -o size=24m none "$3" &&
      head -c 6000000 /dev/zero >"$3/filler" && "$1" "$2" "$3"
    ]])
    local result = process.command { "unshare", "-m", "sh", "-c", script,
      "sh", os.getenv "LUA" or "lua5.4", path, disk }
    os.remove(path)
    os.remove(disk)
    assert.equal("", result.stderr)
    assert.equal("disk_full\ttrue\ndisk_full\nnumber\ttrue\ntrue\t100\n",
      result.stdout)
  end)
end)

describe("a file with twenty thousand dead jobs", function()
  -- All dead ones were sorted for each step: half a minute.
  case("makes all of them ready in no time", function(path)
    local store <close> = assert(jobs.open("sqlite:" .. path))
    local queue <const>, list = store:queue "mail", {}
    for i = 1, 20000 do list[i] = "a" end
    assert(queue:put_many(list))
    local buried = {}
    for i, job in ipairs(queue:reserve_many(#list, 0)) do
      buried[i] = sluice.create_task(job.bury, job)
    end
    sluice.gather(buried)
    local began = sluice.time()
    assert.equal(20000, queue:kick(20000))
    assert.is_true(sluice.time() - began < 5)
  end)
end)

describe("a store that is closed while tasks are in its calls", function()
  -- With no timer, which would keep the loop going.
  case("ends those, and is no deadlock", function(path)
    local store = assert(jobs.open("sqlite:" .. path))
    local queue, done = store:queue "mail", 0
    for _ = 1, 3000 do
      sluice.create_task(function()
        if queue:put "a" then done = done + 1 end
      end)
    end
    queue:stats() -- so that the first of them are finished
    assert.is_true(store:close())
    sluice.sleep(0)
    local again <close> = assert(jobs.open("sqlite:" .. path))
    assert.equal(done, again:queue("mail"):stats().puts)
  end)
end)

describe("a store that nobody closes", function()
  case("is closed when it is collected", function(path)
    local before = core.testing.handles()
    do
      local store = assert(jobs.open("sqlite:" .. path))
      store:queue("mail"):put "a"
    end
    local due = sluice.time() + 5
    repeat
      collectgarbage()
      sluice.sleep(0.01)
      assert.is_true(sluice.time() < due)
    until core.testing.handles() == before
    local store <close> = assert(jobs.open("sqlite:" .. path))
    assert.equal("a", store:queue("mail"):reserve(0).body)
  end)

  it("does not hold up the end of the program", function()
    local path = sqlite.path()
    process.prints("", ([[
      local jobs = require "sluice.jobs"
      sluice.run(function()
        local store = jobs.open "sqlite:%s"
        local queue = store:queue "mail"
        for i = 1, 100 do
          sluice.create_task(queue.put, queue, "a")
          sluice.create_task(queue.reserve, queue)
        end
        sluice.sleep(0.01)
      end)
    ]]):format(path))
    process.prints("", ([[
      local jobs = require "sluice.jobs"
      sluice.run(function()
        store = jobs.open "sqlite:%s"
        queue = store:queue "mail"
        task = sluice.call_soon(queue.put, queue, "a")
        sluice.sleep(0)
      end)
      os.exit(0, true)
    ]]):format(path))
    sqlite.clean()
  end)
end)
