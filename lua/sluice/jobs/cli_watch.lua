--- sluice.jobs.cli_watch: figures and rates, again and again.
--
-- On a terminal the table is drawn over the one before; elsewhere each look
-- adds a line for each queue, or with --json one object. A bad day is shown
-- and goes by. Ctrl-C ends it between two looks, or in the middle of one that
-- waits for a server that is gone.
--
-- Internal to the command line.

local json = require "sluice.jobs.cli_json"
local layout = require "sluice.jobs.cli_layout"
local sluice = require "sluice"
local text = require "sluice.jobs.cli_text"

local watch = {}

local HEADER_EVERY = 20 -- looks, where lines are added
local STATES = { "ready", "delayed", "leased", "dead" }
local RATES = { put = "puts", ack = "acks", retry = "retries" }
local ORDER = { "put", "ack", "retry" }

-- -- looking --

-- How many a second since the last look, by the names of ORDER.
local function rates_of(view, name, stats)
  local now = sluice.time()
  local before = view.before[name]
  view.before[name] = { at = now, stats = stats }
  if not before or now <= before.at then return {} end
  local rates = {}
  for rate, counter in pairs(RATES) do
    local more = stats[counter] - before.stats[counter]
    rates[rate] = math.max(0, more) / (now - before.at)
  end
  return rates
end

local function queue_of(view, name)
  local queue = view.queues[name]
  if queue then return queue end
  local reason, message
  queue, reason, message = view.store:queue(name)
  view.queues[name] = queue
  return queue, reason, message
end

-- One look at a queue: an entry; or nil, reason, message.
local function look_at(view, name)
  local queue, why, detail = queue_of(view, name)
  if not queue then return nil, why, detail end
  local stats, reason, message = queue:stats()
  if not stats then return nil, reason, message end
  return { name = name, stats = stats, rates = rates_of(view, name, stats) }
end

-- One look at all queues: a list of entries; or nil, reason, message.
local function look(view)
  local names, why, detail = view.names, nil, nil
  if #names == 0 then names, why, detail = view.store:queues() end
  if not names then return nil, why, detail end
  local entries = {}
  for i, name in ipairs(names) do
    local entry, reason, message = look_at(view, name)
    if not entry then return nil, reason, message end
    entries[i] = entry
  end
  return entries
end

-- -- showing --

