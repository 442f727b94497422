# SPDX-License-Identifier: Apache-2.0
"""`exec` into containers that end, stop or starve what enters them: an answer in time, nothing half (ISO-1)."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

from support_exec import begin, field, inside, named, spawner_of
from support_runtime import Runtime, wait_until

WITHOUT_SPAWNER = {'resources': {'pids': {'limit': 7}}}
WAYS = pytest.mark.parametrize('way', ['spawner', 'outside'])


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def stopping(call, to, *words):
    """strace with these words, which sends SIGSTOP to whoever comes to a system call first."""
    return ['strace', '-f', '-q', '-I2', '-o', str(to), '-e', f'trace={call}', '-e',
            f'inject={call}:signal=STOP:when=1', *map(str, words)]


def ran(runtime, name):
    return pathlib.Path(f'/proc/{runtime.status(name)["pid"]}/root/tmp/ran').exists()


def catch(runtime, way, *options):
    """An `exec` whose process is stopped before it is its program; with the container's id and that process."""
    for attempt in range(5):
        name, running, pid = catch_once(runtime, way, runtime.folder / f'trace{attempt}', *options)
        # On a busy machine the spawner's may speak too late, and another one has come from outside.
        if running.poll() is None and not ran(runtime, name):
            return name, running, pid
        running.communicate()
        os.kill(pid, signal.SIGKILL)
    pytest.fail('none spoke in time')


