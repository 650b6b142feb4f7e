-- Every form of reading returns the same, however the bytes are cut on their
-- way: random reads, some of them cancelled, against a model.

local effort = require "spec.support.effort"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"
local stream_model = require "spec.support.stream_model"
local tasks = require "spec.support.tasks"
local testing = require "sluice.testing"

-- Reads all of some random bytes from a stream, in random ways.
local function read_at_random(stream, peer)
  local bytes = stream_model.bytes(math.random(0, 8000))
  local limit = math.random(0, 3) == 0 and math.random(0, 30) or 2000
  local model = stream_model.new(bytes, limit)
  local task = sluice.create_task(stream_model.send, peer, bytes)
  stream:set_limit(limit)
  repeat stream_model.step(model, stream) until model.rest == ""
  task:await()
  assert.same({ nil, "eof" }, { stream:read() })
end

local function try(with_pair, seed)
  math.randomseed(seed)
  local ok, err = pcall(sluice.run, with_pair, read_at_random)
  if not ok then error(("seed %d: %s"):format(seed, err), 0) end
end

describe("random reads of random pieces return what they must", function()
  for name, with_pair in pairs {
    ["of TCP"] = sockets.with_pair,
    ["of a Unix socket"] = sockets.with_unix_pair,
  } do
    it(name, function()
      for seed = 1, effort(150) do try(with_pair, seed) end
    end)
  end
end)

describe("a read that was given up", function()
  testing.it("hides nothing from the next one", function()
    sockets.with_pair(function(stream, peer)
      local task = tasks.start(stream.readuntil, stream, ";")
      peer:write "one,two"
      sluice.sleep(0.01)
      task:cancel()
      tasks.ends_cancelled(task)
      assert.equal("one,", stream:readuntil ",")
      assert.equal("two", stream:readexactly(3))
    end)
  end)
end)
