--[[
Runs the scripts of examples/ as the launcher does, their main chunk the first
task, but in this process and on a virtual clock: what they print is returned,
and a script that takes a minute takes no time. A script sees a `print`, an
`arg` and a `dofile` of its own, so that a run leaves nothing behind.
]]

local sluice = require "sluice"
local testing = require "sluice.testing"

local support = {}

local function environment(path, args, lines)
  local env = setmetatable({}, { __index = _G })
  env.arg = table.move(args, 1, #args, 1, { [0] = path })
  env.io = setmetatable({ stdout = { setvbuf = function() end } },
    { __index = io })
  function env.print(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    lines[#lines + 1] = table.concat(words, "\t")
  end
  function env.dofile(file)
    return assert(loadfile(file, "t", env))()
  end
  return env
end

--- Runs examples/NAME.lua with arguments.
-- @param options `interrupt`: the time of a Ctrl-C
-- @return the lines printed
function support.run(name, args, options)
  local path, lines = "examples/" .. name .. ".lua", {}
  local env = environment(path, args or {}, lines)
  local script = assert(loadfile(path, "t", env))
  testing.run(function()
    local interrupt = options and options.interrupt
    if interrupt then
      local main = sluice.current_task()
      sluice.call_at(interrupt, function() main:cancel("interrupted") end)
    end
    script(table.unpack(env.arg))
  end)
  return lines
end

--- The lines as one text, to compare with a long string.
function support.text(lines)
  return table.concat(lines, "\n") .. "\n"
end

--- All that a pattern captures in the lines, a list of tables; each keeps
-- the number of its line as `line` and its time as `at`.
function support.find(lines, pattern)
  local found = {}
  for number, text in ipairs(lines) do
    local captures = table.pack(text:match(pattern))
    if captures[1] then
      captures.line, captures.at = number, tonumber(text:match("[%d.]+"))
      found[#found + 1] = captures
    end
  end
  return found
end

return support