def catch_once(runtime, way, trace, *options):
    name = runtime.start('/bin/sleep', '1000', **({} if way == 'spawner' else WITHOUT_SPAWNER))
    words = [runtime.program, '--root', runtime.state, 'exec', *options, name, '/bin/touch', '/tmp/ran']
    if way == 'spawner':
        # Of the spawner's, only who waits for the request receives.
        tracer = subprocess.Popen(stopping('recvmsg', trace, '-p', spawner_of(runtime, name)))
        wait_until(lambda: field(spawner_of(runtime, name), 'TracerPid') != '0')
    else:
        # From outside, only the process itself confines itself. The tracer is nobody's parent.
        tracer, words = None, stopping('landlock_restrict_self', trace, '-D', *words)
    running = subprocess.Popen(list(map(str, words)), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    wait_until(lambda: trace.exists() and 'stopped by SIGSTOP' in trace.read_text())
    pid = int(re.search(r'^(\d+) .*stopped by SIGSTOP', trace.read_text(), re.M).group(1))
    if tracer:
        tracer.terminate()
        tracer.wait()
    else:
        os.kill(int(field(pid, 'TracerPid')), signal.SIGTERM)
    wait_until(lambda: field(pid, 'State').startswith('T (stopped)'))
    return name, running, pid


def answer(running, seconds=10):
    """How it ended: exit status and words; in time."""
    out, err = running.communicate(timeout=seconds)
    return running.returncode, out, err


def test_ends_with_its_container(runtime):
    name = runtime.start('/bin/sleep', '1000')
    first = runtime.status(name)['pid']
    running = begin(runtime, name, '/bin/sleep', '1000')
    wait_until(lambda: named(runtime, name, 'sleep') - {first})
    os.kill(first, signal.SIGKILL)
    assert answer(running) == (137, '', '')


def test_when_only_the_spawner_is_killed_it_waits_on(runtime):
    """Signals reach the process, its end is heard of; how it ended is not known, and that is said."""
    name = runtime.start('/bin/sleep', '1000')
    first = runtime.status(name)['pid']
    script = 'trap "echo heard; exit 3" USR1; echo on; while :; do sleep 0.02; done'
    running = begin(runtime, name, '/bin/sh', '-c', script)
    assert running.stdout.readline() == 'on\n'
    spawner = spawner_of(runtime, name)
    added, = {pid for pid in named(runtime, name, 'sh') if field(pid, 'PPid') == str(spawner)}
    os.kill(spawner, signal.SIGKILL)
    wait_until(lambda: not named(runtime, name, 'bulkhead-exec'))
    time.sleep(0.1)
    assert running.poll() is None
    running.send_signal(signal.SIGUSR1)
    status, out, err = answer(running)
    assert (status != 0, out) == (True, 'heard\n')
    assert err == f"bulkhead-runtime: the container's spawner was killed: how process {added} ends cannot be known\n"
    assert runtime.status(name)['pid'] == first


@WAYS
def test_a_signal_ends_the_wait_for_a_process_that_does_not_come_up(runtime, way):
    name, running, pid = catch(runtime, way)
    running.send_signal(signal.SIGTERM)
    status, out, err = answer(running, 2)
    assert (status != 0, out, err) == (True, '', 'bulkhead-runtime: signal 15 came before the program ran\n')
    wait_until(lambda: pid not in inside(runtime, name))
    assert not ran(runtime, name)


@WAYS
@pytest.mark.parametrize('options', [[], ['--detach']], ids=['attached', 'detached'])
def test_a_process_that_is_kept_stopped_is_given_up(runtime, way, options):
    name, running, pid = catch(runtime, way, *options)
    status, out, err = answer(running)
    assert (status != 0, out) == (True, '')
    assert err == f'bulkhead-runtime: process {pid} was stopped before the program ran\n'
    wait_until(lambda: pid not in inside(runtime, name))
    assert not ran(runtime, name)


@WAYS
@pytest.mark.parametrize('options', [[], ['--detach']], ids=['attached', 'detached'])
def test_a_process_that_is_killed_on_its_way_is_no_success(runtime, way, options):
    name, running, pid = catch(runtime, way, *options)
    os.kill(pid, signal.SIGKILL)
    status, out, err = answer(running)
    assert (status != 0, out, err) == (
        True, '', "bulkhead-runtime: the container's process ended before it was ready\n")
    assert not ran(runtime, name)


def test_a_signal_ends_the_wait_at_a_paused_container(runtime):
    name = runtime.start('/bin/sleep', '1000')
    assert runtime.call('pause', name).returncode == 0
    running = begin(runtime, '--ignore-paused', name, '/bin/touch', '/tmp/ran')
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    assert running.wait(2) != 0
    # What froze on its way has the output open up to its end.
    assert runtime.call('resume', name).returncode == 0
    assert answer(running)[1:] == ('', 'bulkhead-runtime: signal 2 came before the program ran\n')
    assert not ran(runtime, name)


@pytest.mark.parametrize('most', [0, 1, 2])
def test_a_spawner_without_descriptors_is_done_without(runtime, most):
    """Who has CAP_SYS_RESOURCE inside may do that to it."""
    name = runtime.start('/bin/sleep', '1000')
    spawner = spawner_of(runtime, name)
    subprocess.run(['prlimit', '--pid', str(spawner), f'--nofile={most}:{most}'], check=True)
    started = time.monotonic()
    done = runtime.call('exec', name, '/bin/grep', 'PPid', '/proc/self/status')
    assert (done.returncode, done.stdout, done.stderr) == (0, 'PPid:\t0\n', '')
    assert time.monotonic() - started < 5
    # It does not burn the processor time of the container meanwhile.
    stat = pathlib.Path(f'/proc/{spawner}/stat').read_text().rpartition(')')[2].split()
    assert int(stat[11]) + int(stat[12]) < 20


def test_a_full_queue_is_not_waited_for(runtime):
    name = runtime.start('/bin/sleep', '1000')
    spawner = spawner_of(runtime, name)
    os.kill(spawner, signal.SIGSTOP)
    folder = os.open(runtime.state / name, os.O_PATH)
    clients = []
    for _ in range(64):
        clients.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK))
        try:
            clients[-1].connect(f'/proc/self/fd/{folder}/spawner')
        except BlockingIOError:
            break
    else:
        pytest.fail('the queue has no end')
    started = time.monotonic()
    assert runtime.call('exec', name, '/bin/grep', 'PPid', '/proc/self/status').stdout == 'PPid:\t0\n'
    assert time.monotonic() - started < 2
    os.kill(spawner, signal.SIGCONT)
    for client in clients:
        client.close()
    os.close(folder)
    wait_until(lambda: runtime.call('exec', name, '/bin/grep', 'PPid', '/proc/self/status').stdout == 'PPid:\t2\n')
    wait_until(lambda: len(inside(runtime, name)) == 2)


def test_without_room_for_a_process_it_says_so(runtime):
    name = runtime.start('/bin/sh', '-c', 'for i in 1 2 3 4 5 6; do sleep 1000 & done; wait',
                         resources={'pids': {'limit': 8}})
    wait_until(lambda: len(inside(runtime, name)) == 8)
    done = runtime.call('exec', name, '/bin/true')
    assert (done.returncode != 0, done.stdout) == (True, '')
    assert done.stderr == 'bulkhead-runtime: cannot make a process: Resource temporarily unavailable\n'


