-- Names are looked up in threads: the loop goes on, and a look-up that is
-- given up, begun or not, leaves nothing.

local net = require "sluice.net"
local process = require "spec.support.process"
local sluice = require "sluice"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

local plainly, it = it, testing.it -- luacheck: ignore

describe("a host that can be no name", function()
  local function refused(host)
    local expected = { nil, "not a host name", "EINVAL", n = 3 }
    assert.same(expected, table.pack(net.connect(host, 80)))
    assert.same(expected, table.pack(net.serve(print, host, 80)))
  end

  it("is refused without a look-up", function()
    refused ""
    refused "127.0.0.1\0.example"
    refused "local\0host"
    refused(("a"):rep(256))
    refused(("a."):rep(1000))
    refused "\255\254"
  end)
end)

describe("a host that is no name of anything", function()
  it("is told as the system tells it", function()
    for _, host in ipairs {
      "no.such.host.invalid", "foo bar", "-", ".", "a..b", "[::1]",
      ("a"):rep(64) .. ".invalid", "1.2.3.4.5", "127.0.0.1:80", "\t",
    } do
      local stream, message, code = net.connect(host, 80)
      assert.is_nil(stream)
      assert.is_string(message)
      assert.matches("^EAI_", code)
    end
  end)
end)

describe("a numeric host", function()
  it("needs no look-up, also one of a link", function()
    for _, host in ipairs { "127.0.0.1", "::1", "::ffff:127.0.0.1" } do
      local _, _, code = net.connect(host, 1)
      assert.equal("ECONNREFUSED", code)
    end
    assert.is_nil((net.connect("fe80::1%nosuchlink", 1)))
  end)
end)

-- A thread pool of one thread, which a function keeps busy: a look-up after
-- it does not begin before that has ended.
local BUSY = [[
  local net = require "sluice.net"
  local busy = sluice.create_task(sluice.to_thread, function()
    local ends = os.clock() + 0.4
    while os.clock() < ends do end
    return "ended"
  end)
  sluice.sleep(0.01)
]]

describe("a look-up that has not begun", function()
  plainly("leaves nothing when it is cancelled or times out", function()
    local result = process.lua("sluice.run(function()" .. BUSY .. [[
      local task = sluice.create_task(net.connect, "localhost", 1)
      sluice.sleep(0.01)
      local began = sluice.time()
      task:cancel()
      print(task:pawait())
      print(net.connect("localhost", 1, { timeout = 0.05 }))
      assert(sluice.time() - began < 0.3)
      print(busy:await())
    end)]], "env UV_THREADPOOL_SIZE=1")
    assert.equal("", result.stderr)
    assert.equal("false\tcancelled\nnil\ttimeout\tETIMEDOUT\nended\n",
      result.stdout)
  end)
end)

-- The system's look-up, made to take long for names that begin so.
local SLOW = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **info) {
  int (*system)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
  if (strncmp(node, "slow.", 5) == 0) {
    usleep(700000);
    node = "localhost";
  }
  return system(node, service, hints, info);
}
]]

-- Runs the program with that look-up.
local function with_slow_names(text)
  local source, library = os.tmpname(), os.tmpname()
  local file <close> = assert(io.open(source, "w"))
  file:write(SLOW)
  file:flush()
  assert(os.execute(("cc -shared -fPIC -x c -o %s %s -ldl"):format(
    library, source)))
  local result = process.lua(text,
    ("env LD_PRELOAD=%s SLUICE_PRELOAD=%s"):format(library, library))
  os.remove(source)
  os.remove(library)
  return result
end

local function slowly(name, expected, text)
  plainly(name, function()
    local result = with_slow_names([[
      local net = require "sluice.net"
      sluice.run(function() ]] .. text .. " end)")
    assert.equal("", result.stderr)
    assert.equal(expected, result.stdout)
    assert.equal(0, result.status)
  end)
end

describe("a look-up that takes long", function()
  slowly("does not stop the loop", "ECONNREFUSED\ttrue\ttrue\n", [[
    local ticks, began = 0, sluice.time()
    sluice.create_task(function()
      while true do sluice.sleep(0.01) ticks = ticks + 1 end
    end)
    local code = select(3, net.connect("slow.test", 1))
    print(code, ticks > 20, sluice.time() - began > 0.6)
  ]])

  slowly("is left at once when its task is cancelled", "true\ttrue\n", [[
    local task = sluice.create_task(net.connect, "slow.test", 1)
    sluice.sleep(0.1)
    local began = sluice.time()
    task:cancel()
    local _, err = task:pawait()
    print(sluice.is_cancelled(err), sluice.time() - began < 0.3)
  ]])

  slowly("is left at once at its timeout, and may be collected",
    "ETIMEDOUT\ttrue\n", [[
    local began = sluice.time()
    local code = select(3, net.connect("slow.test", 1, { timeout = 0.1 }))
    local took = sluice.time() - began
    for _ = 1, 3 do collectgarbage() sluice.sleep(0.3) end
    print(code, took < 0.4)
  ]])

  slowly("may be in flight when the state is closed", "", [[
    sluice.create_task(net.connect, "slow.test", 1)
    sluice.sleep(0.1)
    os.exit(0, true)
  ]])
end)

describe("look-ups that are cancelled", function()
  it("leave nothing, wherever they are", function()
    for i = 1, 100 do
      local task = sluice.create_task(net.connect, "localhost", 1)
      for _ = 1, i % 5 do sluice.sleep(0) end
      task:cancel()
      task:pawait()
    end
    local task = tasks.start(net.connect, "localhost", 1)
    task:cancel()
    tasks.ends_cancelled(task)
  end)
end)
