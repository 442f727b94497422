# SPDX-License-Identifier: Apache-2.0
"""Processes added to a running container (ISO-1, ISO-3): confinement, ends, signals, and containers that attack."""
import json
import os
import pathlib
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

import pytest

from support_exec import begin, field, group, inside, members, named, spawner_of
from support_runtime import Runtime, wait_until

CHANNEL_END = 6


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


@pytest.mark.parametrize('stopped', [True, False])
def test_delete_does_not_wait_for_an_exec_that_comes_up(runtime, stopped):
    """A container may hold up what enters it before it is what it shall be: the container's lock is free by then."""
    name = runtime.start('/bin/sh', '-c', 'for i in $(seq 40); do while :; do :; done & done; wait')
    wait_until(lambda: len(inside(runtime, name)) > 40, 60)
    # A millisecond of processor time a second, and loops that take it: whatever enters stands still on the way.
    quota = group(runtime, 'cpu', name) / 'cpu.cfs_quota_us'
    if quota.exists():
        quota.write_text('1000')
        (group(runtime, 'cpu', name) / 'cpu.cfs_period_us').write_text('1000000')
    else:
        (group(runtime, 'cpu', name) / 'cpu.max').write_text('1000 1000000')
    before = members(runtime, name)
    running = begin(runtime, name, '/bin/sleep', '1000')
    for pid in wait_until(lambda: members(runtime, name) - before, 30):
        if stopped:
            os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    assert runtime.status(name)['status'] == 'running'
    done = runtime.call('delete', '--force', name)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 10
    assert running.wait(10) != 0
    assert runtime.leftovers() == []


def test_lives_in_the_domain_of_the_container(runtime):
    """It signals the first process and reads what Landlock keeps from those outside of the domain."""
    name = runtime.start('/bin/sh', '-c', 'trap "echo heard; exit 9" USR1; while :; do sleep 0.02; done')
    done = runtime.call('exec', name, '/bin/sh', '-c', 'readlink /proc/1/exe; kill -USR1 1')
    assert done.stdout.startswith('/bin/busybox\n'), done.stderr
    wait_until(lambda: runtime.status(name)['status'] == 'stopped')
    assert (runtime.folder / f'{name}.out').read_text() == 'heard\n'


def test_is_inside_of_every_limit_and_namespace(runtime):
    name = runtime.start('/bin/sleep', '1000')
    first = runtime.status(name)['pid']
    running = begin(runtime, name, '/bin/sleep', '1000')
    added, = wait_until(lambda: named(runtime, name, 'sleep') - {first})
    for kind in ('user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'):
        assert os.readlink(f'/proc/{added}/ns/{kind}') == os.readlink(f'/proc/{first}/ns/{kind}'), kind
    assert pathlib.Path(f'/proc/{added}/cgroup').read_text() == pathlib.Path(f'/proc/{first}/cgroup').read_text()
    for key in ('Uid', 'Gid', 'Groups', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp',
                'Seccomp_filters', 'SigBlk', 'SigIgn', 'SigCgt'):
        assert field(added, key) == field(first, key), key
    assert os.readlink(f'/proc/{added}/root') == '/' == os.readlink(f'/proc/{added}/cwd')
    assert sorted(os.listdir(f'/proc/{added}/fd')) == ['0', '1', '2']
    running.send_signal(signal.SIGTERM)
    assert running.wait(10) == 128 + signal.SIGTERM


@pytest.mark.parametrize('script, status', [
    ('exit 0', 0), ('exit 7', 7), ('kill -KILL $$', 137), ('kill -TERM $$', 143), ('exec /bin/false', 1)])
def test_ends_as_the_program_ends(runtime, script, status):
    name = runtime.start('/bin/sleep', '1000')
    done = runtime.call('exec', name, '/bin/sh', '-c', f'echo out; echo err >&2; {script}')
    assert (done.returncode, done.stdout, done.stderr) == (status, 'out\n', 'err\n')


