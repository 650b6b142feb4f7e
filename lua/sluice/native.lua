--- sluice.native: loads modules over libraries that not everybody has.
--
-- Internal. Such a module is missing where its library was missing when
-- sluice was built; then what needs it says so and everything else works.

local native = {}

--- Loads sluice.native.NAME.
-- @param name of the module
-- @param library what it needs, for people
-- @param[opt] package of Debian's that has it
-- @return the module; or nil, message, "ENOTSUP"
function native.load(name, library, package)
  local ok, result = pcall(require, "sluice.native." .. name)
  if ok then return result end
  result = tostring(result)
  if result:find("not found:", 1, true) then
    local cure = package and ("; install it (Debian: %s) and build sluice "
      .. "again"):format(package) or ""
    return nil, "sluice was built without " .. library .. cure, "ENOTSUP"
  end
  if result:find("not enough memory", 1, true) then error(result, 0) end
  return nil, library .. " cannot be used: " .. result, "ENOTSUP"
end

return native
