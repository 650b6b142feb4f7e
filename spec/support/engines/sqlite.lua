--- sqlite:, each store in a file of its own; see ../engines.lua. Syncing is
-- left out, which takes long on some disks, but where it is what is tested.

local jobs = require "sluice.jobs"
local sluice = require "sluice"

local sqlite = { lasting = true, options = { durable = false } }

local made = {}

--- A new path for a database.
function sqlite.path()
  local path = os.tmpname()
  made[#made + 1] = path
  return path .. ".db"
end

function sqlite.url() return "sqlite:" .. sqlite.path() end

function sqlite.clean()
  for _, path in ipairs(made) do
    os.remove(path)
    for _, suffix in ipairs { "", "-wal", "-shm", "-lock", "-notify",
      "-ballast" } do
      os.remove(path .. ".db" .. suffix)
    end
  end
  made = {}
end

--- busted's `it` with a new store in a run: fn(store, path).
function sqlite.it(name, fn)
  require("busted").it(name, function()
    sluice.run(function()
      local path = sqlite.path()
      local store <close> = assert(jobs.open("sqlite:" .. path,
        sqlite.options))
      fn(store, path)
    end)
    sqlite.clean()
  end)
end

return sqlite