def test_what_only_root_may_set_is_set_from_outside(runtime):
    name = runtime.start('/bin/sleep', '1000')
    process = runtime.folder / 'process.json'
    process.write_text(json.dumps({
        'args': ['/bin/sh', '-c', 'ulimit -n; ulimit -c; cat /proc/self/oom_score_adj; id -u; id -g; umask; pwd'],
        'env': ['PATH=/bin'], 'cwd': '/tmp', 'oomScoreAdj': 300,
        'user': {'uid': 5, 'gid': 6, 'additionalGids': [7], 'umask': 0o77},
        'rlimits': [{'type': 'RLIMIT_NOFILE', 'soft': 99, 'hard': 100},
                    {'type': 'RLIMIT_CORE', 'soft': 0, 'hard': 0}]}))
    done = runtime.call('exec', '--process', process, name)
    assert done.stdout == '99\n0\n300\n5\n6\n0077\n/tmp\n', done.stderr


def test_inherited_limits_are_under_the_ceiling_of_now(runtime):
    """What the container was started with came before the ceiling: what it adds now is under it, by either way."""
    name = runtime.start('/bin/sleep', '1000')
    folder = runtime.folder / 'runtime.d'
    folder.mkdir(mode=0o755)
    (folder / '1.json').write_text(json.dumps({'rlimits': {'RLIMIT_NOFILE': 77, 'RLIMIT_CORE': 512,
                                                           'RLIMIT_STACK': 1 << 20}}))
    ask = [runtime.program, '--root', str(runtime.state), '--ceiling', str(folder), 'exec']
    script = 'grep PPid /proc/self/status; ulimit -n; ulimit -Hn; ulimit -Hc; ulimit -Hs'
    done = subprocess.run([*ask, name, '/bin/sh', '-c', script], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=30, check=True)
    assert done.stdout.split()[2:] == ['77', '77', '1', '1024']
    # Without the spawner.
    out = runtime.folder / 'out'
    with open(out, 'wb') as to:
        subprocess.run([*ask, '--detach', '--pid-file', runtime.folder / 'pid', name, '/bin/sh', '-c', script],
                       stdin=subprocess.DEVNULL, stdout=to, timeout=30, check=True)
    wait_until(lambda: out.read_text().split()[2:] == ['77', '77', '1', '1024'])


def test_preserved_descriptors_arrive(runtime):
    name = runtime.start('/bin/sleep', '1000')
    ours, theirs = os.pipe()
    script = (f'exec 3>&{theirs}; [[ {theirs} == 3 ]] || exec {theirs}>&-; exec {runtime.program} --root '
              f'{runtime.state} exec --preserve-fds 1 {name} /bin/sh -c "echo kept >&3; ls /proc/self/fd"')
    done = subprocess.run(['/bin/bash', '-c', script], pass_fds=[theirs], stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, timeout=30, check=True)
    os.close(theirs)
    assert os.read(ours, 100) == b'kept\n'
    os.close(ours)
    # The fifth is the listing's own.
    assert done.stdout.split() == ['0', '1', '2', '3', '4']


@pytest.mark.parametrize('words, env, message', [
    (['--preserve-fds', '1'], {}, '--preserve-fds: descriptor 3 is not open'),
    (['--preserve-fds', '1024'], {}, '--preserve-fds: descriptor 3 is not open'),
    ([], {'LISTEN_FDS': '2'}, 'LISTEN_FDS: descriptor 3 is not open')])
def test_descriptors_that_are_not_there_are_refused(runtime, words, env, message):
    """Else the program would get what the runtime opens there meanwhile: its state folder."""
    name = runtime.start('/bin/sleep', '1000')
    bundle = runtime.bundle(runtime.config('/bin/sleep', '1000'))
    for command in (['exec', *words, name, '/bin/ls', '-l', '/proc/self/fd'], ['run', *words, '--bundle', bundle, 'x'],
                    ['create', *words, '--bundle', bundle, 'x']):
        done = runtime.call(*command, env=env)
        assert (done.returncode != 0, done.stdout, done.stderr) == (True, '', f'bulkhead-runtime: {message}\n')
    assert runtime.call('state', 'x').returncode != 0


