#!/bin/sh
# Installs what is missing. Quiet and quick when nothing is.
# usage: tools/setup.sh [--test | --dev | --bench]
#   (none)    what `make demo` and `make build` need
#   --test    also what `make test` needs
#   --dev     also what lint, asan, valgrind and the clang build need
#   --bench   also what `make bench` measures against
#
# Where there is apt-get, packages are installed with it (by sudo when the
# user is not root). Elsewhere what is missing is named, and nothing is done.
set -eu

base="gcc libc6-dev make cmake pkg-config lua5.4 liblua5.4-dev libuv1-dev
  node-llhttp|libllhttp-dev lua-cjson lua-busted luarocks curl
  netcat-openbsd procps libssl-dev libcurl4-openssl-dev libgumbo-dev
  libsqlite3-dev libhiredis-dev"
test="openssl python3 chromium wrk sqlite3 redis-server iproute2 util-linux"
dev="clang libclang-rt-14-dev|libclang-rt-dev clang-format binutils valgrind
  libc6-dbg lua-check lua-ldoc"
bench="clang lua-cqueues golang-go nodejs nginx-light|nginx
  libnginx-mod-http-lua python3-aiohttp python3-uvloop
  beanstalkd python3-rq python3-celery"

packages=$base
case ${1-} in
  "") ;;
  --test) packages="$base $test" ;;
  --dev) packages="$base $test $dev" ;;
  --bench) packages="$base $test $bench" ;;
  *) echo "usage: tools/setup.sh [--test | --dev | --bench]" >&2; exit 2 ;;
esac

# --- Debian and its kin -----------------------------------------------------

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null >/dev/null
}

# Prints those of the packages of which no alternative (a|b) is installed.
missing_packages() {
  installed=" $(dpkg-query -W -f='${db:Status-Status} ${Package}\n' |
    sed -n 's/^installed //p' | tr '\n' ' ')"
  for wanted in "$@"; do
    for one in $(echo "$wanted" | tr '|' ' '); do
      case $installed in *" $one "*) continue 2 ;; esac
    done
    echo "$wanted"
  done
}

# Prints the first alternative of each that the package lists know.
choose_packages() {
  for wanted in "$@"; do
    for one in $(echo "$wanted" | tr '|' ' '); do
      if apt-cache show "$one" >/dev/null 2>&1; then
        echo "$one"
        continue 2
      fi
    done
    echo "setup: no package for $wanted" >&2
  done
}

setup_apt() {
  missing=$(missing_packages $packages)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    echo "setup: install as root: apt-get install" \
      "$(echo $missing | sed 's/|[^ ]*//g')" >&2
    return 1
  fi
  echo "setup: installing" $missing
  apt_get update || echo "setup: apt-get update failed; trying without" >&2
  apt_get install -y --no-install-recommends $(choose_packages $missing)
}

# --- Other systems ----------------------------------------------------------

# Prints what of the tools and libraries cannot be found.
missing_tools() {
  for tool in cc make cmake pkg-config luarocks curl nc; do
    command -v $tool >/dev/null || echo $tool
  done
  pkg-config --exists libuv 2>/dev/null || echo libuv
  lua=$(command -v lua5.4 || command -v lua-5.4 || command -v lua || echo no)
  [ "$lua" != no ] || echo lua5.4
  for module in cjson busted; do
    "$lua" -e "require '$module'" 2>/dev/null || echo "$module for Lua 5.4"
  done
}

setup_by_hand() {
  missing=$(missing_tools)
  [ -n "$missing" ] || return 0
  cat >&2 <<EOF
setup: these were not found: $(echo $missing | sed 's/ /, /g')
Install sluice's tools and libraries with one of
  brew install cmake pkgconf lua@5.4 libuv llhttp luarocks \\
    openssl@3 curl gumbo-parser sqlite hiredis
  dnf install gcc make cmake pkgconf lua lua-devel libuv-devel llhttp-devel \\
    luarocks curl nmap-ncat openssl-devel libcurl-devel gumbo-parser-devel \\
    sqlite-devel hiredis-devel
  apk add build-base cmake pkgconf lua5.4 lua5.4-dev libuv-dev llhttp-dev \\
    luarocks5.4 curl netcat-openbsd openssl-dev curl-dev gumbo-parser-dev \\
    sqlite-dev hiredis-dev
then the two Lua modules of the tests and of sluice.http with
  luarocks --lua-version 5.4 install busted
  luarocks --lua-version 5.4 install lua-cjson
EOF
  return 1
}

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
  setup_apt
else
  setup_by_hand
fi
