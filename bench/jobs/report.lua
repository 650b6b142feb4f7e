--- Tables of what bench/jobs/run.lua has measured, for the terminal and
-- docs/benchmarks.md: medians, ratios, and whether they are what rows.lua
-- demands. It measures nothing.

local grid = require "grid"
local machine = require "machine"
local page = require "page"
local rows = require "rows"

local report = {}

-- The k-th number of each round.
local function column(result, k)
  local list = {}
  for i, numbers in ipairs(result or {}) do list[i] = numbers[k] end
  return list
end

local function median(result, k)
  local list = column(result, k)
  return #list > 0 and grid.median(list) or nil
end

--- The median of the quotients of the rounds.
local function median_ratio(result, by)
  local list = {}
  for i, numbers in ipairs(result or {}) do
    local other = by and by[i]
    if other then list[#list + 1] = numbers[1] / other[1] end
  end
  return #list > 0 and grid.median(list) or nil
end

local function judge(value, limits)
  if not value or not (limits.least or limits.most) then return "-" end
  local met = value >= (limits.least or value)
    and value <= (limits.most or value)
  return met and "ok" or "MISSED"
end

local function limit_of(limits)
  if limits.least then return "at least " .. limits.least end
  return limits.most and "at most " .. limits.most or "-"
end

local function cell(value, format)
  return value and format(value) or "-"
end

-- -- the three tables: heads, rows --

local parts = {}

function parts.ratios(results)
  local list = {}
  for _, row in ipairs(rows.ratios) do
    local raw = results[row.title .. "raw"]
    local own = results[row.title .. "sluice"]
    if raw and own then
      local ratio = median_ratio(own, raw)
      list[#list + 1] = { row.title, cell(median(raw, 1), grid.number),
        cell(median(own, 1), grid.number), cell(ratio, grid.ratio),
        limit_of(row), judge(ratio, row) }
    end
  end
  return { "jobs/s", "raw", "sluice", "ratio", "demanded", "" }, list
end

local function add_bound(list, title, value, limits)
  list[#list + 1] = { title, cell(value, grid.ratio), limit_of(limits),
    judge(value, limits) }
end

function parts.bounds(results)
  local list = {}
  for _, row in ipairs(rows.bounds) do
    local own = results[row.title .. "command"]
    local unit = (row.unit or "") ~= "" and ", " .. row.unit or ""
    if own then
      local value = row.of and median_ratio(own, results[row.title .. "of"])
        or median(own, 1)
      if not row.of then
        add_bound(list, row.title .. unit, value, row)
      else
        add_bound(list, row.title, value, row)
      end
      for _, other in ipairs(row.others or {}) do
        add_bound(list, "  " .. other.title .. unit, median(own, other[1]),
          other)
      end
    end
  end
  return { "", "measured", "demanded", "" }, list
end

--- Jobs a second that are put and then worked off by one process.
local function whole_life(numbers)
  return 1 / (1 / numbers[1] + 1 / numbers[2])
end

local function lives_of(result)
  local list = {}
  for i, numbers in ipairs(result or {}) do
    list[i] = { whole_life(numbers) }
  end
  return list
end

local function peer_row(peer, results, group)
  local result = results[peer.title]
  local lives = lives_of(result)
  local function times_of(i)
    return peer.times
      and median_ratio(lives_of(results[group[i].title]), lives) or nil
  end
  local file, redis = times_of(1), peer.redis and times_of(2) or nil
  local least = file and math.min(file, redis or file)
  return { "  " .. peer.title, cell(median(result, 1), grid.number),
    cell(median(result, 2), grid.number), cell(median(lives, 1), grid.number),
    cell(file, grid.ratio), cell(redis, grid.ratio),
    peer.times and judge(least, { least = peer.times }) or "-" }
end

function parts.peers(results)
  local list = {}
  for _, group in ipairs(rows.peers) do
    list[#list + 1] = { group.title, "", "", "", "", "", "" }
    for _, peer in ipairs(group) do
      if results[peer.title] then
        list[#list + 1] = peer_row(peer, results, group)
      end
    end
  end
  return { "jobs/s", "put", "worked off", "both", "of file", "of Redis",
    "at least 5" }, list
end

-- -- the page --

local introductions = {
  ratios = [[
Jobs a second of 200 bytes. *raw* is a loop in C on SQLite with the engine's
own tables and pragmas, or on hiredis with the engine's own scripts, without
any other semantics. The ratio is the median of the rounds' ratios.
]],
  bounds = [[
What else has to hold. A share of one process's jobs/s is the median of the
rounds' ratios.
]],
  peers = [[
Jobs a second of 200 bytes that do nothing: put, then worked off by one
process, whose start is not counted; *both*: the jobs whose whole life takes
place in a second. sluice has 64 puts outstanding and a worker of concurrency
64, which acknowledges each job by itself. *of file* is what sluice does in a
file (the first line of its group) and *of Redis* what it does on the same
Redis (the second), as a multiple of the peer: medians of the rounds' ratios.
]],
}

local function note_text(notes)
  local lines = {}
  for i, note in ipairs(notes) do lines[i] = "- " .. note .. "\n" end
  return #lines > 0 and "\nNot measured:\n\n" .. table.concat(lines) or ""
end

--- Prints the tables of the parts that were run, and keeps them if wanted.
function report.show(results, notes, run)
  local text = "Files on " .. run.disk .. ".\n\n"
    .. machine.list(machine.common(), machine.queues(),
      { ("median of %d interleaved rounds"):format(run.rounds) })
  for part in run.only:gmatch "[^,]+" do
    local heads, list = parts[part](results)
    io.write("\n", grid.text(heads, list))
    text = text .. "\n" .. introductions[part] .. "\n"
      .. grid.markdown(heads, list)
  end
  io.write(note_text(notes))
  if run.save then page.save("Jobs", text .. note_text(notes)) end
end

return report
