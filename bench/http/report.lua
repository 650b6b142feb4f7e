--- A table of bench/http/run.sh from what it wrote down: lines "left out:
-- NAME, REASON", then for each run of a server a line "server NAME", "ticks
-- USED A_SECOND", and what wrk printed.

local grid = require "grid"
local machine = require "machine"
local page = require "page"

local load, path, connections, save = ...

local names =
  { "raw", "sluice", "nginx", "nginx-lua", "go", "node", "aiohttp" }

--- What each load is called, what is sent, and what sluice has to reach: at
-- most so much CPU a request, or at least so many requests, each also as a
-- part of raw's on the machine that the demand was made on, where raw took
-- 6.2 us for an order and answered 1.6 million pipelined GETs a second.
local loads = {
  orders = {
    title = "The order API under load",
    sent = "`POST /order` of a JSON order; orders take no time",
    service = "examples/order_api.lua",
    cpu = 12, cpu_of_raw = 12 / 6.2,
  },
  get = {
    title = "The smallest GET", sent = "`GET /`, a JSON answer",
    service = "bench/http/hello.lua", cpu = 9,
  },
  pipelined = {
    title = "Pipelined GET", sent = "`GET /`, sixteen at a time",
    service = "bench/http/hello.lua",
    rate = 250000, of_raw = 250000 / 1.6e6,
  },
}

--- What sluice has to reach under every load, in times of others' requests:
-- four times aiohttp, above node, level with Go.
local of_peers = { of_aiohttp = 4, of_node = 1, of_go = 0.9 }

local this = assert(loads[load], "no such load")
local titles = {
  raw = "C with libuv and llhttp, canned answer",
  sluice = "sluice, " .. this.service,
  nginx = "nginx, canned answer",
  ["nginx-lua"] = "nginx with LuaJIT, no queue",
  go = "Go, net/http, no queue",
  node = "node, http, no queue",
  aiohttp = "aiohttp with uvloop",
}
local heads = { "", "requests/s", "of aiohttp's", "of raw's",
  "CPU us/request", "p50 us", "p99 us", "failed" }

local units = { us = 1, ms = 1e3, s = 1e6, m = 6e7 }

--- nil where wrk has none: it does not measure every pipeline.
local function microseconds(text, percentile)
  local value, unit = text:match(percentile .. "%%%s+([%d.]+)(%a+)")
  value = tonumber(value)
  return value > 0 and value * units[unit] or nil
end

--- The responses that were no success, and the connections that broke.
local function failures(text)
  local count = tonumber(text:match("Non%-2xx or 3xx responses: (%d+)") or 0)
  for number in (text:match("Socket errors:([^\n]*)") or ""):gmatch("%d+") do
    count = count + tonumber(number)
  end
  return count
end

--- Adds one run of a server to its lists; a run without an answer adds none.
local function add(lists, text)
  local used, a_second = text:match("ticks (%d+) (%d+)")
  local requests = tonumber(text:match("(%d+) requests in"))
  if not used or not requests or requests == 0 then
    return
  end
  local function put(key, value)
    if value then
      lists[key] = lists[key] or {}
      table.insert(lists[key], value)
    end
  end
  put("rate", tonumber(text:match("Requests/sec:%s*([%d.]+)")))
  put("cpu", used / a_second * 1e6 / requests)
  put("p50", microseconds(text, 50))
  put("p99", microseconds(text, 99))
  put("failed", failures(text))
end

--- The runs, as a table of name to lists, and the notes on who is left out.
local function read()
  local servers, notes, runs = {}, {}, {}
  for line in io.lines(path) do
    local name, note = line:match("^server (%S+)$"), line:match("^left out: .*")
    if name then
      runs[#runs + 1] = { name = name }
    elseif note then
      notes[#notes + 1] = note .. ".\n"
    else
      table.insert(runs[#runs], line)
    end
  end
  for _, run in ipairs(runs) do
    servers[run.name] = servers[run.name] or {}
    add(servers[run.name], table.concat(run, "\n"))
  end
  return servers, table.concat(notes)
end

local function quotient(a, b)
  return a and b and a / b
end

local function medians_of(servers)
  local medians = {}
  for name, lists in pairs(servers) do
    medians[name] = {}
    for key, list in pairs(lists) do
      medians[name][key] = grid.median(list)
    end
  end
  for _, values in pairs(medians) do
    for _, peer in ipairs(names) do
      local theirs = medians[peer] or {}
      values["of_" .. peer] = quotient(values.rate, theirs.rate)
      values["cpu_of_" .. peer] = quotient(values.cpu, theirs.cpu)
    end
  end
  return medians
end

local columns = {
  { "rate", grid.number }, { "of_aiohttp", grid.ratio },
  { "of_raw", grid.ratio }, { "cpu", grid.ratio }, { "p50", grid.number },
  { "p99", grid.number }, { "failed", grid.number },
}

local function rows_of(medians)
  local rows = {}
  for _, name in ipairs(names) do
    local values = medians[name]
    if values then
      local row = { titles[name] }
      for i, column in ipairs(columns) do
        local key, format = column[1], column[2]
        row[i + 1] = values[key] and format(values[key]) or "-"
      end
      rows[#rows + 1] = row
    end
  end
  return rows
end

--- A whole number without a fraction, which a limit mostly is.
local function written(limit)
  return limit % 1 == 0 and grid.number(limit) or grid.ratio(limit)
end

--- A line of the list for each demand on sluice: what it is, what was
-- measured, and whether that will do.
local function verdict(medians)
  local sluice, lines = medians.sluice or {}, {}
  local function demand(text, limit, value, direction)
    if not limit then
      return
    end
    local measured = value and grid.ratio(value) or "not measured"
    local met = value and direction * value >= direction * limit
    lines[#lines + 1] = ("- %s: %s%s\n"):format(
      text:format(written(limit)), measured,
      not value and "" or met and ", ok" or ", MISSED")
  end
  demand("at most %s us of CPU a request", this.cpu, sluice.cpu, -1)
  demand("at most %s times the CPU of raw", this.cpu_of_raw,
    sluice.cpu_of_raw, -1)
  demand("at least %s requests a second", this.rate, sluice.rate, 1)
  demand("at least %s times the requests of raw", this.of_raw,
    sluice.of_raw, 1)
  for _, peer in ipairs { "aiohttp", "node", "go" } do
    local key = "of_" .. peer
    demand("at least %s times the requests of " .. peer, of_peers[key],
      sluice[key], 1)
  end
  return "What sluice has to reach:\n\n" .. table.concat(lines)
end

local introduction = ([[
%s; %s connections kept alive.
Each server on one core, wrk on another; what the kernel does for the server is
part of its CPU time.

]]):format(this.sent, connections)

local servers, notes = read()
local medians = medians_of(servers)
local rows = rows_of(medians)
local result = notes .. (notes ~= "" and "\n" or "") .. verdict(medians)
io.write("\n", this.title, "\n\n", grid.text(heads, rows), "\n", result)
if save then
  page.save(this.title, introduction
    .. machine.list(machine.common(), machine.servers()) .. "\n"
    .. grid.markdown(heads, rows) .. "\n" .. result)
end
