# SPDX-License-Identifier: Apache-2.0
"""What one container that takes all it can does to the answers of another: the p99 of a small request loop beside each
kind of hog, over the p99 of the same loop in the quiet second before. All kinds have their turn in each round, and what
counts is the median of the rounds: what else the machine does meets some rounds, not one kind. A hog that does nothing
is an error. The neighbour has declared a processor; the hog has the limits a container gets by default. Each has a
control group of its own at the top: of a parent they shared the hog would use up the neighbour's part. `disk` has a
rate for its disk besides, for there is none by default; it writes past the page cache, as version 1 limits that alone.
"""
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / 'tests' / 'system'))

from support_runtime import CGROUPS, UID_BASE, Runtime  # noqa: E402

BUILD = pathlib.Path(os.environ['BULKHEAD_BUILD'])
ROUNDS = int(os.environ.get('BULKHEAD_BENCH_ROUNDS', '7'))
SECONDS = 1
DISK_RATE = 16 << 20
WINDOW_MS = 100
HOGS = ('processes', 'memory', 'bytes', 'inodes', 'volume', 'pipes', 'sockets', 'lines', 'processor', 'disk')
HOG_LIMITS = {'memory': {'limit': 128 << 20}, 'pids': {'limit': 256},
              'cpu': {'shares': 512, 'quota': 50000, 'period': 100000}}
OWN_LIMITS = {'memory': {'limit': 64 << 20}, 'pids': {'limit': 64},
              'cpu': {'shares': 1024, 'quota': 100000, 'period': 100000}}


class Volume:
    """A file system of its own in a file, for what writes to disk."""

    def __init__(self, folder):
        self.at = folder / 'volume'
        self.at.mkdir()
        file = folder / 'volume.ext4'
        with open(file, 'wb') as to:
            to.truncate(128 << 20)
        subprocess.run(['mkfs.ext4', '-q', '-N', '4096', str(file)], check=True)
        subprocess.run(['mount', '-o', 'loop', str(file), str(self.at)], check=True)
        self.at.chmod(0o777)
        device = self.at.stat().st_dev
        self.limits = {'blockIO': {'throttleWriteBpsDevice': [
            {'major': os.major(device), 'minor': os.minor(device), 'rate': DISK_RATE}]}}

    def close(self):
        subprocess.run(['umount', str(self.at)], check=True)


class Flood:
    """A supervisor with a container that writes log lines: they pass through it into files."""

    def __init__(self, runtime, config):
        self.runtime = runtime
        self.dir = runtime.folder / 'pod'
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir()
        (self.dir / 'pod.json').write_text(json.dumps({
            'uid': '0f0e', 'hostname': 'pod', 'uidBase': UID_BASE, 'uidCount': 65536, 'sysctls': {},
            'logDir': str(runtime.folder / 'logs'), 'runtimeRoot': str(runtime.state), 'cgroup': f'/{runtime.parent}'}))
        done = runtime.call('supervise', '--dir', self.dir)
        assert done.returncode == 0, done.stderr
        self.client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.client.connect(str(self.dir / 'control'))
        spaces = json.loads((self.dir / 'state.json').read_text())['namespaces']
        config['linux']['namespaces'] = [{'type': kind, 'path': path} for kind, path in spaces.items()]
        config['linux']['namespaces'] += [{'type': kind} for kind in ('mount', 'pid', 'cgroup')]
        del config['linux']['uidMappings'], config['linux']['gidMappings'], config['hostname']
        self.ask(op='start', container='hog', id='flood', bundle=str(runtime.bundle(config)), attempt=0)

    def ask(self, **request):
        self.client.send(json.dumps(request).encode())
        while True:
            answer = json.loads(self.client.recv(65536))
            if 'event' not in answer:
                assert answer['ok'], answer
                return

    def close(self):
        self.ask(op='shutdown')
        self.client.close()


