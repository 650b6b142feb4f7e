--- sluice.http.producer: a body that writes itself.
--
-- Internal to sluice.http: what answer.lua knows by its metatable.

local producer = {}

local Producer = { __name = "sluice.http.Producer" }

function Producer.__close(self)
  if self.close then self.close() end
end

--- Makes a body of `produce(write)`, which is called once; `write(chunk)`
-- returns true, or nil, message, code when nobody is there to read it.
-- @param[opt] length in bytes, if it is known
-- @param[opt] close called when it is over, also if nothing was written
function producer.new(produce, length, close)
  return setmetatable({ produce = produce, length = length, close = close },
    Producer)
end

--- Whether a value is such a body.
function producer.is(value)
  return getmetatable(value) == Producer
end

return producer
