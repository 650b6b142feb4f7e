--- sluice.methods: methods of classes written in Lua look at what they are
-- called on, as those in C do: `queue.put("x")`, with a dot for the colon, is
-- told as that.
--
-- Internal to sluice.

local methods = {}

local function refuse(class, name, value)
  error(("bad argument #1 to '%s' (%s expected, got %s)"):format(name,
    class.__name, value == nil and "no value" or type(value)), 3)
end

--- Has the methods of a class, whose objects have it as their metatable, look
-- at what they are called on; what begins with `__` is Lua's to call.
-- @param class a table with `__name`
-- @param[opt] constructor the name of a function that is no method
-- @return the class
function methods.guard(class, constructor)
  for name, fn in pairs(class) do
    if type(fn) == "function" and name ~= constructor
      and name:sub(1, 2) ~= "__" then
      class[name] = function(self, ...)
        if getmetatable(self) ~= class then refuse(class, name, self) end
        return fn(self, ...)
      end
    end
  end
  return class
end

return methods
