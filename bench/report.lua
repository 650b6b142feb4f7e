--- What the benchmarks found, as a table for the terminal and a section of
-- docs/benchmarks.md. It computes medians and ratios and judges them by the
-- limits in workloads.lua; it measures nothing.

local grid = require "grid"
local machine = require "machine"
local page = require "page"

local report = {}

--- In the order of the columns.
report.peers = { "raw", "sluice", "asyncio", "cqueues", "go" }

local heads = { "", "unit", "raw", "sluice", "sluice/raw", "allowed", "",
  "asyncio", "x faster", "cqueues", "x faster", "Go", "x faster" }

local function medians_of(lists)
  local values = {}
  for peer, list in pairs(lists) do
    values[peer] = list and grid.median(list) or nil
  end
  return values
end

--- How many times as much as sluice the peer takes, or nil where one of them
-- has no number or the row is a count.
local function faster(workload, values, peer)
  local both = values[peer] and values.sluice and values.sluice > 0
  return both and workload.unit ~= "" and values[peer] / values.sluice or nil
end

--- "ok", "over", or nil where nothing is demanded or nothing was measured.
local function judge(workload, values)
  local within
  if not values.sluice then
    return nil
  elseif workload.most then
    within = values.sluice <= workload.most
  elseif workload.allowed and values.raw then
    within = values.sluice <= workload.allowed * values.raw
  else
    return nil
  end
  return within and "ok" or "over"
end

local function limit_of(workload)
  return workload.most and "at most " .. workload.most
    or workload.allowed and grid.ratio(workload.allowed)
end

--- The cells of one row, "-" where there is nothing to tell.
local function row_of(workload, lists)
  local values = medians_of(lists)
  local row = { workload.title, workload.unit or "ns" }
  local function add(value, format)
    row[#row + 1] = value and format(value) or "-"
  end
  local part = faster(workload, values, "raw")
  add(values.raw, grid.number)
  add(values.sluice, grid.number)
  add(part and 1 / part, grid.ratio)
  add(limit_of(workload), tostring)
  add(judge(workload, values), tostring)
  for _, peer in ipairs { "asyncio", "cqueues", "go" } do
    add(values[peer], grid.number)
    add(faster(workload, values, peer), grid.ratio)
  end
  return row
end

local function rows_of(workloads, results)
  local rows = {}
  for _, workload in ipairs(workloads) do
    if results[workload.name] then
      rows[#rows + 1] = row_of(workload, results[workload.name])
    end
  end
  return rows
end

local function lines_of(notes, prefix)
  local lines = {}
  for i, note in ipairs(notes) do
    lines[i] = ("%s%s (%s)\n"):format(prefix, note.message, note.names)
  end
  return table.concat(lines)
end

function report.text(workloads, results, notes)
  return grid.text(heads, rows_of(workloads, results))
    .. lines_of(notes, "not measured: ")
end

local introduction = [[
Nanoseconds an operation on one core unless the unit says otherwise. *raw* is
the same calls and coroutine switches in C without any semantics: the least
that a library could cost. *allowed* is the greatest ratio of sluice to raw
that the design permits, *x faster* how many times as long (or as much) as
sluice the peer takes. `bench/workloads.lua` tells what one operation is.

]]

--- Keeps the table, with the machine and the versions that it is true for.
function report.save(workloads, results, notes, rounds)
  local facts = machine.list(machine.common(), machine.peers(),
    { ("median of %d interleaved rounds"):format(rounds) })
  local text = introduction .. facts .. "\n"
    .. grid.markdown(heads, rows_of(workloads, results))
  if #notes > 0 then
    text = text .. "\nNot measured:\n\n" .. lines_of(notes, "- ")
  end
  page.save("The workloads", text)
end

return report
