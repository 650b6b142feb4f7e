-- What wrk sends: the smallest GET that there is.
-- luacheck: globals wrk
wrk.path = "/"
