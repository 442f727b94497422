# SPDX-License-Identifier: Apache-2.0
"""How processes are scheduled, what they take the machine for, what they inherit: the rest of config.json (ISO-2)."""
import ctypes
import os
import struct
import subprocess

import pytest

from support_runtime import Runtime

SYS_SCHED_GETATTR, SYS_IOPRIO_GET = 315, 252
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def start(runtime, *args, **process):
    """A container that sleeps, with these members of process; returns its name and its process's number outside."""
    config = runtime.config(*(args or ('/bin/sleep', '1000')))
    linux = process.pop('linux', {})
    config['process'].update(process)
    config['linux'].update(linux)
    bundle = runtime.bundle(config)
    with open(runtime.folder / 'output', 'wb') as to:
        done = subprocess.run([runtime.program, '--root', str(runtime.state), 'run', '-d', '-b', str(bundle), 'a'],
                              stdin=subprocess.DEVNULL, stdout=to, stderr=to, check=False)
    assert done.returncode == 0, (runtime.folder / 'output').read_text()
    return runtime.status('a')['pid']


def policy_of(pid):
    """Policy, flags, nice value and priority as the kernel has them."""
    bytes_ = ctypes.create_string_buffer(48)
    assert libc.syscall(SYS_SCHED_GETATTR, pid, bytes_, 48, 0) == 0
    return struct.unpack('IIQiI', bytes_.raw[:24])[1:]


def test_scheduler_and_io_priority(runtime):
    pid = start(runtime, scheduler={'policy': 'SCHED_BATCH', 'nice': 5},
                ioPriority={'class': 'IOPRIO_CLASS_IDLE', 'priority': 0})
    assert policy_of(pid) == (3, 0, 5, 0)
    assert libc.syscall(SYS_IOPRIO_GET, 1, pid) >> 13 == 3


