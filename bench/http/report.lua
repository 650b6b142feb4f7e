--- The table of bench/http/run.sh from what it wrote down: for each run of a
-- server a line "server NAME", "ticks USED A_SECOND", and what wrk printed.

local grid = require "grid"
local machine = require "machine"
local page = require "page"

local path, connections, save = ...

local names = { "raw", "sluice", "aiohttp" }
local titles = {
  raw = "C with libuv and llhttp, canned answer",
  sluice = "sluice, examples/order_api.lua",
  aiohttp = "aiohttp with uvloop",
}
local heads = { "", "requests/s", "of aiohttp's", "of raw's",
  "CPU us/request", "p50 us", "p99 us", "failed" }

--- The rest of what sluice has to reach.
local least_ratio, most_cpu = 4, 12

local units = { us = 1, ms = 1e3, s = 1e6 }

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
  return medians
end

local function rows_of(medians)
  local rows = {}
  local function compared(values, peer)
    local rate = medians[peer] and medians[peer].rate
    return rate and values.rate and values.rate / rate
  end
  for _, name in ipairs(names) do
    local values = medians[name]
    if values then
      local row = { titles[name] }
      local function cell(value, format)
        row[#row + 1] = value and format(value) or "-"
      end
      cell(values.rate, grid.number)
      cell(compared(values, "aiohttp"), grid.ratio)
      cell(compared(values, "raw"), grid.ratio)
      cell(values.cpu, grid.ratio)
      cell(values.p50, grid.number)
      cell(values.p99, grid.number)
      cell(values.failed, grid.number)
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function verdict(medians)
  local sluice, aiohttp = medians.sluice, medians.aiohttp
  if not (sluice and sluice.rate and aiohttp and aiohttp.rate) then
    return "sluice and aiohttp were not both measured.\n"
  end
  local function judge(good)
    return good and "ok" or "over"
  end
  return ("At least %d times aiohttp's requests a second: %s. "
    .. "At most %d us of CPU a request: %s.\n"):format(
      least_ratio, judge(sluice.rate >= least_ratio * aiohttp.rate),
      most_cpu, judge(sluice.cpu <= most_cpu))
end

local introduction = ([[
`POST /order` of a JSON order, %s connections kept alive, orders that take no
time: each server on one core, wrk on another. What the kernel does for the
server is part of its CPU time.

]]):format(connections)

local medians = medians_of(read())
local rows = rows_of(medians)
io.write(grid.text(heads, rows), verdict(medians))
if save then
  page.save("The order API under load", introduction
    .. machine.list(machine.common(), machine.servers()) .. "\n"
    .. grid.markdown(heads, rows) .. "\n" .. verdict(medians))
end
