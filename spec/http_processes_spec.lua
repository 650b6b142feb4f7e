local http = require "sluice.http"
local server_process = require "spec.support.server_process"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local support = require "spec.support.http"

local GET = "GET / HTTP/1.0\r\n\r\n"

local PROGRAM = [[
  local app = require("sluice.http").App()
  app:get("/", function() return "%s" end)
  app:get("/slow", function()
    sluice.sleep(0.5)
    return "%s"
  end)
  app:on_cleanup(function() print "cleaned up" end)
  app:run { port = %d, reuse_port = true, on_listen = function(_, port)
    print("port " .. port)
    io.stdout:flush()
  end }
]]

local function start(name, port)
  return server_process.start(PROGRAM:format(name, name, port))
end

-- How many of n requests each process answered.
local function count_answers(n, port)
  local counts = {}
  for _ = 1, n do
    local body = support.answers(support.exchange(port, GET))[1].body
    counts[body] = (counts[body] or 0) + 1
  end
  return counts
end

describe("two processes at one port", function()
  it("share the requests; one stops, the other goes on", function()
    sluice.run(function()
      local one <close>, port = start("one", 0)
      local two <close> = start("two", port)
      local counts = count_answers(60, port)
      assert.is_true(counts.one > 5 and counts.two > 5)
      one:signal "TERM"
      assert.equal(0, one:wait(10))
      assert.same({ "cleaned up" }, one:new_lines())
      assert.same({ two = 20 }, count_answers(20, port))
      assert.is_nil(two:status())
    end)
  end)

  it("finish what they have in work", function()
    sluice.run(function()
      local one <close>, port = start("one", 0)
      local two <close> = start("two", port)
      local streams, bodies = {}, {}
      for i = 1, 20 do
        streams[i] = sockets.connect(port)
        streams[i]:write "GET /slow HTTP/1.0\r\n\r\n"
      end
      sluice.sleep(0.2)
      one:signal "TERM"
      for i, stream in ipairs(streams) do
        bodies[i] = support.answers(stream:read_all())[1].body
        stream:close()
      end
      assert.matches("one", table.concat(bodies))
      assert.matches("two", table.concat(bodies))
      assert.equal(0, one:wait(10))
      assert.is_nil(two:status())
    end)
  end)

  it("must both want it", function()
    sluice.run(function()
      local app = http.App()
      local server = assert(app:serve { port = 0, reuse_port = true })
      local _, port = server:sockname()
      assert.equal("EADDRINUSE", (select(3, app:serve { port = port })))
      server:stop()
    end)
  end)
end)
