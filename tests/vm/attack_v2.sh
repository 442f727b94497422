#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the attack suite (tests/attack) in the VM, once for each word of OFF: what attack.py's --off takes, '-' for nothing.
# ONLY may name the ways out to try, by commas, STARTS how often a race is tried. RUNTIME is the program under test, PROBE
# the probes, MODULES the kernel's folder of modules.
set -euo pipefail
: "${RUNTIME:?}" "${PROBE:?}" "${MODULES:?}" "${OFF:?}"
work=/run/attack
mkdir -p $work/disk
# Families that are modules, which a machine loads for whoever asks first.
for name in crypto/af_alg crypto/algif_hash net/xfrm/xfrm_algo net/xfrm/xfrm_user net/key/af_key; do
	insmod "$MODULES/kernel/$name.ko"
done
# The root of the VM has no file handles and takes no idmapped mounts; ext4 does.
truncate -s 64M $work/image
mkfs.ext4 -q $work/image
mount -o loop $work/image $work/disk
printf BULKHEAD >$work/raw
truncate -s 1M $work/raw
device=$(losetup -f --show $work/raw)
# The victim's number shall mean nothing inside of a container.
echo 20000 >/proc/sys/kernel/ns_last_pid
words=(--only "${ONLY:-}")
for off in $OFF; do
	words+=(--off "${off/#-/}")
done
# Few starts: with layers on the races are run at length on the machine itself, without any until one is won.
export ATTACK_DIR=$work/disk ATTACK_SWAPS=50 ATTACK_PAUSE=0.002 ATTACK_STARTS=${STARTS:-2}
status=0
python3 "$(dirname "$0")/../attack/attack.py" --runtime "$RUNTIME" --probe "$PROBE" \
	--device "7:${device#/dev/loop}" "${words[@]}" || status=$?
# Who was killed, and why, the kernel alone knows.
((status == 0)) || dmesg | tail -60
exit $status
