--- Processes that run beside a spec: Lua programs, told what to do by
-- arguments, and watched by what they print.
--
-- A child's program is run in a task, with `store` open at the URL that is
-- its first argument; `say(...)` prints a line at once.

local children = {}

local prelude = [[
local sluice = require "sluice"
local jobs = require "sluice.jobs"
local url = arg[1]
local function say(...)
  print(...)
  io.stdout:flush()
end
sluice.run(function()
  local store <close> = assert(jobs.open(url))
]]

local Child = {}
Child.__index = Child

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

--- Starts a program with a URL and other arguments.
function children.start(program, ...)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(prelude, program, "\nend)\n")
  file:close()
  local words = { os.getenv "LUA" or "lua5.4", path }
  for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  local pipe = io.popen("echo $$; exec " .. table.concat(words, " ")
    .. " 2>&1")
  local pid = pipe:read "l"
  return setmetatable({ pid = pid, pipe = pipe, path = path }, Child)
end

--- The next line that it prints; waits, and the loop with it.
function Child:line()
  return self.pipe:read "l"
end

--- Sends a signal.
function Child:signal(name)
  os.execute("kill -" .. name .. " " .. self.pid)
end

--- Waits until it ends. Returns what is left of its output, and how it ended
-- as io.close tells.
function Child:finish()
  local rest = self.pipe:read "a"
  local ok, how, code = self.pipe:close()
  os.remove(self.path)
  return rest, ok, how, code
end

--- Kills it with a signal that cannot be caught. Returns what it printed.
function Child:kill()
  self:signal "KILL"
  return (self:finish())
end

return children
