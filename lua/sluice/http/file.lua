--- sluice.http.file: a file that a client has sent in a form.
--
-- The one idea: where its content is, in memory or on disk, is seen by nobody
-- but who asks for `path`. One on disk lives as long as the request unless it
-- is saved, which then costs no copy.
--
-- Internal to sluice.http.

local sluice = require "sluice"
local core = require "sluice.core.http"
local checkpoint = require("sluice.core").checkpoint

local File = {}
File.__index = File
File.__name = "sluice.http.File"

-- Makes the file of a part: its content is a string, or in a spool.
local function new(part, content, spool)
  return setmetatable({
    filename = part.filename, content_type = part.type, size = part.size,
    path = spool and spool:path() or nil,
    _content = content, _spool = spool, _at = 0,
  }, File)
end

-- Its content is in a spool from now on.
local function move(file, spool)
  file._content, file._spool, file.path = nil, spool, spool:path()
end

local function read(file, at, n)
  if file._content then return file._content:sub(at + 1, at + n) end
  local ok, data, message, code =
    pcall(file._spool.read, file._spool, at, n)
  if not ok then error("the request has ended, its files are gone", 3) end
  return data, message, code
end

--- The whole content. Never waits for the client: it was read with the form.
-- @return a string; or nil, message, code
function File:text()
  local data, message, code = read(self, 0, self.size)
  return data, message, code
end

--- The next piece of the content.
-- @param[opt] n at most so many bytes (65536)
-- @return a string; nil, "eof" after the last; nil, message, code
function File:read(n)
  if n == nil then n = 65536 end
  if math.type(n) ~= "integer" or n < 1 then
    error("bad argument #1 to 'read' (a positive integer expected)", 2)
  end
  local data, message, code = read(self, self._at, n)
  if data == "" then return nil, "eof" end
  if not data then return nil, message, code end
  self._at = self._at + #data
  return data
end

-- A new file beside the one that is to be saved, which it then replaces: what
-- was there is not touched before all is written.
local function spool_beside(path)
  return core.Spool(path:match "^(.*/)[^/]*$" or ".")
end

local Dropping = { __close = function(dropping) dropping.spool:close() end }

local function write_file(path, content)
  local spool, message, code = spool_beside(path)
  if not spool then return nil, message, code end
  local dropping <close> = -- luacheck: ignore
    setmetatable({ spool = spool }, Dropping)
  local ok
  ok, message, code = spool:write(content)
  if not ok then return nil, message, code end
  return spool:move(path)
end

-- In a thread, to a file that is there: returns nil, or the number of the
-- error.
local function copy_file(from, to)
  local source, _, number = io.open(from, "rb")
  if not source then return number end
  local target
  target, _, number = io.open(to, "r+b")
  if not target then return number end
  local block
  repeat
    block, _, number = source:read(1048576)
    if block then _, _, number = target:write(block) end
  until not block or number
  source:close()
  local _, _, close_number = target:close()
  return number or close_number
end

local function copy(from, to)
  local spool, message, code = spool_beside(to)
  if not spool then return nil, message, code end
  local dropping <close> = -- luacheck: ignore
    setmetatable({ spool = spool }, Dropping)
  spool:rest()
  local number = sluice.to_thread(copy_file, from, spool:path())
  if number then return core.system_error(number) end
  return spool:move(to)
end

--- Saves it as a file of the caller's, which replaces a plain file that is
-- there, when all is written. What is on disk already is moved, if that is on
-- the same file system.
-- @param path where to
-- @return true; or nil, message, code
-- Waits if it must copy from one file system to another.
function File:save(path)
  if type(path) ~= "string" then
    error(("bad argument #1 to 'save' (string expected, got %s)")
      :format(type(path)), 2)
  end
  if path:find("\0", 1, true) then
    error("bad argument #1 to 'save' (not a path)", 2)
  end
  checkpoint("save")
  if self._content then return write_file(path, self._content) end
  if self._saved then return copy(self.path, path) end
  local ok, done, message, code = pcall(self._spool.move, self._spool, path)
  if not ok then error("the request has ended, its files are gone", 2) end
  if code == "EXDEV" then
    done, message, code = copy(self.path, path)
  elseif done then
    self.path, self._saved = path, true
  end
  return done, message, code
end

function File:__tostring()
  return ("sluice.http.File (%s, %d bytes)"):format(self.filename, self.size)
end

return { new = new, move = move }
