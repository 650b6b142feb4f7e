--- sluice.jobs.sqlite: the engine `sqlite:PATH`, embedded.
--
-- The engine itself is C: the module sluice.native.sqlite over libsqlite3,
-- in a thread of its own, which the core has. It is there only where the
-- library was when sluice was built.

local core = require "sluice.core.store"
local native = require "sluice.native"

local sqlite = {}

-- The path of a URL; `sqlite:///abs` is written, too. SQLite would take a path
-- that begins with `file:` for a URL of its own, which may switch locks off.
local function path_of(rest)
  return (rest:gsub("^//(/)", "%1"):gsub("^file:", "./%0"))
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
  local library, missing, unsupported =
    native.load("sqlite", "SQLite", "libsqlite3-dev")
  if not library then return nil, missing, unsupported end
  local engine, message, code = core.open(library.engine, path, opts.durable)
  if engine then return engine end
  return nil, path .. ": " .. message, code
end

return sqlite
