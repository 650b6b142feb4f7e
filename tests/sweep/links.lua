-- Links of pages: with a tree and without, in other bytes than UTF-8. The
-- libraries' own memory is not Lua's and is never refused.
local common = require "common"

if not (pcall(require, "sluice.native.url")
  and pcall(require, "sluice.native.gumbo")) then
  common.survives(function() end)
  return
end

local PAGE = ("<base href=/x/><a href=\xe9><a href='b c'>"):rep(3)
local DEEP = ("<div>"):rep(600) .. PAGE

common.survives(function()
  local html = require "sluice.html"
  html.links(PAGE, "http://host/")
  html.links(DEEP, "http://host/")
  html.links(PAGE, "no base")
end)
