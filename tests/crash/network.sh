#!/bin/sh
# Runs a command in a network of its own, of which nothing is left when it
# ends: itself at 10.77.1.1 and 10.77.2.1, and two machines that reach it by a
# cable each, at 10.77.1.2 (m1) and 10.77.2.2 (m2). A machine is a network
# namespace: `ip netns exec m1 COMMAND` runs something there, `ip link set
# cable1 down` pulls its cable out.
#
# usage: tests/crash/network.sh COMMAND [ARG]...
# Its status is 77 where the system permits no namespaces.
set -eu

if [ -z "${CRASH_NETWORK-}" ]; then
  # As root, or as who may be root in a namespace of users.
  for how in "" --map-root-user; do
    if unshare $how --net --mount true 2>/dev/null; then
      CRASH_NETWORK=yes exec unshare $how --net --mount "$0" "$@"
    fi
  done
  echo "network namespaces are not permitted here" >&2
  exit 77
fi

mount -t tmpfs none /run
mkdir /run/netns
ip link set lo up
for i in 1 2; do
  ip netns add m$i
  ip link add cable$i type veth peer name eth0 netns m$i
  ip address add 10.77.$i.1/24 dev cable$i
  ip link set cable$i up
  ip -n m$i address add 10.77.$i.2/24 dev eth0
  ip -n m$i link set lo up
  ip -n m$i link set eth0 up
done
exec "$@"
