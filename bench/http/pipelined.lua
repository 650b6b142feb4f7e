-- What wrk sends: sixteen GETs at a time, without waiting for the answers.
-- luacheck: globals wrk init request
local batch

function init()
  wrk.path = "/"
  batch = wrk.format():rep(16)
end

function request()
  return batch
end
