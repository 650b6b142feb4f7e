--- docs/benchmarks.md: what was measured last, to keep. Each of the runs
-- replaces its own section and leaves the others as they are.

local page = {}

local path = "docs/benchmarks.md"

local head = [[
# Benchmarks

Written by `bench/run.sh --save`, `bench/http/run.sh --save` and
`bench/jobs/run.sh --save`; `make bench` runs them without keeping what it
finds.
]]

--- The sections of the page as a list of { title, text }.
local function read()
  local sections = {}
  local file = io.open(path)
  if not file then
    return sections
  end
  for text in file:lines("L") do
    local title = text:match("^## (.-)\n?$")
    if title then
      sections[#sections + 1] = { title, "" }
    elseif #sections > 0 then
      sections[#sections][2] = sections[#sections][2] .. text
    end
  end
  file:close()
  return sections
end

--- Replaces the section with this title, or adds it as the last.
function page.save(title, text)
  local sections, found = read(), nil
  for _, section in ipairs(sections) do
    if section[1] == title then
      section[2], found = "\n" .. text, true
    end
  end
  if not found then
    sections[#sections + 1] = { title, "\n" .. text }
  end
  local file = assert(io.open(path, "w"))
  file:write(head)
  for _, section in ipairs(sections) do
    local trimmed = section[2]:gsub("\n+$", "")
    file:write("\n## ", section[1], "\n", trimmed, "\n")
  end
  assert(file:close())
  io.stderr:write("written: ", path, "\n")
end

return page
