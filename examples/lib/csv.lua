--[[
Reads CSV as RFC 4180 describes it: fields between commas, records between
line breaks; a field in quotes may hold both, and quotes that are doubled.
The first record names the columns.
]]

local csv = {}

local function closing_quote(text, from)
  local quote
  repeat
    quote = text:find('"', from, true)
    if not quote then error("a quoted field is never closed", 0) end
    from = quote + 2 -- a doubled quote is part of the field
  until text:sub(quote + 1, quote + 1) ~= '"'
  return quote
end

--- The field at `from` and the position after it.
local function read_field(text, from)
  if text:sub(from, from) ~= '"' then
    return text:match("^([^,\r\n]*)()", from)
  end
  local last = closing_quote(text, from + 1)
  return text:sub(from + 1, last - 1):gsub('""', '"'), last + 1
end

--- The record at `from`, a list of fields, and the position after it.
local function read_record(text, from)
  local record, after_comma = {}, from
  repeat
    record[#record + 1], from = read_field(text, after_comma)
    after_comma = text:match("^,()", from)
  until not after_comma
  local after = from > #text and from or text:match("^\r?\n()", from)
  if not after then error("text after a quoted field", 0) end
  return record, after
end

local function name_fields(columns, record)
  if #record ~= #columns then
    error(("%d fields, expected %d"):format(#record, #columns), 0)
  end
  local row = {}
  for i, column in ipairs(columns) do row[column] = record[i] end
  return row
end

--- Iterates over the rows of a CSV text: number, { column = field }.
function csv.rows(text)
  local columns, from = read_record(text, 1)
  return function(_, number)
    if from > #text then return nil end
    local record
    record, from = read_record(text, from)
    return number + 1, name_fields(columns, record)
  end, nil, 0
end

return csv
