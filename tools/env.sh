# Sourced by the scripts of this directory: goes to the checkout's root and
# sets
#   LUA                   a Lua 5.4 or later
#   SLUICE_BUILD          the build under test, absolute (build/release)
#   LUA_PATH, LUA_CPATH   so that this checkout's modules are found first,
#                         also by the programs that a spec starts

cd "$(dirname "$0")/.." || exit 1

is_lua54() {
  command -v "$1" >/dev/null 2>&1 &&
    "$1" -e 'os.exit(tonumber(_VERSION:match("%d+%.%d+")) >= 5.4)' 2>/dev/null
}

if [ -z "${LUA-}" ]; then
  for LUA in lua5.4 lua-5.4 lua54 lua5.5 lua none; do
    is_lua54 "$LUA" && break
  done
  if [ "$LUA" = none ]; then
    echo "no Lua 5.4 was found; \`make setup\` installs it" >&2
    exit 1
  fi
fi

: "${SLUICE_BUILD:=build/release}"
case $SLUICE_BUILD in
  /*) ;;
  *) SLUICE_BUILD=$PWD/$SLUICE_BUILD ;;
esac

# LUA_PATH_5_4, where it is set, hides LUA_PATH. `;;` stands for the default.
LUA_PATH="$PWD/lua/?.lua;${LUA_PATH_5_4-${LUA_PATH-;}}"
LUA_CPATH="$SLUICE_BUILD/?.so;${LUA_CPATH_5_4-${LUA_CPATH-;}}"
unset LUA_PATH_5_4 LUA_CPATH_5_4
export LUA SLUICE_BUILD LUA_PATH LUA_CPATH
