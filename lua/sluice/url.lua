--- sluice.url: URLs as pages write them.
--
-- The native module joins, by libcurl. What is here is the check of the
-- arguments, and the word for a sluice that was built without libcurl.

local url = {}

local native, missing, code = require("sluice.native").load("url", "libcurl")

-- Raises at the line of the caller of the public function.
local function check_string(value, n)
  if type(value) == "string" then return end
  error(("bad argument #%d to 'join' (string expected, got %s)"):format(
    n, value == nil and "no value" or type(value)), 3)
end

--- Joins a base and a reference, as RFC 3986 tells and browsers do.
-- @param base an absolute URL
-- @param reference what a link says: a URL, or a part of one
-- @return an absolute URL; or nil, message, code: "EINVAL" for what is no
-- URL, "ENOTSUP" where libcurl was not there when sluice was built
-- Does not wait.
function url.join(base, reference)
  check_string(base, 1)
  check_string(reference, 2)
  if not native then return nil, missing, code end
  return native.join(base, reference)
end

return url
