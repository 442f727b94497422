#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is of version 2 of control groups, or needs AppArmor: device programs, io.max, unified keys, statistics, memory
# events, profiles. Called by runtime_v2.sh. Prints one line a check.
set -euo pipefail
: "${RUNTIME:?}" "${APPARMOR_PARSER:?}"
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
group=/sys/fs/cgroup/bulkhead/dropin

# change NAME PYTHON: a bundle of that name, config.json changed by a statement over `c`.
change() {
	mkdir -p "$work/$1"
	python3 - "$work" "$1" "$2" <<'PY'
import json
import sys
work, name, statement = sys.argv[1:]
with open(f'{work}/bundle/config.json', encoding='utf-8') as stored:
    c = json.load(stored)
c['linux']['cgroupsPath'] = f'/bulkhead/dropin/{name}'
c['process'].update(args=['/bin/sleep', '1000'], user={'uid': 0, 'gid': 0})
del c['linux']['seccomp']
exec(statement)
with open(f'{work}/{name}/config.json', 'w', encoding='utf-8') as to:
    json.dump(c, to)
PY
}
start() {
	run create --bundle "$work/$1" "$1" >"$work/$1.out" 2>&1 </dev/null || cat "$work/$1.out"
	run start "$1"
}
opens() { run exec "$1" /bin/sh -c ': < /dev/disk' 2>/dev/null && echo yes || echo no; }

# The loop device that runtime_v2.sh's image lies on is a whole disk, and its node one that anybody may open.
change devices "
c['linux']['devices'] = [{'path': '/dev/disk', 'type': 'b', 'major': 7, 'minor': 0, 'fileMode': 0o666}]
c['linux']['resources']['devices'] = [{'allow': False, 'access': 'rwm'}]
c['linux']['resources']['blockIO'] = {'throttleReadBpsDevice': [{'major': 7, 'minor': 0, 'rate': 1048576}],
                                      'throttleWriteIOPSDevice': [{'major': 7, 'minor': 0, 'rate': 77}]}
c['linux']['resources']['unified'] = {'memory.high': '30000000', 'cgroup.max.descendants': '3'}
c['linux']['resources']['memory'].update(swap=33554432, reservation=1048576)
"
start devices
pid=$(run state devices | jq .pid)
check "a device no rule allows does not open" "$(opens devices)" no
check "the usual devices open" "$(run exec devices /bin/sh -c ': < /dev/zero && echo yes')" yes
echo '{"devices":[{"allow":true,"type":"b","major":7,"minor":0,"access":"r"}]}' >$work/allow
run update -r $work/allow devices
check "it opens once an update allows it" "$(opens devices)" yes
echo '{"devices":[{"allow":true,"type":"b","major":7,"minor":0,"access":"rwm"},{"allow":false,"type":"b","access":"r"}]}' >$work/deny
run update -r $work/deny devices
check "and no longer when the next denies it" "$(opens devices)" no
check "rates of disks" "$(cat $group/devices/io.max)" "7:0 rbps=1048576 wbps=max riops=max wiops=77"
run update -r - devices <<<'{"blockIO":{"throttleReadBpsDevice":[{"major":7,"minor":0,"rate":0}]}}'
check "a rate is lifted again" "$(cat $group/devices/io.max)" "7:0 rbps=max wbps=max riops=max wiops=77"
check "unified keys" "$(cat $group/devices/{memory.high,cgroup.max.descendants} | paste -sd' ')" "29999104 3"
check "swap beside memory" "$(cat $group/devices/{memory.swap.max,memory.low} 2>/dev/null | paste -sd' ')" "0 1048576"
check "born in its group" "$(cat /proc/"$pid"/cgroup)" "0::/bulkhead/dropin/devices"
check "what is added is in it too" "$(run exec devices /bin/cat /proc/self/cgroup)" "0::/"
stats=$(run events --stats devices)
check "statistics: memory" "$(jq .data.memory.usage.limit <<<"$stats")" 33554432
check "statistics: processes" "$(jq .data.pids.limit <<<"$stats")" 32
run pause devices
check "paused" "$(run state devices | jq -r .status) $(cat $group/devices/cgroup.freeze)" "paused 1"
run resume devices
run delete --force devices

change oom "
c['process']['args'] = ['/bin/sh', '-c', 'sleep 3; dd if=/dev/zero of=/dev/null bs=40M count=1; exit 0']
c['linux']['resources']['memory'] = {'limit': 16 << 20, 'swap': 16 << 20}
"
ln -sf busybox $work/disk/root/bin/dd
start oom
timeout 60 "$RUNTIME" --root $work/state events --interval 60s oom >$work/events || true
check "memory that ran out is told" "$(head -1 $work/events | jq -c .)" '{"type":"oom","id":"oom"}'
run delete --force oom

change refused "c['linux']['resources']['memory']['disableOOMKiller'] = True"
check "what version 2 lacks is refused" "$(run create -b $work/refused refused 2>&1 </dev/null || true)" \
	"bulkhead-runtime: config.json: linux.resources.memory.disableOOMKiller: version 2 of control groups, which this machine has, knows no such limit"

check "AppArmor is on" "$(cat /sys/module/apparmor/parameters/enabled)" Y
cat >$work/profile <<'PROFILE'
profile bulkhead-test flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  signal,
  deny /etc/secret r,
}
PROFILE
"$APPARMOR_PARSER" --replace --skip-cache $work/profile
echo seen >$work/disk/root/etc/secret
change armor "
c['process'].update(apparmorProfile='bulkhead-test',
                    args=['/bin/sh', '-c', 'cat /proc/self/attr/current; cat /etc/secret; sleep 1000'])"
start armor
for _ in {1..100}; do grep -q denied $work/armor.out && break; sleep 0.1; done
check "the profile is in force" "$(sed -n 1p $work/armor.out)" "bulkhead-test (enforce)"
check "and denies" "$(sed -n 2p $work/armor.out)" "cat: can't open '/etc/secret': Permission denied"
check "added programs have it too" "$(run exec armor /bin/cat /proc/self/attr/current)" "bulkhead-test (enforce)"
echo '{"args":["/bin/cat","/proc/self/attr/current"],"cwd":"/"}' >$work/process
check "and those of a file that names none" "$(run exec --process $work/process armor)" "bulkhead-test (enforce)"
check "or one of their own" "$(run exec --apparmor unconfined armor /bin/cat /proc/self/attr/current)" unconfined
check "a profile that is not loaded is refused" "$(run exec --apparmor nobody armor /bin/cat /etc/secret 2>&1)" \
	"bulkhead-runtime: config.json: process.apparmorProfile: profile 'nobody' is not loaded"
run delete --force armor
check "nothing is left" "$(find $group -mindepth 1 -type d) $(ls $work/state)" " "
exit $failed
