--[[
Good manners of crawler.lua: each host has so many places for those who ask
it, a pause between two requests, and its robots.txt, which is read once.

Who finds no place does not wait there: the page is left in the host's own
line, and whoever leaves the host takes it. So the workers never all wait for
one slow host.
]]

local sluice = require "sluice"
local robots = dofile(arg[0]:gsub("[^/]*$", "lib/robots.lua"))

local hosts = {}

local Host = {}
Host.__index = Host

local LONGEST_PAUSE = 30 -- seconds, whatever robots.txt says

--- Scheme, host and port of a URL; the host alone; the path with its query.
function hosts.split(address)
  local origin, rest = address:match("^(%a+://[^/?#]*)([^#]*)")
  local name = origin:gsub("^.*[/@]", "")
  return origin, name:match("^%[.*%]") or name:match("^[^:]*"), rest
end

--- Makes a function that gives the host of a page.
-- @param client what asks for robots.txt
-- @param options `per_host`, `delay`, `timeout`, `no_robots`, `agent`
function hosts.new(client, options)
  local by_origin = {}
  return function(page)
    local origin = hosts.split(page.url)
    by_origin[origin] = by_origin[origin] or setmetatable({
      client = client, options = options, origin = origin,
      free = options.per_host, line = sluice.Queue(), turn = 0,
    }, Host)
    return by_origin[origin]
  end
end

--- Takes a place; false if there is none: the page is then in the line.
function Host:enter(page)
  if self.free == 0 then return not self.line:put(page) end
  self.free = self.free - 1
  return true
end

--- Gives the place to the next page of the line, which is returned.
function Host:leave()
  local page = self.line:get_nowait()
  if not page then self.free = self.free + 1 end
  return page
end

-- The rules of robots.txt. A site that has none allows everything; one that
-- cannot tell at the moment, nothing.
local function fetch_rules(self)
  local answer, message, code = self.client:get(self.origin .. "/robots.txt",
    { timeout = self.options.timeout, max_redirects = 5 })
  if not answer then return robots.deny_all(), code or message end
  if answer.status >= 500 then
    return robots.deny_all(), "HTTP " .. answer.status
  end
  local text = answer.status == 200 and answer.body or ""
  return robots.parse(text, self.options.agent)
end

-- One task asks, whoever else comes meanwhile awaits it, too.
local function rules_of(self)
  self.rules = self.rules or sluice.create_task(fetch_rules, self)
  return self.rules:await()
end

local function pause(self, seconds)
  local now = sluice.time()
  local turn = math.max(now, self.turn)
  self.turn = turn + seconds
  if turn > now then sluice.sleep(turn - now) end
end

--- Waits until the page may be asked for.
-- @return true; or nil and why it may not: "robots.txt", or what went wrong
-- when that was asked for
function Host:permit(page)
  local seconds = self.options.delay
  if not self.options.no_robots then
    local rules, trouble = rules_of(self)
    local _, _, path = hosts.split(page.url)
    if trouble then return nil, trouble end
    if not rules:allows(path) then return nil, "robots.txt" end
    seconds = math.max(seconds, math.min(rules.delay or 0, LONGEST_PAUSE))
  end
  pause(self, seconds)
  return true
end

return hosts
