--- sluice.http.encode: tables as queries, forms and cookies.
--
-- The names come in alphabetical order, so that the same table is always the
-- same bytes; a list stands for a name that is repeated.
--
-- Internal to sluice.http.

local encode = {}

local function escape(c) return ("%%%02X"):format(c:byte()) end

local function percent(text)
  return (text:gsub("[^%w%-._~ ]", escape):gsub(" ", "+"))
end

-- Calls fn(name, value) for every value of every name.
local function each(values, fn)
  local names = {}
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = values[name]
    local is_list = type(value) == "table" and value[1] ~= nil
    for _, item in ipairs(is_list and value or { value }) do
      fn(name, item)
    end
  end
end

--- "a=1&b=x+y": a query, or the body of a form.
function encode.pairs(values)
  local parts = {}
  each(values, function(name, value)
    parts[#parts + 1] = percent(name) .. "=" .. percent(tostring(value))
  end)
  return table.concat(parts, "&")
end

--- "a=1; b=2": the value of a Cookie header.
function encode.cookies(values)
  local parts = {}
  each(values, function(name, value)
    parts[#parts + 1] = name .. "=" .. tostring(value)
  end)
  return table.concat(parts, "; ")
end

local function quoted(text)
  return '"' .. text:gsub('["\\]', "\\%0") .. '"'
end

local function head_of_part(name, value)
  local head = "Content-Disposition: form-data; name=" .. quoted(name)
  if type(value) ~= "table" then return head end
  head = head .. "; filename=" .. quoted(value.filename or "")
  if not value.content_type then return head end
  return head .. "\r\nContent-Type: " .. value.content_type
end

-- A boundary that is not in the contents.
local function boundary_for(contents)
  local text, n = table.concat(contents, "\n"), 0
  while text:find("----sluice" .. n, 1, true) do n = n + 1 end
  return "----sluice" .. n
end

--- A form in parts: a value is a string, a number, or a file, `{ filename =,
-- content_type =, body = }`.
-- @return the body, and its Content-Type
function encode.parts(values)
  local heads, contents = {}, {}
  each(values, function(name, value)
    local is_file = type(value) == "table"
    heads[#heads + 1] = head_of_part(name, value)
    contents[#contents + 1] =
      is_file and (value.body or "") or tostring(value)
  end)
  local boundary, out = boundary_for(contents), {}
  for i, head in ipairs(heads) do
    out[#out + 1] = ("--%s\r\n%s\r\n\r\n%s\r\n"):format(boundary, head,
      contents[i])
  end
  out[#out + 1] = "--" .. boundary .. "--\r\n"
  return table.concat(out), "multipart/form-data; boundary=" .. boundary
end

--- Whether one of the values is a file.
function encode.has_files(values)
  local found = false
  each(values, function(_, value) found = found or type(value) == "table" end)
  return found
end

return encode
