-- Files that are not what they were: bits, pieces, ends, other files in their
-- place. A store is refused or used, and never gives a body that nobody put;
-- with check() it says whether all is whole. The control is SQLite itself,
-- which gives a damaged body.
local crash = require "spec.support.crash"
local jobs = require "sluice.jobs"
local model = require "tests.crash.model"
local sluice = require "sluice"

local FILES = { "", "-wal", "-shm", "-lock", "-notify", "-ballast" }
local STATES = { "leased", "delayed", "ready", "dead" }

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

-- The files of a store in which each kind of thing is, partly in the log.
local function make(place)
  local first = crash.worker(place, nil, 1, 150)
  assert.equal("", first:wait())
  assert.equal("", crash.sh(("sqlite3 %s 'PRAGMA wal_checkpoint' >%s/x")
    :format(place.db, place.path)))
  local second = crash.worker(place, nil, 2, 100)
  assert.equal("", second:wait())
  local files = {}
  for _, name in ipairs(FILES) do files[name] = read(place.db .. name) end
  return files
end

local function restore(place, files)
  for name, text in pairs(files) do write(place.db .. name, text) end
end

local function check_body(job)
  if job.body == nil then return end -- known to be damaged
  local tag = type(job.body) == "table" and job.body.tag
    or job.body:match "^[^|]*"
  local wanted = model.body_of(tag)
  if type(wanted) == "table" then
    assert.same(wanted, job.body)
  else
    assert.equal(wanted, job.body)
  end
end

-- All that a script can do. "refused", "damaged", or "whole".
local function use(url)
  local store <close>, message, code = jobs.open(url, { durable = false })
  if not store then
    assert.is_string(message)
    assert.is_string(code)
    return "refused"
  end
  local verdict = store:check() and "whole" or "damaged"
  for _, name in ipairs(model.QUEUES) do
    local queue = store:queue(name)
    if not queue then return "damaged" end
    for _, state in ipairs(STATES) do
      for _, job in ipairs(queue:peek(state, 1000) or {}) do
        if not (verdict == "damaged" and job.body == nil) then
          check_body(job)
        end
      end
    end
    for _ = 1, 10 do
      local job = queue:reserve(0)
      if not job then break end
      check_body(job)
      job:ack()
    end
    queue:stats()
    queue:put(model.body_of "new.1-10", { unique = "key 1" })
    queue:kick(3)
  end
  return verdict
end

-- Uses the store, which must not take long.
local function survive(place)
  local verdict = sluice.wait_for(10, use, place.url)
  assert(verdict, "it hangs")
  return verdict
end

-- -- what happens to a file --

local random = math.random

