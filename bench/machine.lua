--- What a measurement is true for: the date, the machine, the versions.

local machine = {}

--- The first line that a command prints, or nil.
local function first_line(command)
  local pipe = io.popen(command .. " 2>&1")
  local line = pipe and pipe:read("l")
  local ok = pipe and pipe:close()
  return ok and line or nil
end

local function cpu_model()
  local model = "unknown"
  for text in io.lines("/proc/cpuinfo") do
    model = text:match("^model name%s*:%s*(.*)") or model
  end
  return model
end

local function package_version(name)
  return first_line("dpkg-query -W -f '${Version}' " .. name) or "unknown"
end

--- A list of sentences.
function machine.facts()
  local python = os.getenv("PYTHON") or "/usr/bin/python3"
  local commit = first_line("git rev-parse --short HEAD")
  return {
    "date: " .. os.date("!%Y-%m-%d"),
    "sluice: commit " .. (commit or "unknown"),
    "processor: " .. cpu_model() .. ", pinned to one core",
    "kernel: " .. (first_line("uname -sr") or "unknown"),
    "C compiler: " .. (first_line("cc --version") or "unknown"),
    "Lua: " .. (first_line("lua5.4 -v") or "unknown"),
    "asyncio: " .. (first_line(python .. " -V") or "unknown"),
    "cqueues: " .. package_version("lua-cqueues"),
    "Go: " .. (first_line("go version") or "unknown") .. ", GOMAXPROCS=1",
  }
end

return machine
