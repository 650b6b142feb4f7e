--- Runs a Lua program in a process of its own: one that must not take the
-- specs with it when it crashes, hangs or exits.

local assert = require "luassert"

local program = {}

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function write_script(source)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(source)
  return path
end

--- Runs `source` for at most `seconds` (10) of processor time.
-- @return what it wrote to stdout and stderr, and its exit status
function program.run(source, seconds)
  local path = write_script(source)
  local pipe = assert(io.popen(("ulimit -t %d; %s %s 2>&1"):format(
    seconds or 10, os.getenv "LUA" or "lua5.4", quoted(path))))
  local output = pipe:read "a"
  local _, _, status = pipe:close()
  os.remove(path)
  return output:gsub(path:gsub("%W", "%%%0"), "script"), status
end

--- Checks that `source` ends with status 0 and writes exactly `output`.
function program.writes(output, source, seconds)
  local written, status = program.run(source, seconds)
  assert.equal(output, written)
  assert.equal(0, status)
end

return program
