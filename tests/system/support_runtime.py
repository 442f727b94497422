# SPDX-License-Identifier: Apache-2.0
"""Bundles of busybox and a runtime to run them with, each with a state folder and control groups of its own."""
import copy
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

APPLETS = ('sh cat cp dd echo env false free grep head hostname id kill ls mkdir mount nice ps rm sleep stat sync '
           'stty tail touch tr true tty umount uname wc yes').split()
UID_BASE = 1900000000
NAMESPACES = ('user', 'mount', 'pid', 'network', 'ipc', 'uts', 'cgroup')
CGROUPS = pathlib.Path('/sys/fs/cgroup')
KERNEL = tuple(map(int, os.uname().release.split('.')[:2]))
# Memory over the image, for a root that is written to or lacks a mount's target.
needs_layer = pytest.mark.skipif(KERNEL < (6, 13), reason='a kernel before 6.13 lays no memory over a root')

BASE = {
    'ociVersion': '1.2.0',
    'process': {
        'user': {'uid': 0, 'gid': 0},
        'args': ['/bin/true'],
        'env': ['PATH=/bin'],
        'cwd': '/',
        'capabilities': {},
    },
    'root': {'path': 'rootfs', 'readonly': True},
    'hostname': 'box',
    'annotations': {'dev.bulkhead.root.idmap': 'true'},
    'mounts': [
        {'destination': '/proc', 'type': 'proc', 'source': 'proc'},
        {'destination': '/dev', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['nosuid', 'strictatime', 'mode=755']},
        {'destination': '/dev/pts', 'type': 'devpts', 'source': 'devpts',
         'options': ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5']},
        {'destination': '/dev/shm', 'type': 'tmpfs', 'source': 'shm',
         'options': ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k']},
        {'destination': '/dev/mqueue', 'type': 'mqueue', 'source': 'mqueue', 'options': ['nosuid', 'noexec', 'nodev']},
        {'destination': '/sys', 'type': 'sysfs', 'source': 'sysfs', 'options': ['nosuid', 'noexec', 'nodev', 'ro']},
        {'destination': '/sys/fs/cgroup', 'type': 'cgroup', 'source': 'cgroup', 'options': ['ro']},
        {'destination': '/tmp', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['mode=1777', 'size=16m']},
    ],
    'linux': {
        'namespaces': [{'type': name} for name in NAMESPACES],
        'uidMappings': [{'containerID': 0, 'hostID': UID_BASE, 'size': 65536}],
        'gidMappings': [{'containerID': 0, 'hostID': UID_BASE, 'size': 65536}],
        'resources': {'memory': {'limit': 64 << 20}, 'pids': {'limit': 64}, 'cpu': {'quota': 100000, 'period': 100000}},
        'maskedPaths': ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/acpi', '/sys/firmware'],
        'readonlyPaths': ['/proc/sys', '/proc/bus', '/proc/irq', '/proc/fs', '/proc/sysrq-trigger'],
    },
}


def make_rootfs(folder):
    """A root of busybox alone, owned by the ids 0… that the runtime maps."""
    for name in ('bin', 'dev', 'proc', 'sys', 'tmp', 'etc', 'data'):
        (folder / name).mkdir(parents=True)
    shutil.copy('/usr/bin/busybox', folder / 'bin' / 'busybox')
    for applet in APPLETS:
        (folder / 'bin' / applet).symlink_to('busybox')


class Runtime:
    """The runtime under test with a folder, a state folder and a parent of control groups; close() takes all away."""

    def __init__(self, program):
        self.program = str(program)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-test-', dir='/var/tmp'))
        self.parent = 'bht-' + secrets.token_hex(4)
        self.state = self.folder / 's'
        self.count = 0
        make_rootfs(self.folder / 'rootfs')
        self.folder.chmod(0o755)

    def config(self, *args, **changes):
        """A config.json with these program words; changes replace members of "process", "linux" or the top."""
        made = copy.deepcopy(BASE)
        made['process']['args'] = list(args) or ['/bin/true']
        made['linux']['cgroupsPath'] = f'/{self.parent}/c{self.count}'
        for key, value in changes.items():
            where = next((part for part in (made['process'], made['linux']) if key in part), made)
            where[key] = value
        return made

    def bundle(self, config):
        """A bundle folder with this config.json (an object, or text as it is)."""
        self.count += 1
        folder = self.folder / f'b{self.count}'
        folder.mkdir()
        (folder / 'rootfs').symlink_to('../rootfs')
        text = config if isinstance(config, (str, bytes)) else json.dumps(config)
        (folder / 'config.json').write_bytes(text.encode() if isinstance(text, str) else text)
        return folder

    def call(self, *words, env=None, **more):
        """Runs the runtime; returns the finished process with its output as text."""
        return subprocess.run([self.program, '--root', str(self.state), *map(str, words)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=60, check=False,
                              env=dict(os.environ, **(env or {})), **more)

    def run(self, *args, config=None, **changes):
        """`run` with a program and changes to the configuration."""
        config = config or self.config(*args, **changes)
        return self.call('run', '--bundle', self.bundle(config), f'c{self.count}')

    def shell(self, script, **changes):
        """`run` of a shell script; returns what it printed and asserts that it succeeded."""
        done = self.run('/bin/sh', '-c', script, **changes)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *args, name=None, **changes):
        """Creates and starts a container that goes on; returns its id."""
        config = self.config(*args, **changes)
        bundle = self.bundle(config)
        name = name or f'c{self.count}'
        with open(self.folder / f'{name}.out', 'wb') as to:
            done = subprocess.run([self.program, '--root', str(self.state), 'create', '--bundle', str(bundle), name],
                                  stdin=subprocess.DEVNULL, stdout=to, stderr=to, timeout=60, check=False)
        assert done.returncode == 0, (self.folder / f'{name}.out').read_text()
        done = self.call('start', name)
        assert done.returncode == 0, done.stderr
        return name

    def status(self, name):
        done = self.call('state', name)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def group(self, controller, name=None):
        """The folder of a container's control group in a hierarchy."""
        group = CGROUPS / controller / self.parent
        if not group.parent.exists():
            group = CGROUPS / self.parent
        return group / name if name else group

    def leftovers(self):
        """What this runtime left on the machine: containers, control groups, mounts."""
        found = [str(path) for path in self.state.glob('[!.]*')] if self.state.exists() else []
        found += [str(path) for path in CGROUPS.glob(f'*/{self.parent}/*/') if path.name.startswith('c')]
        mounts = pathlib.Path('/proc/self/mounts').read_text().splitlines()
        found += [line for line in mounts if str(self.folder) in line]
        return found

    def close(self):
        for path in self.state.glob('[!.]*') if self.state.exists() else []:
            self.call('delete', '--force', path.name)
        for group in [*CGROUPS.glob(f'*/{self.parent}'), CGROUPS / self.parent]:
            if not group.exists():
                continue
            for below in [path for path in group.glob('*/') if path.is_dir()] + [group]:
                for pid in (below / 'cgroup.procs').read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
                wait_until(lambda group=below: not (group / 'cgroup.procs').read_text(), 5)
                below.rmdir()
        shutil.rmtree(self.folder)


def read_limit(group, file):
    """A limit by the name and in the words of version 1, from a group of either version."""
    if (group / file).exists():
        return (group / file).read_text().strip()
    if file.startswith('cpu.cfs_'):
        quota, period = (group / 'cpu.max').read_text().split()
        return period if file == 'cpu.cfs_period_us' else quota.replace('max', '-1')
    memory = (group / 'memory.max').read_text().strip()
    if file == 'memory.limit_in_bytes':
        return memory
    assert file == 'memory.memsw.limit_in_bytes', file
    return str(int(memory) + int((group / 'memory.swap.max').read_text()))


def limit_quota(group, quota):
    """Makes a group with this much of a processor's time in 100 ms, of either version."""
    group.mkdir()
    legacy = group / 'cpu.cfs_quota_us'
    (legacy if legacy.exists() else group / 'cpu.max').write_text(str(quota))


def is_alive(pid):
    """Whether a process is there and no zombie: orphans wait for the machine's init at its leisure."""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(')')[2].split()[0] not in 'ZX'


def wait_until(condition, seconds=10):
    """Waits until condition() holds and returns what it returned; fails when it does not in time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, 'this did not come about in time'
        time.sleep(0.01)
