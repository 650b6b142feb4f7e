--- sluice.jobs.sqlite: the engine `sqlite:PATH`, embedded.
--
-- The engine itself is C: the module sluice.native.sqlite over libsqlite3,
-- in a thread of its own, which the core has. It is there only where the
-- library was when sluice was built.

local core = require "sluice.core.store"

local sqlite = {}

-- The path of a URL; `sqlite:///abs` is written, too. What SQLite would take
-- for a URI of its own, whose options can switch off its locks, is a path.
local function path_of(rest)
  local path = rest:gsub("^//(/)", "%1")
  if path:find "^file:" then return "./" .. path end
  return path
end

--- Opens a store in a file, which is made if it is not there.
-- @param rest of the URL: the path
-- @param opts `durable`
-- @return the engine; or nil, message, code
-- Waits.
function sqlite.open(rest, opts)
  local path = path_of(rest)
  if path == "" or path:find("^:") or path:find("\0", 1, true) then
    return nil, ("'%s' is no path for a job store"):format(path), "EINVAL"
  end
  local ok, native = pcall(require, "sluice.native.sqlite")
  if not ok then
    return nil, "sluice was built without SQLite", "ENOTSUP"
  end
  local engine, message, code = core.open(native.engine, path, opts.durable)
  if engine then return engine end
  return nil, path .. ": " .. message, code
end

return sqlite