def test_one_descriptor_of_two_is_not_enough(runtime):
    name = runtime.start('/bin/sleep', '1000')
    done = subprocess.run(['/bin/bash', '-c', f'exec 3</dev/null; exec {runtime.program} --root {runtime.state} exec '
                           f'--preserve-fds 2 {name} /bin/ls -l /proc/self/fd'], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ('', 'bulkhead-runtime: --preserve-fds: descriptor 4 is not open\n')


def test_detached_with_a_pid_file_is_the_callers_to_wait_for(runtime):
    """An engine waits for the number in the file as a subreaper: it must be a child of the runtime."""
    name = runtime.start('/bin/sleep', '1000')
    pid_file = runtime.folder / 'exec.pid'
    script = ('import ctypes, os, subprocess, sys; ctypes.CDLL(None).prctl(36, 1); '
              'subprocess.run(sys.argv[2:], check=True); '
              'print(os.waitstatus_to_exitcode(os.waitpid(int(open(sys.argv[1]).read()), 0)[1]))')
    done = subprocess.run([sys.executable, '-c', script, str(pid_file), runtime.program, '--root', str(runtime.state),
                           'exec', '--detach', '--pid-file', str(pid_file), name, '/bin/sh', '-c', 'exit 41'],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=30, check=True)
    assert done.stdout == '41\n'


@pytest.mark.parametrize('words', [[], ['--detach']], ids=['spawner', 'own child'])
def test_without_its_pid_file_no_program_runs(runtime, words):
    name = runtime.start('/bin/sleep', '1000')
    missing = runtime.folder / 'none' / 'exec.pid'
    before = inside(runtime, name)
    done = runtime.call('exec', *words, '--pid-file', missing, name, '/bin/sh', '-c', 'echo ran > /tmp/ran; sleep 1000')
    assert (done.returncode, done.stderr) == (
        4, f"bulkhead-runtime: cannot write '{missing}': No such file or directory\n")
    wait_until(lambda: inside(runtime, name) == before)
    assert runtime.call('exec', name, '/bin/cat', '/tmp/ran').returncode != 0
    there = runtime.folder / 'exec.pid'
    done = runtime.call('exec', *words, '--pid-file', there, name, '/bin/nothing')
    assert done.returncode != 0 and not there.exists()


def test_detached_without_one_goes_on_alone(runtime):
    name = runtime.start('/bin/sleep', '1000')
    first, spawner = runtime.status(name)['pid'], spawner_of(runtime, name)
    assert begin(runtime, '--detach', name, '/bin/sleep', '1000').wait(10) == 0
    added, = inside(runtime, name) - {first, spawner}
    assert field(added, 'PPid') == str(spawner)
    os.kill(added, signal.SIGKILL)
    wait_until(lambda: not pathlib.Path(f'/proc/{added}').exists())


def test_many_in_a_row_leave_nothing(runtime):
    name = runtime.start('/bin/sleep', '1000')
    spawner = spawner_of(runtime, name)

    def look():
        rollup = pathlib.Path(f'/proc/{spawner}/smaps_rollup').read_text()
        return (len(os.listdir(f'/proc/{spawner}/fd')), inside(runtime, name),
                int(re.search(r'^Pss_Anon:\s+(\d+)', rollup, re.M).group(1)))
    for _ in range(3):
        assert runtime.call('exec', name, '/bin/true').returncode == 0
    # `exec` hears of the end a moment before its connection is closed.
    wait_until(lambda: look()[0] == 2)
    before = look()
    for _ in range(200):
        subprocess.run([runtime.program, '--root', str(runtime.state), 'exec', name, '/bin/true'], check=True,
                       stdin=subprocess.DEVNULL, timeout=30)
    # A page that a child of it shared for a while is counted by halves.
    wait_until(lambda: look()[:2] == before[:2] and look()[2] <= before[2] + 16)
    assert before[0] == 2 and before[2] <= 160


def test_more_at_once_than_it_serves_go_another_way(runtime):
    limits = {'memory': {'limit': 256 << 20}, 'pids': {'limit': 512}}
    name = runtime.start('/bin/sleep', '1000', resources=limits)
    spawner = spawner_of(runtime, name)
    for _ in range(66):
        assert begin(runtime, '--detach', name, '/bin/sleep', '1000').wait(10) == 0
    added = named(runtime, name, 'sleep') - {runtime.status(name)['pid']}
    assert len(added) == 66
    assert len([pid for pid in added if field(pid, 'PPid') == str(spawner)]) == 64
    for pid in added:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: inside(runtime, name) == {runtime.status(name)['pid'], spawner})
    assert runtime.call('exec', name, '/bin/grep', 'PPid', '/proc/self/status').stdout == 'PPid:\t2\n'


