-- A condition with a predicate: two queries wait until the connection to a
-- database is ready, whatever other states it goes through, and then run
-- one at a time.
--
--   sluice examples/connection_state.lua
--
-- Options: --connect 3 and --query 3 seconds.

local sluice = require "sluice"
local options, say = dofile(arg[0]:gsub("[^/]*$", "lib/example.lua")) {
  connect = 3, query = 3,
}

local Connection = {}
Connection.__index = Connection

function Connection.new()
  return setmetatable({
    state = "closed",
    changed = sluice.Condition(),
  }, Connection)
end

function Connection:set_state(state)
  local _ <close> = self.changed:acquire()
  say("the connection was %s and is %s", self.state, state)
  self.state = state
  self.changed:notify_all()
end

function Connection:connect()
  self:set_state("connecting")
  sluice.sleep(options.connect)
  self:set_state("ready")
end

function Connection:execute(query)
  local _ <close> = self.changed:acquire()
  self.changed:wait_for(function()
    say("%s: the connection is %s", query, self.state)
    return self.state == "ready"
  end)
  say("%s: runs", query)
  sluice.sleep(options.query)
  say("%s: done", query)
end

local connection = Connection.new()
sluice.gather {
  sluice.create_task(connection.execute, connection, "select 1"),
  sluice.create_task(connection.execute, connection, "select 2"),
  sluice.create_task(connection.connect, connection),
}
