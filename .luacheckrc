-- Options of luacheck, the linter of `make lint`.
std = "lua54"
max_line_length = 80
include_files = {
  "**/*.lua", "bin/sluice", "**/*.rockspec", ".busted", ".luacheckrc",
}
exclude_files = { "build", "build.luarocks" }

-- A method that need not look at its object still takes it.
self = false

files["spec"].std = "+busted"
files["rockspec"].std = "+rockspec"
files[".luacheckrc"].std = "+luacheckrc"
