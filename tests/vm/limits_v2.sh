#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Limits on version 2 of control groups alone: defaults, rates of disks for what is written through the page cache, swap
# and shares of a ceiling, and limits of an ordinary user's delegated group. Called by runtime_v2.sh. Prints one line a
# check.
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

# A hog of buffered writes: six MiB at one MiB a second, which version 1 would not hold back. Without a rate it is what
# the disk takes.
truncate -s 64M $work/written
mkfs.ext4 -q $work/written
mkdir -p $work/volume $work/disk/root/data
mount -o loop $work/written $work/volume
chmod 777 $work/volume
ln -sf busybox $work/disk/root/bin/dd
device=$(stat -c '%Hd:%Ld' $work/volume)
writes() {
	change "$1" "
c['process']['args'] = ['/bin/dd', 'if=/dev/zero', 'of=/data/$1', 'bs=64k', 'count=96', 'conv=fsync']
c['mounts'].append({'destination': '/data', 'type': 'bind', 'source': '$work/volume', 'options': ['bind']})
major, minor = map(int, '$device'.split(':'))
c['linux']['resources']['blockIO'] = {'throttleWriteBpsDevice': [{'major': major, 'minor': minor, 'rate': $2}]}
"
	local begin=${EPOCHREALTIME/./}
	run run --bundle "$work/$1" "$1" >"$work/$1.out" 2>&1 </dev/null || cat "$work/$1.out"
	took=$((${EPOCHREALTIME/./} - begin))
}
# An emulated disk has its slow moments, which show nothing: such a pair is measured again.
for _ in 1 2 3; do
	writes free $((1 << 30))
	free=$took
	writes slow $((1 << 20))
	echo "six MiB written through the page cache: $((free / 1000)) ms without a rate that binds, $((took / 1000)) ms at 1 MiB/s"
	((took < 5000000 || took > 2 * free)) && break
done
check "a rate holds buffered writes" "$((took >= 5000000 && took > 2 * free)) $(stat -c %s $work/volume/slow)" "1 6291456"
umount $work/volume

# What a ceiling says about swap, and about half of a processor's share that is changed alone.
mkdir -p /etc/bulkhead/runtime.d
cat >/etc/bulkhead/runtime.d/10-limits.json <<'JSON'
{"limits": {"memory": {"default": 16777216}, "swap": {"default": 25165824, "most": 33554432},
            "cpu": {"default": 300, "most": 500}}}
JSON
change ceiling "del c['linux']['resources']"
start ceiling
check "swap by the ceiling's default" "$(cat $group/ceiling/memory.{max,swap.max} | paste -sd' ')" "16777216 8388608"
check "more swap is refused" "$(run update --memory-swap 67108864 ceiling 2>&1 || true)" \
	"bulkhead-runtime: update: linux.resources.memory.swap: asks for 67108864 where 33554432 is the most, which is over 'limits.swap' of ceiling file '10-limits.json'"
check "as much as may be is not" "$(run update --memory 16777216 --memory-swap 33554432 ceiling 2>&1
	cat $group/ceiling/memory.swap.max)" 16777216
check "a period that makes the share larger is refused" "$(run update --cpu-period 50000 ceiling 2>&1 || true)" \
	"bulkhead-runtime: update: linux.resources.cpu.quota: asks for 600 where 500 is the most, which is over 'limits.cpu' of ceiling file '10-limits.json'"
check "one that does not is taken" "$(run update --cpu-period 80000 ceiling 2>&1; cat $group/ceiling/cpu.max)" "30000 80000"
run delete --force ceiling
change over "c['linux']['resources'] = {'memory': {'limit': 16777216, 'swap': 67108864}}"
check "swap over the ceiling does not start" "$(run create --bundle $work/over over 2>&1 </dev/null || true)" \
	"bulkhead-runtime: config.json: linux.resources.memory.swap: asks for 67108864 where 33554432 is the most, which is over 'limits.swap' of ceiling file '10-limits.json'"
change raw "c['linux']['resources'] = {'unified': {'memory.swap.max': '1048576'}}"
check "nor does it by its own name" "$(run create --bundle $work/raw raw 2>&1 </dev/null || true)" \
	"bulkhead-runtime: config.json: linux.resources.unified: sets 'memory.swap.max', which is over 'limits.swap' of ceiling file '10-limits.json'"
rm -r /etc/bulkhead/runtime.d

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