ATTACK = '''
for way in "kill -KILL 2" "kill -STOP 2" "kill -CONT 2" "ls /proc/2/fd/" "readlink /proc/2/exe" "readlink /proc/2/cwd" \
"cat /proc/2/environ" "cat /proc/2/maps" "dd if=/proc/2/mem bs=1 count=1" "ls /proc/2/map_files/" \
"cat /proc/2/stack" "cat /proc/2/syscall"; do
    $way >/dev/null 2>&1 && echo "passed: $way"
done
kill -KILL -1
echo done
exec sleep 1000'''


@pytest.mark.parametrize('capabilities', [[], ['CAP_SYS_PTRACE', 'CAP_DAC_OVERRIDE', 'CAP_SETUID', 'CAP_SYS_RESOURCE']])
def test_container_without_kill_does_not_get_at_the_spawner(runtime, capabilities):
    sets = {kind: capabilities for kind in ('bounding', 'effective', 'permitted')}
    name = runtime.start('/bin/sh', '-c', ATTACK, capabilities=sets)
    out = runtime.folder / f'{name}.out'
    wait_until(lambda: 'done' in out.read_text())
    assert out.read_text() == 'done\n'
    assert field(spawner_of(runtime, name), 'State').startswith('S')
    assert runtime.call('exec', name, '/bin/grep', 'PPid', '/proc/self/status').stdout == 'PPid:\t2\n'


def test_a_profile_is_kept_by_what_says_none(runtime):
    """A process with a profile of AppArmor comes from outside, where the machine's /proc is: so does one of a file."""
    profile = {'apparmorProfile': 'unconfined'}
    name = runtime.start('/bin/sleep', '1000', process={**runtime.config('/bin/sleep', '1000')['process'], **profile})
    process = runtime.folder / 'process.json'
    for change in ({}, {'apparmorProfile': ''}, profile):
        process.write_text(json.dumps({'args': ['/bin/grep', 'PPid', '/proc/self/status'], 'cwd': '/', **change}))
        assert runtime.call('exec', '--process', process, name).stdout == 'PPid:\t0\n'
    assert runtime.call('exec', name, '/bin/grep', 'PPid', '/proc/self/status').stdout == 'PPid:\t0\n'


def test_killed_spawner_is_done_without(runtime):
    """A container whose root may kill everything may kill its spawner: what is added then has a domain of its own."""
    sets = {kind: ['CAP_KILL'] for kind in ('bounding', 'effective', 'permitted')}
    name = runtime.start('/bin/sh', '-c', 'while :; do sleep 0.02; done', capabilities=sets)
    assert runtime.call('exec', name, '/bin/sh', '-c', 'kill -KILL 2; exit 3').returncode in (1, 137)
    wait_until(lambda: not named(runtime, name, 'bulkhead-exec'))
    assert runtime.call('exec', name, '/bin/grep', 'PPid', '/proc/self/status').stdout == 'PPid:\t0\n'
    assert runtime.call('exec', name, '/bin/sh', '-c', 'readlink /proc/1/exe').returncode == 1
    assert runtime.call('delete', '--force', name).returncode == 0
    assert runtime.leftovers() == []


def test_stopped_spawner_is_done_without(runtime):
    sets = {kind: ['CAP_KILL'] for kind in ('bounding', 'effective', 'permitted')}
    name = runtime.start('/bin/sh', '-c', 'kill -STOP 2; while :; do sleep 0.02; done', capabilities=sets)
    spawner = spawner_of(runtime, name)
    wait_until(lambda: field(spawner, 'State').startswith('T'))
    started = time.monotonic()
    done = runtime.call('exec', name, '/bin/sh', '-c', 'echo once >> /tmp/ran; exit 4')
    assert (done.returncode, done.stderr) == (4, '')
    assert time.monotonic() - started < 5
    os.kill(spawner, signal.SIGCONT)
    # What it had been asked for meanwhile must not run a second time.
    assert runtime.call('exec', name, '/bin/cat', '/tmp/ran').stdout == 'once\n'


@pytest.mark.parametrize('changes', [
    {'resources': {'pids': {'limit': 3}}}, {'resources': {'memory': {'limit': 2 << 20}, 'pids': {'limit': 64}}}])
def test_limits_too_small_for_a_spawner_go_without(runtime, changes):
    name = runtime.start('/bin/sleep', '1000', **changes)
    assert not named(runtime, name, 'bulkhead-exec')
    assert runtime.call('exec', name, '/bin/sh', '-c', 'exit 6').returncode == 6


