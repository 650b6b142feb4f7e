-- The busted command, for whichever Lua runs this file. Run as a file, busted
-- ends by closing the Lua state, which the leak checkers need.
require "busted.runner" { standalone = false }
