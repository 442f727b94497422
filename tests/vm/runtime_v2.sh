#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a container with every protection on a kernel with cgroup v2 alone and looks at it from inside and outside.
# RUNTIME is the bulkhead-runtime under test, KILLAT tests/programs/killat, APPARMOR_PARSER the program that loads a
# profile. Prints one line a check.
set -euo pipefail
: "${RUNTIME:?}" "${KILLAT:?}"
work=/run/job
mkdir -p $work/disk $work/bundle $work/state

check() {
	local what=$1 got=$2 wanted=$3
	if [[ $got == "$wanted" ]]; then
		echo "ok: $what"
	else
		echo "FAILED: $what: got '$got', wanted '$wanted'"
		failed=1
	fi
}
failed=0

check "kernel has cgroup v2 alone" "$(stat -fc %T /sys/fs/cgroup)" cgroup2fs
[[ $(uname -r) == 6.1.* ]] && echo "ok: kernel is 6.1"

# An image owned by host ids 0 to 65535 on ext4, which this kernel can idmap.
truncate -s 32M $work/image
mkfs.ext4 -q $work/image
mount -o loop $work/image $work/disk
mkdir -p $work/disk/root/{bin,proc,sys,dev,tmp,etc}
cp "$(command -v busybox)" $work/disk/root/bin/busybox
for name in sh cat id grep stat sleep touch; do ln -s busybox $work/disk/root/bin/$name; done

python3 - "$work" <<'PY'
import json
import sys
work = sys.argv[1]
script = ('id -u; grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status; cat /proc/self/uid_map; '
          'touch /written 2>/dev/null && echo writable || echo read-only; sleep 1000')
quiet = ['nosuid', 'noexec', 'nodev']
mount = [{'destination': '/proc', 'type': 'proc', 'source': 'proc', 'options': quiet},
         {'destination': '/dev', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['nosuid', 'mode=755', 'size=64k']},
         {'destination': '/dev/pts', 'type': 'devpts', 'source': 'devpts',
          'options': ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5']},
         {'destination': '/dev/shm', 'type': 'tmpfs', 'source': 'shm', 'options': [*quiet, 'mode=1777', 'size=64k']},
         {'destination': '/dev/mqueue', 'type': 'mqueue', 'source': 'mqueue', 'options': quiet},
         {'destination': '/sys', 'type': 'sysfs', 'source': 'sysfs', 'options': [*quiet, 'ro']},
         {'destination': '/sys/fs/cgroup', 'type': 'cgroup', 'source': 'cgroup', 'options': [*quiet, 'ro']},
         {'destination': '/tmp', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['nosuid', 'nodev', 'size=1m']}]
masked = ['/proc/acpi', '/proc/asound', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list',
          '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap']
readonly = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']
config = {
    'ociVersion': '1.0.2',
    'process': {'user': {'uid': 1000, 'gid': 1000}, 'args': ['/bin/sh', '-c', script], 'cwd': '/',
                'env': ['PATH=/bin'], 'noNewPrivileges': True,
                'capabilities': {k: [] for k in ('bounding', 'effective', 'permitted', 'inheritable', 'ambient')}},
    'root': {'path': f'{work}/disk/root', 'readonly': True}, 'hostname': 'cell', 'mounts': mount,
    'annotations': {'dev.bulkhead.root.idmap': 'true'},
    'linux': {
        'namespaces': [{'type': t} for t in ('pid', 'network', 'ipc', 'uts', 'mount', 'cgroup', 'user')],
        'uidMappings': [{'containerID': 0, 'hostID': 1900000000, 'size': 65536}],
        'gidMappings': [{'containerID': 0, 'hostID': 1900000000, 'size': 65536}],
        'cgroupsPath': '/bulkhead/podtest/main', 'maskedPaths': masked, 'readonlyPaths': readonly,
        'resources': {'memory': {'limit': 33554432}, 'pids': {'limit': 32}, 'cpu': {'quota': 50000, 'period': 100000}},
        'seccomp': {'defaultAction': 'SCMP_ACT_ALLOW', 'architectures': ['SCMP_ARCH_X86_64'],
                    'syscalls': [{'names': ['ptrace'], 'action': 'SCMP_ACT_ERRNO', 'errnoRet': 1}]}}}
with open(f'{work}/bundle/config.json', 'w', encoding='utf-8') as to:
    json.dump(config, to)
PY

run() { "$RUNTIME" --root $work/state "$@"; }
run create --bundle $work/bundle --pid-file $work/pid box >$work/output 2>&1 </dev/null || { cat $work/output; exit 1; }
check "state after create" "$(run state box | jq -r .status)" created
run start box
for _ in {1..100}; do grep -q -E 'read-only|writable' $work/output && break; sleep 0.1; done
check "user inside" "$(sed -n 1p $work/output)" 1000
check "no capability" "$(awk '/CapEff/{print $2}' $work/output)" 0000000000000000
check "no new privileges" "$(awk '/NoNewPrivs/{print $2}' $work/output)" 1
check "seccomp filter" "$(awk '/^Seccomp/{print $2}' $work/output)" 2
check "root is read-only" "$(tail -1 $work/output)" read-only
check "user namespace" "$(awk '$3 == 65536 {print $1, $2, $3}' $work/output)" "0 1900000000 65536"
group=/sys/fs/cgroup/bulkhead/podtest/main
check "memory limit" "$(cat $group/memory.max)" 33554432
check "process limit" "$(cat $group/pids.max)" 32
check "processor limit" "$(cat $group/cpu.max)" "50000 100000"
check "process is in its cgroup" "$(grep -c -x "$(cat $work/pid)" $group/cgroup.procs)" 1
mounts=$(wc -l <"/proc/$(cat $work/pid)/mountinfo")
check "$mounts mounts are at most 20" "$((mounts <= 20))" 1
check "user outside" "$(stat -c %u /proc/"$(cat $work/pid)")" 1900001000
run kill box KILL
for _ in {1..100}; do [[ $(run state box | jq -r .status) == stopped ]] && break; sleep 0.1; done
check "state after kill" "$(run state box | jq -r .status)" stopped
run delete box
check "cgroup is gone" "$(test -e $group && echo there || echo gone)" gone
check "state is gone" "$(ls $work/state)" ""

# Another bundle: its program, its memory.
variant() {
	mkdir -p "$work/$1"
	jq --arg name "$1" --arg script "$2" --argjson memory "$3" '.process.args = ["/bin/sh", "-c", $script] |
		.linux.cgroupsPath = "/bulkhead/podtest/" + $name | .linux.resources.memory.limit = $memory' \
		$work/bundle/config.json >"$work/$1/config.json"
}

# The start is the runtime's memory and not the payload's.
variant tiny 'echo up' 524288
for _ in 1 2 3; do run run --bundle $work/tiny tiny </dev/null; done >$work/output 2>&1 || true
check "starts in 512 KiB" "$(paste -sd ' ' $work/output)" "up up up"
check "no swap unless asked for" "$(variant swap 'cat /sys/fs/cgroup/memory.swap.max' 1048576
	run create --bundle $work/swap swap >$work/output 2>&1 </dev/null
	cat /sys/fs/cgroup/bulkhead/podtest/swap/memory.swap.max 2>/dev/null || echo 0
	run delete --force swap)" 0

