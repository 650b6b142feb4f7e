--[[
The campaign of power cuts: goes through the trace of what workers did to a
store, makes images of what the disk may have had at points of it, opens the
store from each, and compares it with what had been promised by then.
]]

local images = require "tests.crash.images"
local jobs = require "sluice.jobs"
local model = require "tests.crash.model"

local power = {}

--- The files of which an image is made, and those that are made anew.
local KEPT = { "", "-wal", "-journal" }
local NEW = { "-shm", "-lock", "-notify", "-ballast" }

local IMAGES_AT = 2 -- of one point

local function count_records(path)
  local n = 0
  for _ in images.records(path) do n = n + 1 end
  return n
end

-- Points of the trace -> how often each.
local function choose(n, points, random)
  local chosen = {}
  for _ = 1, points do
    local at = random(n)
    chosen[at] = (chosen[at] or 0) + 1
  end
  return chosen
end

-- A file that is mapped has no syncs: anything may be in it.
local function make_rubbish(path, random)
  if random(2) == 1 then return end
  local file <close> = assert(io.open(path, "wb"))
  for _ = 1, random(64) do
    file:write(string.pack("<I8", random(0)):rep(64))
  end
end

-- Opens the store of an image. What is wrong with it, a list.
local function try(expected, prefix)
  local store <close>, message = jobs.open("sqlite:" .. prefix)
  if not store then return { "open: " .. message } end
  local before = #expected.wrong
  expected:compare(store)
  return table.move(expected.wrong, before + 1, #expected.wrong, 1, {})
end

local function try_image(disk, expected, prefix, random)
  for _, name in ipairs(NEW) do os.remove(prefix .. name) end
  disk:image(prefix, KEPT, random)
  make_rubbish(prefix .. "-shm", random)
  return try(expected, prefix)
end

--- Makes `count` images of a trace. In a task.
-- @param trace the file of the trace
-- @param directory for the images
-- @param[opt] start the prefix of the files that there were at first
-- @param[opt] expected the model of what they have
-- @return those of them that something is wrong with, each a list of texts;
-- the model at the end
function power.cut(trace, directory, count, start, expected)
  local random = math.random
  local disk = images.disk(directory)
  expected = expected or model.new()
  local chosen = choose(count_records(trace), count // IMAGES_AT, random)
  local prefix = directory .. "/image.db"
  local broken, at = {}, 0
  if start then disk:start(start, KEPT) end
  for kind, name, offset, data in images.records(trace) do
    at = at + 1
    if kind == "M" then
      expected:note(data)
    else
      disk:change(kind, name, offset, data)
    end
    for _ = 1, (chosen[at] or 0) * IMAGES_AT do
      local wrong = try_image(disk, expected, prefix, random)
      if #wrong > 0 then broken[#broken + 1] = wrong end
    end
  end
  return broken, expected
end

return power
