--- sluice.http.router: which handler a method and a path belong to.
--
-- The one idea: routes lie in a tree whose edges are segments of paths; a
-- path without parameters also lies in a table, which most requests never
-- leave. A literal segment goes before `{name}`, that before `{name*}`, and
-- if one of them does not have the method, the next is asked.
--
-- Internal to sluice.http. Knows nothing of requests.

local core = require "sluice.core.http"

local Router = {}
Router.__index = Router

local function new_node()
  return { literals = {}, param = nil, methods = nil, rest = nil }
end

-- `max_body`: of the routes that do not say otherwise.
local function new(max_body)
  return setmetatable({
    root = new_node(), exact = {}, max_body = max_body, count = 0,
  }, Router)
end

-- Cuts "/a/{b}" into { "a", "{b}" }.
local function split(path)
  local segments = {}
  for segment in path:gmatch("/([^/]*)") do
    segments[#segments + 1] = segment
  end
  return segments
end

-- The name in "{name}" or "{name*}", and whether it takes the rest.
local function parameter(segment, path, level)
  local name, star = segment:match("^{([%a_][%w_]*)(%*?)}$")
  if name then return name, star == "*" end
  if segment:find("[{}]") then
    error(("bad path '%s' (a parameter is a whole segment: {name})")
      :format(path), level + 1)
  end
end

local function add_name(names, name, path, level)
  for _, other in ipairs(names) do
    if other == name then
      error(("bad path '%s' ({%s} is there twice)"):format(path, name),
        level + 1)
    end
  end
  names[#names + 1] = name
end

-- The tables of methods where the path ends; makes what is missing.
local function reach(router, path, level)
  local node, names = router.root, {}
  local segments = split(path)
  for i, segment in ipairs(segments) do
    local name, takes_rest = parameter(segment, path, level + 1)
    if name then add_name(names, name, path, level + 1) end
    if takes_rest then
      if i < #segments then
        error(("bad path '%s' ({%s*} must be its end)"):format(path, name),
          level + 1)
      end
      node.rest = node.rest or {}
      return node.rest, names
    elseif name then
      node.param = node.param or new_node()
      node = node.param
    else
      node.literals[segment] = node.literals[segment] or new_node()
      node = node.literals[segment]
    end
  end
  node.methods = node.methods or {}
  return node.methods, names
end

-- Adds a route; what is wrong is raised `level` calls above. `options` go with
-- it; the longest body that one of them allows is noted, and that there is
-- one that is longer than usual.
function Router:add(method, path, handler, level, options)
  local methods, names = reach(self, path, level + 1)
  if methods[method] then
    error(("there is a route for %s %s already"):format(method, path),
      level + 1)
  end
  self.count = self.count + 1
  methods[method] = { handler = handler, names = names, options = options }
  if options and (options.max_body or 0) > self.max_body then
    self.max_body, self.raised = options.max_body, true
  end
  if #names == 0 then self.exact[path] = methods end
end

local function route_of(methods, method)
  return methods[method] or method == "HEAD" and methods.GET or nil
end

-- What a search has found: the names of methods that the path has.
local function note(allowed, methods)
  for method in pairs(methods) do allowed[method] = true end
end

local function join(segments, from)
  return table.concat(segments, "/", from)
end

-- Depth first: returns the route; `values` are then the parameters' values.
local function search(node, segments, i, values, method, allowed)
  local segment = segments[i]
  if segment == nil then
    if not node.methods then return nil end
    note(allowed, node.methods)
    return route_of(node.methods, method)
  end
  local child = node.literals[segment]
  if child then
    local found = search(child, segments, i + 1, values, method, allowed)
    if found then return found end
  end
  if node.param and segment ~= "" then
    values[#values + 1] = segment
    local found =
      search(node.param, segments, i + 1, values, method, allowed)
    if found then return found end
    values[#values] = nil
  end
  if node.rest then
    note(allowed, node.rest)
    local found = route_of(node.rest, method)
    if found then values[#values + 1] = join(segments, i) end
    return found
  end
end

local function decoded_segments(path, encoded)
  local segments = split(encoded or path)
  if encoded then
    for i, segment in ipairs(segments) do
      segments[i] = core.decode(segment) or segment
    end
  end
  return segments
end

-- "GET, HEAD, POST"; nil if nothing is allowed.
local function list_methods(allowed)
  if allowed.GET then allowed.HEAD = true end
  local list = {}
  for method in pairs(allowed) do list[#list + 1] = method end
  if #list == 0 then return nil end
  table.sort(list)
  return table.concat(list, ", ")
end

-- Looks a request up. `encoded` is the path as it was sent, if that is not
-- `path`. Returns the handler, the parameters and the route's options; or nil
-- and, if the path has other methods, what Allow says.
function Router:find(method, path, encoded)
  local methods = not encoded and self.exact[path]
  local route = methods and (methods[method] or route_of(methods, method))
  if route then return route.handler, nil, route.options end
  local values, allowed = {}, {}
  local segments = decoded_segments(path, encoded)
  route = search(self.root, segments, 1, values, method, allowed)
  if not route then return nil, list_methods(allowed) end
  local params = {}
  for i, name in ipairs(route.names) do params[name] = values[i] end
  return route.handler, params, route.options
end

return { new = new }
