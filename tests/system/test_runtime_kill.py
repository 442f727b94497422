# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of every process of the runtime after every one of its system calls: `delete --force` then takes all away,
and whatever was executed in the container was confined completely (ISO-2, ISO-8). A sample, or all of them with
BULKHEAD_KILL_ALL=1."""
import os
import pathlib
import random
import re
import shutil
import subprocess
import time

import pytest

from support_runtime import CGROUPS, UID_BASE, Runtime, wait_until

ALL = bool(os.environ.get('BULKHEAD_KILL_ALL'))
SAMPLE = 45  # of each command
KINDS = ('user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup')
NAMESPACES = {kind: os.readlink(f'/proc/self/ns/{kind}') for kind in KINDS}


class Killer(Runtime):
    """A runtime of its own, by which its processes are told from all others, and commands of it that are killed."""

    def __init__(self, programs, build):
        super().__init__(programs / 'bulkhead-runtime')
        self.program = shutil.copy(self.program, self.folder / 'bulkhead-runtime')
        self.killat = build / 'tests' / 'programs' / 'killat'
        shutil.copy(build / 'tests' / 'programs' / 'marker', self.folder / 'rootfs' / 'bin' / 'marker')
        self.files = {self.identity(self.program)}
        self.files |= {self.identity(path) for path in (self.folder / 'rootfs' / 'bin').iterdir()}

    @staticmethod
    def identity(path):
        found = os.stat(path)
        return found.st_dev, found.st_ino

    def kill(self, point, *words, attach=(), output=None):
        """Runs a command and kills the process of point at its call; returns (exit status, {number: calls})."""
        report = self.folder / 'report'
        at = ['-k', f'{point[0]}:{point[1]}'] if point else []
        at += [word for pid in attach for word in ('-a', str(pid))]
        words = [self.killat, *at, '-o', report, self.program, '--root', str(self.state), *map(str, words)]
        with open(output or os.devnull, 'wb') as to, open(self.folder / 'errors', 'wb') as errors:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=to, stderr=errors, timeout=60, check=False)
        lines = [line.split() for line in report.read_text().splitlines()]
        assert done.returncode != 99, f'it hangs: {lines}'
        return done.returncode, {int(line[0]): int(line[2]) for line in lines}

    def processes(self):
        """Living processes that execute the runtime's copy or a program of the root."""
        found = []
        for path in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if self.identity(path / 'exe') in self.files:
                    found.append(f'{path.name} {(path / "cmdline").read_text()}')
            except OSError:
                continue
        return found

    def members(self, name):
        """The processes in a container's control group."""
        group = next(iter(CGROUPS.glob(f'*/{self.parent}/{name}')), CGROUPS / self.parent / name)
        return [int(pid) for pid in (group / 'cgroup.procs').read_text().split()]

    def remove(self, name):
        """`delete --force` works, and nothing is there any longer."""
        done = self.call('delete', '--force', name)
        assert (done.returncode, done.stderr) == (0, '')
        assert not self.leftovers()
        wait_until(lambda: not self.processes(), 5)


def check_report(text, namespaces=NAMESPACES):
    """A marker's report names every layer, or there is none."""
    if not text:
        return
    found = {}
    assert text.endswith('end\n'), text
    for line in text.splitlines():
        key, _, value = line.partition(' ')
        found.setdefault(key, []).append(re.sub(r'\s+', ' ', value).strip())
    for row in ('Uid: 0 0 0 0', 'Gid: 0 0 0 0', 'NoNewPrivs: 1', 'Seccomp: 2', 'Groups:',
                *(f'Cap{kind}: 0000000000000000' for kind in ('Inh', 'Prm', 'Eff', 'Bnd', 'Amb'))):
        assert row in found['status'], (row, text)
    assert found['uid_map'] == [f'0 {UID_BASE} 65536']
    assert not set(found['ns']) & set(namespaces.values()), text
    assert len(found['ns']) == len(namespaces)
    assert all(line.endswith(':/') for line in found['cgroup']), text
    assert (found['memory'], found['pids']) == ([str(64 << 20)], ['64']), text
    assert found['fd'] == ['0', '1', '2'], text
    assert (found['cwd'], found['root']) == (['/'], ['own'])
    assert found['execute'] == ['Permission denied'], text
    assert found['securebits'] == ['0xca'], text
    assert found['packet'] == ['socket Address family not supported by protocol'], text


@pytest.fixture(scope='module')
def killer(programs, build):
    made = Killer(programs, build)
    yield made
    made.close()


def fresh(killer, *args):
    """The bundle of a new container and its id, which is also its control group's name."""
    name = f'c{killer.count + 1}'
    return killer.bundle(killer.config(*args, cgroupsPath=f'/{killer.parent}/{name}')), name


