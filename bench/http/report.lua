--- The table of bench/http/run.sh from what it wrote down: for each run of a
-- server a line "server NAME", "ticks USED A_SECOND", and what wrk printed.

local grid = require "grid"
local machine = require "machine"
local page = require "page"

local load, path, connections, save = ...

local names = { "raw", "sluice", "aiohttp" }

--- What each load is called, what is sent, and what sluice has to reach: so
-- many times aiohttp's requests, so many us of CPU each, so many a second.
local loads = {
  orders = {
    title = "The order API under load",
    sent = "`POST /order` of a JSON order; orders take no time",
    service = "examples/order_api.lua",
    times_aiohttp = 4, cpu = 12,
  },
  get = {
    title = "The smallest GET", sent = "`GET /`, a JSON answer",
    service = "bench/http/hello.lua", cpu = 9,
  },
  pipelined = {
    title = "Pipelined GET", sent = "`GET /`, sixteen at a time",
    service = "bench/http/hello.lua", rate = 250000,
  },
}

local this = assert(loads[load], "no such load")
local titles = {
  raw = "C with libuv and llhttp, canned answer",
  sluice = "sluice, " .. this.service,
  aiohttp = "aiohttp with uvloop",
}
local heads = { "", "requests/s", "of aiohttp's", "of raw's",
  "CPU us/request", "p50 us", "p99 us", "failed" }

local units = { us = 1, ms = 1e3, s = 1e6, m = 6e7 }

local function microseconds(text, percentile)
  local value, unit = text:match(percentile .. "%%%s+([%d.]+)(%a+)")
  return tonumber(value) * units[unit]
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
    lists[key] = lists[key] or {}
    table.insert(lists[key], value)
  end
  put("rate", tonumber(text:match("Requests/sec:%s*([%d.]+)")))
  put("cpu", used / a_second * 1e6 / requests)
  put("p50", microseconds(text, 50))
  put("p99", microseconds(text, 99))
  put("failed", failures(text))
end

local function read()
  local servers = {}
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  for name, run in (text .. "server "):gmatch("(%a+)\n(.-)%f[%a]server ") do
    servers[name] = servers[name] or {}
    add(servers[name], run)
  end
  return servers
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
    for _, peer in ipairs { "aiohttp", "raw" } do
      local rate = medians[peer] and medians[peer].rate
      values["of_" .. peer] = rate and values.rate and values.rate / rate
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

--- A sentence for each demand on sluice, and whether it is met.
local function verdict(medians)
  local sluice, lines = medians.sluice or {}, {}
  local function demand(text, limit, value, direction)
    if limit and value then
      local met = direction * value >= direction * limit
      lines[#lines + 1] = text:format(grid.number(limit))
        .. (met and ": ok.\n" or ": missed.\n")
    end
  end
  demand("At least %s times the requests of aiohttp",
    this.times_aiohttp, sluice.of_aiohttp, 1)
  demand("At least %s requests a second", this.rate, sluice.rate, 1)
  demand("At most %s us of CPU a request", this.cpu, sluice.cpu, -1)
  return table.concat(lines)
end

local introduction = ([[
%s; %s connections kept alive.
Each server on one core, wrk on another; what the kernel does for the server is
part of its CPU time.

]]):format(this.sent, connections)

local medians = medians_of(read())
local rows = rows_of(medians)
io.write(grid.text(heads, rows), verdict(medians))
if save then
  page.save(this.title, introduction
    .. machine.list(machine.common(), machine.servers()) .. "\n"
    .. grid.markdown(heads, rows) .. "\n" .. verdict(medians))
end
