# SPDX-License-Identifier: Apache-2.0
"""Limits that hold: what one container takes of processes, memory, files, pipes, sockets and queues ends at its limit,
in its own group, and others go on (ISO-8)."""
import os
import pathlib
import resource
import shutil
import subprocess

import pytest

from support_runtime import CGROUPS, Runtime, is_alive, needs_layer, wait_until

MIB = 1 << 20
LEGACY = (CGROUPS / 'memory').exists()


@pytest.fixture(scope='module')
def runtime(programs, build):
    made = Runtime(programs / 'bulkhead-runtime')
    shutil.copy(build / 'tests' / 'programs' / 'hog', made.folder / 'rootfs' / 'bin' / 'hog')
    yield made
    made.close()


@pytest.fixture
def neighbour(runtime):
    """A container that must not notice anything."""
    name = runtime.start('/bin/sh', '-c', 'while sleep 0.05; do /bin/true || exit 1; done')
    pid = runtime.status(name)['pid']
    yield pid
    assert is_alive(pid)
    assert runtime.call('delete', '--force', name).returncode == 0


def limits(memory=64, pids=64, **more):
    return dict({'memory': {'limit': int(memory * MIB)}, 'pids': {'limit': pids},
                 'cpu': {'quota': 100000, 'period': 100000}}, **more)


def hog(runtime, kind, *place, **changes):
    """What one container got of something: (count, the error that ended it)."""
    done = runtime.run('/bin/hog', 'once', kind, *place, **dict({'resources': limits()}, **changes))
    assert done.returncode == 0, done.stderr
    count, _, error = done.stdout.strip().partition(' ')
    assert not [path for path in runtime.state.iterdir() if path.name == f'c{runtime.count}']
    return int(count), error


def test_processes_end_at_the_limit(runtime, neighbour):
    # One of the twenty is the hog itself, one the spawner that waits for `exec`.
    assert hog(runtime, 'processes', resources=limits(pids=20)) == (18, 'Resource temporarily unavailable')


def oom_kills(runtime, name):
    file = runtime.group('memory', name) / ('memory.oom_control' if LEGACY else 'memory.events')
    return int(dict(line.split() for line in file.read_text().splitlines())['oom_kill'])


def test_memory_ends_in_its_own_group(runtime, neighbour):
    names = sorted(path.name for path in runtime.group('memory').iterdir() if path.is_dir())
    done = runtime.run('/bin/sh', '-c', '/bin/hog once memory; echo $?', resources=limits(memory=8))
    assert done.stdout.endswith('137\n'), done.stderr
    assert [oom_kills(runtime, name) for name in names] == [0]


def test_there_is_no_swap_unless_asked_for(runtime):
    name = runtime.start('/bin/sleep', '1000', resources=limits(memory=8))
    group = runtime.group('memory', f'c{runtime.count - 1}')
    file = group / ('memory.memsw.limit_in_bytes' if LEGACY else 'memory.swap.max')
    if file.exists():
        assert int(file.read_text()) == (8 * MIB if LEGACY else 0)
    new = runtime.folder / 'resources.json'
    new.write_text('{"memory": {"limit": 16777216}}')
    done = runtime.call('update', '--resources', new, name)
    assert done.returncode == 0, done.stderr
    if file.exists():
        assert int(file.read_text()) == (16 * MIB if LEGACY else 0)
    runtime.call('delete', '--force', name)


def tmpfs(runtime, *options):
    config = runtime.config('/bin/hog', 'once', 'bytes', '/tmp', resources=limits(memory=8))
    config['mounts'][7]['options'] = ['mode=1777', *options]
    return config


@pytest.mark.parametrize('options, blocks', [((), 64), (('size=1m',), 16), (('nr_blocks=32',), 2)])
def test_file_systems_in_memory_are_bounded(runtime, neighbour, options, blocks):
    """Half of the memory unless config.json says another size: an error, no kill."""
    done = runtime.run(config=tmpfs(runtime, *options))
    assert (done.stdout, done.stderr) == (f'{blocks} No space left on device\n', '')


