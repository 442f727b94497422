#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Limits on version 2 of control groups alone: defaults, and those of an ordinary user's delegated group. Called by
# runtime_v2.sh. Prints one line a check.
set -euo pipefail
: "${RUNTIME:?}"
work=/run/job
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
run() { "$RUNTIME" --root $work/state "$@"; }

# change NAME PYTHON: a bundle of that name, config.json changed by a statement over `c`.
change() {
	mkdir -p "$work/$1"
	python3 - "$work" "$1" "$2" <<'PY'
import json
import sys
work, name, statement = sys.argv[1:]
with open(f'{work}/bundle/config.json', encoding='utf-8') as stored:
    c = json.load(stored)
c['linux'].pop('seccomp', None)
c['linux']['cgroupsPath'] = f'/bulkhead/limits/{name}'
c['process'].update(args=['/bin/sleep', '1000'], user={'uid': 0, 'gid': 0})
exec(statement)
with open(f'{work}/{name}/config.json', 'w', encoding='utf-8') as to:
    json.dump(c, to)
PY
}
start() {
	run create --bundle "$work/$1" "$1" >"$work/$1.out" 2>&1 </dev/null || cat "$work/$1.out"
	run start "$1"
}
group=/sys/fs/cgroup/bulkhead/limits

change default "del c['linux']['resources']"
start default
half=$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) * 512 / 4096 * 4096))
check "by default three quarters of the processors" "$(cat $group/default/cpu.max)" "$(($(nproc) * 75000)) 100000"
check "half of the memory" "$(cat $group/default/memory.max)" "$half"
check "and 4096 processes" "$(cat $group/default/pids.max)" 4096
run delete --force default

# An ordinary user below a group that is delegated to it: what it asks for, what the machine's ceiling adds, and what the
# group above has for all of them.
user=1500 mine=/sys/fs/cgroup/delegated home=$work/user
mkdir -p $mine/own $home/rootfs /etc/bulkhead/runtime.d
echo "+cpu +memory +pids" >$mine/cgroup.subtree_control
echo 24 >$mine/pids.max
cp -a $work/disk/root/. $home/rootfs
chown -R $user:$user $home $mine/{,own/}{,cgroup.procs,cgroup.threads,cgroup.subtree_control}
echo '{"limits": {"cpu": {"default": 300}}}' >/etc/bulkhead/runtime.d/10-limits.json
as_user() {
	(
		echo $BASHPID >$mine/own/cgroup.procs
		cd $home
		exec setpriv --reuid $user --regid $user --clear-groups env XDG_RUNTIME_DIR=$home "$RUNTIME" "$@"
	)
}
as_user spec --rootless
# shellcheck disable=SC2016 # the shell inside expands it
jq '.process.terminal = false | .linux.cgroupsPath = "/delegated/box" |
	.process.args = ["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & sleep 1000 & sleep 1000 & done; wait"] |
	.linux.resources = {memory: {limit: 16777216}, pids: {limit: 100}}' $home/config.json >$home/changed
mv $home/changed $home/config.json
as_user create box >$work/user.out 2>&1 </dev/null || cat $work/user.out
as_user start box
for _ in {1..100}; do grep -q "can't fork" $work/user.out && break; sleep 0.1; done
check "an ordinary user's memory limit" "$(cat $mine/box/memory.max)" 16777216
check "processes as asked" "$(cat $mine/box/pids.max)" 100
check "processors by the ceiling" "$(cat $mine/box/cpu.max)" "30000 100000"
check "the group above holds for all" "$(grep -c "can't fork" $work/user.out) $(($(cat $mine/pids.current) <= 24))" "1 1"
as_user delete --force box
check "a user's group goes" "$(ls -d $mine/box 2>/dev/null)" ""
rm -r /etc/bulkhead/runtime.d

check "nothing is left" "$(find $group -mindepth 1 -type d) $(ls $work/state)" " "
exit $failed
