---@meta sluice.url

-- luacheck: ignore 211 212 241
-- `require "sluice.url"` for lua-language-server; see ../sluice.lua.

---@class sluice.url
local url = {}

---Joins a base and a reference, as RFC 3986 tells and browsers do: an
---absolute URL, or nil, message, code.
---@param base string an absolute URL
---@param reference string what a link says
---@return string? url
---@return string? message
---@return "EINVAL"|"ENOMEM"|"ENOTSUP"|nil code
function url.join(base, reference) end

return url
