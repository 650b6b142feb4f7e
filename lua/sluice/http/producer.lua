--- sluice.http.producer: a body that writes itself.
--
-- Internal to sluice.http: what answer.lua knows by its metatable.

local producer = {}

local Producer = { __name = "sluice.http.Producer" }

--- Makes a body of `produce(write)`, which is called once; `write(chunk)`
-- returns true, or nil, message, code when nobody is there to read it.
function producer.new(produce)
  return setmetatable({ produce = produce }, Producer)
end

--- Whether a value is such a body.
function producer.is(value)
  return getmetatable(value) == Producer
end

return producer
