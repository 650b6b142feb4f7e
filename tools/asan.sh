#!/bin/sh
# Runs a command with `lua5.4` standing for an interpreter that has gcc's
# AddressSanitizer loaded, as the sanitized module in build/asan needs it.
# usage: tools/asan.sh COMMAND [ARG...]
set -eu
SLUICE_BUILD=build/asan
. "$(dirname "$0")/env.sh"

lua=$(command -v "$LUA")
bin=$SLUICE_BUILD/bin
mkdir -p "$bin"

# The runtime must come first in the process, so it is preloaded; but the
# shells and the curl that a spec starts must not inherit it, or their leaks
# would be reported as ours. A spec that preloads something itself names it in
# SLUICE_PRELOAD.
gcc -shared -fPIC -o "$bin/forget_preload.so" -x c - <<'EOF'
#include <stdlib.h>
__attribute__((constructor)) static void forget_preload(void) {
  unsetenv("LD_PRELOAD");
}
EOF

preload="$(gcc -print-file-name=libasan.so) $bin/forget_preload.so"

cat > "$bin/lua5.4" <<EOF
#!/bin/sh
LD_PRELOAD="$preload \${SLUICE_PRELOAD-}" \\
  exec "$lua" "\$@"
EOF
chmod +x "$bin/lua5.4"

# Without the second option the search for leaks may crash in memory of
# threads that it guesses wrongly, when libraries are loaded late.
ASAN_OPTIONS=detect_leaks=1:intercept_tls_get_addr=0
ASAN_OPTIONS=$ASAN_OPTIONS:allocator_may_return_null=1:strict_string_checks=1
UBSAN_OPTIONS=print_stacktrace=1
# Specs that measure or that allocate gigabytes look at SLUICE_TOOL.
SLUICE_TOOL=asan
PATH=$bin:$PATH
LUA=lua5.4
export ASAN_OPTIONS UBSAN_OPTIONS SLUICE_TOOL PATH LUA
exec "$@"
