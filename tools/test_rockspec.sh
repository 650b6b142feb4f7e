#!/bin/sh
# Installs the rock into an empty tree and uses it there, with no other path
# to find it by. Prints `N passed, N failed` at the end.
set -u
cd "$(dirname "$0")/.." || exit 1
. tools/checks.sh

tree=$temp/tree
# Only the tree's own paths: neither the checkout nor an installed sluice.
in_tree() {
  (cd / && env -u LUA_PATH_5_4 -u LUA_CPATH_5_4 \
    LUA_PATH="$tree/share/lua/5.4/?.lua" \
    LUA_CPATH="$tree/lib/lua/5.4/?.so" "$@")
}

rocks() {
  luarocks --lua-version 5.4 --tree "$tree" "$@"
}

echo 'print("ran", ...)' >"$temp/script.lua"
prints() {
  wanted=$1
  shift
  printed=$("$@") && echo "$printed" && [ "$printed" = "$wanted" ]
}
ran=$(printf 'ran\ta b')

check "the rockspec is well formed" \
  luarocks --lua-version 5.4 lint rockspec/sluice-scm-1.rockspec
check "luarocks make installs into an empty tree" rocks make
check "the tree lists it" sh -c \
  "luarocks --lua-version 5.4 --tree '$tree' list --porcelain | grep ^sluice"
check "lua5.4 finds sluice there" in_tree lua5.4 -e \
  'assert(package.searchpath("sluice", package.path)) require "sluice"'
check "a task runs" in_tree lua5.4 -e \
  'assert(require("sluice").run(function() return 42 end) == 42)'
check "the launcher runs a script" \
  prints "$ran" in_tree "$tree/bin/sluice" "$temp/script.lua" "a b"
check "it can be removed again" rocks remove sluice

summary