def make(killer, *args):
    """A created container: its bundle and id."""
    bundle, name = fresh(killer, *args)
    with open(bundle / 'out', 'wb') as to:
        subprocess.run([killer.program, '--root', killer.state, 'create', '--bundle', bundle, name], check=True,
                       stdin=subprocess.DEVNULL, stdout=to, stderr=to, timeout=20)
    return bundle, name


def begin(killer, *args):
    """A running one."""
    bundle, name = make(killer, *args)
    assert killer.call('start', name).returncode == 0
    return bundle, name


def create(killer, point):
    bundle, name = fresh(killer, '/bin/marker')
    status, calls = killer.kill(point, 'create', '--bundle', bundle, name, output=bundle / 'out')
    if status == 0 and killer.call('start', name).returncode == 0:
        wait_until((bundle / 'out').read_text, 5)
    killer.remove(name)
    check_report((bundle / 'out').read_text())
    return calls


def start(killer, point):
    bundle, name = make(killer, '/bin/marker')
    before = killer.members(name)
    status, calls = killer.kill(point, 'start', name, attach=before)
    # Asked to start before the one who asked died, the container goes on: time for it to show how.
    end = time.monotonic() + 0.1
    while killer.members(name) and time.monotonic() < end:
        time.sleep(0.005)
    killer.remove(name)
    text = (bundle / 'out').read_text()
    check_report(text)
    # The death of the container's process looks like the end of its program.
    assert status or text or (point and point[0] < len(before))
    return calls


def run(killer, point):
    bundle, name = fresh(killer, '/bin/marker')
    status, calls = killer.kill(point, 'run', '--bundle', bundle, name, output=bundle / 'out')
    killer.remove(name)
    text = (bundle / 'out').read_text()
    check_report(text)
    # It says that it succeeded only when the program ran.
    assert status or text
    return calls


def execute(killer, point):
    bundle, name = begin(killer, '/bin/sleep', '1000')
    before = killer.members(name)
    assert before
    status, calls = killer.kill(point, 'exec', name, '/bin/marker', attach=before, output=bundle / 'out')
    text = (bundle / 'out').read_text()
    check_report(text)
    assert status or text
    # What died was no process of the container: that goes on, alone, and takes the next one.
    if point and point[0] >= len(before):
        wait_until(lambda: killer.members(name) == before, 5)
        done = killer.call('exec', name, '/bin/marker')
        assert done.returncode == 0, done.stderr
        check_report(done.stdout)
    killer.remove(name)
    return calls


def delete(killer, point):
    _, name = begin(killer, '/bin/sleep', '1000')
    _, calls = killer.kill(point, 'delete', '--force', name)
    killer.remove(name)
    return calls


def points_of(calls):
    return [(number, call) for number, count in sorted(calls.items()) for call in range(1, count + 1)]


@pytest.mark.seconds(3600 if ALL else 60)
@pytest.mark.parametrize('command', [create, start, run, execute, delete], ids=lambda command: command.__name__)
def test_killed_after_every_system_call(killer, command):
    """ISO-2, crash safety: `delete --force` works whatever died, and nothing half confined ran."""
    points = points_of(command(killer, None))
    step = 1 if ALL else max(1, len(points) // SAMPLE)
    offset = random.randrange(step)
    print(f'{command.__name__}: {len(points)} calls, every {step} from {offset}')
    assert len(points) > 20
    for point in points[offset::step]:
        try:
            command(killer, point)
        except Exception as problem:
            raise AssertionError(f'{command.__name__} killed at {point[0]}:{point[1]}: {problem}') from problem


def test_what_died_before_it_took_its_group_harms_nobody_who_has_it(killer):
    """ISO-2: the folder of a start that was killed names a group that another container has by now."""
    group = f'{killer.parent}/shared'
    refused = f"bulkhead-runtime: config.json: linux.cgroupsPath: control group '{group}' is in use already\n"
    bundle = killer.bundle(killer.config('/bin/sleep', '1000', cgroupsPath=f'/{group}'))
    _, calls = killer.kill(None, 'create', '--bundle', bundle, 'dead')
    killer.remove('dead')
    taken = []
    for call in range(1, calls[0] + 1, max(1, calls[0] // 40)):
        killer.kill((0, call), 'create', '--bundle', bundle, 'dead')
        # What it made ends by itself, unless it was through.
        time.sleep(0.02)
        status, _ = killer.kill(None, 'run', '--detach', '--bundle', bundle, 'lives')
        taken.append(status != 0)
        if status:
            assert (killer.folder / 'errors').read_text() == refused
            killer.remove('dead')
            continue
        done = killer.call('delete', '--force', 'dead')
        assert (done.returncode, done.stderr) == (0, '')
        assert killer.status('lives')['status'] == 'running', call
        assert len(killer.members('shared')) > 0, call
        killer.remove('lives')
    assert True in taken and False in taken
