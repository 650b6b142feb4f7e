-- What wrk sends: every request is an order of a power user.
-- luacheck: globals wrk
wrk.method = "POST"
wrk.path = "/order"
wrk.body = '{"power_user": true}'
wrk.headers["Content-Type"] = "application/json"
