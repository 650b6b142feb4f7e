--[[
Checks that src/ is built in layers: a room (a .c file with its header)
includes its own header first and then only rooms of its own or of lower
layers; each dangerous call is made in one room only; a libuv callback (on_*)
never calls Lua. A room that is in no layer is an error. What is in src/native
stands beside the house: such a room may include those of its own module and,
of src/, only pure C and lx.
usage: lua check_layers.lua [DIRECTORY]
]]

--- Lowest first. A name may end in `*`; an exact name is looked for first.
local LAYERS = {
  { "list", "heap", "bytes", "schedule", "codec", "http_text", "http_head",
    "http_parser", "http_response", "multipart", "multipart_head",
    "engine", "hash", "store_op", "store_engine", "store_jobs",
    "store_memory" },
  { "lx" },
  { "pool", "place" },
  { "loop" },
  { "clock" },
  { "scope" },
  { "task" },
  { "cancel" },
  { "wait" },
  { "await", "future", "group", "timeout", "dump", "run", "signal", "thread",
    "pack", "corolib" },
  { "lock", "semaphore", "event", "condition", "barrier" },
  { "ring", "prio", "queue", "queue_impl", "queue_info", "heapobj" },
  { "handle", "address", "stream", "stream_io", "stream_impl",
    "stream_codec", "secure", "connect", "listen", "net", "reactor" },
  { "http_*" },
  { "store_*", "store" },
  { "report", "watch", "testing" },
  { "sluice" },
}

--- The layer whose rooms are pure C, and what is forbidden there.
local PURE = 1
local IMPURE_HEADERS = {
  ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["uv.h"] = true,
}

--- Functions that only one room may call.
local ONLY_IN = {
  uv_run = "loop",
  lua_resume = "task",
  lua_yield = "wait",
  lua_yieldk = "wait",
}

local directory = arg[1] or "src"
--- The rooms above the pure ones that src/native may use, too.
local FOR_NATIVE = { lx = true }

local errors = {}

local function complain(path, format, ...)
  errors[#errors + 1] = path .. ": " .. format:format(...)
end

local function index_layers()
  local exact, prefixes = {}, {}
  for number, rooms in ipairs(LAYERS) do
    for _, room in ipairs(rooms) do
      local prefix = room:match("^(.*)%*$")
      if prefix then prefixes[prefix] = number else exact[room] = number end
    end
  end
  return exact, prefixes
end

local exact, prefixes = index_layers()

local function layer_of(room)
  if exact[room] then return exact[room] end
  for prefix, number in pairs(prefixes) do
    if room:sub(1, #prefix) == prefix then return number end
  end
end

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

--- The code without comments and without the insides of strings.
local function strip(code)
  code = code:gsub("/%*.-%*/", " ")
  code = code:gsub("\\.", "")
  code = code:gsub("'[^'\n]?'", "''")
  code = code:gsub('"[^"\n]*"', '""')
  return (code:gsub("//[^\n]*", ""))
end

local function check_include(path, room, name, quoted)
  local layer = layer_of(room)
  if layer == PURE and IMPURE_HEADERS[name] then
    complain(path, "is pure C and includes %s", name)
  end
  if not quoted or name == "llhttp.h" then return end
  local other = name:match("^(.*)%.h$")
  local below = other and layer_of(other)
  if not below then
    complain(path, "includes %s, which is in no layer", name)
  elseif below > layer then
    complain(path, "includes %s from above", name)
  end
end

-- `#include "../bytes.h"` or a header of the same module: tls.h, tls_error.h.
local function check_native_include(path, room, name, quoted)
  if not quoted then return end
  local other = name:match("^%.%./(.*)%.h$")
  local module, mine = name:match("^[^_.]+"), room:match("^[^_]+")
  if other and (layer_of(other) == PURE or FOR_NATIVE[other]) then return end
  if not other and module == mine then return end
  complain(path, "includes %s, which src/native may not", name)
end

local function check_includes(path, room, code)
  local first
  local native = path:find("/native/")
  local check = native and check_native_include or check_include
  for open, name in code:gmatch('#%s*include%s*([<"])([^>"\n]+)') do
    first = first or name
    check(path, room, name, open == '"')
  end
  local has_header = io.open((path:gsub("%.[ch]$", ".h")))
  if path:match("%.c$") and has_header and first ~= room .. ".h" then
    complain(path, "does not include its own header first")
  end
end

local function check_calls(path, room, code)
  for name, owner in pairs(ONLY_IN) do
    if room ~= owner and code:find("%f[%w_]" .. name .. "%f[^%w_]") then
      complain(path, "calls %s, which only %s.c may", name, owner)
    end
  end
end

--- A function that takes a lua_State is one of a script's, whatever its name.
local function check_callbacks(path, code)
  local definition = "%f[%w_](on_[%w_]+)%s*(%b())%s*(%b{})"
  for name, parameters, body in code:gmatch(definition) do
    local call = body:match("%f[%w_]luaL?_[%w_]+")
    if call and not parameters:find("lua_State") then
      complain(path, "%s calls %s", name, call)
    end
  end
end

local function check_file(path)
  local room = path:match("([^/]+)%.[ch]$")
  if not path:find("/native/") and not layer_of(room) then
    complain(path, "is in no layer; LAYERS in tools/check_layers.lua says")
    return
  end
  local code = read(path)
  check_includes(path, room, code)
  check_calls(path, room, strip(code))
  check_callbacks(path, strip(code))
end

local function list_sources()
  local paths = {}
  local pipe <close> = io.popen(
    ("ls %s/*.[ch] %s/native/*.[ch] 2>/dev/null"):format(directory, directory))
  for path in pipe:lines() do paths[#paths + 1] = path end
  return paths
end

local paths = list_sources()
for _, path in ipairs(paths) do check_file(path) end
for _, message in ipairs(errors) do io.stderr:write(message, "\n") end
print(("layers: %d files, %d errors"):format(#paths, #errors))
os.exit(#errors == 0)
