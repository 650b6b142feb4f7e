-- Options of luacheck, the linter of `make lint`.
std = "lua54"
max_line_length = 80
include_files = {
  "lua", "spec", "examples", "bench", "tools",
  "bin/sluice", "rockspec", ".busted", ".luacheckrc",
}

-- A method that need not look at its object still takes it.
self = false

files["spec"].std = "+busted"
files["rockspec"].std = "+rockspec"
files[".luacheckrc"].std = "+luacheckrc"
