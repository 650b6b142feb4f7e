--- sluice.http.fields: names that come more than once.
--
-- The one idea: a query, a form and the cookies are plain tables of the first
-- value of each name, which is what nearly every handler wants. The lists of
-- those that are repeated lie beside them, in a table that knows them weakly.
--
-- Internal to sluice.http.

local fields = {}

local lists_of = setmetatable({}, { __mode = "k" })

--- Ties the lists of repeated names, if there are any, to a table of values.
-- @return the table
function fields.new(values, lists)
  lists_of[values] = lists
  return values
end

--- All values of a name.
-- @param values request.query, request.cookies, or what request:form returned
-- @param name a string
-- @return a list in the order in which they came; empty if there is none
-- Never waits.
function fields.getall(values, name)
  if type(values) ~= "table" then
    error(("bad argument #1 to 'getall' (table expected, got %s)")
      :format(type(values)), 2)
  end
  local lists = lists_of[values]
  local list = lists and lists[name]
  if list then return table.move(list, 1, #list, 1, {}) end
  return { values[name] }
end

return fields
