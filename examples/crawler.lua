-- Follows the links of a page to a depth of three, with 100 workers on one
-- queue. A worker that finds links is a producer, too, so an empty queue does
-- not mean the end; join does: each page that was put is marked as done. No
-- URL is asked for twice. A page that takes too long, is too large or breaks
-- off is told and passed over. Ctrl-C ends the crawl, not the summary.
--
--   sluice examples/crawler.lua                  # a small site of its own
--   sluice examples/crawler.lua https://example.org/ --graph links.svg
--
-- Options: --workers 100, --depth 3, --max-pages 0 (0: any number), --timeout
-- 10 seconds and --max-size 10000000 bytes a page; --per-host 6 requests at
-- once, --delay 0 seconds between two, --no-robots: do not heed robots.txt;
-- --any-host: leave the start's host; --graph FILE.svg or FILE.dot; --ca FILE
-- or --insecure for HTTPS; --every 2 seconds a line, but on a terminal.

local sluice = require "sluice"
local html = require "sluice.html"
local http = require "sluice.http"
local url = require "sluice.url"

local function lib(name)
  return dofile(arg[0]:gsub("[^/]*$", "lib/" .. name .. ".lua"))
end

local options, say = lib "example" {
  "", workers = 100, depth = 3, max_pages = 0, timeout = 10,
  max_size = 10000000, per_host = 6, delay = 0, no_robots = false,
  any_host = false, graph = "", ca = "", insecure = false, every = 2,
}
local hosts, link_graph = lib "crawl_hosts", lib "link_graph"
local sample_site = lib "sample_site"

local AGENT = "sluice-crawler"
local MAX_REDIRECTS = 10 -- of one link
local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true,
  [308] = true }

local function fail(text, ...)
  io.stderr:write("crawler: ", text:format(...), "\n")
  os.exit(2, true)
end

local function check_options()
  for name, least in pairs { workers = 1, per_host = 1, depth = 0,
    max_pages = 0, max_size = 0 } do
    local value = options[name]
    if math.type(value) ~= "integer" or value < least then
      fail("--%s: not an integer from %d: %s", (name:gsub("_", "-")), least,
        value)
    end
  end
  if options.every == 0 then fail("--every: not a time: 0") end
  if options.graph == "" then return end
  local ok, message = link_graph.check(options.graph)
  if not ok then fail("--graph: %s", message) end
end

check_options()

local client = http.Client {
  max_connections = options.workers, timeout = options.timeout,
  headers = { ["User-Agent"] = AGENT .. "/1.0" },
  verify = not options.insecure,
  ca_file = options.ca ~= "" and options.ca or nil,
}
local host_of = hosts.new(client, setmetatable({ agent = AGENT },
  { __index = options }))
local report = lib("crawl_report").new(say, options.every)

-- -- what is known --

local queue = sluice.Queue() -- of those who take they who put: no limit
local known, found = {}, {} -- pages by their URLs, and in order
local asked = 0
local home = {} -- the names of the hosts that are crawled

-- Without a fragment, and with one way to write what can be written in two.
local function normalise(address)
  return (address:gsub("#.*", ""):gsub("%%(%x%x)", function(hex)
    local c = string.char(tonumber(hex, 16))
    return c:find("^[%w._~-]$") and c or "%" .. hex:upper()
  end))
end

--- Why a page is not asked for, or nil.
local function reason_against(page)
  local _, name = hosts.split(page.url)
  if not (options.any_host or home[name]) then return "of other hosts" end
  if page.depth > options.depth then return "deeper" end
  if options.max_pages > 0 and asked >= options.max_pages then
    return "over the limit"
  end
end

local function ask_for(page)
  page.left = reason_against(page)
  if page.left then return end
  page.queued, asked = true, asked + 1
  queue:put(page)
end

