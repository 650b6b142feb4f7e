--- What specs say about errors.
--
-- `raises` takes a function written on one line and checks that the error
-- names that very line: mistakes are raised at the caller's.

local assert = require "luassert"

local errors = {}

--- What an error of nil arrives as: nil; from Lua 5.5 on, a text.
errors.NIL = select(2, pcall(error, nil))

--- The error that fn(...) raises; fails if it raises none.
function errors.of(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("no error was raised", 2) end
  return err
end

--- Checks that fn, of one line, raises exactly `text` at its own line.
function errors.raises(text, fn)
  local err = errors.of(fn)
  local where = debug.getinfo(fn, "S")
  assert.equal(("%s:%d: %s"):format(where.short_src, where.linedefined, text),
    err)
end

--- As `raises`, with a pattern that the message must match.
function errors.raises_match(pattern, fn)
  local err = errors.of(fn)
  local where = debug.getinfo(fn, "S")
  local place = ("%s:%d: "):format(where.short_src, where.linedefined)
  assert.equal(place, tostring(err):sub(1, #place))
  assert.matches(pattern, tostring(err):sub(#place + 1))
end

--- The duration errors that every argument `n` of time must raise; `call`
-- calls the function with the duration given.
function errors.refuses_durations(n, name, call)
  local prefix = ("bad argument #%d to '%s' "):format(n, name)
  local function refused(why, value)
    local err = errors.of(call, value)
    assert.equal(prefix .. why, (tostring(err):gsub("^[^:]+:%d+: ", "")))
  end
  refused("(duration is negative)", -1)
  refused("(duration is negative)", -0.001)
  refused("(duration is NaN)", 0 / 0)
  refused("(number expected, got string)", "1")
  refused("(number expected, got boolean)", false)
  refused("(number expected, got table)", {})
end

return errors
