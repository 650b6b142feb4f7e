-- Streams over TLS: all that spec/stream_spec.lua says of streams.

local certificates = require "spec.support.certificates"
local net = require "sluice.net"
local sockets = require "spec.support.sockets"

describe("over TLS", function()
  local plain, directory = sockets.with_pair, nil

  setup(function()
    directory = certificates.new()
    local authority = directory:authority "authority"
    local own = directory:issue(authority, "localhost")
    local server = net.TLSContext { cert = own.cert, key = own.key }
    local client = net.TLSContext { ca_file = authority.cert }
    sockets.is_plain = false
    sockets.with_pair = function(fn, options)
      return sockets.with_tls_pair(fn, server, client, options)
    end
  end)

  teardown(function()
    sockets.is_plain, sockets.with_pair = true, plain
    directory:remove()
  end)

  assert(loadfile("spec/stream_spec.lua", "t", _ENV))()
end)