@pytest.mark.parametrize('place, most', [('/tmp', 1024), ('/dev', 1024), ('/dev/shm', 1024)])
def test_files_are_bounded(runtime, neighbour, place, most):
    count, error = hog(runtime, 'inodes', place, resources=limits(memory=8))
    assert (most // 2 < count < most, error) == (True, 'No space left on device')


@needs_layer
def test_root_layer_is_bounded(runtime, neighbour):
    root = {'path': 'rootfs', 'readonly': False}
    count, error = hog(runtime, 'bytes', '/data', resources=limits(memory=8), root=root)
    assert (32 < count <= 64, error) == (True, 'No space left on device')


@pytest.mark.parametrize('kind, least', [('pipes', 16), ('sockets', 16)])
def test_buffers_are_charged(runtime, neighbour, kind, least):
    """4 MiB do not hold a thousand full pipes or sockets: the group's memory ends first, and whoever fills them."""
    config = runtime.config('/bin/hog', 'once', kind, resources=limits(memory=4))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    config['process']['rlimits'] = [{'type': 'RLIMIT_NOFILE', 'soft': files, 'hard': files}]
    done = runtime.run(config=config)
    if done.returncode != 137:
        count, _, error = done.stdout.strip().partition(' ')
        assert done.returncode == 0, done
        assert least <= int(count) < 200 and error == 'Cannot allocate memory', done.stdout


def test_message_queues_are_bounded(runtime, neighbour):
    count, error = hog(runtime, 'queues')
    assert (1 <= count <= 256, error) in ((True, 'Too many open files'), (True, 'No space left on device'))


def test_open_files_have_a_limit_of_their_own(runtime):
    hard = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    assert runtime.shell('ulimit -n; ulimit -Hn') == f'{min(1024, hard)}\n{hard}\n'
    config = runtime.config('/bin/sh', '-c', 'ulimit -n; ulimit -Hn')
    config['process']['rlimits'] = [{'type': 'RLIMIT_NOFILE', 'soft': 77, 'hard': 99}]
    assert runtime.run(config=config).stdout == '77\n99\n'


@pytest.mark.parametrize('readonly', [True, pytest.param(False, marks=needs_layer)], ids=['root', 'layer'])
def test_starts_in_half_a_mebibyte(runtime, readonly):
    """The start is the runtime's and not the payload's memory: runc refuses this or is killed (runc #1980)."""
    for _ in range(5):
        done = runtime.run('/bin/sh', '-c', 'echo up', resources=limits(memory=0.5),
                           root={'path': 'rootfs', 'readonly': readonly})
        assert (done.returncode, done.stdout, done.stderr) == (0, 'up\n', '')


def test_exec_into_a_mebibyte(runtime):
    name = runtime.start('/bin/sleep', '1000', resources=limits(memory=1))
    for _ in range(5):
        done = runtime.call('exec', name, '/bin/echo', 'in')
        assert (done.returncode, done.stdout, done.stderr) == (0, 'in\n', '')
    assert runtime.status(name)['status'] == 'running'
    runtime.call('delete', '--force', name)


def test_processor_time_ends_at_the_quota(runtime, neighbour):
    """Four busy loops with a tenth of a processor get no more than that."""
    name = runtime.start('/bin/hog', 'forever', 'processor',
                         resources=limits(cpu={'quota': 10000, 'period': 100000}))
    group = f'c{runtime.count - 1}'
    file = runtime.group('cpuacct', group) / 'cpuacct.usage' if LEGACY else runtime.group('cpu', group) / 'cpu.stat'

    def used():
        text = file.read_text()
        return int(text) / 1e9 if LEGACY else int(text.split()[1]) / 1e6
    clock = pathlib.Path('/proc/uptime')
    wait_until(lambda: used() > 0.05)
    before, since = used(), float(clock.read_text().split()[0])
    wait_until(lambda: float(clock.read_text().split()[0]) - since > 1, 5)
    share = (used() - before) / (float(clock.read_text().split()[0]) - since)
    assert share < 0.15, share
    runtime.call('delete', '--force', name)
    assert not os.path.exists(runtime.state / name)


def test_without_limits_there_are_defaults(runtime, neighbour):
    """A container that asks for nothing has what docs/ceiling.md says, and its file systems are bounded by that."""
    config = runtime.config('/bin/sh', '-c', 'df -k /tmp | tail -1; sleep 1000', resources={})
    config['mounts'][7]['options'] = ['mode=1777']
    name = 'default'
    bundle = runtime.bundle(config)
    group = f'c{runtime.count - 1}'
    shutil.copy('/usr/bin/busybox', runtime.folder / 'rootfs' / 'bin' / 'df')
    with open(bundle / 'out', 'wb') as to:
        words = [runtime.program, '--root', runtime.state, 'run', '--detach', '--bundle', bundle, name]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=to, timeout=20)
    wait_until((bundle / 'out').read_text)
    size = int((bundle / 'out').read_text().split()[1]) * 1024
    memory = int((runtime.group('memory', group) /
                  ('memory.limit_in_bytes' if LEGACY else 'memory.max')).read_text())
    whole = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    assert int((runtime.group('pids', group) / 'pids.max').read_text()) == 4096
    assert 0.45 * whole < memory < 0.55 * whole
    assert memory // 2 - 8192 <= size < memory // 2 + os.sysconf('SC_PAGE_SIZE')
    if LEGACY:
        quota, period = (int((runtime.group('cpu', group) / f'cpu.cfs_{word}_us').read_text())
                         for word in ('quota', 'period'))
        assert quota == period * os.cpu_count() * 3 // 4
    runtime.call('delete', '--force', name)