class Bench:
    def __init__(self):
        self.runtime = Runtime(BUILD / 'src' / 'runtime' / 'bulkhead-runtime')
        for name in ('hog', 'reply'):
            shutil.copy(BUILD / 'tests' / 'programs' / name, self.runtime.folder / 'rootfs' / 'bin' / name)
        self.volume = Volume(self.runtime.folder)
        self.answers = self.runtime.folder / 'answers'

    def hog_config(self, kind):
        place = {'volume': '/data', 'disk': '/data'}.get(kind, '/tmp')
        config = self.runtime.config('/bin/hog', 'forever', 'inodes' if kind == 'volume' else kind, place,
                                     resources=dict(HOG_LIMITS, **(self.volume.limits if kind == 'disk' else {})))
        # A group of its own beside the neighbour's: what it uses must not count against those it shares a parent with.
        config['linux']['cgroupsPath'] = f'/{self.runtime.parent}-hog/{kind}'
        config['mounts'][7]['options'] = ['mode=1777']
        config['mounts'].append({'destination': '/data', 'type': 'bind', 'source': str(self.volume.at),
                                 'options': ['bind']})
        return config

    def neighbour(self):
        """Starts the request loop, its times going to a file."""
        bundle = self.runtime.bundle(self.runtime.config('/bin/reply', str(WINDOW_MS), resources=OWN_LIMITS))
        with open(self.answers, 'wb') as to:
            subprocess.run([self.runtime.program, '--root', self.runtime.state, 'create', '--bundle', bundle, 'reply'],
                           check=True, stdin=subprocess.DEVNULL, stdout=to)
        assert self.runtime.call('start', 'reply').returncode == 0

    def times(self, spans):
        """The times of all windows that lie within the spans, in microseconds."""
        found = []
        for line in self.answers.read_text().splitlines()[:-1]:
            end, *each = [int(word) for word in line.split()]
            if any(begin + WINDOW_MS * 1_000_000 <= end <= to for begin, to in spans):
                found += [value / 1000 for value in each]
        return found

    def span(self):
        begin = time.monotonic_ns()
        time.sleep(SECONDS)
        return begin, time.monotonic_ns()

    def used(self, kind):
        """The processor's time that the hog has had, in seconds."""
        legacy, below = CGROUPS / 'cpuacct', f'{self.runtime.parent}-hog/{kind}'
        if legacy.exists():
            return int((legacy / below / 'cpuacct.usage').read_text()) / 1e9
        return int((CGROUPS / below / 'cpu.stat').read_text().split()[1]) / 1e6

    def loud(self, kind):
        """A span with a hog that is seen to have worked: soon lines wait for the supervisor, `disk` for the disk."""
        found = self.span()
        file = self.volume.at / 'direct'
        works = file.exists() and file.stat().st_size > 0 if kind == 'disk' else self.used(kind) > 0.005
        assert works, f'the hog of {kind} does nothing'
        return found

    def beside(self, kind):
        """The spans of one quiet and one loud time."""
        quiet = self.span()
        if kind == 'lines':
            flood = Flood(self.runtime, self.hog_config(kind))
            try:
                loud = self.loud(kind)
            finally:
                flood.close()
        else:
            bundle = self.runtime.bundle(self.hog_config(kind))
            name = f'hog{self.runtime.count}'
            null = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
            subprocess.run([self.runtime.program, '--root', self.runtime.state, 'create', '--bundle', bundle, name],
                           check=True, **null)
            assert self.runtime.call('start', name).returncode == 0
            try:
                loud = self.loud(kind)
            finally:
                assert self.runtime.call('delete', '--force', name).returncode == 0
        return quiet, loud

    def close(self):
        self.runtime.call('delete', '--force', 'reply')
        for group in [*CGROUPS.glob(f'*/{self.runtime.parent}-hog'), *CGROUPS.glob(f'{self.runtime.parent}-hog')]:
            group.rmdir()
        self.volume.close()
        self.runtime.close()


def p99(values):
    return sorted(values)[int(len(values) * 0.99)]


def measure(bench):
    bench.neighbour()
    rounds = [{kind: bench.beside(kind) for kind in HOGS} for _ in range(ROUNDS)]
    results = []
    for kind in HOGS:
        pairs = [[p99(bench.times([span])) for span in each[kind]] for each in rounds]
        quiet, loud = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
        results.append({'name': f'p99_beside_{kind}', 'value': loud, 'unit': 'us', 'peer': f'quiet {quiet:.0f} us',
                        'ratio': statistics.median(loud / quiet for quiet, loud in pairs)})
    return results


def main():
    bench = Bench()
    try:
        print(json.dumps({'results': measure(bench)}))
    finally:
        bench.close()


if __name__ == '__main__':
    main()
