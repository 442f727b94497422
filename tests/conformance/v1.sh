#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# In a VM: makes version 1 of control groups the only one, with every controller, loads the AppArmor profile that a
# validation program names, and runs the programs. APPARMOR_PARSER is the program for it. v1.sh BUILT PROGRAM...
set -euo pipefail
: "${APPARMOR_PARSER:?}"
read -ra controllers </sys/fs/cgroup/cgroup.controllers
for controller in "${controllers[@]}"; do
	echo "-$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
umount /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
for controller in cpu cpuacct cpuset memory devices freezer blkio pids hugetlb net_cls net_prio; do
	mkdir /sys/fs/cgroup/$controller
	mount -t cgroup -o $controller cgroup /sys/fs/cgroup/$controller
done
"$APPARMOR_PARSER" --replace --skip-cache <<'PROFILE'
profile acme_secure_profile flags=(attach_disconnected,mediate_deleted) {
  file, capability, network, mount, umount, pivot_root, signal, ptrace, unix,
}
PROFILE
# The programs count on two interfaces.
ip link add eth0 type veth peer name eth1
export TMPDIR=/run
exec /usr/bin/python3 "$(dirname "$0")/runtime.py" --in-vm "$@"