--- Takes note of a way to a page. A shorter one than was known may bring
-- what lies behind it into reach, however the answers came in.
local function reach(address, depth, from, hops)
  local page = known[address]
  if not page then
    page = { url = address }
    known[address], found[#found + 1] = page, page
  elseif page.depth <= depth then
    return
  end
  page.depth, page.from, page.hops = depth, from, hops
  if not page.queued then return ask_for(page) end
  for _, link in ipairs(page.links or {}) do
    reach(link, depth + page.step, page.url, page.step == 0 and hops + 1 or 0)
  end
end

--- Takes note of where a page leads; each of the links takes `step`.
local function lead(page, addresses, step)
  local seen = {}
  page.links, page.step = {}, step
  for _, address in ipairs(addresses) do
    address = normalise(address)
    if not seen[address] then table.insert(page.links, address) end
    seen[address] = true
  end
  for _, link in ipairs(page.links) do
    reach(link, page.depth + step, page.url, step == 0 and page.hops + 1 or 0)
  end
end

-- -- a page --

local function give_up(page, code)
  page.kind = "failed"
  report:failure(page.url, code)
end

--- A redirect is a link that takes no step. Where the start leads is home.
local function follow(page, location)
  local target = url.join(page.url, location)
  if not (target and target:find("^https?:")) then
    return give_up(page, "bad redirect")
  elseif page.hops == MAX_REDIRECTS then
    return give_up(page, "too many redirects")
  end
  page.kind = "redirect"
  report:redirect()
  if page.depth == 0 then
    local _, name = hosts.split(target)
    home[name] = true
  end
  lead(page, { target }, 0)
end

local function is_html(response)
  local kind = response.headers["content-type"]
  return kind == nil or kind:lower():find("^%s*text/html") ~= nil
    or kind:lower():find("^%s*application/xhtml%+xml") ~= nil
end

--- Reads a page that can have links: its size and they; or nil and a code.
local function read_links(page, response)
  local length = tonumber(response.headers["content-length"]) or 0
  if length > options.max_size then return nil, "EFBIG" end
  local body, message, code = response:text()
  if not body then return nil, code or message end
  local links
  links, message, code = html.links(body, page.url)
  if not links then return nil, code or message end
  return #body, links
end

local function read(page, response)
  local size, links = 0, {}
  if is_html(response) then size, links = read_links(page, response) end
  if not size then return give_up(page, links) end
  page.kind = "page"
  report:page(size)
  lead(page, links, 1)
end

local function visit(page)
  local response <close>, message, code = client:request {
    url = page.url, timeout = options.timeout, max_body = options.max_size,
    max_redirects = 0, stream = true,
  }
  if not response then return give_up(page, code or message) end
  local status, location = response.status, response.headers.location
  if REDIRECTS[status] and location then
    follow(page, location)
  elseif status >= 400 then
    give_up(page, "HTTP " .. status)
  else
    read(page, response)
  end
end

-- -- all of them --

local function work()
  for next_page in queue do
    local page, host = next_page, host_of(next_page)
    while page and host:enter(page) do
      repeat
        local ok, why = host:permit(page)
        if ok then
          visit(page)
        elseif why == "robots.txt" then
          page.left = "forbidden by robots.txt"
        else
          give_up(page, why)
        end
        queue:task_done()
        page = host:leave()
      until not page
    end
  end
end

local function crawl(start)
  local _, name = hosts.split(start)
  home[name] = true
  sluice.task_group(function(group)
    local teller = group:create_task(report.run, report, function()
      return queue:stats().unfinished
    end)
    for _ = 1, options.workers do group:create_task(work) end
    reach(start, 0, nil, 0)
    queue:join()
    queue:shutdown()
    teller:cancel()
  end)
end

local function sum_up()
  local left, asked_for = {}, {}
  for _, page in ipairs(found) do
    local why = page.left or not page.kind and "not reached in time"
    if why then left[why] = (left[why] or 0) + 1 end
    if page.kind then table.insert(asked_for, page) end
  end
  report:summary(left)
  if options.graph == "" or #asked_for == 0 then return end
  local ok, message = link_graph.write(options.graph, asked_for)
  if not ok then fail("%s", message) end
  say("the graph is in %s", options.graph)
end

--- The URL to begin with; what is none may be a host.
local function read_start(text)
  if not text:find("://", 1, true) then text = "http://" .. text end
  local start, message = url.join(text, "")
  if start and start:find("^https?:") then return normalise(start) end
  fail("%s: %s", text, message or "neither http nor https")
end

local site <close> = options[1] == "" and sample_site.serve() or nil
local start = read_start(site and site.url or options[1])
say("%s, to a depth of %d", start, options.depth)
local ok, err = pcall(crawl, start)
client:close()
if not ok and not sluice.is_cancelled(err) then error(err, 0) end
sum_up()
