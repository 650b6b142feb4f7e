--- sqlite:, each store in a file of its own; see ../engines.lua. Syncing is
-- left out, which takes long on some disks, but where it is what is tested.

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

return sqlite
