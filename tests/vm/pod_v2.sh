#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A whole Bulkhead on Debian 12's kernel 6.1 with cgroup v2 alone: up, push, one pod by kubectl, its limits, delete, down.
# PROGRAMS is the folder of the programs, KUBECTL a kubectl, IMAGES the folder of OCI layouts. Prints one line a check.
set -euo pipefail
: "${PROGRAMS:?}" "${KUBECTL:?}" "${IMAGES:?}"
export PATH=$PROGRAMS:$PATH HOME=/run/home
root=/run/b
mkdir -p $root $HOME
failed=0

check() {
	local what=$1 got=$2 wanted=$3
	if [[ $got == "$wanted" ]]; then
		echo "ok: $what"
	else
		echo "FAILED: $what: got '$got', wanted '$wanted'"
		failed=1
	fi
}

explain() {
	tail -n 20 $root/var/lib/bulkhead/log/*.log
	k describe pod main -n box || true
	exit 1
}

k() {
	"$KUBECTL" --kubeconfig $root/etc/bulkhead/kubeconfig "$@"
}

# Image folders are idmapped, which this kernel does for ext4 and not for the guest's overlay.
truncate -s 400M /run/disk
mkfs.ext4 -q /run/disk
mount -o loop /run/disk $root
chmod 755 $root

bulkhead up --root $root || explain
skopeo copy -q --dest-cert-dir $root/etc/bulkhead/registry-ca --dest-authfile $root/etc/bulkhead/registry-auth.json \
	"oci:$IMAGES/busybox:bookworm" docker://127.0.0.1:5000/ims/busybox:bookworm || explain
cat >/run/box.yaml <<'YAML'
{apiVersion: trust.bulkhead.dev/v1, kind: TrustDomain, metadata: {name: box}, spec: {isolation: Container}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: box, labels: {trust.bulkhead.dev/domain: box}}}
---
apiVersion: v1
kind: Pod
metadata: {name: main, namespace: box, annotations: {nfv.bulkhead.dev/pids: "20"}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: 127.0.0.1:5000/ims/busybox:bookworm
    command: [sh, -c, "echo started; exec sleep 1000"]
    resources: {limits: {cpu: 200m, memory: 32Mi}}
YAML
k apply -f /run/box.yaml || explain
k wait --for=condition=Ready pod/main -n box --timeout=120s >/dev/null || explain

check "the pod logs" "$(k logs main -n box)" started
group=$(find /sys/fs/cgroup/bulkhead* -name main -type d | head -n 1)
pid=$(head -n 1 "$group/cgroup.procs")
check "memory limit" "$(cat "$group/memory.max")" 33554432
check "processor limit" "$(cat "$group/cpu.max")" "20000 100000"
check "process limit" "$(cat "$group/pids.max")" 20
check "no capability" "$(awk '/^CapEff/{print $2}' /proc/"$pid"/status)" 0000000000000000
check "no new privileges" "$(awk '/^NoNewPrivs/{print $2}' /proc/"$pid"/status)" 1
check "seccomp filter" "$(awk '/^Seccomp:/{print $2}' /proc/"$pid"/status)" 2
check "user of the pod's own range" "$(($(stat -c %u /proc/"$pid") >= 1900000000))" 1
k delete -f /run/box.yaml --wait >/dev/null || explain
check "cgroups are gone" "$(find /sys/fs/cgroup/bulkhead* -name 'pod*' 2>/dev/null | wc -l)" 0
bulkhead down --root $root || explain
check "no program runs" "$(pgrep -c bulkhead || true)" 0
exit $failed
