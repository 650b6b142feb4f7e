--- What each form of reading returns, told by the bytes that are still to
-- come: for random reads of random bytes that arrive in random pieces.

local assert = require "luassert"
local sluice = require "sluice"

local stream_model = {}

local BYTES = { "a", "b", "\n", "\r", "\0", "\255", "--" }
local SEPARATORS = { "\n", "\r\n", "aab", "\0", "--", "\r\n\r\n", "abab" }

local Model = {}
Model.__index = Model

local function pick(list) return list[math.random(#list)] end

-- As text that fits a line: how long strings are, and how they begin.
local function describe(results)
  local words = {}
  for i = 1, results.n do
    local value = results[i]
    words[i] = type(value) == "string"
      and ("%d %q"):format(#value, value:sub(1, 40)) or tostring(value)
  end
  return table.concat(words, ", ")
end

local function check(form, argument, expected, ...)
  local got = table.pack(...)
  for i = 1, math.max(expected.n, got.n) do
    if expected[i] ~= got[i] then
      error(("%s(%q) returned %s, not %s"):format(form, argument or "",
        describe(got), describe(expected)), 0)
    end
  end
end

--- A model of the bytes that a stream has yet to give, and its limit.
function stream_model.new(bytes, limit)
  return setmetatable({ rest = bytes, limit = limit }, Model)
end

function Model:take(n)
  local taken = self.rest:sub(1, n)
  self.rest = self.rest:sub(n + 1)
  return taken
end

function Model:read(n, got, reason)
  if got == nil then
    assert.same({ "eof", "" }, { reason, self.rest })
    return
  end
  assert.is_true(#got <= (n or math.huge))
  assert.is_true(#got > 0 or n == 0)
  assert.equal(self:take(#got), got)
end

function Model:readexactly(n, ...)
  local expected = n <= #self.rest and table.pack(self:take(n))
    or table.pack(nil, "eof", self:take(n))
  check("readexactly", n, expected, ...)
end

-- The bytes before the separator; or nil, a reason, the bytes taken.
function Model:until_separator(separator)
  local at = self.rest:find(separator, 1, true)
  if at and at - 1 <= self.limit then
    return self:take(at - 1 + #separator):sub(1, -#separator - 1)
  elseif #self.rest >= self.limit + #separator then
    return nil, "limit", self:take(self.limit)
  end
  return nil, "eof", self:take(#self.rest)
end

function Model:readuntil(separator, ...)
  local expected = table.pack(self:until_separator(separator))
  if expected[1] then expected[1] = expected[1] .. separator end
  check("readuntil", separator, expected, ...)
end

function Model:readline(_, ...)
  local expected = table.pack(self:until_separator("\n"))
  if expected[1] then expected[1] = expected[1]:gsub("\r$", "") end
  check("readline", nil, expected, ...)
end

function Model:read_all(limit, ...)
  local expected = #self.rest > limit
    and table.pack(nil, "limit", self:take(limit))
    or table.pack(self:take(#self.rest))
  check("read_all", limit, expected, ...)
end

local function some() return math.random(0, pick { 3, 40, 3000 }) end

-- Names of methods to how their argument is drawn.
local FORMS = {
  { "read", function() return pick { some(), some() + 1, false } or nil end },
  { "readexactly", some },
  { "readuntil", function() return pick(SEPARATORS) end },
  { "readline", function() end },
  { "read_all", function() return some() end },
}

--- Random bytes in which separators, and beginnings of some, are common.
function stream_model.bytes(n)
  local list = {}
  for i = 1, n do list[i] = pick(BYTES) end
  return table.concat(list)
end

--- Writes the bytes in random pieces, and ends.
function stream_model.send(stream, bytes)
  while #bytes > 0 do
    local n = math.random(pick { 1, 10, 5000 })
    stream:write(bytes:sub(1, n))
    bytes = bytes:sub(n + 1)
    if math.random(3) == 1 then sluice.sleep(0) end
    if math.random(20) == 1 then sluice.sleep(0.0003) end
  end
  stream:shutdown()
end

-- A read by a task that is cancelled somewhere: it took effect or it did not.
local function read_or_not(stream, name, argument)
  local task = sluice.create_task(stream[name], stream, argument)
  for _ = 1, math.random(0, 3) do sluice.sleep(0) end
  task:cancel()
  return table.pack(task:pawait())
end

--- Reads once, in a random way, and checks what it got.
function stream_model.step(model, stream)
  local form = pick(FORMS)
  local name, argument = form[1], form[2]()
  local results
  if math.random(4) == 1 then
    results = read_or_not(stream, name, argument)
    if not results[1] then -- cancelled: nothing was taken
      assert.is_true(sluice.is_cancelled(results[2]))
      return
    end
    results = table.pack(table.unpack(results, 2, results.n))
  else
    results = table.pack(stream[name](stream, argument))
  end
  model[name](model, argument, table.unpack(results, 1, results.n))
end

return stream_model
