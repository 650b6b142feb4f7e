--[[
A program started by the shell and left to run beside this one: its output
goes into a file, so that nothing here ever waits for it but by sleeping. To
be closed: what still runs is ended, so that no process is left behind.
]]

local sluice = require "sluice"

local child = {}
child.__index = child

local function quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

--- A list of words as a command of the shell.
function child.command(words)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = quote(word) end
  return table.concat(quoted, " ")
end

local function read_all(path)
  local file <close> = io.open(path)
  return file and file:read("a")
end

local function new_directory()
  local pipe <close> = assert(io.popen("mktemp -d"))
  return assert(pipe:read("l"), "mktemp -d failed")
end

--- Starts a program. The shell around it waits for it, to keep its status.
function child.start(words)
  local dir = new_directory()
  os.execute(([[
    cd %s && {
      (cd "$OLDPWD" && exec %s) >output 2>&1 & echo $! >pid
      wait $!; echo $? >status
    } </dev/null >/dev/null 2>&1 &
  ]]):format(quote(dir), child.command(words)))
  return setmetatable({ dir = dir, partial = "", patience = 2 }, child)
end

--- Its exit status, or nil as long as it runs.
function child:status()
  if not self.ended then
    self.ended = tonumber(read_all(self.dir .. "/status") or "")
  end
  return self.ended
end

function child:pid()
  return tonumber(read_all(self.dir .. "/pid") or "")
end

--- Sends a signal; true if there was a process to send it to.
function child:signal(name)
  local pid = self:pid()
  return pid and
    os.execute(("kill -%s %d 2>/dev/null"):format(name, pid)) or false
end

function child:alive()
  return self:signal("0")
end

--- Waits until it has ended and returns its status, or nil, "timeout".
function child:wait(timeout)
  return sluice.wait_for(timeout, function()
    while not self:status() do sluice.sleep(0.02) end
    return self.ended
  end)
end

--- The complete lines it has written since the last call.
function child:new_lines()
  self.file = self.file or io.open(self.dir .. "/output")
  local lines = {}
  local text = self.partial .. (self.file and self.file:read("a") or "")
  for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  self.partial = text:match("[^\n]*$")
  return lines
end

function child:__close()
  sluice.shield(function()
    if not self:status() then self:signal("TERM") end
    if not self:wait(self.patience) then
      self:signal("KILL")
      self:wait(self.patience)
    end
  end)
  if self.file then self.file:close() end
  os.execute("rm -rf " .. quote(self.dir))
end

return child
