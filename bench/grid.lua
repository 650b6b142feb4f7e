--- Tables of text: aligned for the terminal, or Markdown; and how a number is
-- written in them. A table is a list of heads and a list of rows of cells;
-- the first column leans to the left, the others to the right.

local grid = {}

function grid.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = (#sorted + 1) / 2
  return (sorted[math.floor(middle)] + sorted[math.ceil(middle)]) / 2
end

--- 1234567 as "1,234,567"; a small number keeps a digit after the point.
function grid.number(value)
  if value < 10 and value % 1 ~= 0 then
    return ("%.1f"):format(value)
  end
  local sign, digits = ("%.0f"):format(value):match("^(%-?)(%d+)$")
  local groups = digits:reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return sign .. groups:gsub("^,", "")
end

--- Three digits or so: "0.98", "1.40", "23".
function grid.ratio(value)
  return value < 10 and ("%.2f"):format(value) or grid.number(value)
end

local function widths_of(heads, rows, least)
  local widths = {}
  for i, head in ipairs(heads) do
    widths[i] = math.max(#head, least)
    for _, row in ipairs(rows) do
      widths[i] = math.max(widths[i], #row[i])
    end
  end
  return widths
end

local function line(cells, widths, between)
  local parts = {}
  for i, cell in ipairs(cells) do
    local space = (" "):rep(widths[i] - #cell)
    parts[i] = i == 1 and cell .. space or space .. cell
  end
  return table.concat(parts, between)
end

function grid.text(heads, rows)
  local widths = widths_of(heads, rows, 0)
  local lines = { line(heads, widths, "  ") }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = line(row, widths, "  ")
  end
  return table.concat(lines, "\n") .. "\n"
end

function grid.markdown(heads, rows)
  local widths = widths_of(heads, rows, 3)
  local rule = {}
  for i, width in ipairs(widths) do
    rule[i] = ("-"):rep(width - 1) .. (i == 1 and "-" or ":")
  end
  local lines = {}
  local function add(cells)
    lines[#lines + 1] = "| " .. line(cells, widths, " | ") .. " |"
  end
  add(heads)
  add(rule)
  for _, row in ipairs(rows) do
    add(row)
  end
  return table.concat(lines, "\n") .. "\n"
end

return grid
