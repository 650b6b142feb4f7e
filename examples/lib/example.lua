--[[
What every script of this directory begins with: its options, and lines that
tell when something happened: `say` on standard output; `tell`, the third
value, on standard error, for a script whose output is something else.

  local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
    breads = 6, bake = 0.5, fail_fast = false,
  }

The table names the options and their defaults: `--breads 3`, `--bake=0.1`,
`--fail-fast`; a word that is no option is the option 1, if there is one.
`--help` prints the comment at the top of the script.
]]

local sluice = require "sluice"

local function fail(message, ...)
  io.stderr:write(arg[0], ": ", message:format(...), "\n")
  os.exit(2)
end

local function help()
  for line in io.lines(arg[0]) do
    local text = line:match("^%-%- ?(.*)")
    if not text then break end
    print(text)
  end
  os.exit()
end

--- The value of an option, of the type of its default.
local function convert(name, value, default)
  if not value then fail("--%s needs a value", name) end
  if type(default) == "string" then return value end
  local number = tonumber(value)
  if not number then fail("--%s: not a number: %s", name, value) end
  if number < 0 then fail("--%s: negative: %s", name, value) end
  return number
end

local function parse(defaults)
  local options = setmetatable({}, { __index = defaults })
  local words = table.move(arg, 1, #arg, 1, {})
  while #words > 0 do
    local word = table.remove(words, 1)
    local name, value = word:match("^%-%-([%w-]+)=?(.*)$")
    local key = name and name:gsub("-", "_")
    local default = defaults[key]
    if name == "help" then help() end
    if not name and defaults[1] and not rawget(options, 1) then
      options[1] = word
    elseif default == nil then
      fail("unknown option %s", word)
    elseif type(default) == "boolean" then
      options[key] = true
    else
      if not word:find("=") then value = table.remove(words, 1) end
      options[key] = convert(name, value, default)
    end
  end
  return options
end

return function(defaults)
  io.stdout:setvbuf("line") -- each line at once, also into a file or a pipe
  local start = sluice.time()
  local function line(message, ...)
    return ("%6.2f  "):format(sluice.time() - start) .. message:format(...)
  end
  local function say(...) print(line(...)) end
  local function tell(...) io.stderr:write(line(...), "\n") end
  return parse(defaults), say, tell
end
