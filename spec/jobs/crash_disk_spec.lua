-- A disk that fails: EIO and ENOSPC at the n-th change of a file, for each n.
-- The control is a disk that says that it has synced when it has not.
local crash = require "spec.support.crash"
local jobs = require "sluice.jobs"
local model = require "tests.crash.model"
local power = require "tests.crash.power"

local OPERATIONS = 60

-- What may be wrong with a store on such a day.
local ANSWERS = {
  well = true, disk_full = true, unavailable = true, unknown = true,
}

local function check_answer(answer)
  if ANSWERS[answer] or answer:find "^open: " then return end
  local reason = answer:match "^(%a+): "
  assert(reason ~= "well" and ANSWERS[reason], answer)
end

-- Runs a worker with a fault. What it answered at last; whether there were
-- so many calls.
local function suffer(place, fault, trace)
  place.notes = trace and "trace:" .. trace or place.path .. "/notes"
  local worker = crash.worker(place,
    crash.shim(place.db, { fault = fault, trace = trace }),
    1, OPERATIONS, "bad=yes")
  local printed = worker:wait()
  local met = printed:match "crash: %a+ %d+ of [^\n]*"
  local answer = printed:gsub("crash: [^\n]*\n", ""):gsub("\n$", "")
  check_answer(answer)
  return answer, met
end

local function check_store(place)
  local expected = model.new()
  local store <close> = assert(jobs.open(place.url))
  if os.rename(place.notes, place.notes) then expected:read(place.notes) end
  assert.same({}, (expected:compare(store)))
  assert.is_number(store:queue("mail"):put "a")
end

-- Goes through n = 1, 1 + step, …, until there are no more such calls.
local function each(kind, what, step)
  local n, answers = 1, {}
  while true do
    local place <close> = crash.place()
    local answer, met = suffer(place, kind:format(n) .. ":" .. what)
    check_store(place)
    if not met then return n, answers end
    answers[#answers + 1] = answer
    n = n + step
  end
end

-- So that the short form is short and the long one looks at each.
local STEP = math.max(1, 40 // crash.times(1))

describe("a disk that fails once", function()
  crash.it("at a write loses nothing, and the store goes on", function()
    local n, answers = each("write:%d", "EIO", STEP)
    assert.is_true(n > 100)
    for _, answer in ipairs(answers) do
      assert.is_true(answer == "well" or answer:find "open" ~= nil, answer)
    end
  end)

  crash.it("at a sync loses nothing, and the store goes on", function()
    local n, answers = each("sync:%d", "EIO", math.max(1, STEP // 3))
    assert.is_true(n > 20)
    for _, answer in ipairs(answers) do
      assert.is_true(answer == "well" or answer:find "open" ~= nil, answer)
    end
  end)

  crash.it("for want of room loses nothing, and the store goes on", function()
    local n = each("write:%d", "ENOSPC", STEP)
    assert.is_true(n > 100)
  end)
end)

describe("a disk that fails from then on", function()
  crash.it("fails what is done to the store, and loses nothing", function()
    local _, answers = each("any:%d+", "EIO", STEP)
    for i = 1, #answers // 2 do -- the last of them only meet the end
      assert.is_false(answers[i] == "well", answers[i])
    end
  end)

  crash.it("for want of room says so, and loses nothing", function()
    local _, answers = each("write:%d+", "ENOSPC", STEP)
    assert.matches("disk_full", table.concat(answers, " "))
  end)
end)

-- Images of a disk whose n-th sync failed.
local function cut_after(fault, count)
  local place <close> = crash.place()
  local trace = place.path .. "/trace"
  suffer(place, fault, trace)
  local directory = crash.sh(("mktemp -d -p %s"):format(place.path))
  return power.cut(trace, directory, count)
end

describe("a sync that failed", function()
  crash.it("makes no promise that a power cut breaks", function()
    for n = 4, 4 + crash.times(3, 60) do
      local broken = cut_after(("sync:%d:EIO"):format(n), crash.times(6, 30))
      assert.same({}, broken)
    end
  end)

  crash.it("of the directory makes no promise, either", function()
    for n = 1, 4 do
      for _, wrong in ipairs(cut_after(("dir:%d:EIO"):format(n), 20)) do
        assert.matches("^open: ", wrong[1]) -- while it was made
      end
    end
  end)

  crash.it("and is told to be done breaks promises", function()
    assert.is_true(#cut_after("sync:8+:LIE", 20) > 0)
  end)
end)
