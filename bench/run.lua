--- Runs the workloads of workloads.lua on every peer and prints the table.
--
-- All peers are interleaved within one run: each round runs each workload on
-- each peer once, so that what disturbs the machine for a while disturbs all
-- of them; the table shows medians over the rounds. Start it by run.sh, which
-- builds what has to be built and sets the paths. This file measures nothing
-- itself and knows no workload.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local report = require "report"
local workloads = require "workloads"

local usage = [[
usage: bench/run.sh [--rounds N] [--only WORKLOAD,...] [--peers PEER,...]
                    [--scale X] [--save]
  --rounds   how often each measurement is repeated (5)
  --only     these rows of the table only
  --peers    of raw, sluice, asyncio, cqueues, go: these only
  --scale    multiplies all counts: does the cost of an operation grow?
  --save     keeps the table in docs/benchmarks.md
]]

local build = os.getenv("BENCH_BUILD") or "build/bench"
local commands = {
  raw = "lua5.4 " .. here .. "/raw/main.lua",
  sluice = "lua5.4 " .. here .. "/sluice/main.lua",
  asyncio = (os.getenv("PYTHON") or "/usr/bin/python3") .. " "
    .. here .. "/asyncio/main.py",
  cqueues = "lua5.4 " .. here .. "/cqueues/main.lua",
  go = build .. "/bench-go",
}
local time_limit = 60

local function fail(message)
  io.stderr:write("bench: ", message, "\n", usage)
  os.exit(2)
end

--- "a,b" as a set; nil when there is no text.
local function set_of(text)
  if not text then
    return nil
  end
  local set = {}
  for word in text:gmatch("[^,]+") do
    set[word] = true
  end
  return set
end

local function parse(args)
  local options = { rounds = 5, scale = 1 }
  local i = 1
  while args[i] do
    local name = args[i]:match("^%-%-(%a+)$")
    if name == "save" then
      options.save = true
    elseif name == "rounds" or name == "scale" then
      i = i + 1
      options[name] = tonumber(args[i]) or fail("a number is missing")
    elseif name == "only" or name == "peers" then
      i = i + 1
      options[name] = set_of(args[i]) or fail("a list is missing")
    else
      fail("unknown option " .. args[i])
    end
    i = i + 1
  end
  return options
end

local function read_file(path)
  local file = io.open(path)
  local text = file and file:read("a") or ""
  if file then
    file:close()
  end
  return text
end

--- The number that one run of one program prints, or nil and what it said
-- instead.
local function measure(peer, workload, scale)
  local errors = build .. "/errors.txt"
  local command = commands[peer] .. " " .. workload.name
  local count = math.max(1, math.floor(workload.n[peer] * scale))
  if workload.name == "start" then
    command = ("%s/startup %d %s"):format(build, count, command)
  else
    command = command .. " " .. count
  end
  local pipe = assert(io.popen(
    ("exec timeout %d %s 2>%s"):format(time_limit, command, errors)))
  local output = pipe:read("a")
  local ok, _, code = pipe:close()
  if ok and tonumber(output) then
    return tonumber(output)
  end
  local message = read_file(errors):match("[^\n]+")
  if code == 124 then
    message = ("no result within %d seconds"):format(time_limit)
  end
  return nil, message or ("ended with status %d"):format(code)
end

local function progress(...)
  io.stderr:write(...)
  io.stderr:flush()
end

--- Notes a failure; workloads that failed in the same way share a note.
local function note(notes, message, name)
  for _, known in ipairs(notes) do
    if known.message == message then
      known.names = known.names .. ", " .. name
      return
    end
  end
  table.insert(notes, { message = message, names = name })
end

--- results[workload name][peer] is a list of numbers; after a failure the
-- peer is left out of that workload and notes tells why.
local function run_round(options, results, notes)
  for _, workload in ipairs(workloads) do
    if not options.only or options.only[workload.name] then
      progress(" ", workload.name)
      local row = results[workload.name] or {}
      results[workload.name] = row
      for _, peer in ipairs(report.peers) do
        local wanted = not options.peers or options.peers[peer]
        if wanted and workload.n[peer] and row[peer] ~= false then
          local value, message = measure(peer, workload, options.scale)
          if value then
            row[peer] = row[peer] or {}
            table.insert(row[peer], value)
          else
            row[peer] = false
            note(notes, peer .. ": " .. message, workload.name)
          end
        end
      end
    end
  end
end

local function main(args)
  local options = parse(args)
  local results, notes = {}, {}
  for round = 1, options.rounds do
    progress(("round %d of %d:"):format(round, options.rounds))
    run_round(options, results, notes)
    progress("\n")
  end
  io.write(report.text(workloads, results, notes))
  if options.save then
    report.save(workloads, results, notes, options.rounds)
  end
end

main(arg)
