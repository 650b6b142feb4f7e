--[[
Writes which page links to which, as DOT for Graphviz or as SVG to look at.
Pages are a list of tables: `url`, `kind` ("page", "redirect" or "failed"),
`links`, a list of URLs, and `from`, the URL of the page that it was reached
by; the first page has none.

The SVG is a tree of the ways by which the pages were reached, in rings around
the first page: each page has a part of the circle as wide as it has leaves
below it. All other links are faint lines.
]]

local link_graph = {}

local LEAF = 11 -- pixels on the outer ring for a leaf's line of text
local RING = 110 -- pixels between rings, at the least
local MARGIN = 190 -- for the text outside the outer ring
local LABEL = 32 -- characters
local MOST_LINKS = 20000 -- faint lines that are drawn

-- -- DOT --

local COLOURS = { page = "black", redirect = "gray50", failed = "red" }

local function quote(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

local function write_dot(file, pages, by_url)
  file:write("digraph links {\n  node [shape=box, fontname=sans];\n")
  for _, page in ipairs(pages) do
    file:write(("  %s [color=%s];\n"):format(quote(page.url),
      COLOURS[page.kind]))
  end
  for _, page in ipairs(pages) do
    for _, link in ipairs(page.links or {}) do
      if by_url[link] then
        file:write(("  %s -> %s;\n"):format(quote(page.url), quote(link)))
      end
    end
  end
  file:write("}\n")
end

-- -- the places of the pages --

--- Gives each page its children, a level, and counts leaves. Returns the
-- number of levels.
local function grow_tree(pages, by_url)
  for _, page in ipairs(pages) do page.children = {} end
  for _, page in ipairs(pages) do
    local parent = by_url[page.from]
    if parent then table.insert(parent.children, page) end
  end
  local levels = 0
  local function grow(page, level)
    page.level, page.leaves = level, 0
    levels = math.max(levels, level)
    for _, child in ipairs(page.children) do
      page.leaves = page.leaves + grow(child, level + 1)
    end
    page.leaves = math.max(page.leaves, 1)
    return page.leaves
  end
  grow(pages[1], 0)
  return levels
end

local function place(page, first, last, ring)
  page.angle = (first + last) / 2
  page.x = page.level * ring * math.cos(page.angle)
  page.y = page.level * ring * math.sin(page.angle)
  local leaf = (last - first) / page.leaves
  for _, child in ipairs(page.children) do
    place(child, first, first + child.leaves * leaf, ring)
    first = first + child.leaves * leaf
  end
end

--- Places all pages around the first; returns the radius of the outer ring.
local function lay_out(pages, by_url)
  local levels = math.max(grow_tree(pages, by_url), 1)
  local ring = math.max(RING, pages[1].leaves * LEAF / (2 * math.pi) / levels)
  place(pages[1], -math.pi, math.pi, ring)
  return levels * ring
end

-- -- SVG --

local HEAD = [[
<svg xmlns="http://www.w3.org/2000/svg" viewBox="%d %d %d %d">
<title>links of %s</title>
<style>
  svg { font: 9px sans-serif; background: #fff }
  path { fill: none }
  .link { stroke: #6a8caf; stroke-width: .5; opacity: .25 }
  .way { stroke: #555; stroke-width: .8 }
  circle { fill: #2b6cb0 }
  .redirect circle { fill: #a0a0a0 }
  .failed circle { fill: #d0312d }
  text { paint-order: stroke; stroke: #fff; stroke-width: 2px }
  .failed text { fill: #d0312d }
</style>
]]

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
  ['"'] = "&quot;" }

local function escape(text) return (text:gsub('[&<>"]', ESCAPES)) end

-- What tells a page from the others of its site.
local function label_of(page)
  local text = page.level == 0 and page.url
    or page.url:match("^%a+://[^/]*(.*)$") or page.url
  return #text > LABEL and "…" .. text:sub(-LABEL) or text
end

local function line(a, b)
  return ("M%.1f %.1fL%.1f %.1f"):format(a.x, a.y, b.x, b.y)
end

local function write_lines(file, pages, by_url)
  local ways, links = {}, {}
  for _, page in ipairs(pages) do
    for _, link in ipairs(page.links or {}) do
      local to = by_url[link]
      if to and to.from == page.url then
        ways[#ways + 1] = line(page, to)
      elseif to and to ~= page and #links < MOST_LINKS then
        links[#links + 1] = line(page, to)
      end
    end
  end
  file:write('<path class="link" d="', table.concat(links), '"/>\n')
  file:write('<path class="way" d="', table.concat(ways), '"/>\n')
end

-- Text goes outwards; in the left half it is turned round to be read.
local function write_page(file, page)
  local degrees, left = math.deg(page.angle), math.cos(page.angle) < 0
  if page.level == 0 then degrees, left = 0, false end
  file:write(('<a href="%s" class="%s"><title>%s</title>'):format(
    escape(page.url), page.kind, escape(page.url)))
  file:write(('<circle cx="%.1f" cy="%.1f" r="3"/>'):format(page.x, page.y))
  file:write(('<text transform="translate(%.1f %.1f) rotate(%.1f)" \z
    x="%d" y="3" text-anchor="%s">%s</text></a>\n'):format(
    page.x, page.y, left and degrees + 180 or degrees, left and -6 or 6,
    left and "end" or "start", escape(label_of(page))))
end

local function write_svg(file, pages, by_url)
  local half = math.ceil(lay_out(pages, by_url) + MARGIN)
  file:write(HEAD:format(-half, -half, 2 * half, 2 * half,
    escape(pages[1].url)))
  write_lines(file, pages, by_url)
  for _, page in ipairs(pages) do write_page(file, page) end
  file:write("</svg>\n")
end

-- -- what the crawler calls --

local writers = { svg = write_svg, dot = write_dot, gv = write_dot }

--- Whether a file can be written, and its ending tells in which form.
-- @return true; or nil and why not
function link_graph.check(path)
  if not writers[path:match("%.(%w+)$")] then
    return nil, path .. ": neither .svg nor .dot"
  end
  local file <close>, message = io.open(path, "a")
  return file and true, message
end

--- Writes the pages, at least one, to a file.
-- @return true; or nil and why it cannot be written
function link_graph.write(path, pages)
  local file <close>, message = io.open(path, "w")
  if not file then return nil, message end
  local by_url = {}
  for _, page in ipairs(pages) do by_url[page.url] = page end
  writers[path:match("%.(%w+)$")](file, pages, by_url)
  local written
  written, message = file:flush()
  return written and true, message
end

return link_graph
