#!/bin/sh
# Runs a command with a small disk of its own, mounted at a directory, of which
# nothing is left when it ends.
#
# usage: tests/crash/disk.sh DIRECTORY SIZE COMMAND [ARG]...
#   SIZE   as mount takes it: 24m
# Its status is 77 where the system does not permit that.
set -eu

if [ -z "${CRASH_MOUNTED-}" ]; then
  # As root, or as who may be root in a namespace of users.
  for how in "" --map-root-user; do
    if unshare $how --mount true 2>/dev/null; then
      CRASH_MOUNTED=yes exec unshare $how --mount "$0" "$@"
    fi
  done
  echo "mounting is not permitted here" >&2
  exit 77
fi

mount -t tmpfs -o "size=$2" none "$1"
shift 2
exec "$@"
