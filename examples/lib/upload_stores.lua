--[[
Where an upload is kept until it is whole: in memory, from where it goes to
standard output, or in a file. `stores.in_memory(limit)` and
`stores.in_files(path)` return a function that makes the store of an upload,
given its number. A store has

  put(data)   keeps some bytes: true, or nil and a message
  finish()    delivers the whole: where it is now, or nil and a message
  __close     gives it up, unless its field `whole` is set
]]

local sluice = require "sluice"

local stores = {}

-- -- in memory --

local Memory = {}
Memory.__index = Memory

local output = sluice.Lock() -- of standard output: one upload at a time

function stores.in_memory(limit)
  return function()
    return setmetatable({ pieces = {}, size = 0, limit = limit }, Memory)
  end
end

function Memory:put(data)
  self.size = self.size + #data
  if self.size > self.limit then
    return nil, ("more than the %g MiB that are collected in memory; "
      .. "--output writes to a file instead, --limit takes more")
      :format(self.limit / 1048576)
  end
  self.pieces[#self.pieces + 1] = data
  return true
end

--- Writes piece by piece, so that other tasks go on between them.
function Memory:finish()
  local _ <close> = output:acquire()
  for _, piece in ipairs(self.pieces) do
    local ok, message = io.stdout:write(piece)
    if not ok then return nil, message end
    sluice.sleep(0)
  end
  local ok, message = io.stdout:flush()
  if not ok then return nil, message end
  return "written to standard output"
end

function Memory:__close()
  if not self.whole then self.pieces = {} end
end

-- -- in files --

local File = {}
File.__index = File

local function exists(path)
  local file <close> = io.open(path, "rb")
  return file ~= nil
end

local function name_in(directory)
  local n = 0
  return function()
    local path
    repeat
      n = n + 1
      path = ("%s/upload-%d"):format(directory, n)
    until not exists(path)
    return path
  end
end

function stores.in_files(path)
  local function name() return path end
  if exists(path .. "/.") then name = name_in(path) end
  return function(number)
    local self = setmetatable({ path = name() }, File)
    self.part = ("%s.%d.part"):format(self.path, number)
    local message
    self.file, message = io.open(self.part, "wb")
    if not self.file then return nil, message end
    self.file:setvbuf("no") -- the pieces are large
    return self
  end
end

function File:put(data)
  local ok, message = self.file:write(data)
  return ok and true, message
end

function File:finish()
  local ok, message = self.file:close()
  if ok then ok, message = os.rename(self.part, self.path) end
  if not ok then
    os.remove(self.part)
    return nil, message
  end
  return "written to " .. self.path
end

function File:__close()
  if self.whole then return end
  self.file:close()
  os.remove(self.part)
end

return stores
