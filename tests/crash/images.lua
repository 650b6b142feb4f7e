--[[
What a disk may have after a power cut: images made of a trace (trace.c).

The one idea: of each file, what was synced is there; of what was written
since, anything may be: nothing, all, some of the writes, some of their
sectors, a size without contents. A file is there for certain once its
directory was synced. The trace is gone through once: the safe contents are
kept in files, the writes since the last sync in a list a file.
]]

local images = {}

local SECTOR = 512

-- Locks and ballast are made anew by who opens; SQLite does the same with
-- its -shm, which may hold anything.
local IGNORED = { ["-lock"] = true, ["-notify"] = true,
  ["-ballast"] = true, ["-shm"] = true }

-- -- the trace --

--- Goes through a trace: returns an iterator of kind, name, offset, data.
function images.records(path)
  local file = assert(io.open(path, "rb"))
  return function()
    local head = file:read(2)
    if not head or #head < 2 then
      file:close()
      return nil
    end
    local kind, len = head:sub(1, 1), head:byte(2)
    local name = len > 0 and file:read(len) or ""
    local offset, size = string.unpack("<I8 I4", file:read(12))
    return kind, name, offset, size > 0 and file:read(size) or ""
  end
end

-- -- files --

local function read_all(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

local function write_all(path, data)
  local file <close> = assert(io.open(path, "wb"))
  file:write(data)
end

-- Sets a file's size; Lua's library cannot.
local function resize(path, size)
  local data = read_all(path) or ""
  if #data >= size then
    write_all(path, data:sub(1, size))
  else
    write_all(path, data .. ("\0"):rep(size - #data))
  end
end

local function write_at(path, offset, data)
  local file <close> = assert(io.open(path, "r+b"))
  local size = file:seek("end")
  if size < offset then file:write(("\0"):rep(offset - size)) end
  file:seek("set", offset)
  file:write(data)
end

local function apply(path, op)
  if op.kind == "W" then
    write_at(path, op.offset, op.data)
  elseif op.kind == "T" then
    resize(path, op.offset)
  else -- allocated: never smaller
    local file <close> = assert(io.open(path, "rb"))
    local size = file:seek("end")
    if size < op.offset then resize(path, op.offset) end
  end
end

-- -- what may be there of what was not synced --

-- Splits a write where sectors end.
local function sectors_of(op)
  local parts, at = {}, 0
  if op.kind ~= "W" then return { op } end
  while at < #op.data do
    local len = SECTOR - (op.offset + at) % SECTOR
    parts[#parts + 1] = { kind = "W", offset = op.offset + at,
      data = op.data:sub(at + 1, at + len) }
    at = at + len
  end
  return parts
end

local function all_sectors(pending)
  local parts = {}
  for _, op in ipairs(pending) do
    for _, part in ipairs(sectors_of(op)) do parts[#parts + 1] = part end
  end
  return parts
end

local function some(list, random)
  local share, left = random(), {}
  for _, item in ipairs(list) do
    if random() < share then left[#left + 1] = item end
  end
  return left
end

--- Ways to choose: (pending, random) -> what is there.
local CHOICES = {
  function() return {} end,
  function(pending) return pending end,
  function(pending, random)
    return table.move(pending, 1, random(0, #pending), 1, {})
  end,
  function(pending, random)
    local parts = all_sectors(pending)
    return table.move(parts, 1, random(0, #parts), 1, {})
  end,
  some,
  function(pending, random) return some(all_sectors(pending), random) end,
}

-- -- the disk --

local Disk = {}
Disk.__index = Disk

--- A disk without files; what is safe is kept in files of a directory.
function images.disk(directory)
  return setmetatable({ directory = directory, files = {} }, Disk)
end

function Disk:path(name) return self.directory .. "/safe" .. name end

--- Has the disk begin with the files of an image.
function Disk:start(prefix, names)
  for _, name in ipairs(names) do
    local data = read_all(prefix .. name)
    if data then
      write_all(self:path(name), data)
      self.files[name] = { pending = {}, certain = true }
    end
  end
end

-- What the directory says of names is not certain until it is synced.
local function sync_directory(self)
  for name, file in pairs(self.files) do
    file.certain = true
    if file.removed then self.files[name] = nil end
  end
end

-- After a sync that failed the kernel takes what was written for clean: what
-- of it is not on the disk by then will never be.
local function give_up(self, name, file)
  local choice = CHOICES[math.random(#CHOICES)]
  for _, op in ipairs(choice(file.pending, math.random)) do
    apply(self:path(name), op)
  end
  file.pending = {}
end

--- Takes a change.
function Disk:change(kind, name, offset, data)
  if kind == "D" then return sync_directory(self) end
  if IGNORED[name] then return end
  local file = self.files[name]
  if not file or file.removed then
    file = { pending = {} }
    self.files[name] = file
    write_all(self:path(name), "")
  end
  if kind == "S" then
    for _, op in ipairs(file.pending) do apply(self:path(name), op) end
    file.pending = {}
  elseif kind == "E" then
    give_up(self, name, file)
  elseif kind == "U" then
    file.removed = true
  elseif kind ~= "C" then
    file.pending[#file.pending + 1] =
      { kind = kind, offset = offset, data = data }
  end
end

local function is_there(file, random)
  if file.removed then return random(2) == 1 end
  return file.certain or random(2) == 1
end

--- Makes an image of what may be there now, beside `prefix`.
-- @param names of all files that may be there: those that are not are removed
-- @param[opt] choose what is there of what was not synced: (pending, random)
-- -> changes (one of many ways)
function Disk:image(prefix, names, random, choose)
  for _, name in ipairs(names) do
    local file = self.files[name]
    os.remove(prefix .. name)
    if file and is_there(file, random) then
      write_all(prefix .. name, read_all(self:path(name)))
      local choice = choose or CHOICES[random(#CHOICES)]
      for _, op in ipairs(choice(file.pending, random)) do
        apply(prefix .. name, op)
      end
    end
  end
end

return images
