--- sluice.http.cookie: the value of a Set-Cookie field.
--
-- The one idea: what a browser would drop without a word (RFC 6265) is an
-- error here: a byte that no cookie can have, an attribute that another one
-- requires.
--
-- Internal to sluice.http.

local core = require "sluice.core.http"

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS = {
  "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
  "Nov", "Dec",
}
local SAME_SITE = { strict = "Strict", lax = "Lax", none = "None" }

-- `level`: 3 in the function itself, 4 in one that it calls.
local function argument_error(n, message, level)
  error(("bad argument #%d to 'cookie' (%s)"):format(n, message), level or 4)
end

-- The date as HTTP writes it, whatever the locale.
local function http_date(time)
  local date = os.date("!*t", math.floor(time))
  return ("%s, %02d %s %04d %02d:%02d:%02d GMT"):format(DAYS[date.wday],
    date.day, MONTHS[date.month], date.year, date.hour, date.min, date.sec)
end

local function is_plain(value)
  return type(value) == "string" and not value:find("[^ -:<-~]")
end

-- The attributes by their names among the options: each gives its text; or
-- nil and, if it is not just left out, what is wrong.
local write = {}

function write.path(value)
  if not is_plain(value) or value:sub(1, 1) ~= "/" then
    return nil, "'path' begins with '/' and has no ';' and no controls"
  end
  return "Path=" .. value
end

function write.domain(value)
  if not is_plain(value) or not value:find("^[%w.-]+$") then
    return nil, "'domain' must be the name of a host"
  end
  return "Domain=" .. value
end

function write.max_age(value)
  if math.type(value) == "float" then value = math.tointeger(value) end
  if math.type(value) ~= "integer" then
    return nil, "'max_age' must be a whole number of seconds"
  end
  return ("Max-Age=%d"):format(value)
end

function write.expires(value)
  if not math.type(value) or not (value >= 0 and value < 2 ^ 37) then
    return nil, "'expires' must be a time as os.time gives it"
  end
  return "Expires=" .. http_date(value)
end

function write.secure(value) return value and "Secure" or nil end

function write.http_only(value) return value and "HttpOnly" or nil end

function write.same_site(value)
  local name = SAME_SITE[tostring(value):lower()]
  if not name then
    return nil, "'same_site' must be 'strict', 'lax' or 'none'"
  end
  return "SameSite=" .. name
end

local ORDER = {
  "path", "domain", "max_age", "expires", "secure", "http_only", "same_site",
}

local function check_name(name)
  if type(name) ~= "string" or core.check_header(name, "") then
    argument_error(1, "not a name of a cookie")
  end
end

local function check_value(value)
  if math.type(value) then value = tostring(value) end
  if type(value) ~= "string" or value:find('[%c ",;\\\127-\255]') then
    argument_error(2, "a cookie's value has no blanks, quotes, commas, "
      .. "semicolons, backslashes, controls or other bytes than ASCII's: "
      .. "encode it")
  end
  return value
end

-- What a browser drops the whole cookie for.
local function check_together(name, options)
  if tostring(options.same_site):lower() == "none" and not options.secure then
    argument_error(3, "'same_site' of 'none' requires 'secure'")
  end
  local prefix = name:lower():match("^__%a+%-")
  if prefix == "__secure-" and not options.secure then
    argument_error(3, "a cookie named '__Secure-' requires 'secure'")
  elseif prefix == "__host-" and (not options.secure or options.domain
    or (options.path or "/") ~= "/") then
    argument_error(3, "a cookie named '__Host-' requires 'secure', the "
      .. "path '/' and no 'domain'")
  end
end

local function check_options(options)
  if options == nil then return {} end
  if type(options) ~= "table" then
    argument_error(3, "table expected, got " .. type(options))
  end
  for key in pairs(options) do
    if not write[key] then
      argument_error(3, ("unknown option '%s'"):format(tostring(key)))
    end
  end
  return options
end

local cookie = { http_date = http_date }

--- The value of a Set-Cookie field.
-- @param name of the cookie, a token
-- @param value a string of printable ASCII without blanks, `"`, `,`, `;` and
-- `\`; or a number
-- @param[opt] options `path` ("/"), `domain`, `max_age` (seconds; 0 removes
-- it), `expires` (a time of os.time), `secure`, `http_only`, `same_site`
-- ("strict", "lax", "none")
-- @return a string
-- Never waits.
function cookie.make(name, value, options)
  check_name(name)
  value = check_value(value)
  options = check_options(options)
  check_together(name, options)
  local parts = { name .. "=" .. value }
  for _, key in ipairs(ORDER) do
    local given = options[key]
    if given == nil and key == "path" then given = "/" end
    if given ~= nil then
      local text, fault = write[key](given)
      if fault then argument_error(3, fault, 3) end
      parts[#parts + 1] = text
    end
  end
  return table.concat(parts, "; ")
end

return cookie
