-- Processes tell each other of commits. None is lost, also where one is slow
-- to tell, or the kernel watches no files. Two stores on one file are as two
-- processes.
local process = require "spec.support.process"
local sqlite = require "spec.support.engines.sqlite"

-- The first notice, of 16 bytes, made to take long; no watches; who is dead
-- found alive once.
local SHIM = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
static atomic_int notices;
ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
  ssize_t (*system)(int, const void *, size_t, off_t) =
      dlsym(RTLD_NEXT, "pwrite");
  if (len == 16 && at == 0 && getenv("SLOW_NOTICE") != NULL &&
      atomic_fetch_add(&notices, 1) == 0)
    usleep(300000);
  return system(fd, data, len, at);
}
int inotify_init1(int flags) {
  int (*system)(int) = dlsym(RTLD_NEXT, "inotify_init1");
  if (getenv("NO_WATCH") == NULL) return system(flags);
  errno = EMFILE;
  return -1;
}
int fcntl64(int fd, int command, ...) {
  int (*system)(int, int, ...) = dlsym(RTLD_NEXT, "fcntl64");
  static atomic_int dead;
  va_list list;
  va_start(list, command);
  struct flock *lock = va_arg(list, void *);
  va_end(list);
  int result = system(fd, command, lock);
  if (command == F_OFD_GETLK && getenv("LATE_DEATH") != NULL &&
      lock->l_type == F_UNLCK && atomic_fetch_add(&dead, 1) == 0)
    lock->l_type = F_WRLCK;
  return result;
}
int fcntl(int fd, int command, ...) __attribute__((alias("fcntl64")));
]]

-- Runs a program with that, and `first` and `second`, stores on one file.
local function run(setting, program)
  local source, library = os.tmpname(), os.tmpname()
  local file <close> = assert(io.open(source, "w"))
  file:write(SHIM)
  file:flush()
  assert(os.execute(("cc -shared -fPIC -x c -o %s %s -ldl"):format(
    library, source)))
  local result = process.lua(([[
    local jobs, url = require "sluice.jobs", %q
    sluice.run(function()
      local first <close> = assert(jobs.open(url))
      local second <close> = assert(jobs.open(url))
      %s
    end)]]):format(sqlite.url(), program), ("env %s=1 LD_PRELOAD=%s "
    .. "SLUICE_PRELOAD=%s"):format(setting, library, library))
  sqlite.clean()
  os.remove(source)
  os.remove(library)
  assert.equal("", result.stderr)
  return result.stdout
end

describe("a job of another process", function()
  it("is told of while a process is slow to tell its own", function()
    assert.equal("a\ttrue\n", run("SLOW_NOTICE", [[
      local queue, news = second:queue "mail", second:queue "news"
      local task = sluice.create_task(queue.reserve, queue, 10)
      sluice.sleep(0.05)
      local start = sluice.time()
      local slow = sluice.create_task(news.put, news, "noise")
      sluice.sleep(0.1)
      first:queue("mail"):put "a"
      print(task:await().body, sluice.time() - start < 0.8)
      slow:await()
    ]]))
  end)

  it("is told of while others look at the store", function()
    assert.equal("true\n", run("NO_SHIM", [[
      local queue, over = second:queue "mail", false
      local task = sluice.create_task(function()
        for _ = 1, 20 do queue:reserve(10):ack() end
      end)
      local function look() while not over do queue:stats() end end
      local looking = { sluice.create_task(look), sluice.create_task(look) }
      sluice.sleep(0.05)
      local start, mail = sluice.time(), first:queue "mail"
      for i = 1, 20 do
        mail:put("a")
        while mail:stats().acks < i do sluice.sleep(0.001) end
      end
      print(sluice.time() - start < 5)
      over = true
      sluice.wait(looking)
    ]]))
  end)

  it("is told of though another call of its batch fails", function()
    assert.equal("a\tdamaged\ttrue\n", run("NO_SHIM", [[
      local queue, mail = second:queue "mail", first:queue "mail"
      local task = sluice.create_task(queue.reserve, queue, 2)
      sluice.sleep(0.05)
      local start = sluice.time()
      local _, wrong = table.unpack(sluice.gather({
        function() return mail:put "a" end,
        function() return select(2, first.engine:put(99, { "astray" })) end,
      }))
      print(task:await().body, wrong, sluice.time() - start < 0.8)
    ]]))
  end)

  it("is told of where the kernel watches no files", function()
    assert.equal("a\n", run("NO_WATCH", [[
      local queue = second:queue "mail"
      local task = sluice.create_task(queue.reserve, queue, 10)
      sluice.sleep(1.5) -- until it has no other reason to look
      first:queue("mail"):put "a"
      print((task:await() or { body = "nothing" }).body)
    ]]))
  end)
end)

describe("a process that dies", function()
  it("has its jobs taken over though it was told of too early", function()
    assert.equal("2\ttrue\n", run("LATE_DEATH", [[
      first:queue("mail"):put "a"
      local child = require("spec.support.children").start(
        "say(store:queue('mail'):reserve(5).attempts) sluice.sleep(60)", url)
      assert(child:line() == "1")
      local queue = second:queue "mail"
      local task = sluice.create_task(queue.reserve, queue, 5)
      sluice.sleep(0.05)
      local start = sluice.time()
      child:kill()
      print(task:await().attempts, sluice.time() - start < 0.8)
    ]]))
  end)
end)
