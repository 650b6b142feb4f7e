--- What the crash specs share: the shim, directories, processes, how often.
--
-- In `make test` each spec has a short form. SLUICE_CRASH is how many times as
-- often its counts are; `make crash` sets it.

local sluice = require "sluice"

local crash = {}

local LUA = os.getenv "LUA" or "lua5.4"
local BUILD = os.getenv "SLUICE_BUILD" or "build/release"
local FACTOR = tonumber(os.getenv "SLUICE_CRASH" or "") or 1
local SLOW = os.getenv "SLUICE_TOOL" or os.getenv "SLUICE_GC"

local WARNINGS = "-Wall -Wextra -Wshadow -Wstrict-prototypes "
  .. "-Wmissing-prototypes -Wvla -Werror"

--- So often, in the short form; at most `most` in the long one. Less under
-- the tools that make everything slow.
function crash.times(n, most)
  local times = math.floor(n * FACTOR)
  if SLOW then times = times // 10 end
  return math.max(1, math.min(times, most or math.huge))
end

--- So many seconds, in the short form; at most `most` in the long one.
function crash.seconds(n, most) return math.min(n * FACTOR, most) end

--- The output of a shell command, without the last line's end.
function crash.sh(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read("a"):gsub("%s+$", ""))
end

-- -- the shim --

local shim

-- Compiled once a run, so that it is never older than its source.
local function build_shim()
  local path = ("%s/crash_shim.so"):format(BUILD)
  local made = os.execute(("cc -std=gnu11 -O1 -g %s -shared -fPIC -o %s.new "
    .. "tests/crash/*.c -ldl -lpthread && mv %s.new %s")
    :format(WARNINGS, path, path, path))
  return assert(made and path, "the shim of tests/crash does not compile")
end

--- Words for `env` that put the shim before a program's files.
-- @param files the prefix of their paths
-- @param[opt] settings CRASH_* without that, see tests/crash/shim.h
function crash.shim(files, settings)
  shim = shim or build_shim()
  local words = {
    "LD_PRELOAD=" .. shim, "SLUICE_PRELOAD=" .. shim, "CRASH_FILES=" .. files,
  }
  for name, value in pairs(settings or {}) do
    words[#words + 1] = ("CRASH_%s=%s"):format(name:upper(), value)
  end
  return table.concat(words, " ")
end

-- -- places --

local Place = {}
Place.__index = Place

--- A new directory, in memory where there is such: a sync costs nothing
-- there. To be closed. `path`, `db` (of a database in it), `url` (of that),
-- `notes` (of a file of notes).
-- @param[opt] given a directory that is there, then that is taken
function crash.place(given)
  local base = os.getenv "TMPDIR" or "/tmp"
  if os.rename("/dev/shm", "/dev/shm") then base = "/dev/shm" end
  local path = given or crash.sh("mktemp -d -p " .. base)
  local db = path .. "/store.db"
  return setmetatable({
    path = path, db = db, url = "sqlite:" .. db, notes = path .. "/notes",
  }, Place)
end

function Place:__close() os.execute("rm -rf " .. self.path) end

-- -- processes --

local Process = {}
Process.__index = Process

--- Starts a program of Lua in the background, with what it prints in a file.
-- @param place where that file is
-- @param words for its command line: a file, arguments
-- @param[opt] env words for `env`
function crash.start(place, words, env)
  local out = crash.sh(("mktemp -p %s out.XXXXXX"):format(place.path))
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = "'" .. tostring(word):gsub("'", "'\\''") .. "'"
  end
  local pid = crash.sh(("env %s %s %s >%s 2>&1 </dev/null & echo $!"):format(
    env or "", LUA, table.concat(quoted, " "), out))
  return setmetatable({ pid = pid, out = out }, Process)
end

--- Starts a worker on a place's store, tests/crash/worker.lua.
-- @param ... its arguments from SEED on
function crash.worker(place, env, ...)
  return crash.start(place, { "tests/crash/worker.lua", place.url,
    place.notes, ... }, env)
end

--- Starts a program whose text runs in a task, with `sluice`, `store` (the
-- place's, open), `queue` (of the name "mail") and `tell`, which prints.
function crash.program(place, text, env)
  local path = crash.sh(("mktemp -p %s XXXXXX.lua"):format(place.path))
  local file <close> = assert(io.open(path, "w"))
  file:write(([[
    local sluice, jobs = require "sluice", require "sluice.jobs"
    local function tell(...)
      io.stdout:write(table.concat({ ... }, " "), "\n")
      io.stdout:flush()
    end
    sluice.run(function()
      local store <close> = assert(jobs.open("%s"))
      local queue = assert(store:queue("mail"))
      %s
    end)]]):format(place.url, text))
  file:close()
  return crash.start(place, { path }, env)
end

function Process:signal(name)
  os.execute(("kill -%s %s 2>/dev/null"):format(name, self.pid))
end

-- The letter of its state; nil once it is gone. What nobody has reaped yet
-- still has a number, and is no more, when its other threads are no more.
function Process:state()
  local file <close> = io.open(("/proc/%s/stat"):format(self.pid))
  local state, rest = (file and file:read("a") or ""):match("^.*%) (%a)(.*)$")
  if state ~= "Z" and state ~= "X" then return state end
  local threads = rest:match(("%s+%S+"):rep(16) .. "%s+(%d+)")
  return tonumber(threads) > 1 and state or nil
end

--- Waits until what is asked for is so. In a task.
function crash.await(what, limit, fn)
  for _ = 1, limit * 200 do
    local result = fn()
    if result then return result end
    sluice.sleep(0.005)
  end
  error("waited for " .. what .. " in vain", 2)
end

--- Waits until it has ended; what it has printed. In a task.
function Process:wait(limit)
  crash.await("the end of a process", limit or 30,
    function() return not self:state() end)
  return self:printed()
end

--- Waits until it has printed that. In a task.
function Process:await(text, limit)
  crash.await(text .. " of a process", limit or 10, function()
    local printed = self:printed()
    if printed:find(text, 1, true) then return true end
    assert(self:state(), printed)
  end)
end

function Process:printed()
  local file <close> = assert(io.open(self.out))
  return file:read("a")
end

function Process:kill()
  self:signal "KILL"
  return self:wait()
end

Process.__close = Process.kill

--- busted's `it` with a task and a place: fn(place).
function crash.it(name, fn, limit)
  require "busted".it(name, function()
    sluice.run(function()
      local done = sluice.wait_for(limit or 600, function()
        local place <close> = crash.place()
        fn(place)
        return true
      end)
      assert(done, "the test did not end")
    end)
  end)
end

return crash
