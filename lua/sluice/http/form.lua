--- sluice.http.form: the body of a request as a form.
--
-- The one idea: a form in parts is read piece by piece and never held as a
-- whole. Fields and short files are strings; once a form has so much in
-- memory that `max_memory` is used up, the file in work goes to disk. Each
-- file on disk is noted in the request's visit, which removes it when the
-- request has ended, however that was.
--
-- Internal to sluice.http.

local core = require "sluice.core.http"
local fields = require "sluice.http.fields"
local file = require "sluice.http.file"

local MAX_HEAD = 8192 -- bytes of a part's head
local MAX_PARTS = 1000
local MAX_MEMORY = 1048576
local PIECES = 64 -- of content that are joined, so that short ones cost little

local form = {}

-- -- content in memory --

local function add_piece(part, data)
  local pieces = part.pieces
  pieces[#pieces + 1] = data
  if #pieces < PIECES then return end
  part.blocks[#part.blocks + 1] = table.concat(pieces)
  part.pieces = {}
end

local function take_content(part)
  local content = table.concat(part.blocks) .. table.concat(part.pieces)
  part.blocks, part.pieces = {}, {}
  return content
end

-- -- parts --

local Reader = {}
Reader.__index = Reader

function Reader:begin(name, filename, kind)
  self.part = {
    name = name, filename = filename, type = kind, size = 0,
    blocks = {}, pieces = {},
  }
  return true
end

-- A file on disk with that content; nil and what is wrong.
local function new_spool(self, content)
  local spool, message = core.Spool(self.directory)
  if not spool then return nil, "no room for a file: " .. message end
  self.files[#self.files + 1] = spool
  self.used = self.used - #content
  local ok
  ok, message = spool:write(content)
  return ok and spool, message
end

-- Moves what there is of the file in work to disk.
local function spill(self, part)
  local message
  part.spool, message = new_spool(self, take_content(part))
  return part.spool, message
end

-- Moves files that are in memory to disk, the last first, until there is room
-- for a field.
local function make_room(self)
  while self.used > self.max_memory do
    local held = table.remove(self.held)
    if not held then return nil, "the fields of the form are too long" end
    local spool, message = new_spool(self, held:text())
    if not spool then return nil, message end
    spool:rest()
    file.move(held, spool)
  end
  return true
end

function Reader:add(data)
  local part = self.part
  part.size = part.size + #data
  if not part.spool then
    self.used = self.used + #data
    add_piece(part, data)
    if self.used <= self.max_memory then return true end
    if not part.filename then return make_room(self) end
    return spill(self, part)
  end
  local ok, message = part.spool:write(data)
  return ok, message
end

-- Of equal names the first counts; the lists have them all.
function Reader:set(name, value)
  if self.values[name] == nil then
    self.values[name] = value
    return
  end
  local list = self.lists[name]
  if not list then
    list = { self.values[name] }
    self.lists[name] = list
  end
  list[#list + 1] = value
end

function Reader:finish()
  local part = self.part
  local value = not part.spool and take_content(part) or nil
  if part.spool then part.spool:rest() end
  if part.filename then
    value = file.new(part, value, part.spool)
    if not part.spool then self.held[#self.held + 1] = value end
  end
  self:set(part.name, value)
  return true
end

-- Takes a piece of the body. Returns "done", true, or nil and what is wrong.
local function take_piece(self, parser, piece)
  parser:feed(piece)
  while true do
    local kind, first, second, third = parser:next()
    local ok, message = true, nil
    if kind == "data" then
      ok, message = self:add(first)
    elseif kind == "part" then
      self:begin(first, second, third)
    elseif kind == "end" then
      self:finish()
    elseif kind == "error" then
      return nil, first
    else
      return kind or true
    end
    if not ok then return nil, message end
  end
end

-- Reads to the end of the body, which may be behind that of the form.
local function read_parts(self, parser, read)
  local done
  while true do
    local piece, reason = read()
    if not piece then
      if reason ~= "eof" then return nil, reason end
      if done ~= "done" then return nil, "the form is cut off" end
      return fields.new(self.values, next(self.lists) and self.lists)
    end
    local message
    done, message = take_piece(self, parser, piece)
    if not done then return nil, message end
  end
end

--- How many parts or names these options of request:form allow.
function form.most_parts(options)
  return math.min(options.max_parts or MAX_PARTS, 1e9) // 1 | 0
end

--- Reads a form in parts.
-- @param kind the Content-Type
-- @param read a function that returns the next piece; nil, "eof" after the
-- last; nil, reason
-- @param files a list to which files on disk are added
-- @param options of request:form
-- @return a table of values; or nil, message, and no file of it is left
-- Waits as `read` does.
function form.parts(kind, read, files, options)
  local parser = core.Form(kind, form.most_parts(options), MAX_HEAD)
  if not parser then return nil, "the form has no valid boundary" end
  local self = setmetatable({
    values = {}, lists = {}, used = 0, files = {}, held = {},
    max_memory = options.max_memory or MAX_MEMORY,
    directory = options.directory,
  }, Reader)
  -- The list of the visit knows this one, so that also what ends the reading
  -- in its middle finds the files.
  files[#files + 1] = self.files
  local values, message = read_parts(self, parser, read)
  if not values then form.remove(self.files) end
  return values, message
end

--- Removes the files on disk that nobody took.
function form.remove(files)
  for i, item in ipairs(files) do
    if type(item) == "table" then form.remove(item) else item:close() end
    files[i] = nil
  end
end

return form
