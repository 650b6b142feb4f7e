#!/bin/sh
# Runs each spec file in a process of its own, as many at once as there are
# processors: what one leaves in memory does not slow the next down, which
# counts where the collector always runs. Prints what each printed.
# usage: tools/each_spec.sh [SPEC-FILE]...
set -u
cd "$(dirname "$0")/.." || exit 1

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

if [ $# = 0 ]; then
  # shellcheck disable=SC2046 # names of specs have no blanks
  set -- $(find spec -name '*_spec.lua' | sort)
fi

printf '%s\n' "$@" | xargs -P "$(nproc 2>/dev/null || echo 2)" -I '{}' sh -c '
  log=$1/$(echo "$2" | tr / _)
  tools/busted.sh "$2" >"$log" 2>&1 </dev/null || echo "$2" >>"$1/failed"
' run "$temp" '{}'

for spec in "$@"; do
  echo "$spec"
  cat "$temp/$(echo "$spec" | tr / _)"
done
[ ! -e "$temp/failed" ] || {
  echo "failed: $(sort "$temp/failed" | tr '\n' ' ')"
  exit 1
}
