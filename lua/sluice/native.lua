--- sluice.native: loads modules over libraries that not everybody has.
--
-- Internal. Such a module is missing where its library was missing when
-- sluice was built; then what needs it says so and everything else works.

local native = {}

--- Loads sluice.native.NAME.
-- @param name of the module
-- @param library what it needs, for people
-- @return the module; or nil, message, "ENOTSUP"
function native.load(name, library)
  local ok, result = pcall(require, "sluice.native." .. name)
  if ok then return result end
  local message = "sluice was built without " .. library
  if not tostring(result):find("not found:", 1, true) then
    message = library .. " cannot be used: " .. tostring(result)
  end
  return nil, message, "ENOTSUP"
end

return native
