--- What specs of TLS have in common: an authority, a certificate for
-- localhost, and connections that use them.

local certificates = require "spec.support.certificates"
local sluice = require "sluice"
local sockets = require "spec.support.sockets"

local tls = {}

--- In `setup`; `tls.close` in `teardown`.
function tls.open()
  tls.directory = certificates.new()
  tls.authority = tls.directory:authority "authority"
  tls.own = tls.directory:issue(tls.authority, "localhost")
end

function tls.close() tls.directory:remove() end

local function merge(base, more)
  local all = {}
  for key, value in pairs(base) do all[key] = value end
  for key, value in pairs(more or {}) do all[key] = value end
  return all
end

--- Options of a server that is localhost, and `more`.
function tls.server(more)
  return merge({ cert = tls.own.cert, key = tls.own.key }, more)
end

--- Options of a client that trusts the authority, and `more`.
function tls.client(more)
  return merge({ ca_file = tls.authority.cert }, more)
end

--- Runs fn(client, peer), two ends of a connection.
function tls.with_pair(server, client, fn)
  sockets.with_tls_pair(fn, tls.server(server), tls.client(client))
end

--- busted's `it` with fn run in a task in real time.
function tls.really(it, name, fn)
  it(name, function()
    sluice.run(function()
      assert(sluice.wait_for(30, function()
        fn()
        return true
      end))
    end)
  end)
end

function tls.echo(stream)
  for line in stream:lines() do stream:write(line .. "\n") end
end

return tls
