--- Runs a program in a process of its own: what it prints, how it ends.
--
-- For what cannot be seen from inside: the text on stderr, the exit status,
-- signals, the end of the Lua state. A program that has a signal sent to
-- itself writes `signal "INT"`: the function is put before each program. A
-- process of ours never inherits that a signal is ignored, as the processes
-- of a shell in the background do.

local assert = require "luassert"

local process = {}

-- os.execute ignores SIGINT while it waits, so the signal goes by popen.
local prelude = [[
local sluice = require "sluice"
local function signal(name)
  io.popen("kill -" .. name .. " $PPID"):close()
end
]]

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function works(command)
  return (os.execute(command .. " >/dev/null 2>&1")) == true
end

local default_signals = "env --default-signal=INT --default-signal=QUIT "
if not works(default_signals .. "true") then default_signals = "" end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

-- Runs a command, which is given a limit of a minute; a process that was
-- ended by a signal has the status 128 + its number.
local function execute(command)
  local out, err = os.tmpname(), os.tmpname()
  local _, how, status = os.execute(default_signals .. "timeout 60 "
    .. command .. " >" .. out .. " 2>" .. err .. " </dev/null")
  local result = {
    status = how == "signal" and 128 + status or status,
    stdout = read(out), stderr = read(err),
  }
  os.remove(out)
  os.remove(err)
  return result
end

-- Runs a command on a file of the text; busted wants the name to end so.
local function with_file(text, run)
  local name = os.tmpname()
  local path = name .. ".lua"
  write(path, text)
  local result = run(path)
  os.remove(path)
  os.remove(name)
  return result
end

--- Runs the program by lua. Returns { status =, stdout =, stderr = }.
-- @param[opt] wrapper a command that runs the command after it: "env A=b"
function process.lua(text, wrapper)
  return process.bare(prelude .. text, wrapper)
end

--- As `lua`, with nothing put before the program.
function process.bare(text, wrapper)
  return with_file(text, function(path)
    return execute((wrapper or "") .. " "
      .. quote(os.getenv "LUA" or "lua5.4") .. " " .. path)
  end)
end

--- Runs a command line, a list of words.
function process.command(words)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = quote(tostring(word)) end
  return execute(table.concat(quoted, " "))
end

--- Checks that the program ends with status 0, writes `output` to stdout and
-- nothing to stderr.
function process.prints(output, text)
  local result = process.bare(prelude .. text)
  assert.equal("", result.stderr)
  assert.equal(output, result.stdout)
  assert.equal(0, result.status)
end

--- Runs busted on the text of a spec.
function process.busted(text)
  return with_file(prelude .. text, function(path)
    return execute("env -u LUA_WRAPPER tools/busted.sh -o plainTerminal "
      .. path)
  end)
end

--- Runs the program as a script under the launcher.
function process.sluice(text)
  return with_file(prelude .. text, function(path)
    return execute("bin/sluice " .. path)
  end)
end

return process
