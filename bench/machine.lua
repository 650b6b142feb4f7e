--- What a measurement is true for: the date, the machine, the versions.

local machine = {}

--- The first line that a command prints, or "unknown".
local function first_line(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null"))
  local line = pipe:read("l")
  return pipe:close() and line or "unknown"
end

local function cpu_model()
  local model = "unknown"
  local file = io.open("/proc/cpuinfo")
  if file then
    model = file:read("a"):match("model name%s*:%s*([^\n]*)") or model
    file:close()
  end
  return model
end

local function package_version(name)
  return first_line("dpkg-query -W -f '${Version}\n' " .. name)
end

local function python_version()
  return first_line((os.getenv("PYTHON") or "/usr/bin/python3") .. " -V")
end

function machine.common()
  return {
    "date: " .. os.date("!%Y-%m-%d"),
    "sluice: commit " .. first_line("git rev-parse --short HEAD"),
    "processor: " .. cpu_model() .. ", cores: " .. first_line("nproc --all"),
    "kernel: " .. first_line("uname -sr"),
    "C compiler: " .. first_line("cc --version"),
    "Lua: " .. first_line("lua5.4 -v"),
  }
end

function machine.peers()
  return {
    "asyncio: " .. python_version(),
    "cqueues: " .. package_version("lua-cqueues"),
    "Go: " .. first_line("go version") .. ", GOMAXPROCS=1",
  }
end

function machine.servers()
  return {
    "aiohttp: " .. package_version("python3-aiohttp") .. ", uvloop "
      .. package_version("python3-uvloop") .. ", " .. python_version(),
    "libuv: " .. first_line("pkg-config --modversion libuv"),
    "nginx: " .. package_version("nginx") .. ", its Lua module "
      .. package_version("libnginx-mod-http-lua"),
    "Go: " .. first_line("go version") .. ", GOMAXPROCS=1",
    "node: " .. first_line("node --version"),
    "wrk: " .. package_version("wrk"),
  }
end

function machine.queues()
  return {
    "SQLite: " .. first_line("pkg-config --modversion sqlite3"),
    "hiredis: " .. first_line("pkg-config --modversion hiredis"),
    "Redis: " .. package_version("redis-server"),
    "beanstalkd: " .. package_version("beanstalkd"),
    "rq: " .. package_version("python3-rq") .. ", celery "
      .. package_version("python3-celery") .. ", " .. python_version(),
  }
end

--- Lists of facts as one Markdown list.
function machine.list(...)
  local lines = {}
  for _, facts in ipairs { ... } do
    for _, fact in ipairs(facts) do
      lines[#lines + 1] = "- " .. fact .. "\n"
    end
  end
  return table.concat(lines)
end

return machine
