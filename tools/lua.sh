#!/bin/sh
# Runs a Lua script of the checkout with the checkout's modules.
# usage: tools/lua.sh SCRIPT [ARG...]
set -eu
. "$(dirname "$0")/env.sh"
exec "$LUA" "$@"
