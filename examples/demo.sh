#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The main job on one machine, from nothing to nothing: './dev demo'. Runs in network, pid and mount namespaces of its own
# below a temporary root, so that it meets nothing else on the machine and nothing can stay behind.
set -euo pipefail
top=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

if [[ ${1:-} != --inside ]]; then
	[[ $(id -u) == 0 ]] || { echo "demo: must run as root: it makes network namespaces and cgroups" >&2; exit 1; }
	root=$(mktemp -d /var/tmp/bulkhead-demo-XXXXXX)
	chmod 755 "$root"
	trap 'rm -rf "$root"' EXIT
	"$top/tools/make-images"
	"$top/dev" stage "$root/installed"
	status=0
	unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
		"$top/examples/demo.sh" --inside "$root" || status=$?
	exit $status
fi

root=$2
images=$top/.cache/images
export PATH=$root/installed/usr/bin:$PATH KUBECONFIG=$root/etc/bulkhead/kubeconfig HOME=$root/home TERM=dumb
mkdir -p "$HOME"
started=$SECONDS
mount -t tmpfs -o mode=755 run /run
mkdir /run/netns
mount --bind /run/netns /run/netns
ip link set lo up
command -v kubectl >/dev/null || PATH=$("$top/tools/debian-package" kubernetes-client)/usr/bin:$PATH

bold='' plain=''
[[ ! -t 1 ]] || { bold=$'\033[1m' plain=$'\033[0m'; }
step() { printf '\n%s%3d s  %s%s\n' "$bold" $((SECONDS - started)) "$*" "$plain"; }
show() {
	printf '$ %s\n' "$*" | sed "s|$root|\$ROOT|g; s|$top/||g"
	"$@" 2>&1 | sed "s|$root|\$ROOT|g"
}
fail() {
	echo "demo: $*" >&2
	tail -n 20 "$root"/var/lib/bulkhead/log/*.log >&2 || true
	exit 1
}
snapshot() { /usr/bin/python3 "$top/tests/system/leftovers.py"; }
# wait_for WHAT SECONDS COMMAND…: until the command succeeds.
wait_for() {
	local what=$1 left=$(($2 * 5))
	shift 2
	until "$@" >/dev/null 2>&1; do
		((left-- > 0)) || fail "not in time: $what"
		sleep 0.2
	done
}
phase_is() { [[ $(kubectl get pod -n "$1" "$2" -o 'jsonpath={.status.phase}') == "$3" ]]; }
address_of() { kubectl get pod -n "$1" "$2" -o 'jsonpath={.status.podIP}'; }
bulkhead() { command bulkhead "$@" --root "$root"; }
sip() { ip netns exec phone sipp "$address:5060" -sf "$top/examples/sip/$1.xml" -i 192.0.2.2 -m 1 -timeout 10 -nostdin; }

before=$(snapshot)

step "bulkhead up: registry, CISM and instance, with keys of their own"
show bulkhead up
step "stopped and started again: the state is kept"
show bulkhead down
second=$(date +%s%N)
show bulkhead up
printf 'ready after %d ms\n' $((($(date +%s%N) - second) / 1000000))

step "images made from Debian packages go into the registry"
for image in kamailio osmo-hlr busybox; do
	show skopeo copy -q --dest-cert-dir "$root/etc/bulkhead/registry-ca" --dest-authfile "$root/etc/bulkhead/registry-auth.json" \
		"oci:$images/$image:bookworm" "docker://127.0.0.1:5000/ims/$image:bookworm"
done

step "three trust domains and their pods ($(kubectl version --client -o json | grep -o 'v1\.[0-9.]*' | head -1))"
show kubectl apply -f "$top/examples/ims"
wait_for "pod border/pcscf runs" 90 phase_is border pcscf Running
wait_for "pod subscribers/hlr runs" 90 phase_is subscribers hlr Running
show kubectl get pods -A -o wide

step "what runs where"
show bulkhead status

step "a terminal on the access network talks SIP to the P-CSCF"
ip netns add phone
ip link add access type veth peer name eth0 netns phone
ip address add 192.0.2.1/24 dev access
ip link set access up
sysctl -q -w net.ipv4.conf.access.forwarding=1
ip -n phone address add 192.0.2.2/24 dev eth0
ip -n phone link set eth0 up
ip -n phone route add default via 192.0.2.1
address=$(address_of border pcscf)
for scenario in options register; do
	sip "$scenario" >"$HOME/sipp.log" 2>&1 || { tail -n 30 "$HOME/sipp.log"; fail "SIP $scenario was not answered"; }
	echo "$scenario: 200 OK from $address"
done
show kubectl logs -n border pcscf --tail=1

step "the subscriber database may not talk to the border, the border may ask the database"
probe() {
	cat <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: probe, namespace: $1}
		spec:
		  restartPolicy: Never
		  containers:
		  - name: probe
		    image: 127.0.0.1:5000/ims/busybox:bookworm
		    command: [sh, -c, "nc -w 3 $2 $3 </dev/null >/dev/null 2>&1 && echo open || echo closed"]
	YAML
}
# reach FROM ADDRESS PORT WANTED
reach() {
	local said
	probe "$1" "$2" "$3" | kubectl apply -f - >/dev/null
	wait_for "pod $1/probe ends" 60 phase_is "$1" probe Succeeded
	said=$(kubectl logs -n "$1" probe)
	echo "from $1 to $2:$3: $said"
	[[ $said == "$4" ]] || fail "the connection should be $4"
	kubectl delete pod -n "$1" probe >/dev/null
}
reach subscribers "$address" 5060 closed
reach border "$(address_of subscribers hlr)" 4222 open

step "the third domain must not share this server, and says so"
show kubectl get pod -n interception mediation
show bulkhead why interception/mediation || true

step "everything is deleted"
show kubectl delete -f "$top/examples/ims" --timeout=120s
show bulkhead down
ip netns delete phone
wait_for "link 'access' is gone" 10 bash -c '! ip link show access'
left=$(BEFORE=$before AFTER=$(snapshot) /usr/bin/python3 - "$top/tests/system" <<'PY'
import json
import os
import sys
sys.path.insert(0, sys.argv[1])
import leftovers
print('\n'.join(leftovers.added(json.loads(os.environ['BEFORE']), json.loads(os.environ['AFTER']))))
PY
)
# This script runs too, and the cgroups of others on the machine are theirs.
left=$(grep -v -E '^process: (demo.sh|bash|python3) |^cgroup: ' <<<"$left" || true)$(
	grep -E '^cgroup: /sys/fs/cgroup/([a-z_,]+/)?bulkhead(/|$)' <<<"$left" || true)
[[ -z $left ]] || fail "left behind: $left"
echo "no process, mount, cgroup, namespace, link, address, route or rule is left"
step "done"
