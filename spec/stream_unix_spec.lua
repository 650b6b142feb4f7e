-- Streams by Unix sockets: all that spec/stream_spec.lua says of streams.

local sockets = require "spec.support.sockets"

describe("by a Unix socket", function()
  local by_tcp = sockets.with_pair

  setup(function() sockets.with_pair = sockets.with_unix_pair end)
  teardown(function() sockets.with_pair = by_tcp end)

  assert(loadfile("spec/stream_spec.lua", "t", _ENV))()
end)
