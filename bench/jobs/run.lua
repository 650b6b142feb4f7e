--- Runs what rows.lua lists and prints the tables of report.lua.
--
-- All is interleaved within one run: each round runs each command once, a
-- yardstick and what is measured by it side by side, in turns the one and
-- the other first; so what disturbs the machine for a while disturbs both. A
-- ratio is the median of those of the rounds. Start it by run.sh.

local report = require "report"
local rows = require "rows"
local servers = require "servers"

local usage = [[
usage: bench/jobs/run.sh [--only ratios,bounds,peers] [--rounds N]
                         [--scale X] [--row TEXT] [--dir DIRECTORY] [--save]
  --rounds   how often each measurement is repeated (5)
  --scale    multiplies all numbers of jobs
  --row      only what has this text in its title
  --dir      for the files; on a real disk (build/bench)
  --save     keeps the tables in docs/benchmarks.md
]]

local build = os.getenv "BENCH_BUILD" or "build/bench"
local TIME_LIMIT = 120 -- seconds

local function fail(message)
  io.stderr:write("bench: ", message, "\n", usage)
  os.exit(2)
end

local function parse(args)
  local options = { rounds = 5, scale = 1, dir = build,
    only = "ratios,bounds,peers" }
  local i = 1
  while args[i] do
    local name = args[i]:match "^%-%-(%a+)$"
    if name == "save" then
      options.save = true
    elseif name == "rounds" or name == "scale" then
      i = i + 1
      options[name] = tonumber(args[i]) or fail "a number is missing"
    elseif name == "only" or name == "row" or name == "dir" then
      i = i + 1
      options[name] = args[i] or fail "a word is missing"
    else
      fail("unknown option " .. args[i])
    end
    i = i + 1
  end
  return options
end

local options = parse(arg)

local function sh(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read("a"):gsub("%s+$", ""))
end

local work = sh(("mktemp -d -p '%s' jobs.XXXXXX"):format(options.dir))
local scripts = work .. "/scripts"
sh("mkdir " .. scripts)
assert(os.execute("lua5.4 bench/jobs/throughput.lua " .. scripts
  .. " scripts"))

local function progress(...)
  io.stderr:write(...)
  io.stderr:flush()
end

-- -- one measurement --

local function fill_in(command, n, server, directory)
  local words = {
    N = ("%d"):format(math.max(1, n * options.scale // 1)),
    DIR = directory, FILE = directory .. "/jobs.db",
    SQLITE = "sqlite:" .. directory .. "/jobs.db", BUILD = build,
    SCRIPTS = scripts, PORT = server and tostring(server.port),
    REDIS = server and ("redis://127.0.0.1:%d/0"):format(server.port),
  }
  return (command:gsub("@(%u+)", words))
end

local function numbers_of(text)
  local numbers = {}
  for word in (text or ""):gmatch "%S+" do
    numbers[#numbers + 1] = tonumber(word)
  end
  return numbers
end

--- The numbers that a command prints; or nil and what went wrong.
local function measure(command, n, server_name)
  local server, message
  if server_name then
    server, message = servers.get(server_name, work)
    if not server then return nil, message end
  end
  local directory = work .. "/run"
  sh(("rm -rf %s && mkdir %s"):format(directory, directory))
  local text = fill_in(command, n or 1, server, directory)
  local pipe = assert(io.popen(("timeout %d sh -c %q 2>%s/errors")
    :format(TIME_LIMIT, text, work)))
  local numbers = numbers_of(pipe:read "a")
  local ok = pipe:close()
  if ok and #numbers > 0 then return numbers end
  local why = sh(("head -n 1 %s/errors"):format(work))
  return nil, why ~= "" and why or "no result"
end

-- -- rounds --

local results = {} -- command's owner -> list of the numbers of each round
local notes = {}

local function wanted(title)
  return not options.row or title:find(options.row, 1, true)
end

-- What could not be measured once is not tried again.
local function add(owner, title, command, n, server)
  local result = results[owner] or {}
  results[owner] = result
  if result.failed then return end
  local numbers, message = measure(command, n, server)
  if numbers then
    result[#result + 1] = numbers
  else
    result.failed = true
    notes[#notes + 1] = ("%s: %s"):format(title, message)
  end
end

local function two(row, round, first, second)
  local commands = round % 2 == 1 and { first, second } or { second, first }
  for _, which in ipairs(commands) do
    local key = row.title .. which
    add(key, row.title, row[which], row.n, row.server)
  end
end

local rounds = {}

function rounds.ratios(round)
  for _, row in ipairs(rows.ratios) do
    if wanted(row.title) then
      progress "."
      two(row, round, "raw", "sluice")
    end
  end
end

function rounds.bounds(round)
  for _, row in ipairs(rows.bounds) do
    if wanted(row.title) and not (row.once and round > 1) then
      progress "."
      if row.of then
        two(row, round, "of", "command")
      else
        add(row.title .. "command", row.title, row.command, row.n,
          row.server)
      end
    end
  end
end

function rounds.peers()
  for _, group in ipairs(rows.peers) do
    for _, peer in ipairs(group) do
      if wanted(group.title .. peer.title) then
        progress "."
        add(peer.title, peer.title, peer.command, peer.n, peer.server)
      end
    end
  end
end

local function run_all()
  for round = 1, options.rounds do
    progress(("round %d of %d "):format(round, options.rounds))
    for part in options.only:gmatch "[^,]+" do
      if not rounds[part] then fail("unknown part " .. part) end
      rounds[part](round)
    end
    progress "\n"
  end
end

local ok, message = xpcall(run_all, debug.traceback)
servers.stop()
local disk = sh(("df --output=fstype,source '%s' | tail -n 1"):format(work))
sh("rm -rf " .. work)
if not ok then error(message, 0) end
report.show(results, notes, {
  rounds = options.rounds, only = options.only, save = options.save,
  disk = disk:gsub("%s+", " on "),
})