def test_limits_of_a_process_that_is_gone_are_nobodys(runtime):
    """The caller sets them by number, from outside: not once the process has ended."""
    name = runtime.start('/bin/sleep', '1000')
    before = inside(runtime, name)
    process = runtime.folder / 'process.json'
    process.write_text(json.dumps({'args': ['/bin/true'], 'cwd': '/', 'oomScoreAdj': 300,
                                   'rlimits': [{'type': 'RLIMIT_NOFILE', 'soft': 99, 'hard': 100}]}))
    trace = runtime.folder / 'trace'
    # After the first look at the process; -D: the caller stays ours.
    words = [runtime.program, '--root', runtime.state, 'exec', '--process', process, name]
    running = subprocess.Popen(stopping('pidfd_send_signal', trace, '-D', *words), text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: trace.exists() and 'stopped by SIGSTOP' in trace.read_text())
    added, = inside(runtime, name) - before
    os.kill(added, signal.SIGKILL)
    wait_until(lambda: added not in inside(runtime, name))
    os.kill(running.pid, signal.SIGCONT)
    status, out, err = answer(running)
    assert (status != 0, out, err) == (
        True, '', "bulkhead-runtime: the container's process ended before it was ready\n")


@pytest.mark.parametrize('capabilities, worked', [
    ([], []), (['CAP_SYS_PTRACE', 'CAP_SYS_ADMIN', 'CAP_DAC_OVERRIDE'], []), (['CAP_SYS_RESOURCE'], ['prlimit']),
    (['CAP_KILL'], ['stop', 'stop a thread', 'stop by descriptor', 'kill', 'kill all'])],
    ids=['none', 'trace', 'resource', 'kill'])
def test_whatever_a_container_does_to_its_spawner(runtime, build, capabilities, worked):
    """It takes no hold of it, and slowed down, starved, stopped or killed it is an answer in time all the same."""
    shutil.copy(build / 'tests' / 'programs' / 'meddle', runtime.folder / 'rootfs' / 'bin')
    seccomp = {'defaultAction': 'SCMP_ACT_ALLOW'}
    linux = {**runtime.config()['linux'], 'seccomp': seccomp}
    sets = {kind: capabilities for kind in ('bounding', 'effective', 'permitted')}
    name = runtime.start('/bin/sh', '-c', 'meddle 2; while :; do :; done', capabilities=sets, linux=linux)
    out = runtime.folder / f'{name}.out'
    wait_until(lambda: 'end' in out.read_text())
    assert out.read_text().split('\n')[:-2] == worked
    started = time.monotonic()
    done = runtime.call('exec', name, '/bin/sh', '-c', 'echo $(readlink /proc/self/ns/pid)')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.strip() == os.readlink(f'/proc/{runtime.status(name)["pid"]}/ns/pid')
    assert time.monotonic() - started < 10


def test_a_terminal_through_the_spawner(runtime):
    """Its process is the spawner's, leads a session with that terminal, and hears window sizes, keys and the end."""
    name = runtime.start('/bin/sleep', '1000')
    spawner = spawner_of(runtime, name)
    master, slave = pty.openpty()
    script = 'tty; trap "stty size" WINCH; trap "echo key; exit 5" INT; echo up; while :; do sleep 0.02; done'
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 20, 50, 0, 0))
    running = subprocess.Popen([runtime.program, '--root', str(runtime.state), 'exec', '-t', name, 'sh', '-c', script],
                               stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    said = b''

    def hear(word):
        nonlocal said
        while word not in said:
            assert select.select([master], [], [], 10)[0], said
            said += os.read(master, 4096)
    hear(b'up')
    assert said.startswith(b'/dev/pts/0')
    shell, = {pid for pid in named(runtime, name, 'sh') if field(pid, 'PPid') == str(spawner)}
    assert os.getsid(shell) == shell
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 44, 0, 0))
    running.send_signal(signal.SIGWINCH)
    hear(b'33 44')
    os.write(master, b'\x03')
    hear(b'key')
    assert running.wait(10) == 5
    os.close(master)
    os.close(slave)
