--[[
Checks what a reader meets first: no file is longer than 600 lines, and no
line of code is wider than 80 columns, has a tab for indentation where there
should be none, or ends in blanks.
usage: lua check_files.lua
]]

local MAX_LINES = 600
local MAX_COLUMNS = 80

--- What is looked at; the width of prose and tables is their author's.
local CODE = { c = true, h = true, lua = true, sh = true, cmake = true }
local PROSE = { md = true, py = true, go = true }

local errors = {}

local function complain(path, line, format, ...)
  errors[#errors + 1] = ("%s:%d: "):format(path, line) .. format:format(...)
end

local function check_line(path, number, line)
  local width = utf8.len(line) or #line
  if width > MAX_COLUMNS then
    complain(path, number, "%d columns wide", width)
  end
  if line:find("^ *\t") then complain(path, number, "indented by a tab") end
  if line:find("%s$") then complain(path, number, "ends in blanks") end
end

local function check_file(path, is_code)
  local file <close> = io.open(path)
  if not file then return end -- removed, but not yet from git's index
  local number = 0
  for line in file:lines() do
    number = number + 1
    if is_code then check_line(path, number, line) end
  end
  if number > MAX_LINES then complain(path, number, "too long") end
end

--- Every file that git knows or would know; without git, every file.
local function list_files()
  local pipe <close> = io.popen(
    "git ls-files -co --exclude-standard 2>/dev/null || " ..
    "find . -type f -not -path './build*' -not -path './.git/*'")
  local paths = {}
  for path in pipe:lines() do paths[#paths + 1] = path end
  return paths
end

local count = 0
for _, path in ipairs(list_files()) do
  local kind = path:match("%.(%w+)$")
  if CODE[kind] or PROSE[kind] then
    count = count + 1
    check_file(path, CODE[kind])
  end
end
for _, message in ipairs(errors) do io.stderr:write(message, "\n") end
print(("files: %d looked at, %d errors"):format(count, #errors))
os.exit(#errors == 0)
