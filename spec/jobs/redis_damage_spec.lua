-- What the engine over Redis makes of a server that somebody else changed,
-- that is full, or whose replies were lost.
local jobs = require "sluice.jobs"
local redis = require "spec.support.redis"
local sluice = require "sluice"

local server

-- Real time: a server is asked.
local busted_it = it
local function it(name, fn) -- luacheck: ignore it
  busted_it(name, function()
    sluice.run(function()
      server = redis.start("--maxmemory-policy noeviction")
      local started <close> = server -- luacheck: ignore started
      local store <close> = assert(jobs.open(server.url))
      sluice.wait_for(30, fn, store:queue("orders", { lease = 60 }), store)
    end)
  end)
end

-- A key of the queue, or of a job by its id.
local function key(name)
  if math.type(name) == "integer" then name = ("j:%016d"):format(name) end
  return "{sluice:orders}:" .. name
end

-- Ends the lease of a job at the server.
local function end_lease(id)
  server:cli(("ZADD %s XX 1 %016d"):format(key "leased", id))
end

-- Has the next call lose its reply once the server has done it; what happens
-- then comes before it is sent again.
local function lose_reply(store, happens)
  local main = store.engine.main
  local send = main.send
  function main:send(command)
    local reply = send(self, command)
    if reply.err then return reply end -- it has not got the script yet
    main.send = nil
    happens()
    return nil, "the reply is lost", true
  end
end

describe("a reply that is lost", function()
  it("of a reserve is given again", function(queue, store)
    local id = queue:put "a"
    lose_reply(store, function() queue:put "b" end)
    local job = queue:reserve(1)
    assert.same({ id, 1 }, { job.id, job.attempts })
  end)

  it("of a reserve whose lease then ended stops nothing",
    function(queue, store)
      local id = queue:put "a"
      lose_reply(store, function() end_lease(id) end)
      local job = queue:reserve(1)
      assert.same({ id, 2 }, { job.id, job.attempts })
      assert.is_true(job:ack())
    end)
end)
