--- sluice.http.dispatch: from a request to what its handler returns.
--
-- The one idea: everything that can be decided before the first request is;
-- a request of an application without middleware and deadlines costs a look
-- at the routes and one call.
--
-- Internal to sluice.http.

local sluice = require "sluice"

local function not_found()
  return 404, "404 Not Found\n"
end

local function not_allowed(allow)
  return function()
    return 405, "405 Method Not Allowed\n", { Allow = allow }
  end
end

local function mark(handler, request) return true, handler(request) end

-- Runs a handler under a deadline.
local function limited(seconds, handler, request)
  local done, first, second, third =
    sluice.wait_for(seconds, mark, handler, request)
  if done then return first, second, third end
  return 503, "503 Service Unavailable\n"
end

-- The handler of a request goes through the middleware with it.
local function chain(middleware)
  if #middleware == 0 then return nil end
  local handler = function(request) return request._handler(request) end
  for i = #middleware, 1, -1 do
    local fn, inner = middleware[i], handler
    handler = function(request) return fn(request, inner) end
  end
  return handler
end

-- Whether the body is to be limited further than the connection does, and
-- is too long.
local function is_too_long(app, request, options)
  local most = options and options.max_body or app.limits.max_body
  return most < app.router.max_body and not request._conn:limit(most)
end

local function run(app, through, request, handler, options)
  local seconds =
    options and options.handler_timeout or app.limits.handler_timeout
  if through then
    request._handler = handler
    handler = through
  end
  if seconds == math.huge then return handler(request) end
  return limited(seconds, handler, request)
end

--- What answers the requests of an application: a function of a request, and
-- of its path as it was sent, if it was sent otherwise.
return function(app)
  local routes, through = app.router, chain(app.middleware)
  local direct = not through and app.limits.handler_timeout == math.huge
  return function(request, encoded)
    local handler, params, options =
      routes:find(request.method, request.path, encoded)
    if not handler then
      handler = params and not_allowed(params) or not_found
    elseif params then
      request.params = params
    end
    if options or routes.raised then
      if is_too_long(app, request, options) then return 413 end
    elseif direct then
      return handler(request)
    end
    return run(app, through, request, handler, options)
  end
end
