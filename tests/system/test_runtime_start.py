# SPDX-License-Identifier: Apache-2.0
"""How containers come to be: namespaces they join, control groups they need, what others see meanwhile (ISO-1)."""
import ctypes
import json
import os
import pathlib
import signal
import subprocess

import pytest

from support_runtime import CGROUPS, Runtime, wait_until

CLONE_NEWTIME = 0x80


@pytest.fixture(scope='module')
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


@pytest.fixture(scope='module')
def other():
    """A process in namespaces of its own."""
    def enter():
        assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWTIME) == 0
    with subprocess.Popen(['unshare', '--net', '--ipc', '--uts', '--cgroup', 'sleep', '1000'],
                          preexec_fn=enter) as holder:
        wait_until(lambda: b'sleep' in pathlib.Path(f'/proc/{holder.pid}/cmdline').read_bytes()[:5])
        yield holder.pid
        holder.kill()


def joining(runtime, pid, *kinds):
    config = runtime.config('/bin/sh', '-c', 'for kind in net ipc uts cgroup time; do stat -Lc %i /proc/self/ns/$kind; '
                            'done')
    spaces = [space for space in config['linux']['namespaces'] if space['type'] not in kinds]
    names = {'network': 'net', 'time': 'time_for_children'}
    config['linux']['namespaces'] = spaces + [
        {'type': kind, 'path': f'/proc/{pid}/ns/{names.get(kind, kind)}'} for kind in kinds]
    if 'uts' in kinds:
        del config['hostname']
    # The mounts of a container show its own namespaces' views.
    config['mounts'] = [mount for mount in config['mounts'] if mount['type'] not in ('sysfs', 'mqueue', 'cgroup')]
    return config


@pytest.mark.parametrize('kinds', [('network',), ('ipc', 'uts'), ('time',),
                                   ('network', 'ipc', 'uts', 'cgroup', 'time')])
def test_joins_namespaces(runtime, other, kinds):
    done = runtime.run(config=joining(runtime, other, *kinds))
    assert (done.returncode, done.stderr) == (0, '')
    inside = dict(zip(('network', 'ipc', 'uts', 'cgroup', 'time'), map(int, done.stdout.split())))
    for kind in inside:
        # Before 6.2 a process that asks for a time namespace and executes is not in it, its children are.
        file = {'network': 'net', 'time': 'time_for_children'}.get(kind, kind)
        theirs = os.stat(f'/proc/{other}/ns/{file}').st_ino
        assert (inside[kind] == theirs) is (kind in kinds), kind
    assert not runtime.leftovers()


def test_joined_namespace_that_is_another_ones(runtime, other):
    config = joining(runtime, other, 'network')
    config['linux']['namespaces'][-1]['path'] = f'/proc/{other}/ns/ipc'
    done = runtime.run(config=config)
    assert done.stderr == (f"bulkhead-runtime: config.json: linux.namespaces: '/proc/{other}/ns/ipc' is not a network "
                           'namespace\n')
    assert done.returncode == 3
    assert not runtime.leftovers()


def test_program_that_cannot_start_is_an_error_of_run(runtime):
    done = runtime.run('/bin/busybox', cwd='/nowhere/at/all')
    assert done.stderr == (f"bulkhead-runtime: container 'c{runtime.count}': config.json: process.cwd: cannot enter "
                           "'/nowhere/at/all': Read-only file system\n")
    assert done.returncode != 0
    assert not runtime.leftovers()


def test_run_is_running_once_its_program_runs(runtime):
    bundle = runtime.bundle(runtime.config('/bin/sleep', '1000'))
    with subprocess.Popen([runtime.program, '--root', str(runtime.state), 'run', '--bundle', str(bundle), 'r'],
                          stdin=subprocess.DEVNULL) as run:
        state = wait_until(lambda: (found := runtime.call('state', 'r')).returncode == 0 and
                           (state := json.loads(found.stdout))['status'] == 'running' and state)
        assert os.readlink(f'/proc/{state["pid"]}/exe').endswith('/busybox')
        run.send_signal(signal.SIGTERM)
        # The first process of a pid namespace takes no signal it does not handle, but one that cannot be ignored.
        assert runtime.call('kill', 'r', 'KILL').returncode == 0
        assert run.wait(10) == 128 + signal.SIGKILL
    assert not runtime.leftovers()


def groups_of(runtime, controller, name):
    return CGROUPS / controller / runtime.parent / name


@pytest.mark.skipif(not (CGROUPS / 'cpuset').is_dir(), reason='there is no version 1 cpuset')
def test_groups_are_made_where_something_is_asked(runtime):
    name = runtime.start('/bin/sh', '-c', 'sleep 1000 & wait')
    group = f'c{runtime.count - 1}'
    for controller in ('cpu', 'memory', 'pids', 'devices'):
        assert groups_of(runtime, controller, group).is_dir(), controller
    assert not groups_of(runtime, 'cpuset', group).exists()
    # What version 2 does as well is done there.
    assert groups_of(runtime, 'freezer', group).exists() != (CGROUPS / 'unified').is_dir()
    update = json.dumps({'cpu': {'cpus': '0', 'mems': '0'}})
    done = subprocess.run([runtime.program, '--root', str(runtime.state), 'update', '-r', '-', name], input=update,
                          text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    made = groups_of(runtime, 'cpuset', group)
    assert (made / 'cpuset.cpus').read_text() == '0\n'
    pids = (groups_of(runtime, 'pids', group) / 'cgroup.procs').read_text().split()
    assert len(pids) >= 2
    assert sorted((made / 'cgroup.procs').read_text().split()) == sorted(pids)
    assert runtime.call('delete', '--force', name).returncode == 0
    assert not made.exists()
    made.parent.rmdir()


@pytest.mark.skipif(not (CGROUPS / 'cpuset').is_dir(), reason='there is no version 1 cpuset')
def test_group_above_counts_in_each_hierarchy(runtime):
    above = CGROUPS / 'cpuset' / runtime.parent
    above.mkdir()
    for name in ('cpuset.cpus', 'cpuset.mems'):
        (above / name).write_text('0')
    try:
        assert runtime.shell('grep Cpus_allowed_list /proc/self/status').split() == ['Cpus_allowed_list:', '0']
        assert not runtime.leftovers()
    finally:
        above.rmdir()