# A memory hog ends in its own group: the other one's processes stay, and its count of kills.
variant quiet 'sleep 1000' 33554432
# shellcheck disable=SC2016 # the shell inside expands it
variant hog 'x=x; while true; do x=$x$x; done' 8388608
run create --bundle $work/quiet quiet >$work/output 2>&1 </dev/null && run start quiet
run run --bundle $work/hog hog >$work/output 2>&1 </dev/null && status=0 || status=$?
check "a memory hog is killed" "$status" 137
check "its neighbour is not" "$(run state quiet | jq -r .status)" running
check "nor does its group count one" "$(awk '/^oom_kill /{print $2}' /sys/fs/cgroup/bulkhead/podtest/quiet/memory.events)" 0
run delete --force quiet

# Killed after a sample of its system calls, in each of its processes: `delete --force` takes all away.
variant killed 'id -u' 33554432
killed=0 left=
at() { "$KILLAT" ${1:+-k "$1"} -o $work/report "$RUNTIME" --root $work/state "${@:2}" >/dev/null 2>&1 </dev/null || true; }
at "" run --bundle $work/killed k
cp $work/report $work/calls
while read -r process _ calls _; do
	for part in 0 1 2 3; do
		at "$process:$((1 + (RANDOM + part * 32768) * calls / 131072))" run --bundle $work/killed k
		run delete --force k >$work/output 2>&1 || left+="delete: $(cat $work/output) "
		[[ -e /sys/fs/cgroup/bulkhead/podtest/killed ]] && left+="group "
		left+=$(ls $work/state)
		killed=$((killed + 1))
	done
done <$work/calls
echo "killed $killed times"
check "killed anywhere it leaves nothing" "$left" ""
check "and no process" "$(pgrep -x bulkhead-runtim | paste -sd ' ')" ""

# A seccomp agent that answers geteuid().
answer=$(python3 - "$RUNTIME" $work <<'PY'
import array
import fcntl
import json
import socket
import struct
import subprocess
import sys
import threading
runtime, work = sys.argv[1:]


def serve(server):
    peer, _ = server.accept()
    text, ancillary, _, _ = peer.recvmsg(65536, 64)
    assert json.loads(text)['fds'] == ['seccompFd']
    [listener] = array.array('i', ancillary[0][2])
    call = bytearray(80)
    fcntl.ioctl(listener, 0xc0502100, call)
    fcntl.ioctl(listener, 0xc0182101, call[:8] + struct.pack('=qiI', 4242, 0, 0))


with open(f'{work}/bundle/config.json', encoding='utf-8') as stored:
    config = json.load(stored)
config['process']['args'] = ['/bin/id', '-u']
config['linux']['seccomp'] = {
    'defaultAction': 'SCMP_ACT_ALLOW', 'listenerPath': f'{work}/agent', 'flags': ['SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'],
    'syscalls': [{'names': ['geteuid'], 'action': 'SCMP_ACT_NOTIFY'}]}
with open(f'{work}/bundle/config.json', 'w', encoding='utf-8') as to:
    json.dump(config, to)
server = socket.socket(socket.AF_UNIX)
server.bind(f'{work}/agent')
server.listen()
threading.Thread(target=serve, args=(server,), daemon=True).start()
done = subprocess.run([runtime, '--root', f'{work}/state', 'run', '--bundle', f'{work}/bundle', 'asked'],
                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)
print(done.stdout.decode().strip())
PY
)
check "a seccomp agent answers" "$answer" 4242
export RUNTIME
bash "$(dirname "$0")/dropin_v2.sh" || failed=1
bash "$(dirname "$0")/limits_v2.sh" || failed=1
exit $failed
