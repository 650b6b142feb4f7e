-- A power cut: what was not synced may be there, or not, or in part. The
-- controls sync nothing, or less.
local crash = require "spec.support.crash"
local images = require "tests.crash.images"
local jobs = require "sluice.jobs"
local power = require "tests.crash.power"

local COUNT = 60 -- images of each; the long form: 3000
local OPERATIONS = 400 -- of a worker; they fill the log more than once

-- A trace of workers on a place's store. `settings`: of the shim, for all;
-- `fault`: of the first only; `durable`: "no".
local function trace(place, seeds, options)
  options = options or {}
  local path = crash.sh(("mktemp -u -p %s trace.XXXXXX"):format(place.path))
  local workers = {}
  place.notes = "trace:" .. path
  for i, seed in ipairs(seeds) do
    workers[i] = crash.worker(place, crash.shim(place.db, {
      trace = path, sync = options.sync,
      fault = i == 1 and options.fault or nil,
    }), seed, OPERATIONS // #seeds, "durable=" .. (options.durable or "yes"))
  end
  for _, worker in ipairs(workers) do
    local printed = worker:wait(60)
    assert.equal("", (printed:gsub("^crash: [^\n]*\n$", "")))
  end
  return path
end

local function directory(place)
  return crash.sh(("mktemp -d -p %s"):format(place.path))
end

local function cut(place, path, count, ...)
  return power.cut(path, directory(place), count, ...)
end

describe("a power cut", function()
  crash.it("loses nothing that was promised", function(place)
    local path = trace(place, { 1 })
    assert.same({}, (cut(place, path, crash.times(COUNT, 3000))))
  end)

  crash.it("loses nothing that four processes were promised", function(place)
    local path = trace(place, { 1, 2, 3, 4 }, { fault = "any:150:TEAR" })
    assert.same({}, (cut(place, path, crash.times(COUNT, 3000))))
  end)

  crash.it("loses nothing after another", function(place)
    local _, expected = cut(place, trace(place, { 1 }), 1)
    local store = assert(jobs.open(place.url))
    local _, seen = expected:compare(store)
    expected:settle(seen)
    store:close()
    local start = directory(place) .. "/store.db"
    os.execute(("cp %s %s && cp %s-wal %s-wal"):format(place.db, start,
      place.db, start))
    local path = trace(place, { 2 })
    assert.same({}, (cut(place, path, crash.times(COUNT, 3000), start,
      expected)))
  end)

  crash.it("is survived only by what was synced", function(place)
    local broken = cut(place, trace(place, { 1 }, { sync = "off" }), 20)
    assert.is_true(#broken > 10)
  end)
end)

describe("a store that is not durable", function()
  local function only_lost(wrong)
    for _, text in ipairs(wrong) do
      if not text:find "is lost$" and not text:find "returns$" then
        return text
      end
    end
  end

  crash.it("loses what was last in a power cut, and is whole", function(place)
    local path = trace(place, { 1 }, { durable = "no" })
    -- So many that some lose something, also where times are few.
    local broken = cut(place, path, math.max(40, crash.times(40, 1000)))
    assert.is_true(#broken > 0)
    for _, wrong in ipairs(broken) do assert.is_nil(only_lost(wrong)) end
  end)
end)

-- "aab" -> "2a 1b"
local function runs_of(text)
  local runs, at = {}, 1
  while at <= #text do
    local last = select(2, text:find(text:sub(at, at) .. "+", at))
    runs[#runs + 1] = (last - at + 1) .. text:sub(at, at)
    at = last + 1
  end
  return table.concat(runs, " ")
end

describe("an image", function()
  it("has what was synced, and of the rest what chance leaves", function()
    local path = crash.sh "mktemp -d"
    local disk = images.disk(path)
    disk:change("C", "", 0, "")
    disk:change("W", "", 0, ("a"):rep(1024))
    disk:change("S", "", 0, "")
    disk:change("D", "/", 0, "")
    disk:change("W", "", 256, ("b"):rep(1024))
    local seen = {}
    for _ = 1, 300 do
      disk:image(path .. "/image", { "" }, math.random)
      local file <close> = assert(io.open(path .. "/image"))
      seen[runs_of(file:read("a"))] = true
    end
    os.execute("rm -r " .. path)
    assert.is_true(seen["1024a"] and seen["256a 1024b"])
    assert.is_true(seen["512a 512b"] and seen["256a 256b 512a"])
  end)
end)