local function patch(text, at, piece)
  return text:sub(1, at) .. piece .. text:sub(at + #piece + 1)
end

local damages = {}

function damages.bit(text)
  local at = random(#text) - 1
  return patch(text, at, string.char(text:byte(at + 1) ~ 1 << random(0, 7)))
end

function damages.bits(text)
  for _ = 1, 20 do text = damages.bit(text) end
  return text
end

function damages.zeros(text)
  local at = random(0, (#text - 1) // 512) * 512
  return patch(text, at, ("\0"):rep(math.min(512, #text - at)))
end

-- A page has the contents of another.
function damages.page(text)
  local pages = #text // 4096
  if pages < 2 then return text end
  local from, to = random(pages) - 1, random(pages) - 1
  return patch(text, to * 4096, text:sub(from * 4096 + 1, from * 4096 + 4096))
end

function damages.cut(text) return text:sub(1, random(0, #text)) end

function damages.longer(text)
  return text .. string.pack("<I8", random(0)):rep(random(600))
end

-- -- the tests --

describe("a damaged file", function()
  for _, name in ipairs(FILES) do
    local title = name == "" and "the database" or name
    crash.it("in place of " .. title .. " gives no wrong body", function(place)
      local files = make(place)
      for _ = 1, crash.times(name == "" and 6 or 3, 250) do
        for _, damage in pairs(damages) do
          restore(place, files)
          write(place.db .. name, damage(files[name] ~= "" and files[name]
            or "\0"))
          survive(place)
        end
      end
    end)
  end

  crash.it("that is no part of the data is made anew", function(place)
    local files = make(place)
    for _, name in ipairs { "-shm", "-lock", "-notify", "-ballast" } do
      for _, text in ipairs { "", "rubbish", ("x"):rep(100000) } do
        restore(place, files)
        write(place.db .. name, text)
        assert.equal("whole", survive(place))
      end
      restore(place, files)
      os.remove(place.db .. name)
      assert.equal("whole", survive(place))
    end
  end)
end)

describe("a log that is cut off", function()
  crash.it("is a prefix of what was committed", function(place)
    local files = make(place)
    local log = files["-wal"]
    for _ = 1, crash.times(25, 1000) do
      files["-wal"] = log:sub(1, random(0, #log))
      restore(place, files)
      os.remove(place.db .. "-shm")
      assert.equal("whole", survive(place))
    end
  end)
end)

-- A store with one job, whose body is changed in the file.
local function change_body(place, length)
  local store = assert(jobs.open(place.url))
  store:queue("mail"):put(("precious "):rep(length))
  store:close()
  crash.sh(("sqlite3 %s 'PRAGMA wal_checkpoint(TRUNCATE)'"):format(place.db))
  local text = read(place.db)
  local at = assert(text:find("precious precious", 1, true))
  write(place.db, patch(text, at + 3, "k"))
end

describe("a body that is damaged", function()
  for length, where in pairs { [3] = "in its row", [500] = "by itself" } do
    crash.it(where .. " is given to nobody", function(place)
      change_body(place, length)
      local store <close> = assert(jobs.open(place.url))
      local queue = store:queue "mail"
      assert.same({ nil, "timeout" }, { queue:reserve(0) })
      assert.equal("the body is damaged", queue:peek("dead")[1].error)
      assert.is_nil(queue:peek("dead")[1].body)
      assert.equal("damaged", select(2, store:check()))
    end)
  end

  crash.it("is given by SQLite, which has no checksum", function(place)
    change_body(place, 3)
    assert.equal("ok\npreckous precious precious ",
      crash.sh(("sqlite3 %s 'PRAGMA integrity_check; SELECT body FROM job'")
        :format(place.db)) .. " ")
  end)
end)

describe("a format that is damaged", function()
  crash.it("makes no table of a string", function(place)
    local store = assert(jobs.open(place.url))
    store:queue("mail"):put '{"a":1}'
    store:close()
    crash.sh(("sqlite3 %s 'UPDATE job SET format = 1 - format'")
      :format(place.db))
    local again <close> = assert(jobs.open(place.url))
    assert.same({ nil, "timeout" }, { again:queue("mail"):reserve(0) })
    assert.equal("damaged", select(2, again:check()))
  end)
end)

-- Opens a store as somebody who may not do everything; root may.
local function open_as_nobody(place)
  os.execute("chmod 755 " .. place.path)
  local program = place.path .. "/open.lua"
  write(program, ([[
    local sluice, jobs = require "sluice", require "sluice.jobs"
    sluice.run(function()
      local store, message, code = jobs.open("%s")
      print(store, code)
      if store then print(store:queue("mail"):put "a") end
    end)]]):format(place.url))
  local become = crash.sh "id -u" == "0"
    and "setpriv --reuid=65534 --regid=65534 --clear-groups " or ""
  return crash.sh(("%s%s %s 2>&1"):format(become, os.getenv "LUA" or "lua5.4",
    program))
end

describe("what may not be written", function()
  local function make_one(place)
    local store = assert(jobs.open(place.url))
    store:queue("mail"):put "a"
    store:close()
  end

  crash.it("is refused: a file", function(place)
    make_one(place)
    os.execute(("chmod 444 %s*; chmod 777 %s"):format(place.db, place.path))
    assert.equal("nil\tEROFS", open_as_nobody(place))
  end)

  crash.it("is refused: a directory", function(place)
    os.execute("chmod 555 " .. place.path)
    assert.equal("nil\tEACCES", open_as_nobody(place))
  end)

  crash.it("is refused: a directory with a store", function(place)
    make_one(place)
    os.execute(("chmod 444 %s*; chmod 555 %s"):format(place.db, place.path))
    assert.equal("nil\tEROFS", open_as_nobody(place))
  end)
end)
