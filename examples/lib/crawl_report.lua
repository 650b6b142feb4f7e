--[[
What crawler.lua tells: a line that is written over itself on a terminal, else
a line now and then; what failed, as it fails; a summary at the end.
]]

local sluice = require "sluice"

local report = {}
report.__index = report

--- Codes of errors, as people say it.
local WORDS = {
  ETIMEDOUT = "timeout", ECONNREFUSED = "connection refused",
  ECONNRESET = "connection reset", EPIPE = "connection reset",
  EOF = "cut off", EPROTO = "bad answer", EFBIG = "too large",
  ECERT = "bad certificate", ETLS = "no TLS", EAI_NONAME = "no such host",
  EINVAL = "not a URL", E2BIG = "too complex",
}

local CLEAR_LINE = "\r\27[K"

function report.new(say, every)
  return setmetatable({
    say = say, every = every, terminal = os.execute("test -t 1"),
    start = sluice.time(), pages = 0, redirects = 0, failed = 0, bytes = 0,
    errors = {}, -- how many of each kind
  }, report)
end

function report:page(size)
  self.pages, self.bytes = self.pages + 1, self.bytes + size
end

function report:redirect() self.redirects = self.redirects + 1 end

--- Takes note of a page that failed: a code, "HTTP 404" or the like.
function report:failure(address, code)
  local kind = WORDS[code] or code
  self.failed = self.failed + 1
  self.errors[kind] = (self.errors[kind] or 0) + 1
  if self.terminal then io.write(CLEAR_LINE) end
  self.say("%s: %s", kind, address)
end

local function rate(self)
  return self.pages / math.max(sluice.time() - self.start, 0.001)
end

--- Tells how far it is, again and again; `waiting()` is how many wait.
function report:run(waiting)
  while true do
    sluice.sleep(self.terminal and 0.1 or self.every)
    local text = ("%d pages, %d failed, %d to go, %.1f MB, %.0f pages a second")
      :format(self.pages, self.failed, waiting(), self.bytes / 1e6, rate(self))
    if self.terminal then
      io.write(CLEAR_LINE, text)
      io.flush()
    else
      self.say("%s", text)
    end
  end
end

--- The counts as "3 of this, 2 of that", the most frequent first.
local function list(counts)
  local kinds, words = {}, {}
  for kind in pairs(counts) do kinds[#kinds + 1] = kind end
  table.sort(kinds, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  for i, kind in ipairs(kinds) do
    words[i] = ("%d %s"):format(counts[kind], kind)
  end
  return table.concat(words, ", ")
end

--- The summary. `left`: how many URLs were not asked for, by the reason.
function report:summary(left)
  if self.terminal then io.write(CLEAR_LINE) end
  self.say("%d pages, %d redirects, %d failed, %d bytes in %.2f s, \z
    %.0f pages a second", self.pages, self.redirects, self.failed, self.bytes,
    sluice.time() - self.start, rate(self))
  if next(self.errors) then self.say("failed: %s", list(self.errors)) end
  if next(left) then self.say("not asked for: %s", list(left)) end
end

return report