def test_nonsense_at_the_socket_harms_nothing(runtime):
    """Only the owner of the state folder reaches it; even what that one sends is not believed."""
    name = runtime.start('/bin/sleep', '1000')
    alone = inside(runtime, name)
    folder = os.open(runtime.state / name, os.O_PATH)
    for words in (b'', b'x', b'BHX2' * 1024):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(10)
            client.connect(f'/proc/self/fd/{folder}/spawner')
            assert struct.unpack('i', client.recv(4096)[:4])[0] == 0  # CHANNEL_PID
            client.send(words)
            kind, value = struct.unpack('ii', client.recv(4096)[:8])
            assert (kind, os.waitstatus_to_exitcode(value)) == (CHANNEL_END, 1)
    os.close(folder)
    wait_until(lambda: inside(runtime, name) == alone)
    assert runtime.call('exec', name, '/bin/sh', '-c', 'exit 8').returncode == 8


def test_what_the_first_leaves_for_the_next_is_not_trusted_blindly(runtime):
    name = runtime.start('/bin/sleep', '1000', env=['PATH=/bin', 'A=b'])
    kept = runtime.state / name / 'exec'
    for words in (None, b'', b'BHX2', b'\xff' * 4000):
        if words is not None:
            kept.write_bytes(words)
        for _ in range(2):
            assert runtime.call('exec', name, '/bin/sh', '-c', 'echo $A').stdout == 'b\n'
        assert kept.read_bytes()[:4] == b'BHX2' and kept.stat().st_mode & 0o777 == 0o600
    # Another bounding set is another filter; the one that is kept stays.
    before = kept.read_bytes()
    done = runtime.call('exec', '--cap', 'CAP_CHOWN', name, '/bin/grep', 'CapBnd', '/proc/self/status')
    assert done.stdout.split() == ['CapBnd:', '0000000000000001'], done.stderr
    assert kept.read_bytes() == before


def test_socket_is_the_owners_whatever_the_umask(runtime):
    before = os.umask(0)
    try:
        name = runtime.start('/bin/sleep', '1000')
    finally:
        os.umask(before)
    assert stat.S_IMODE((runtime.state / name / 'spawner').stat().st_mode) == 0o600
    assert stat.S_IMODE((runtime.state / name).stat().st_mode) == 0o700


@pytest.mark.parametrize('count, env', [(0, {}), (0, None), (60, None), (60, {})])
def test_words_of_the_machine_are_not_to_be_read_inside(runtime, count, env):
    """What the runtime was called with, however long, and with or without an environment behind it."""
    bundle = runtime.bundle(runtime.config('/bin/sleep', '1000'))
    more = ['--log', '/tmp/' + 'x' * 4000] * count
    subprocess.run([runtime.program, '--root', str(runtime.state), *more, 'create', '--bundle', str(bundle), 'words'],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env, timeout=30, check=True)
    assert runtime.call('start', 'words').returncode == 0
    pids = (runtime.group('memory', f'c{runtime.count - 1}') / 'cgroup.procs').read_text().split()
    spawner, = [pid for pid in pids if pathlib.Path(f'/proc/{pid}/comm').read_text() == 'bulkhead-exec\n']
    assert pathlib.Path(f'/proc/{spawner}/cmdline').read_bytes().rstrip(b'\0') == b'bulkhead-exec'
    assert int(re.search(r'^VmRSS:\s+(\d+)', pathlib.Path(f'/proc/{spawner}/status').read_text(), re.M).group(1)) < 1100


def test_an_annotation_does_without(runtime):
    """For an init that waits for the last process of its container."""
    key = 'dev.bulkhead.exec.spawner'
    name = runtime.start('/bin/sleep', '1000', annotations={**runtime.config()['annotations'], key: 'false'})
    assert not named(runtime, name, 'bulkhead-exec')
    assert runtime.call('exec', name, '/bin/grep', 'PPid', '/proc/self/status').stdout == 'PPid:\t0\n'
    name = runtime.start('/bin/sleep', '1000', annotations={**runtime.config()['annotations'], key: 'true'})
    assert spawner_of(runtime, name)


def test_the_first_process_is_not_told_of_the_spawner(runtime):
    """No wait() yields it."""
    name = runtime.start('/bin/sh', '-c', 'wait; echo none; exec sleep 1000')
    wait_until(lambda: (runtime.folder / f'{name}.out').read_text() == 'none\n')
    assert spawner_of(runtime, name)