local function columns(entry)
  local parts = {}
  for _, state in ipairs(STATES) do
    parts[#parts + 1] = text.fit(text.count(entry.stats[state]), -8)
  end
  for _, rate in ipairs(ORDER) do
    parts[#parts + 1] = text.fit(text.rate(entry.rates[rate]), -8)
  end
  return table.concat(parts)
end

local function titles()
  local parts = {}
  for i, state in ipairs(STATES) do parts[i] = text.fit(state, -8) end
  for _, rate in ipairs(ORDER) do
    parts[#parts + 1] = text.fit(rate .. "/s", -8)
  end
  return table.concat(parts)
end

local function clock()
  return os.date "%H:%M:%S"
end

-- A view that adds lines.
local Lines = {}
Lines.__index = Lines

function Lines:show(entries)
  local lines = {}
  if self.looks % HEADER_EVERY == 0 then
    lines[1] = text.fit("time", 9) .. text.fit("queue", 15) .. titles()
  end
  for _, entry in ipairs(entries) do
    lines[#lines + 1] = clock() .. " " .. layout.title(entry, 15)
      .. columns(entry)
  end
  if #entries == 0 then lines[#lines + 1] = clock() .. " no queues" end
  return table.concat(lines, "\n") .. "\n"
end

function Lines:trouble(message)
  return clock() .. " " .. message .. "\n"
end

-- A view that draws over what it drew.
local Screen = {}
Screen.__index = Screen

local BOLD, PLAIN, CLEAR_LINE, CLEAR_REST = "\27[1m", "\27[0m", "\27[K", "\27[J"
-- Where the terminal is too narrow, a line is cut and takes no second one.
local NO_WRAP, WRAP = "\27[?7l", "\27[?7h"

local function draw(self, lines)
  local most = self.height - 2
  if #lines > most then
    local hidden = #lines - most + 1
    lines = table.move(lines, 1, most - 1, 1, {})
    lines[most] = ("… and %d more"):format(hidden)
  end
  local up = self.drawn and ("\27[%dA"):format(self.drawn) or ""
  self.drawn = #lines
  -- Cleared before it is written: behind a full line that takes its end away.
  return NO_WRAP .. up .. "\r" .. CLEAR_LINE
    .. table.concat(lines, "\n" .. CLEAR_LINE) .. "\n" .. CLEAR_REST .. WRAP
end

local function heading(self)
  return BOLD .. text.fit(text.clean(("%s   %s   every %gs   Ctrl-C ends")
    :format(self.url, clock(), self.interval)), text.WIDTH - 1) .. PLAIN
end

function Screen:show(entries)
  local lines = { heading(self), text.fit("queue", 24) .. titles() }
  for _, entry in ipairs(entries) do
    lines[#lines + 1] = layout.title(entry, 24) .. columns(entry)
  end
  if #entries == 0 then lines[#lines + 1] = "no queues" end
  self.latest = lines
  return draw(self, lines)
end

-- The figures stay, and below them what is wrong.
function Screen:trouble(message)
  local lines = table.move(self.latest or {}, 1, #(self.latest or {}), 1, {})
  lines[1] = heading(self)
  lines[#lines + 1] = text.cut(message, text.WIDTH - 1)
  return draw(self, lines)
end

-- A view for programs.
local Json = {}
Json.__index = Json

function Json:show(entries)
  local queues = {}
  for _, entry in ipairs(entries) do
    local more = {}
    for i, rate in ipairs(ORDER) do
      more[2 * i - 1] = rate .. "_rate"
      more[2 * i] = entry.rates[rate] or false
    end
    if not entry.rates.put then more = {} end
    queues[#queues + 1] = entry.name
    queues[#queues + 1] = layout.figures_object(entry.stats,
      table.unpack(more))
  end
  return json.encode(json.object("time", os.time(), "queues",
    json.object(table.unpack(queues)))) .. "\n"
end

function Json:trouble(message)
  return json.encode(json.object("time", os.time(), "error", message)) .. "\n"
end

-- -- the terminal --

-- The lines of the terminal that is written to, or nil if it is none.
local function terminal_height()
  if not os.execute "test -t 1" or os.getenv "TERM" == "dumb" then
    return nil
  end
  local pipe <close> = io.popen "stty size 2>/dev/null </dev/tty"
  local height = pipe and pipe:read "n"
  return height and height > 3 and height or 24
end

local function new_view(context, names)
  local height = not context.json and terminal_height()
  local class = context.json and Json or height and Screen or Lines
  return setmetatable({
    store = context.store, url = context.url, names = names, looks = 0,
    interval = context.interval, queues = {}, before = {}, height = height,
  }, class)
end

-- -- again and again --

local function look_on(view, explain, most)
  while not most or view.looks < most do
    if view.looks > 0 then sluice.sleep(view.interval) end
    local entries, reason, message = look(view)
    local shown = entries and view:show(entries)
      or view:trouble(text.clean(explain(reason, message)))
    view.looks = view.looks + 1
    -- Nobody reads any more: `sluice jobs URL watch | head`.
    if not (io.write(shown) and io.stdout:flush()) then return end
  end
end

--- Shows what is in the queues of these names, or in all.
-- @return true when it was ended
-- Waits.
function watch.run(context, names, explain)
  local view = new_view(context, names)
  local signal <close> = sluice.Signal "SIGINT"
  local looking = sluice.create_task(look_on, view, explain, context.count)
  local stopping = sluice.create_task(function()
    if not signal:wait() then return end
    looking:cancel "interrupted"
    context.store:close() -- who waits for a server waits no longer
  end)
  local ok, err = looking:pawait()
  stopping:cancel()
  stopping:pawait()
  if not ok and not sluice.is_cancelled(err) then error(err, 0) end
  if getmetatable(view) == Screen then io.write "\r\27[K" end
  return true
end

return watch
