--- sluice.jobs.cli_layout: figures and jobs as tables of 80 columns, and as
-- objects for JSON.
--
-- Each function returns lines, or an object; nothing is written here. A stats
-- entry is `{ name =, stats = }`; a job is as the engine made it, its body
-- still the text that was stored.
--
-- Internal to the command line.

local json = require "sluice.jobs.cli_json"
local text = require "sluice.jobs.cli_text"

local layout = {}

-- -- figures --

local FIGURES = {
  "ready", "delayed", "leased", "dead", "puts", "acks", "retries", "expired",
  "cancelled",
}

--- The figures of a queue as an object, and more fields after them.
function layout.figures_object(stats, ...)
  local fields = {}
  for _, name in ipairs(FIGURES) do
    fields[#fields + 1] = name
    fields[#fields + 1] = stats[name]
  end
  fields[#fields + 1] = "paused"
  fields[#fields + 1] = stats.paused or false
  for _, more in ipairs { ... } do fields[#fields + 1] = more end
  return json.object(table.unpack(fields))
end

function layout.stats_object(url, entries)
  local queues = {}
  for _, entry in ipairs(entries) do
    queues[#queues + 1] = entry.name
    queues[#queues + 1] = layout.figures_object(entry.stats)
  end
  return json.object("url", url, "queues",
    json.object(table.unpack(queues)))
end

-- The name with what is special about the queue, in so many columns.
local function title(entry, width)
  local name = text.clean(entry.name)
  if not entry.stats.paused then return text.fit(name, width) end
  return text.fit(text.cut(name, width - 9) .. " (paused)", width)
end

layout.title = title

local TABLE = { "ready", "delayed", "leased", "dead", "puts", "acks",
  "retries" }
local NAME = 24

function layout.stats_table(entries)
  local lines = { text.fit("queue", NAME) }
  for _, name in ipairs(TABLE) do
    lines[1] = lines[1] .. text.fit(name, -8)
  end
  for i, entry in ipairs(entries) do
    local line = title(entry, NAME)
    for _, name in ipairs(TABLE) do
      line = line .. text.fit(text.count(entry.stats[name]), -8)
    end
    lines[i + 1] = line
  end
  return lines
end

local MEANING = {
  ready = "wait to be reserved",
  delayed = "wait until they are due",
  leased = "somebody works on them",
  dead = "failed too often, or were buried",
  puts = "were put, ever",
  acks = "were done",
  retries = "failed or lost their lease, and went again",
  expired = "were dropped when their ttl was over",
  cancelled = "were cancelled or purged",
}

function layout.stats_of_one(entry)
  local lines = { text.clean(entry.name)
    .. (entry.stats.paused and " (paused)" or "") }
  for i, name in ipairs(FIGURES) do
    lines[i + 1] = ("  %-10s%12d   %s"):format(name, entry.stats[name],
      MEANING[name])
  end
  return lines
end

-- -- jobs --

-- The body of a job that is damaged is missing.
local DAMAGED = "(damaged)"

local function tries(raw)
  if raw.max_attempts == 0 then return ("%d"):format(raw.attempts) end
  return ("%d/%d"):format(raw.attempts, raw.max_attempts)
end

local function since(seconds, now)
  return seconds and text.duration(now - seconds) or "-"
end

local function until_(seconds, now)
  return seconds and text.duration(seconds - now) or "-"
end

-- State -> the title of the column that it has of its own, and its cell.
local OWN = {
  delayed = { "due in", function(raw, now) return until_(raw.due, now) end },
  leased = { "lease", function(raw, now) return until_(raw.deadline, now) end },
}

local function push(list, own, value)
  if own then table.insert(list, 5, value) end
end

--- A line for each job; another for its error if it is dead.
function layout.jobs(raws, state, now)
  local own = OWN[state]
  local widths = { 10, -8, -7, -6, own and 38 or 45 }
  local titles = { "id", "priority", "tries", "age", " body" }
  push(widths, own, -6)
  push(titles, own, own and own[1])
  local lines = { text.line(widths, titles) }
  for _, raw in ipairs(raws) do
    local cells = { raw.id, text.number(raw.priority), tries(raw),
      since(raw.created, now), " " .. (raw.body or DAMAGED) }
    push(cells, own, own and own[2](raw, now))
    lines[#lines + 1] = text.line(widths, cells)
    if state == "dead" and raw.error then
      lines[#lines + 1] = text.line({ text.WIDTH },
        { "           error: " .. raw.error })
    end
  end
  return lines
end

function layout.jobs_object(name, state, raws)
  local list = {}
  for i, raw in ipairs(raws) do list[i] = json.job(raw) end
  return json.object("queue", name, "state", state, "jobs", list)
end

local function moment(seconds, now)
  local away = seconds - now
  local distance = away < 0 and text.duration(-away) .. " ago"
    or "in " .. text.duration(away)
  return ("%s (%s)"):format(os.date("%Y-%m-%d %H:%M:%S",
    math.floor(seconds)), distance)
end

-- The lines of a text, each clean, the later ones set in as the first.
local function clean_lines(str, indent)
  local lines = {}
  for line in (str .. "\n"):gmatch("(.-)\n") do
    lines[#lines + 1] = text.clean(line)
  end
  return table.concat(lines, "\n" .. indent)
end

--- All of a job; the body and the error uncut.
function layout.job(raw, name, now)
  local lines = { text.clean(("job %d of %s, %s"):format(raw.id, name,
    raw.state)) }
  local function add(label, value)
    if value == nil then return end
    lines[#lines + 1] = ("  %-13s%s"):format(label,
      clean_lines(tostring(value), (" "):rep(15)))
  end
  add("priority", text.number(raw.priority))
  add("tries", raw.max_attempts == 0 and raw.attempts .. ", no limit"
    or ("%d of %d"):format(raw.attempts, raw.max_attempts))
  add("put", raw.created and moment(raw.created, now))
  add("due", raw.due and moment(raw.due, now))
  add("lease until", raw.deadline and moment(raw.deadline, now))
  add("unique", raw.unique)
  add("error", raw.error)
  add("body", raw.body or DAMAGED)
  return lines
end

return layout
