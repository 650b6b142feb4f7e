--[[
A small site that crawler.lua can crawl where there is no network: a tree of
pages that link to their neighbours, too, and some of what goes wrong on real
sites. Served by the very process that asks for it.
]]

local http = require "sluice.http"

local sample_site = {}

local PAGES = 120

local function link(path)
  return ('<li><a href="%s">%s</a>\n'):format(path, path)
end

local function page(n)
  local links = { link("/"), link("../page/" .. n + 1), link("#top") }
  for child = 4 * n, 4 * n + 3 do
    if child < PAGES then links[#links + 1] = link("/page/" .. child) end
  end
  if n % 20 == 0 then links[#links + 1] = link("/gone/" .. n) end
  if n % 25 == 0 then links[#links + 1] = link("/old/" .. n) end
  if n % 30 == 0 then links[#links + 1] = link("/private/" .. n) end
  return 200, ("<!DOCTYPE html><title>page %d</title>\n<ul>%s</ul>\n"):format(
    n, table.concat(links)), { ["Content-Type"] = "text/html" }
end

local function new_app()
  local app = http.App()
  app:get("/", function() return page(1) end)
  app:get("/page/{n}", function(request)
    local n = math.tointeger(tonumber(request.params.n))
    if n and n < PAGES then return page(n) end
    return 404, "no such page"
  end)
  app:get("/old/{n}", function(request)
    return 301, "", { Location = "/page/" .. request.params.n }
  end)
  app:get("/robots.txt", function()
    return "User-agent: *\nDisallow: /private/\n"
  end)
  return app
end

--- Serves the site on a free port. To be closed; its `url` is its first page.
function sample_site.serve()
  local server = assert(new_app():serve { port = 0 })
  local _, port = server:sockname()
  return setmetatable({ url = ("http://127.0.0.1:%d/"):format(port) }, {
    __close = function() server:close() end,
  })
end

return sample_site
