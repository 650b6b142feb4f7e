---@meta sluice.html

-- luacheck: ignore 211 212 241
-- `require "sluice.html"` for lua-language-server; see ../sluice.lua.

---@class sluice.html
local html = {}

---The links of an HTML page, the `href` of each `a` and `area` in the order of
---the page, as absolute URLs of http and https; or nil, message, code.
---@param body string of any bytes
---@param base_url string where it is from, an absolute URL
---@return string[]? links
---@return string? message
---@return "EINVAL"|"E2BIG"|"ENOMEM"|"ENOTSUP"|nil code
function html.links(body, base_url) end

return html
