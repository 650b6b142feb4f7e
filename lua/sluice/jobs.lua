--- sluice.jobs: queues of jobs that survive the process.
--
-- A store is opened by its URL, whose scheme chooses an engine; the queues
-- of a store are the same over each. What is here is choosing; the files in
-- jobs/ each have one noun: store, queue, job, worker. An engine is an object
-- with the methods that jobs/engine.lua lists.

local address = require "sluice.jobs.redis.address"
local checkpoint = require("sluice.core").checkpoint
local options = require "sluice.jobs.options"
local Store = require "sluice.jobs.store"

local jobs = {}

--- Scheme -> the module that opens an engine: `open(rest, options)`.
local ENGINES = {
  memory = "sluice.jobs.memory",
  sqlite = "sluice.jobs.sqlite",
  redis = "sluice.jobs.redis",
  rediss = "sluice.jobs.redis",
  unix = "sluice.jobs.redis",
}

local OPEN_OPTIONS = {
  durable = options.boolean,
  max_body = options.count,
}

--- What each engine can store: SQLite has 10^9 bytes in a row, Redis 2^29 in
-- a string.
local MOST_BODY = 500 * 1000 * 1000

local DEFAULTS = { max_body = 16 * 1024 * 1024, durable = true }

--- Opens a store of jobs.
-- @param url `memory:`, `sqlite:PATH`, `redis://HOST:PORT/DB` or `unix:PATH`
-- @param[opt] opts `max_body`: bytes that a body may have (16 MiB; 500 MB at
-- most); `durable`: whether a commit survives a power cut (true)
-- @return a store; or nil, message, code
-- Waits.
function jobs.open(url, opts)
  options.check_type(url, "string", 1, "open")
  opts = options.check(opts, OPEN_OPTIONS, 2, "open")
  checkpoint("open")
  local scheme, rest = url:match("^(%a+):(.*)$")
  local name = scheme and ENGINES[scheme:lower()]
  if not name then
    return nil, ("'%s' is not the URL of a job store (memory:, sqlite:PATH, "
      .. "redis://HOST, unix:PATH)"):format(address.shown(url)), "EINVAL"
  end
  for key, value in pairs(DEFAULTS) do
    if opts[key] == nil then opts[key] = value end
  end
  opts.max_body = math.min(opts.max_body, MOST_BODY)
  local engine, message, code = require(name).open(rest, opts, url)
  if not engine then return nil, message, code end
  return Store.new(engine, url, opts)
end

return jobs
