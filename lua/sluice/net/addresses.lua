--- sluice.net.addresses: which addresses a host stands for, in which order.
--
-- The core looks names up; an address is a string that holds the kernel's
-- struct, whose family the core tells.

require "sluice" -- opens the core
local core = require "sluice.core.net"

local addresses = {}

local function is_ipv4(address) return core.family(address) == 4 end

local function unique(list)
  local seen, result = {}, {}
  for _, address in ipairs(list) do
    if not seen[address] then result[#result + 1] = address end
    seen[address] = true
  end
  return result
end

-- Those for which test(address) holds, and the others, each in their order.
local function partition(list, test)
  local some, others = {}, {}
  for _, address in ipairs(list) do
    local part = test(address) and some or others
    part[#part + 1] = address
  end
  return some, others
end

--- The addresses of a host, each once, in the system's order of preference.
-- @return a list of at least one; or nil, message, code
-- Waits if the host is a name.
function addresses.resolve(host, port)
  local list, message, code = core.resolve(host, port)
  if not list then return nil, message, code end
  if #list == 0 then return nil, "the name has no address", "EAI_NODATA" end
  return unique(list)
end

--- The addresses with the families by turns, the family of the first one
-- first, as RFC 8305 wants them tried.
function addresses.interleave(list)
  local family = core.family(list[1])
  local own, other = partition(list, function(address)
    return core.family(address) == family
  end)
  local result = {}
  for i = 1, math.max(#own, #other) do
    result[#result + 1] = own[i]
    result[#result + 1] = other[i]
  end
  return result
end

--- The addresses with those of IPv4 first, where most clients look.
function addresses.ipv4_first(list)
  local ipv4, others = partition(list, is_ipv4)
  return table.move(others, 1, #others, #ipv4 + 1, ipv4)
end

return addresses
