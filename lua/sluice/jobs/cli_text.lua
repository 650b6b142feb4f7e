--- sluice.jobs.cli_text: texts for a terminal of 80 columns.
--
-- What is in a store was put there by others, and a terminal obeys what it is
-- sent: so nothing is shown before `clean` has seen it. Widths are counted in
-- columns, not in bytes.
--
-- Internal to the command line.

local text = {}

text.WIDTH = 80

-- -- strings --

local function escape(bytes)
  return (bytes:gsub(".", function(byte)
    return ("\\x%02X"):format(byte:byte())
  end))
end

-- The bytes that are no UTF-8 become \xNN.
local function valid(str)
  local parts, from = {}, 1
  while true do
    local length, bad = utf8.len(str, from)
    if length then break end
    parts[#parts + 1] = str:sub(from, bad - 1)
    parts[#parts + 1] = escape(str:sub(bad, bad))
    from = bad + 1
  end
  return table.concat(parts) .. str:sub(from)
end

local SHORT = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- In UTF-8: the control characters from U+0080; line separators, and what
-- turns the direction of writing, so that a text looks like another one.
local OBEYED = { "\xC2[\x80-\x9F]", "\xD8\x9C", "\xE2\x80[\x8E\x8F\xA8-\xAE]",
  "\xE2\x81[\xA6-\xA9]" }

--- The string with nothing in it that a terminal obeys.
function text.clean(str)
  str = valid(str):gsub("%c", function(byte)
    return SHORT[byte] or escape(byte)
  end)
  for _, pattern in ipairs(OBEYED) do str = str:gsub(pattern, escape) end
  return str
end

-- First and last of what takes two columns, the common scripts and signs.
local WIDE = {
  { 0x1100, 0x115F }, { 0x2E80, 0xA4CF }, { 0xAC00, 0xD7A3 },
  { 0xF900, 0xFAFF }, { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 },
  { 0xFFE0, 0xFFE6 }, { 0x1F300, 0x1FAFF }, { 0x20000, 0x3FFFD },
}

-- The same of what takes none: accents that are put on the character before,
-- joiners, variation selectors.
local NARROW = {
  { 0x300, 0x36F }, { 0x200B, 0x200D }, { 0x20D0, 0x20FF },
  { 0xFE00, 0xFE0F },
}

local function is_in(ranges, code)
  for _, range in ipairs(ranges) do
    if code >= range[1] and code <= range[2] then return true end
  end
  return false
end

local function columns_of(code)
  if code < 0x300 then return 1 end
  return is_in(NARROW, code) and 0 or is_in(WIDE, code) and 2 or 1
end

--- The clean string cut to so many columns, and how many it takes.
function text.cut(str, width)
  local used = 0
  local room_at, room_used = 1, 0 -- where an ellipsis has room
  for at, code in utf8.codes(str) do
    local columns = columns_of(code)
    if used + columns > width then
      return str:sub(1, room_at - 1) .. "…", room_used + 1
    end
    used = used + columns
    if used < width then
      room_at, room_used = utf8.offset(str, 2, at), used
    end
  end
  return str, used
end

--- The clean string cut and filled up to so many columns; a negative width
-- puts it to the right.
function text.fit(str, width)
  local shown, used = text.cut(str, math.abs(width))
  local fill = (" "):rep(math.abs(width) - used)
  return width < 0 and fill .. shown or shown .. fill
end

-- More than a line has, whatever the bytes are: to clean a body of megabytes
-- takes long.
local MOST_BYTES = 16 * text.WIDTH

--- A line of cells.
-- @param widths of the columns, as of fit; the last one is not filled up
-- @param cells strings that were not cleaned
function text.line(widths, cells)
  local parts = {}
  for i, width in ipairs(widths) do
    local cell = text.clean(tostring(cells[i]):sub(1, MOST_BYTES))
    parts[i] = text.fit(cell, width)
  end
  return (table.concat(parts, " "):gsub(" +$", ""))
end

-- -- numbers --

local UNITS = { { 1e12, "T" }, { 1e9, "G" }, { 1e6, "M" } }

--- A count in at most seven columns.
function text.count(n)
  for _, unit in ipairs(UNITS) do
    if n >= unit[1] * 10 then return ("%.1f%s"):format(n / unit[1], unit[2]) end
  end
  return ("%d"):format(n)
end

--- A number of events a second.
function text.rate(per_second)
  if not per_second then return "-" end
  if per_second < 99.95 then return ("%.1f"):format(per_second) end
  return text.count(math.floor(per_second + 0.5))
end

--- A priority as it was given, if that is short.
function text.number(n)
  if math.tointeger(n) then return ("%d"):format(n) end
  return ("%.5g"):format(n)
end

--- A duration in at most six columns.
function text.duration(seconds)
  if seconds < 0 then seconds = 0 end
  if seconds < 10 then return ("%.1fs"):format(seconds) end
  local whole = math.floor(seconds)
  if whole < 60 then return ("%ds"):format(whole) end
  if whole < 3600 then
    return ("%dm%02ds"):format(whole // 60, whole % 60)
  elseif whole < 86400 then
    return ("%dh%02dm"):format(whole // 3600, whole % 3600 // 60)
  elseif whole < 86400 * 100 then
    return ("%dd%02dh"):format(whole // 86400, whole % 86400 // 3600)
  end
  return ("%.0fd"):format(seconds / 86400)
end

--- "1 job", "2 jobs"
function text.jobs(n, kind)
  return ("%d %sjob%s"):format(n, kind and kind .. " " or "",
    n == 1 and "" or "s")
end

return text
