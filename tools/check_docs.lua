--[[
Checks that three things tell the same: what the modules export, the headings
of the manual, and the stubs for lua-language-server in types/. Every function,
method and documented field must have a heading and a stub, with the same
parameters; no heading and no stub may name what does not exist; every link
between the documents must lead somewhere. Prints `N passed, N failed` last.
usage: lua check_docs.lua
]]

local sluice = require "sluice"

--- What is exported but not public, with the reason.
local NOT_PUBLIC = {
  ["sluice.testing"] = "what the module sluice.testing is made of",
}

--- Documented fields that are nil until something happens.
local NIL_AT_FIRST = { ["testing.last_failure"] = true }

--- Modules: name in the headings -> name for require, which is also the name
--- of the stub's class.
local MODULES = {
  sluice = "sluice", testing = "sluice.testing", net = "sluice.net",
  http = "sluice.http", url = "sluice.url", html = "sluice.html",
  jobs = "sluice.jobs",
}

local function serve()
  return require("sluice.net").serve(function() end, "127.0.0.1", 0)
end

-- A request as a handler gets it.
local function request()
  local app, seen = require("sluice.http").App()
  app:get("/", function(given)
    seen = given
    return ""
  end)
  app:test()
  return seen
end

local function response()
  local http = require "sluice.http"
  local app = http.App()
  app:get("/", function() return "" end)
  local server = assert(app:serve { port = 0 })
  local answer = assert(http.get(("http://%s:%d/"):format(server:sockname())))
  server:close()
  return answer
end

local function job_queue()
  return assert(require("sluice.jobs").open "memory:"):queue "orders"
end

local function job()
  local queue = job_queue()
  queue:put "an order"
  return queue:reserve(0)
end

--- Classes: how the manual calls an object, and how to get one, in a task.
--- `maker` is the function that the manual says makes one; `internal` has the
--- functions of its table that are no methods.
local CLASSES = {
  { name = "sluice.Runner", receiver = "runner", maker = "sluice.Runner",
    make = function() return sluice.Runner() end },
  { name = "sluice.Handle", receiver = "handle",
    make = function() return sluice.call_soon(function() end) end },
  { name = "sluice.Signal", receiver = "signal", maker = "sluice.Signal",
    make = function() return sluice.Signal("SIGUSR2") end },
  { name = "sluice.Task", receiver = "task",
    make = function() return sluice.current_task() end },
  { name = "sluice.TaskGroup", receiver = "group",
    make = function()
      local made
      sluice.task_group(function(group) made = group end)
      return made
    end },
  { name = "sluice.Timeout", receiver = "deadline", maker = "sluice.timeout",
    make = function()
      local deadline <close> = sluice.timeout(60)
      return deadline
    end },
  { name = "sluice.Future", receiver = "future",
    make = function() return sluice.Future() end },
  { name = "sluice.Event", receiver = "event",
    make = function() return sluice.Event() end },
  { name = "sluice.Lock", receiver = "lock", maker = "lock:acquire",
    make = function() return sluice.Lock() end },
  { name = "sluice.Semaphore", receiver = "semaphore",
    maker = "semaphore:acquire",
    make = function() return sluice.Semaphore() end },
  { name = "sluice.BoundedSemaphore", receiver = "semaphore",
    maker = "semaphore:acquire",
    make = function() return sluice.BoundedSemaphore() end },
  { name = "sluice.Condition", receiver = "condition",
    maker = "condition:acquire",
    make = function() return sluice.Condition() end },
  { name = "sluice.Barrier", receiver = "barrier",
    make = function() return sluice.Barrier(1) end },
  { name = "sluice.Queue", receiver = "queue",
    make = function() return sluice.Queue() end },
  { name = "sluice.LifoQueue", receiver = "queue",
    make = function() return sluice.LifoQueue() end },
  { name = "sluice.PriorityQueue", receiver = "queue",
    own = "priority_queue",
    make = function() return sluice.PriorityQueue() end },
  { name = "sluice.Heap", receiver = "heap",
    make = function() return sluice.Heap() end },
  { name = "sluice.Server", receiver = "server", maker = "net.serve",
    make = function() return serve() end },
  { name = "sluice.Stream", receiver = "stream", maker = "net.connect",
    make = function()
      local server <close> = serve()
      return require("sluice.net").connect(server:sockname())
    end },
  { name = "sluice.net.TLSContext", receiver = "context",
    maker = "net.TLSContext",
    make = function() return require("sluice.net").TLSContext({}) end },
  { name = "sluice.http.App", receiver = "app",
    make = function() return require("sluice.http").App() end },
  { name = "sluice.http.Request", receiver = "request",
    make = function() return request() end },
  { name = "sluice.http.Client", receiver = "client", maker = "http.Client",
    make = function() return require("sluice.http").Client() end },
  { name = "sluice.http.Response", receiver = "response",
    maker = "http.request", make = function() return response() end },
  { name = "sluice.http.Events", receiver = "events",
    make = function()
      local app, made = require("sluice.http").App(), nil
      app:get("/", function()
        return require("sluice.http").event_stream(function(events)
          made = events
        end)
      end)
      app:test()
      return made
    end },
  { name = "sluice.http.File", receiver = "file",
    make = function()
      local part = { filename = "a", type = "b", size = 1 }
      local file = require("sluice.http.file").new(part, "x")
      file.path = "/tmp/a"
      return file
    end },
  { name = "sluice.http.Server", receiver = "http_server",
    make = function()
      local app = require("sluice.http").App()
      local server = assert(app:serve { port = 0 })
      server:close()
      return server
    end },
  { name = "sluice.jobs.Store", receiver = "store", maker = "jobs.open",
    internal = { new = true },
    make = function() return require("sluice.jobs").open "memory:" end },
  { name = "sluice.jobs.Queue", receiver = "job_queue",
    internal = { new = true }, make = job_queue },
  { name = "sluice.jobs.Job", receiver = "job", internal = { wrap = true },
    make = job },
  { name = "sluice.jobs.Worker", receiver = "worker",
    internal = { start = true },
    make = function()
      local store = require("sluice.jobs").open "memory:"
      local worker = store:worker("orders", function() end)
      worker:stop()
      return worker
    end },
}

