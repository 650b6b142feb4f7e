--[[
The table that demo.lua shows on a terminal: who is served, who waits, and in
which order they were taken. Drawn again and again in the same place.
]]

local board = {}
board.__index = board

local GOLD, BOLD, PLAIN, CLEAR_LINE = "\27[33m", "\27[1m", "\27[0m", "\27[K"
local LATEST = 14 -- of those served

function board.new(title, workers, queue)
  return setmetatable({
    title = title, workers = workers, rows = math.max(workers, queue),
  }, board)
end

--- A text as wide as its column; power users are set off.
local function cell(width, order, format, ...)
  local text = order and format:format(...) or ""
  text = text .. (" "):rep(width - #text)
  return order and order.power and GOLD .. text .. PLAIN or text
end

local function busy_workers(log)
  local busy = {}
  for _, order in ipairs(log.served) do
    if not order.finished then busy[order.worker] = order end
  end
  return busy
end

local function latest(log)
  local words = {}
  for i = math.max(1, #log.served - LATEST + 1), #log.served do
    local order = log.served[i]
    words[#words + 1] = cell(0, order, "%d", order.id)
  end
  return table.concat(words, " ")
end

local function row(n, log, worker, waiting, is_worker)
  return ("  %s  %s%s"):format(is_worker and n or " ",
    cell(24, worker, "order %d", worker and worker.id),
    cell(40, waiting, "order %d, for %.1f s", waiting and waiting.id,
      waiting and log.now - waiting.accepted))
end

function board:lines(log)
  local busy, waiting = busy_workers(log), log:waiting()
  local lines = {
    BOLD .. self.title .. PLAIN,
    ("%d accepted, %d finished; power users in %sgold%s"):format(
      log.accepted, log.finished, GOLD, PLAIN),
    "",
    BOLD .. "workers                      waiting, the next one first" .. PLAIN,
  }
  for n = 1, self.rows do
    lines[#lines + 1] =
      row(n, log, busy[n], waiting[n], n <= self.workers)
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = BOLD .. "served last: " .. PLAIN .. latest(log)
  return lines
end

--- Draws the table, over the one drawn before.
function board:draw(log)
  local lines = self:lines(log)
  if self.drawn then io.write(("\27[%dA"):format(#lines)) end
  self.drawn = true
  for _, line in ipairs(lines) do io.write(line, CLEAR_LINE, "\n") end
  io.flush()
end

return board