def test_exec_has_a_scheduler_too(runtime):
    start(runtime)
    process = ('{"args":["/bin/cat","/proc/self/stat"],"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0},'
               '"scheduler":{"policy":"SCHED_OTHER","nice":7}}')
    done = subprocess.run([runtime.program, '--root', str(runtime.state), 'exec', '-p', '-', 'a'], input=process,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rpartition(')')[2].split()[16] == '7'


@pytest.mark.parametrize('field, value, message', [
    ('scheduler', {'policy': 'SCHED_BEST'}, "scheduler.policy: unknown policy 'SCHED_BEST'"),
    ('scheduler', {'nice': 1}, "scheduler: 'policy' is missing"),
    ('scheduler', {'policy': 'SCHED_OTHER', 'nice': 20}, 'scheduler.nice: 20 is not within -20 to 19'),
    ('scheduler', {'policy': 'SCHED_OTHER', 'flags': ['X']}, "scheduler.flags[0]: unknown flag 'X'"),
    ('ioPriority', {'class': 'IOPRIO_CLASS_X'}, "ioPriority.class: unknown class 'IOPRIO_CLASS_X'"),
    ('ioPriority', {'class': 'IOPRIO_CLASS_BE', 'priority': 8}, 'ioPriority.priority: 8 is not within 0 to 7'),
    ('apparmorProfile', 'a\nb', "apparmorProfile: is no profile's name"),
    ('selinuxLabel', 'x', 'selinuxLabel: is not supported by this runtime'),
])
def test_process_fields_that_are_wrong(runtime, field, value, message):
    config = runtime.config()
    config['process'][field] = value
    done = runtime.run(config=config)
    assert (done.returncode, done.stderr) == (3, f'bulkhead-runtime: config.json: process.{message}\n')


@pytest.mark.skipif(os.path.exists('/sys/module/apparmor'), reason='this kernel has AppArmor: tests/vm does this')
def test_profile_without_apparmor(runtime):
    config = runtime.config()
    config['process']['apparmorProfile'] = 'containers-default'
    done = runtime.run(config=config)
    assert done.stderr == ("bulkhead-runtime: config.json: process.apparmorProfile: 'containers-default' cannot be "
                           'used: this kernel has no AppArmor\n')
    assert not runtime.leftovers()
    config['process']['apparmorProfile'] = 'unconfined'
    assert runtime.run(config=config).returncode == 0


def test_processors_of_added_programs(runtime):
    start(runtime)
    process = ('{"args":["/bin/grep","Cpus_allowed_list","/proc/self/status"],"cwd":"/","user":{"uid":0,"gid":0},'
               '"execCPUAffinity":{"initial":"0-1","final":"%s"}}')

    def run(final):
        return subprocess.run([runtime.program, '--root', str(runtime.state), 'exec', '-p', '-', 'a'], text=True,
                              input=process % final, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert run('1').stdout.split() == ['Cpus_allowed_list:', '1']
    for final in ('1-', 'x', '2-1', '1,,0', '5000'):
        assert run(final).stderr == (f"bulkhead-runtime: process.execCPUAffinity.final: '{final}' is no list of "
                                     'processors\n')


def test_personality(runtime):
    assert runtime.run('/bin/uname', '-m').stdout == os.uname().machine + '\n'
    config = runtime.config('/bin/uname', '-m')
    config['linux']['personality'] = {'domain': 'LINUX32'}
    assert runtime.run(config=config).stdout == 'i686\n'
    config['linux']['personality'] = {'domain': 'LINUX32', 'flags': ['ADDR_NO_RANDOMIZE']}
    assert runtime.run(config=config).stderr == ('bulkhead-runtime: config.json: linux.personality.flags: is not '
                                                 'supported by this runtime\n')


def test_a_session_keyring_of_its_own(runtime):
    """Keys that only the caller's session has are not seen from inside, unless the caller wants that."""
    config = runtime.config('/bin/sh', '-c', 'grep -c bht-session-key /proc/keys; true')
    config['linux']['maskedPaths'] = []
    config['linux']['namespaces'] = [part for part in config['linux']['namespaces'] if part['type'] != 'user']
    del config['linux']['uidMappings'], config['linux']['gidMappings'], config['annotations']
    script = ('import ctypes, os, sys; c = ctypes.CDLL(None); c.syscall(250, 1, None); '
              'key = c.syscall(248, b"user", b"bht-session-key", b"x", 1, -3); c.syscall(250, 5, key, 0x3f000000); '
              'os.execv(sys.argv[1], sys.argv[1:])')

    def run(*words):
        return subprocess.run(['/usr/bin/python3', '-c', script, runtime.program, '--root', str(runtime.state), 'run',
                               *words, '-b', str(runtime.bundle(config)), 'a'], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    done = run()
    assert done.stdout == '0\n', done.stderr
    done = run('--no-new-keyring')
    assert done.stdout == '1\n', done.stderr


def test_clocks_of_a_time_namespace(runtime):
    config = runtime.config('/bin/cat', '/proc/uptime')
    config['linux']['namespaces'].append({'type': 'time'})
    before = float(runtime.run(config=config).stdout.split()[0])
    config['linux']['timeOffsets'] = {'monotonic': {'secs': 172800, 'nanosecs': 100}, 'boottime': {'secs': 604800}}
    done = runtime.run(config=config)
    assert done.returncode == 0, done.stderr
    assert 604800 <= float(done.stdout.split()[0]) - before < 604800 + 60
    config['linux']['namespaces'].pop()
    assert runtime.run(config=config).stderr == ('bulkhead-runtime: config.json: linux.timeOffsets: need a new time '
                                                 'namespace\n')
    config['linux']['timeOffsets'] = {'realtime': {'secs': 1}}
    assert runtime.run(config=config).stderr == ("bulkhead-runtime: config.json: linux.timeOffsets: unknown clock "
                                                 "'realtime'\n")