--- Tables that a function returns: the stub's fields must be theirs.
local RECORDS = {
  ["sluice.Stats"] = function() return sluice.stats() end,
  ["sluice.QueueStats"] = function() return sluice.Queue():stats() end,
  ["sluice.jobs.Stats"] = function() return job_queue():stats() end,
}

-- -- counting ----------------------------------------------------------------

local passed, failures = 0, {}

local function check(ok, format, ...)
  if ok then
    passed = passed + 1
  else
    failures[#failures + 1] = format:format(...)
  end
  return ok
end

local function list_files(command)
  local paths = {}
  local pipe <close> = io.popen(command)
  for path in pipe:lines() do paths[#paths + 1] = path end
  return paths
end

local function exists(path)
  local file <close> = io.open(path)
  return file ~= nil
end

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

-- -- what the modules export -------------------------------------------------

-- The table of an object's methods: __index, or an upvalue of it.
local function methods_of(object)
  local meta = debug.getmetatable(object)
  local index = meta and meta.__index
  if type(index) ~= "function" then return index or {}, meta or {} end
  for i = 1, 8 do
    local _, value = debug.getupvalue(index, i)
    if type(value) == "table" then return value, meta end
  end
  return {}, meta
end

local function load_modules()
  local found = {}
  for name, path in pairs(MODULES) do
    local ok, module = pcall(require, path)
    if ok then
      found[name] = { object = module, functions = {}, meta = {} }
      for key, value in pairs(module) do
        local public = not NOT_PUBLIC[name .. "." .. key]
        if type(value) == "function" and public then
          found[name].functions[key] = true
        end
      end
    end
  end
  return found
end

local function make_object(class)
  local object = class.make()
  local methods, meta = methods_of(object)
  class.object, class.meta, class.functions = object, meta, {}
  for key, value in pairs(methods) do
    local method = type(value) == "function" and not key:find("^__")
    if method and not (class.internal and class.internal[key]) then
      class.functions[key] = true
    end
  end
end

local function has_field(object, name)
  local ok, value = pcall(function() return object[name] end)
  return ok and value ~= nil
end

-- -- what the manual says ----------------------------------------------------

-- Parameters without blanks and brackets.
local function plain_parameters(text)
  return (text:gsub("[%[%]%s]", ""))
end

-- "queue:put (item [, timeout])" -> receiver, name, separator, parameters
local function parse_heading(text)
  local receiver, separator, name, parameters =
    text:match("^([%w_]+)([.:])([%w_]+) ?(%b())$")
  if receiver then
    return receiver, name, separator, plain_parameters(parameters)
  end
  receiver, name = text:match("^([%w_]+)%.([%w_]+)$")
  if receiver then return receiver, name, "field" end
  receiver = text:match("^#([%w_]+)$")
  if receiver then return receiver, "#", "operator" end
  receiver = text:match("^for .- in ([%w_]+)$")
  if receiver then return receiver, "for", "operator" end
end

local manual = {} -- "queue:put" -> { parameters =, place =, text = }

local function entry_key(receiver, name, separator)
  if separator == ":" then return receiver .. ":" .. name end
  if separator == "operator" then return name .. " " .. receiver end
  return receiver .. "." .. name
end

local function add_heading(title, place)
  local receiver, name, separator, parameters = parse_heading(title)
  if not check(receiver, "%s: what is `%s`?", place, title) then return end
  local key = entry_key(receiver, name, separator)
  check(not manual[key], "%s: `%s` has a heading already", place, key)
  local entry = {
    receiver = receiver, name = name, separator = separator,
    parameters = parameters, place = place, text = "",
  }
  manual[key] = entry
  return entry
end

local function read_manual(path)
  local entry, number = nil, 0
  for line in io.lines(path) do
    number = number + 1
    local title = line:match("^###+ `(.*)`$")
    if title then
      entry = add_heading(title, path .. ":" .. number)
    elseif line:find("^##? ") then
      entry = nil
    elseif entry then
      entry.text = entry.text .. line .. "\n"
    end
  end
end

-- -- what the stubs say ------------------------------------------------------

local stubs = {} -- class -> { functions = { name = parameters }, fields = … }

local function stub_class(name, parent)
  local class = stubs[name] or { functions = {}, fields = {}, place = name }
  stubs[name] = class
  if parent then class.parent = parent end
  return class
end

-- What one line of a stub adds; `at` is the state of the file's reading.
local function read_stub_line(line, at)
  local class, rest = line:match("^%-%-%-@class ([%w_.]+)(.*)")
  if class then
    at.class = stub_class(class, rest:match("^ ?: ?([%w_.]+)"))
    return
  end
  local field = line:match("^%-%-%-@field ([%w_]+)")
  if field then at.class.fields[field] = at.place end
  local variable = line:match("^local ([%w_]+) = {}")
  if variable then
    at.variables[variable] = at.class
    at.class.is_object = true
  end
  local owner, name, parameters =
    line:match("^function ([%w_]+)[.:]([%w_]+)(%b())")
  if not owner then return end
  owner = at.variables[owner]
  if check(owner, "%s: a function of no class", at.place) then
    owner.functions[name] = plain_parameters(parameters)
  end
end

local function read_stub(path)
  local at, number = { variables = {} }, 0
  check(loadfile(path), "%s: is not Lua", path)
  for line in io.lines(path) do
    number = number + 1
    at.place = path .. ":" .. number
    read_stub_line(line, at)
  end
end

-- A function's parameters or a field's place, in a class or its parents.
local function find_stub(class, kind, name)
  local at = stubs[class]
  while at do
    if at[kind][name] then return at[kind][name] end
    at = stubs[at.parent]
  end
end

-- -- comparing ---------------------------------------------------------------

-- Heading and stub of one function: `receivers` are tried in order.
local function compare_function(receivers, separator, class, name)
  local entry
  for _, receiver in ipairs(receivers) do
    entry = entry or manual[receiver .. separator .. name]
  end
  local full = receivers[#receivers] .. separator .. name
  check(entry, "%s has no heading in the manual", full)
  local stub = find_stub(class, "functions", name)
  check(stub, "%s has no stub in types/ (%s)", full, class)
  if entry and stub then
    check(entry.parameters == stub, "%s: %s in the manual, %s in %s",
      full, entry.parameters, stub, class)
  end
end

local function compare_operators(class)
  local of = class.receiver
  if class.meta.__len then
    check(manual["# " .. of], "#%s has no heading in the manual", of)
  end
  if class.meta.__call then
    check(manual["for " .. of], "for … in %s has no heading", of)
  end
  if class.meta.__close then
    local maker = manual[class.maker or "?"]
    check(maker and maker.text:find("to-be-closed", 1, true),
      "%s: the manual does not say that it is a to-be-closed value",
      class.name)
  end
end

local function compare_class(class)
  if not check(stubs[class.name], "%s has no stub", class.name) then return end
  local receivers = { class.own, class.receiver }
  if not class.own then receivers = { class.receiver } end
  for name in pairs(class.functions) do
    compare_function(receivers, ":", class.name, name)
  end
  compare_operators(class)
end

-- Every heading names something of the object that its receiver stands for.
local function check_entry(key, entry, objects)
  local found = false
  for _, object in ipairs(objects[entry.receiver] or {}) do
    if entry.separator == "field" then
      found = found or has_field(object.object, entry.name)
    elseif entry.separator == "operator" then
      found = found or object.meta[entry.name == "#" and "__len" or "__call"]
    else
      found = found or object.functions[entry.name]
    end
  end
  check(found or NIL_AT_FIRST[key], "%s: there is no `%s`", entry.place, key)
end

local function check_stub(name, stub, by_class)
  local thing = by_class[name]
  if not check(thing or not stub.is_object, "types: there is no %s", name) then
    return
  end
  for key in pairs(stub.functions) do
    check(thing.functions[key], "types: there is no %s in %s", key, name)
  end
  if not thing then return end
  for key, place in pairs(stub.fields) do
    check(has_field(thing.object, key) or
      NIL_AT_FIRST[(thing.receiver or "?") .. "." .. key],
      "%s: %s has no field %s", place, name, key)
    check(thing.undocumented or manual[thing.receiver .. "." .. key],
      "%s.%s has no heading in the manual", thing.receiver, key)
  end
end

local function check_record(name, make)
  local fields = stubs[name] and stubs[name].fields or {}
  local record = make()
  for key in pairs(record) do
    check(fields[key], "types: %s lacks the field %s", name, key)
  end
  for key in pairs(fields) do
    check(record[key] ~= nil, "types: %s has no field %s", name, key)
  end
end

-- -- links -------------------------------------------------------------------

-- The anchor that a heading gets where the documents are shown.
local function anchor_of(title)
  local text = title:lower():gsub("[^%w%s_-]", "")
  return (text:gsub("%s", "-"))
end

local function anchors_of(path)
  local anchors = {}
  for line in io.lines(path) do
    local title = line:match("^#+ (.*)")
    if title then anchors[anchor_of(title)] = true end
  end
  return anchors
end

local function check_link(path, target)
  local file, anchor = target:match("^([^#]*)#?(.*)$")
  local base = path:match("^(.*/)") or ""
  local to = file == "" and path or base .. file
  local found = check(exists(to), "%s: the link %s leads nowhere", path, target)
  if not found or anchor == "" then return end
  check(anchors_of(to)[anchor], "%s: no heading for %s", path, target)
end

local function check_links(path)
  local text = read(path):gsub("\n```.-\n```", "")
  for target in text:gmatch("%]%(([^)%s]+)%)") do
    if not target:find("^%a+:") then check_link(path, target) end
  end
end

-- -- the rooms of the design page --------------------------------------------

local function rooms_of_design()
  local rooms = {}
  local section = read("docs/design.md"):match("\n## Layers\n(.-)\n## ")
  for row in section:gmatch("\n|[^\n|]*|([^\n]*)") do
    for room in row:gsub("%b()", ""):gmatch("`([%w_]+)`") do
      rooms[room] = true
    end
  end
  return rooms
end

local function check_rooms()
  local rooms = rooms_of_design()
  for _, path in ipairs(list_files "ls src/*.h src/*.c") do
    local room = path:match("([^/]+)%.[ch]$")
    if not rooms[room] then
      check(false, "docs/design.md: no layer for %s", path)
    end
  end
  for room in pairs(rooms) do
    check(exists("src/" .. room .. ".h") or exists("src/" .. room .. ".c"),
      "docs/design.md: there is no room %s", room)
  end
end

-- -- main --------------------------------------------------------------------

local documents = list_files "ls README.md CHANGELOG.md CONTRIBUTING.md \z
  docs/*.md docs/manual/*.md"

local function compare_all(modules)
  local objects, by_class = {}, {}
  for name, module in pairs(modules) do
    module.receiver = name
    objects[name], by_class[MODULES[name]] = { module }, module
    for key in pairs(module.functions) do
      compare_function({ name }, ".", MODULES[name], key)
    end
  end
  for _, class in ipairs(CLASSES) do
    make_object(class)
    by_class[class.name] = class
    for _, receiver in ipairs { class.receiver, class.own } do
      objects[receiver] = objects[receiver] or {}
      table.insert(objects[receiver], class)
    end
    compare_class(class)
  end
  for key, entry in pairs(manual) do check_entry(key, entry, objects) end
  for name, stub in pairs(stubs) do check_stub(name, stub, by_class) end
end

for _, path in ipairs(list_files "ls docs/manual/*.md") do
  read_manual(path)
end
for _, path in ipairs(list_files "find types -name '*.lua' | sort") do
  read_stub(path)
end
sluice.run(function()
  compare_all(load_modules())
  for name, make in pairs(RECORDS) do check_record(name, make) end
end)
for _, path in ipairs(documents) do check_links(path) end
check_rooms()

table.sort(failures)
for _, message in ipairs(failures) do print(message) end
print(("%d passed, %d failed"):format(passed, #failures))
os.exit(#failures == 0, true)
