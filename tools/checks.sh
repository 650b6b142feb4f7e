# Sourced by the scripts of this directory that check a few commands: counts
# what passed and failed in $passed and $failed, and makes a directory, $temp,
# that goes when the script ends.

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
passed=0
failed=0

# check WHAT COMMAND...: runs the command; shows its output if it fails.
check() {
  what=$1
  shift
  if "$@" >"$temp/log" 2>&1; then
    echo "ok      $what"
    passed=$((passed + 1))
  else
    echo "FAILED  $what"
    sed 's/^/        /' "$temp/log"
    failed=$((failed + 1))
  fi
}

# The last line of such a script.
summary() {
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
