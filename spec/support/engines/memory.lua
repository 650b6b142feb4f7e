--- memory:, on a virtual clock; see ../engines.lua.

return { virtual = true, url = function() return "memory:" end }
