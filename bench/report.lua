--- What the benchmarks found, as a table: aligned text for the terminal and a
-- page of Markdown to keep. It computes medians and ratios and judges them by
-- the limits in workloads.lua; it runs nothing but what tells the versions.

local machine = require "machine"

local report = {}

--- In the order of the columns.
report.peers = { "raw", "sluice", "asyncio", "cqueues", "go" }

local rivals = { "asyncio", "cqueues", "go" }

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = (#sorted + 1) / 2
  return (sorted[math.floor(middle)] + sorted[math.ceil(middle)]) / 2
end

--- 1234567 as "1,234,567"; small numbers keep a digit after the point.
local function number(value)
  if value < 10 and value % 1 ~= 0 then
    return ("%.1f"):format(value)
  end
  local digits = ("%.0f"):format(value)
  local sign, rest = digits:match("^(%-?)(%d+)$")
  rest = rest:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return sign .. rest
end

local function ratio(value)
  return value < 10 and ("%.2f"):format(value) or ("%.0f"):format(value)
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

--- A row a workload that was run: its cells as text, "-" where there is
-- nothing to tell.
local function row_of(workload, lists)
  local values, row = {}, { workload.title }
  for _, peer in ipairs(report.peers) do
    values[peer] = lists[peer] and median(lists[peer]) or nil
  end
  local function add(value, format)
    row[#row + 1] = value and format(value) or "-"
  end
  local function faster(peer)
    return values[peer] and values.sluice and values.sluice > 0
      and workload.unit ~= "" and values[peer] / values.sluice or nil
  end
  local unit = workload.unit or "ns"
  row[2] = unit ~= "" and unit or "-"
  add(values.raw, number)
  add(values.sluice, number)
  local share = faster("raw")
  add(share and 1 / share, ratio)
  if workload.most then
    row[#row + 1] = "at most " .. workload.most
  else
    add(workload.allowed, ratio)
  end
  add(judge(workload, values), tostring)
  for _, peer in ipairs(rivals) do
    add(values[peer], number)
    add(faster(peer), ratio)
  end
  return row
end

local heads = { "", "unit", "raw", "sluice", "sluice/raw", "allowed", "",
  "asyncio", "x faster", "cqueues", "x faster", "Go", "x faster" }

--- The cells of the whole table, without the head.
function report.rows(workloads, results)
  local rows = {}
  for _, workload in ipairs(workloads) do
    if results[workload.name] then
      rows[#rows + 1] = row_of(workload, results[workload.name])
    end
  end
  return rows
end

local function widths_of(rows)
  local widths = {}
  for i, head in ipairs(heads) do
    widths[i] = #head
    for _, row in ipairs(rows) do
      widths[i] = math.max(widths[i], #row[i])
    end
  end
  return widths
end

--- One line: the first column to the left, the others to the right.
local function line(cells, widths, between)
  local parts = {}
  for i, cell in ipairs(cells) do
    local space = (" "):rep(widths[i] - #cell)
    parts[i] = i == 1 and cell .. space or space .. cell
  end
  return table.concat(parts, between)
end

local function append_notes(lines, notes, prefix)
  for _, note in ipairs(notes) do
    lines[#lines + 1] = ("%s%s (%s)"):format(prefix, note.message, note.names)
  end
end

function report.text(rows, notes)
  local widths = widths_of(rows)
  local lines = { line(heads, widths, "  ") }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = line(row, widths, "  ")
  end
  append_notes(lines, notes, "not measured: ")
  return table.concat(lines, "\n") .. "\n"
end

local introduction = [[
# Benchmarks

Written by `bench/run.sh --save`. Nanoseconds an operation on one core unless
the unit says otherwise. *raw* is the same calls and coroutine switches in C
without any semantics: what a library could cost at the least. *allowed* is the
greatest ratio of sluice to raw that the design permits, and *x faster* how many
times as long (or as much) the peer takes as sluice. The workloads, and what
one operation of each is, are told in `bench/workloads.lua`.
]]

--- The page to keep, with the machine and the versions it is true for.
function report.page(rows, notes, options)
  local lines = { introduction }
  for _, fact in ipairs(machine.facts()) do
    lines[#lines + 1] = "- " .. fact
  end
  lines[#lines + 1] = ("- medians of %d interleaved rounds\n"):format(
    options.rounds)
  local widths = widths_of(rows)
  local rule = {}
  for i, width in ipairs(widths) do
    rule[i] = ("-"):rep(math.max(width, 3) - 1) .. (i == 1 and "-" or ":")
    widths[i] = math.max(width, 3)
  end
  local function add(cells)
    lines[#lines + 1] = "| " .. line(cells, widths, " | ") .. " |"
  end
  add(heads)
  add(rule)
  for _, row in ipairs(rows) do
    add(row)
  end
  if #notes > 0 then
    lines[#lines + 1] = "\nNot measured:\n"
    append_notes(lines, notes, "- ")
  end
  return table.concat(lines, "\n") .. "\n"
end

return report
