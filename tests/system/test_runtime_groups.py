# SPDX-License-Identifier: Apache-2.0
"""Whole control groups at a time: killed, signalled, frozen and brought under further limits with processes that do
not stand still (ISO-2); version 2's part is in tests/vm."""
import os
import pathlib
import shutil
import subprocess

import pytest

from support_runtime import CGROUPS, Runtime, wait_until

pytestmark = pytest.mark.skipif(not (CGROUPS / 'memory').exists(), reason='only version 2 of control groups: in the VM')
# Each process makes the next one and ends: no listing shows one that is still there a moment later.
RUN_AWAY = ('/bin/restless', 'relay', '30')
RESOURCES = {'pids': {'limit': 200}, 'memory': {'limit': 64 << 20}}


class Legacy(Runtime):
    """A runtime that sees version 1 of control groups alone."""

    def words(self, *words):
        hide = '[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified; exec "$@"'
        return ['unshare', '-m', '--propagation', 'private', 'sh', '-ec', hide, 'sh', self.program, '--root',
                str(self.state), *map(str, words)]

    def call(self, *words, env=None, **more):
        return subprocess.run(self.words(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, text=True, timeout=60, check=False, **more)

    def start(self, config):
        bundle = self.bundle(config)
        name = f'c{self.count}'
        with open(self.folder / f'{name}.out', 'wb') as to:
            subprocess.run(self.words('create', '--bundle', bundle, name), stdin=subprocess.DEVNULL, stdout=to,
                           stderr=to, timeout=60, check=True)
        assert self.call('start', name).returncode == 0
        return name


def make(kind, programs, build):
    made = kind(programs / 'bulkhead-runtime')
    shutil.copy(build / 'tests/programs/restless', made.folder / 'rootfs/bin/restless')
    return made


@pytest.fixture
def runtime(programs, build):
    made = make(Runtime, programs, build)
    yield made
    made.close()


@pytest.fixture
def legacy(programs, build):
    made = make(Legacy, programs, build)
    yield made
    made.close()


def pids(runtime, controller, name='c0'):
    return set((runtime.group(controller, name) / 'cgroup.procs').read_text().split())


def command_of(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b''


def groups_of(pid):
    """{controllers: group} of a process; none when it is about to end, which the kernel shows as the top of each."""
    try:
        path = pathlib.Path(f'/proc/{pid}/cgroup')
        first, second = (dict(row.split(':')[1:] for row in path.read_text().splitlines()) for _ in range(2))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return first if first == second else None


def share_pids(config):
    """Without a pid namespace of its own the end of the first process ends nothing else."""
    linux = config['linux']
    linux['namespaces'] = [row for row in linux['namespaces'] if row['type'] not in ('pid', 'user')]
    for key in ('uidMappings', 'gidMappings'):
        del linux[key]
    del config['annotations']
    return config


def test_processes_that_run_away_are_killed_on_version_1(legacy):
    """Nothing kills them but the listing: no pid namespace, no cgroup.kill."""
    name = legacy.start(share_pids(legacy.config(*RUN_AWAY, resources=RESOURCES)))
    wait_until(lambda: len(pids(legacy, 'pids')) > 3)
    done = legacy.call('delete', '--force', name)
    assert (done.returncode, done.stderr) == (0, '')
    assert not legacy.leftovers()


def test_no_process_runs_away_from_a_further_limit(runtime):
    """A controller that the container had no group of yet takes in all of its processes, even those just made."""
    name = runtime.start(*RUN_AWAY, resources=RESOURCES)
    wait_until(lambda: len(pids(runtime, 'pids')) > 3)
    assert not runtime.group('cpuset', 'c0').exists()
    done = runtime.call('update', '--cpuset-cpus', '0', name)
    assert (done.returncode, done.stderr) == (0, '')
    group = f'/{runtime.parent}/c0'
    found = [groups_of(pid) for pid in pids(runtime, 'pids')]
    assert group in [paths['pids'] for paths in found if paths]
    assert [paths for paths in found if paths and paths['pids'] == group != paths['cpuset']] == []
    assert runtime.status(name)['status'] == 'running'
    assert runtime.call('kill', name, 'KILL').returncode == 0


@pytest.fixture
def disk(runtime):
    """A folder with a file on a disk of its own; yields it with the disk's number."""
    image, folder = runtime.folder / 'image', runtime.folder / 'disk'
    folder.mkdir()
    subprocess.run(['truncate', '-s', '8M', image], check=True)
    subprocess.run(['mkfs.ext4', '-q', image], check=True)
    subprocess.run(['mount', '-o', 'loop', image, folder], check=True)
    (folder / 'file').write_bytes(bytes(4096))
    os.sync()
    number = os.stat(folder).st_dev
    yield folder, os.major(number), os.minor(number)
    # Whoever still waits for the disk could not be killed.
    for limit in (CGROUPS / 'blkio' / runtime.parent).glob('*/blkio.throttle.read_bps_device'):
        limit.write_text(f'{os.major(number)}:{os.minor(number)} 0')
    for name in [path.name for path in runtime.state.glob('[!.]*')]:
        runtime.call('delete', '--force', name)
    subprocess.run(['umount', folder], check=True)


@pytest.mark.skipif(not os.path.exists('/dev/loop-control'), reason='no loop devices')
def test_pause_that_fails_leaves_the_container_running(runtime, disk):
    """A process that waits for a disk cannot be stopped; here the wait is made by a limit of one byte a second."""
    folder, major, minor = disk
    rate = {'major': major, 'minor': minor, 'rate': 1}
    config = runtime.config('/bin/restless', 'read', '/data/file',
                            resources={'blockIO': {'throttleReadBpsDevice': [rate]}})
    config['mounts'].append({'destination': '/data', 'type': 'bind', 'source': str(folder), 'options': ['ro']})
    out = runtime.folder / 'out'
    with open(out, 'wb') as to:
        subprocess.run([runtime.program, '--root', runtime.state, 'create', '--bundle', runtime.bundle(config), 'c1'],
                       stdin=subprocess.DEVNULL, stdout=to, stderr=to, check=True, timeout=60)
    assert runtime.call('start', 'c1').returncode == 0
    pid = runtime.status('c1')['pid']
    wait_until(lambda: out.read_text() == 'ready\n')
    assert runtime.call('kill', 'c1', 'USR1').returncode == 0
    wait_until(lambda: pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'D')
    done = runtime.call('pause', 'c1')
    assert done.stderr == f"bulkhead-runtime: control group '{runtime.parent}/c0' does not freeze\n"
    assert (runtime.group('unified', 'c0') / 'cgroup.freeze').read_text() == '0\n'
    assert runtime.status('c1')['status'] == 'running'
    (runtime.group('blkio', 'c0') / 'blkio.throttle.read_bps_device').write_text(f'{major}:{minor} 0')
    wait_until(lambda: out.read_text().count('.') > 3)
    assert runtime.call('pause', 'c1').returncode == 0
    assert runtime.status('c1')['status'] == 'paused'
    assert runtime.call('resume', 'c1').returncode == 0


def test_one_group_is_taken_by_one_container(runtime):
    """Of those that are told the same group at the same time one starts, and the others harm it in nothing."""
    for _ in range(8):
        config = runtime.config('/bin/sleep', '1000')
        started = []
        for _ in range(4):
            bundle, name = runtime.bundle(config), f'c{runtime.count}'
            with open(runtime.folder / f'{name}.err', 'wb') as to:
                words = [runtime.program, '--root', runtime.state, 'run', '--detach', '--bundle', bundle, name]
                started.append((name, subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=to, stderr=to)))
        for name, process in started:
            process.wait(60)
        errors = {name: (runtime.folder / f'{name}.err').read_text() for name, _ in started}
        group = config['linux']['cgroupsPath'].lstrip('/')
        refused = f"bulkhead-runtime: config.json: linux.cgroupsPath: control group '{group}' is in use already\n"
        [winner] = [name for name, error in errors.items() if error != refused]
        assert errors[winner] == ''
        assert runtime.status(winner)['status'] == 'running'
        assert [path.name for path in runtime.state.glob('[!.]*')] == [winner]
        assert runtime.call('delete', '--force', winner).returncode == 0
    assert not runtime.leftovers()


def test_a_group_of_a_further_controller_that_was_there_takes_all_in(runtime):
    """Whoever made it, perhaps an update that failed half way, a limit holds for every process of the container."""
    name = runtime.start('/bin/sh', '-c', 'sleep 1000 & sleep 1000', resources=RESOURCES)
    wait_until(lambda: len(pids(runtime, 'pids')) > 2)
    group = runtime.group('cpuset', 'c0')
    group.parent.mkdir(exist_ok=True)
    group.mkdir()
    for each in (group.parent, group):
        for file in ('cpuset.cpus', 'cpuset.mems'):
            (each / file).write_text((CGROUPS / 'cpuset' / file).read_text())
    done = runtime.call('update', '--cpuset-cpus', '0', name)
    assert (done.returncode, done.stderr) == (0, '')
    assert pids(runtime, 'cpuset') == pids(runtime, 'pids')
    assert (group / 'cpuset.cpus').read_text() == '0\n'


def test_few_descriptors_signal_every_process_all_the_same(runtime):
    script = 'trap : TERM; for i in $(yes | head -n 20); do sleep 1000 & done; wait; wait'
    name = runtime.start('/bin/sh', '-c', script)
    # Not before that: a shell that has not become one yet handles the signal as it was told.
    wait_until(lambda: sum(command_of(pid) == b'sleep\x001000\x00' for pid in pids(runtime, 'pids')) == 20)
    few = ['prlimit', '--nofile=40', runtime.program, '--root', runtime.state, 'kill', '--all', name, 'TERM']
    # The caller's own descriptors take none of the few.
    done = subprocess.run(few, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    wait_until(lambda: len(pids(runtime, 'pids')) < 4)
    few[1] = '--nofile=16'
    done = subprocess.run(few, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert 'Too many open files' in done.stderr


def test_what_others_lock_is_no_claim(runtime):
    """A group's folder can be opened, and so locked, by every user; that keeps nobody from it."""
    config = runtime.config('/bin/true')
    for kind in ('pids', 'unified'):
        if (CGROUPS / kind).exists():
            (runtime.group(kind) / 'c0').mkdir(parents=True, exist_ok=True)
    script = 'exec 9< "$0"; flock 9; echo locked; read end'
    with subprocess.Popen(['setpriv', '--reuid=65534', '--clear-groups', 'sh', '-c', script,
                           runtime.group('pids') / 'c0'], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b'locked\n'
            done = runtime.run(config=config)
        finally:
            other.communicate(b'\n', 10)
    assert (done.returncode, done.stderr) == (0, '')
    assert not runtime.leftovers()
