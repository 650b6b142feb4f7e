-- Forms whose files go to disk, cookies, event streams, files as answers:
-- nothing is left, on disk either. Without a socket, which is slower.
local common = require "common"
local sluice = common.sluice
local http = require "sluice.http"

local silent = setmetatable({}, { __index = function()
  return function() return true end
end })
io.stderr = silent -- luacheck: ignore

local pipe = io.popen "mktemp -d"
local directory = pipe:read "l"
pipe:close()

local app = http.App()
app:post("/form", function(request)
  local form, message =
    request:form { max_memory = 20, directory = directory }
  if not form then return 400, message end
  local name = request.cookies.a .. #http.getall(form, "f")
  return 200, name .. form.f:text(), {
    ["Set-Cookie"] = http.cookie("a", name, { max_age = 5 }),
  }
end, { max_body = 2000000 })
app:get("/events", function()
  return http.event_stream(function(events)
    events:send { event = "e", id = 1, data = "a\nb" }
    sluice.sleep(20)
    events:comment "end"
  end)
end)
app:get("/file", function(request) return http.file(request, arg[0]) end)

local requests = {
  { path = "/form", cookies = { a = "b", c = '"d"' }, form = {
    a = 1, f = { { filename = "x", body = ("y"):rep(100) },
      { filename = "z" } },
  } },
  { path = "/events" },
  { path = "/file", headers = { Range = "bytes=0-9" } },
}

local function ask_all()
  for _, request in ipairs(requests) do app:test(request) end
end

common.run(ask_all) -- as it does when it is loaded, so it is now
common.survives(ask_all)
assert(sluice.stats().tasks == 0)
collectgarbage() -- of a file that could not be noted
assert(os.remove(directory)) -- which it is not unless it is empty
