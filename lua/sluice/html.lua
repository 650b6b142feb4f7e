--- sluice.html: the links of a page.
--
-- The native module finds what the links say, by gumbo. What is here makes
-- URLs of it.

local url = require "sluice.url"

local html = {}

local native, missing, code = require("sluice.native").load("gumbo", "gumbo")

local function is_web(address)
  return address ~= nil and address:find("^https?:") ~= nil
end

-- Raises at the line of the caller of the public function.
local function check_string(value, n)
  if type(value) == "string" then return end
  error(("bad argument #%d to 'links' (string expected, got %s)"):format(
    n, value == nil and "no value" or type(value)), 3)
end

-- What the hrefs say, without what is not the web's. A page says the same
-- again and again.
local function join_all(base, hrefs)
  local links, known = {}, {}
  for _, href in ipairs(hrefs) do
    local address = known[href]
    if address == nil then
      address = url.join(base, href)
      if not is_web(address) then address = false end
      known[href] = address
    end
    if address then links[#links + 1] = address end
  end
  return links
end

--- The links of an HTML page: the `href` of each `a` and `area`, in the order
-- of the page, as absolute URLs of http and https; one that is there twice is
-- given twice.
-- @param body the page, of any bytes
-- @param base_url where it is from, an absolute URL
-- @return a list of URLs; or nil, message, code
-- Does not wait.
function html.links(body, base_url)
  check_string(body, 1)
  check_string(base_url, 2)
  if not native then return nil, missing, code end
  local base, message, why = url.join(base_url, "")
  if not base then return nil, message, why end
  local hrefs, own_base, too_big = native.links(body)
  if not hrefs then return nil, own_base, too_big end
  local own = own_base and url.join(base, own_base)
  return join_all(is_web(own) and own or base, hrefs)
end

return html
