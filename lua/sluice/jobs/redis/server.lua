--- sluice.jobs.redis.server: whether a server is one to keep jobs in.
--
-- The one idea: what would lose jobs for certain is refused (a replica that
-- cannot be written to, a server that throws keys out when it is full); what
-- only loses them in a crash (no append-only file) is warned of, once.
--
-- Internal to sluice.jobs.

local server = {}

-- The fields of INFO, a line each.
local function fields_of(info)
  local fields = {}
  for name, value in info:gmatch "([%w_]+):([^\r\n]*)" do
    fields[name] = value
  end
  return fields
end

--- Warns of something once.
-- @param warned a table of the warnings that were given
function server.warn_once(warned, message)
  if warned[message] then return end
  warned[message] = true
  warn("sluice.jobs: ", message)
end

--- Looks at a server that was connected to.
-- @param connection to it
-- @param warned a table of the warnings that were given
-- @return nil; or why no jobs can be kept there
-- Waits.
function server.check(connection, warned)
  local info, message = connection:call "INFO"
  if info == nil then return message end
  if type(info) == "table" and info.err then
    -- It may not be ours to ask; what is not known is not refused.
    return info.err:find "^NOAUTH" and info.err or nil
  elseif type(info) ~= "string" or not info:find "_version:" then
    return "this is not a Redis server"
  end
  local fields = fields_of(info)
  if fields.loading == "1" then
    return "LOADING the server is loading its data"
  elseif fields.role == "slave" then
    return "READONLY the server is a replica"
  elseif fields.maxmemory ~= "0" and fields.maxmemory_policy
    and fields.maxmemory_policy ~= "noeviction" then
    return ("the server may throw jobs out: its maxmemory-policy is %s, "
      .. "not noeviction"):format(fields.maxmemory_policy)
  elseif fields.aof_enabled == "0" then
    server.warn_once(warned, "the Redis server keeps no append-only file: "
      .. "a crash loses jobs (appendonly yes)")
  end
  return nil
end

return server
