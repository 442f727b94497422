# SPDX-License-Identifier: Apache-2.0
"""bulkhead-runtime beside crun and runc: the same bundle, in turns, so that what else the machine does meets all alike.

`run_hardened` is /bin/true with a user namespace and six others, limits for processor, memory and processes, and a
filter of all calls of the built-in profile; ours adds Landlock. `run_joined_netns` joins a network namespace that is
there. `sparse` leaves 200 ms between starts, as in real life: there the kernel's grace periods show that back-to-back
starts share. State folders lie in memory, as /run does. Times are those of the spawned process alone."""
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
ROUNDS = int(os.environ.get('BULKHEAD_BENCH_ROUNDS', '100'))
CAPABILITIES = ('bounding', 'effective', 'permitted', 'inheritable', 'ambient')
NAMESPACES = ('pid', 'network', 'ipc', 'uts', 'mount', 'cgroup', 'user')


def allowed_calls():
    """The names of the built-in profile's plain list."""
    text = (TOP / 'src/sandbox/seccomp_default.c').read_text()
    table = re.search(r'allowed\[\] =(.*?);', text, re.S).group(1)
    return re.findall(r'"(\w+)\\0"', table) + ['clone', 'socket', 'socketpair', 'ioctl', 'setsockopt', 'personality']


def config(root, *args, netns=None, group='box'):
    mounts = [{'destination': '/proc', 'type': 'proc', 'source': 'proc', 'options': ['nosuid', 'noexec', 'nodev']},
              {'destination': '/dev', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['nosuid', 'mode=755']},
              {'destination': '/dev/pts', 'type': 'devpts', 'source': 'devpts',
               'options': ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620']},
              {'destination': '/dev/shm', 'type': 'tmpfs', 'source': 'shm', 'options': ['nosuid', 'noexec', 'nodev']},
              {'destination': '/dev/mqueue', 'type': 'mqueue', 'source': 'mqueue', 'options': ['nosuid', 'nodev']}]
    ids = [{'containerID': 0, 'hostID': 1900000000, 'size': 65536}]
    spaces = [{'type': kind} for kind in NAMESPACES]
    if netns:
        spaces[NAMESPACES.index('network')]['path'] = netns
    return {'ociVersion': '1.0.2', 'hostname': 'bench', 'mounts': mounts, 'root': {'path': str(root), 'readonly': True},
            'process': {'user': {'uid': 0, 'gid': 0}, 'args': list(args), 'cwd': '/', 'env': ['PATH=/bin'],
                        'noNewPrivileges': True, 'capabilities': {kind: [] for kind in CAPABILITIES}},
            'linux': {'namespaces': spaces, 'uidMappings': ids, 'gidMappings': ids,
                      'cgroupsPath': f'/bulkhead-bench-{group}',
                      'resources': {'memory': {'limit': 64 << 20}, 'pids': {'limit': 64},
                                    'cpu': {'quota': 100000, 'period': 100000}},
                      'maskedPaths': ['/proc/kcore', '/proc/keys', '/proc/timer_list'],
                      'readonlyPaths': ['/proc/sys', '/proc/bus', '/proc/irq'],
                      'seccomp': {'defaultAction': 'SCMP_ACT_ERRNO', 'architectures': ['SCMP_ARCH_X86_64'],
                                  'syscalls': [{'names': allowed_calls(), 'action': 'SCMP_ACT_ALLOW'}]}}}


def make_bundle(folder, *args, **more):
    root = folder.parent / 'root'
    if not root.exists():
        for name in ('bin', 'proc', 'dev', 'sys', 'etc', 'tmp'):
            (root / name).mkdir(parents=True)
        shutil.copy(shutil.which('busybox'), root / 'bin/busybox')
        for name in ('true', 'sleep'):
            (root / 'bin' / name).symlink_to('busybox')
    folder.mkdir()
    (folder / 'config.json').write_text(json.dumps(config(root, *args, **more)))
    return str(folder)


def spend(command):
    """Milliseconds of a command that must succeed."""
    quiet = [(os.POSIX_SPAWN_OPEN, fd, '/dev/null', os.O_RDWR, 0) for fd in (0, 1)]
    started = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status = os.waitpid(pid, 0)
    spent = 1000 * (time.perf_counter() - started)
    if status:
        raise subprocess.CalledProcessError(status, command)
    return spent


def in_turns(commands, rounds=ROUNDS, pause=0.0, before=None):
    """{name: sorted milliseconds}"""
    times = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            if before:
                before(name)
            time.sleep(pause)
            times[name].append(spend(command))
    return {name: sorted(found) for name, found in times.items()}


def row(name, found, unit='ms'):
    """Our value beside each peer's; the ratio is to the first."""
    peers = {peer: value for peer, value in found.items() if peer != 'ours'}
    first = next(iter(peers.values()))
    return {'name': name, 'value': round(found['ours'], 2), 'unit': unit, 'ratio': round(found['ours'] / first, 3),
            'peer': ', '.join(f'{peer} {value:.2f}' for peer, value in peers.items())}


def times_row(name, found):
    """The medians, and beside them each one's 99th of 100."""
    made = row(name, {who: statistics.median(times) for who, times in found.items()})
    late = row(name, {who: times[int(0.99 * (len(times) - 1))] for who, times in found.items()})
    return {**made, 'p99': late['value'], 'p99_ratio': late['ratio'], 'p99_peer': late['peer']}


def peak_memory(command):
    """KiB of the largest process of a command. Started by a program smaller than any of them, as a peak counts what the
    process was before it executed; busybox takes the kernel's KiB for pages."""
    done = subprocess.run(['busybox', 'time', '-f', '%M', *command], stdin=subprocess.DEVNULL, text=True, check=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return int(done.stderr.split()[-1]) * 1024 // os.sysconf('SC_PAGESIZE')


def memory_of(pid):
    """KiB of a process, its share of what others map too."""
    text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
    return int(re.search(r'^Pss:\s+(\d+)', text, re.M).group(1))


def join_pod(path, namespaces):
    """Has a bundle's container use the namespaces of its pod."""
    spec = json.loads(path.read_text())
    for one in spec['linux']['namespaces']:
        if one['type'] in namespaces:
            one['path'] = namespaces[one['type']]
    for key in ('uidMappings', 'gidMappings'):
        del spec['linux'][key]
    del spec['hostname']
    path.write_text(json.dumps(spec))


class Bench:
    def __init__(self, folder):
        self.folder = folder
        ours = os.environ['BULKHEAD_BUILD'] + '/src/runtime/bulkhead-runtime'
        peers = {name: shutil.which(name, path='/usr/bin:/usr/sbin') for name in ('crun', 'runc')}
        self.programs = {'ours': ours, **{name: path for name, path in peers.items() if path}}
        self.state = folder / 'state'
        self.state.mkdir()
        subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', self.state], check=True)

    def commands(self, *words):
        return {name: [path, '--root', str(self.state / name), *words] for name, path in self.programs.items()}

    def each(self, name, *words):
        return subprocess.run(self.commands(*words)[name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False)

    def exec_rows(self, bundle):
        for name in self.programs:
            self.each(name, 'run', '--detach', '--bundle', bundle, f'box-{name}')
        commands = {name: [*command, f'box-{name}', '/bin/true'] for name, command in self.commands('exec').items()}
        yield times_row('exec_hardened', in_turns(commands))
        yield times_row('exec_hardened sparse', in_turns(commands, rounds=ROUNDS // 3, pause=0.2))
        for name in self.programs:
            self.each(name, 'delete', '--force', f'box-{name}')

    def delete_row(self, bundle):
        def stopped(name):
            self.each(name, 'create', '--bundle', bundle, 'gone')
            self.each(name, 'kill', 'gone', 'KILL')
            time.sleep(0.05)
        return in_turns(self.commands('delete', 'gone'), rounds=ROUNDS // 2, before=stopped)

    def joined_rows(self):
        holder = subprocess.Popen(['unshare', '--net', 'sleep', '1000'])
        try:
            time.sleep(0.2)
            bundle = make_bundle(self.folder / 'joined', '/bin/true', netns=f'/proc/{holder.pid}/ns/net')
            run = self.commands('run', '--bundle', bundle, 'bench')
            yield times_row('run_joined_netns', in_turns(run))
            yield times_row('run_joined_netns sparse', in_turns(run, rounds=ROUNDS // 3, pause=0.2))
        finally:
            holder.kill()
            holder.wait()

    def rate(self, name, starts=100):
        """Starts in a second by two who start one after the other."""
        def work(number):
            for _ in range(starts // 2):
                spend(self.commands('run', '--bundle', str(self.folder / f'rate{number}'), f'rate{number}')[name])
        workers = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        started = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return starts / (time.perf_counter() - started)

    def rate_row(self):
        for number in range(2):
            make_bundle(self.folder / f'rate{number}', '/bin/true', group=f'rate{number}')
        rounds = [{name: self.rate(name) for name in self.programs} for _ in range(3)]
        return {name: statistics.median(one[name] for one in rounds) for name in self.programs}

    def version_row(self):
        source, trivial = self.folder / 'trivial.c', self.folder / 'trivial'
        source.write_text('int main(void)\n{\n\treturn 0;\n}\n')
        subprocess.run(['cc', '-O2', '-static', '-o', trivial, source], check=True)
        versions = {name: [path, '--version'] for name, path in self.programs.items()}
        return in_turns({'ours': versions.pop('ours'), 'a trivial static program': [str(trivial)], **versions})

    def mounts(self, name, bundle):
        self.each(name, 'run', '--detach', '--bundle', bundle, 'mounts')
        shown = subprocess.run(self.commands('state', 'mounts')[name], text=True, capture_output=True, check=True)
        pid = json.loads(shown.stdout)['pid']
        count = len(pathlib.Path(f'/proc/{pid}/mountinfo').read_text().splitlines())
        self.each(name, 'delete', '--force', 'mounts')
        return count

    def supervised(self, bundle):
        """KiB of a supervisor with one container that runs, after the half second that it stays awake."""
        pod, client = self.folder / 'pod', socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pod.mkdir()
        (pod / 'pod.json').write_text(json.dumps({
            'uid': 'bench', 'hostname': 'bench', 'uidBase': 1900000000, 'uidCount': 65536, 'sysctls': {},
            'logDir': str(self.folder / 'logs'), 'runtimeRoot': str(self.state / 'pod'), 'cgroup': '/bulkhead-bench'}))
        subprocess.run([self.programs['ours'], 'supervise', '--dir', str(pod)], check=True)
        client.connect(str(pod / 'control'))
        try:
            state = json.loads((pod / 'state.json').read_text())
            join_pod(pathlib.Path(bundle) / 'config.json', state['namespaces'])
            client.send(json.dumps({'op': 'start', 'container': 'a', 'id': 'a', 'bundle': bundle}).encode())
            assert json.loads(client.recv(65536))['ok']
            time.sleep(1.5)
            return memory_of(state['pid'])
        finally:
            client.send(b'{"op":"shutdown"}')
            client.recv(65536)

    def monitored(self, bundle):
        """KiB of conmon with one container of crun."""
        own = self.folder / 'conmon'
        own.mkdir()
        files = {name: str(own / name) for name in ('conmon.pid', 'container.pid', 'conmon.log')}
        subprocess.run(['conmon', '--cid', 'monitored', '--cuuid', 'monitored', '--runtime', self.programs['crun'],
                        '--runtime-arg', '--root', '--runtime-arg', str(self.state / 'crun'), '--bundle', bundle,
                        '--container-pidfile', files['container.pid'], '--conmon-pidfile', files['conmon.pid'],
                        '--log-path', 'k8s-file:' + files['conmon.log'], '--socket-dir-path', str(own),
                        '--exit-dir', str(own)], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        try:
            self.each('crun', 'start', 'monitored')
            time.sleep(1)
            return memory_of(int(pathlib.Path(files['conmon.pid']).read_text()))
        finally:
            self.each('crun', 'delete', '--force', 'monitored')

    def supervisor_row(self):
        ours = make_bundle(self.folder / 'supervised', '/bin/sleep', '1000', group='supervised')
        theirs = make_bundle(self.folder / 'monitored', '/bin/sleep', '1000', group='monitored')
        if shutil.which('conmon') and 'crun' in self.programs:
            return row('supervisor_pss', {'ours': self.supervised(ours), 'conmon': self.monitored(theirs)}, 'KiB')
        return {'name': 'supervisor_pss', 'value': self.supervised(ours), 'unit': 'KiB'}

    def rows(self):
        true = make_bundle(self.folder / 'true', '/bin/true')
        sleep = make_bundle(self.folder / 'sleep', '/bin/sleep', '1000')
        full = make_bundle(self.folder / 'full', '/bin/sleep', '1000')
        complete(pathlib.Path(full) / 'config.json')
        run = self.commands('run', '--bundle', true, 'bench')
        yield times_row('run_hardened', in_turns(run))
        yield times_row('run_hardened sparse', in_turns(run, rounds=ROUNDS // 3, pause=0.2))
        yield from self.joined_rows()
        yield row('rate_p2', self.rate_row(), 'starts/s')
        yield from self.exec_rows(sleep)
        yield times_row('delete', self.delete_row(true))
        yield times_row('version', self.version_row())
        yield row('size', {'ours': os.path.getsize(self.programs['ours']) / 1e6,
                           'crun': os.path.getsize(self.programs['crun']) / 1e6}, 'MB')
        yield row('peak_memory', {name: peak_memory(command) for name, command in run.items()}, 'KiB')
        yield self.supervisor_row()
        yield row('mounts', {name: self.mounts(name, full) for name in self.programs}, 'mounts')


def complete(path):
    """Mounts and paths as the engines of the field write them."""
    spec = json.loads(path.read_text())
    spec['mounts'] += [{'destination': '/sys', 'type': 'sysfs', 'source': 'sysfs',
                        'options': ['nosuid', 'noexec', 'nodev', 'ro']},
                       {'destination': '/sys/fs/cgroup', 'type': 'cgroup', 'source': 'cgroup',
                        'options': ['nosuid', 'noexec', 'nodev', 'relatime', 'ro']}]
    spec['linux']['maskedPaths'] = ['/proc/acpi', '/proc/asound', '/proc/kcore', '/proc/keys', '/proc/latency_stats',
                                    '/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi',
                                    '/sys/firmware', '/sys/devices/virtual/powercap']
    spec['linux']['readonlyPaths'] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']
    path.write_text(json.dumps(spec))


def main():
    with tempfile.TemporaryDirectory(prefix='bench-', dir='/var/tmp') as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        try:
            results = list(Bench(folder).rows())
        finally:
            subprocess.run(['umount', folder / 'state'], check=True)
    for group in pathlib.Path('/sys/fs/cgroup').glob('*/bulkhead-bench-*'):
        # What the uncovered folder of the v2 tree got is plain files.
        if not os.path.ismount(group.parent):
            shutil.rmtree(group)
            continue
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    print(json.dumps({'results': results}))


def hidden():
    """crun refuses machines with cgroup v1 beside v2, so all run where the empty v2 tree is not mounted."""
    if os.path.isdir('/sys/fs/cgroup/unified'):
        subprocess.run(['umount', '/sys/fs/cgroup/unified'], check=True)
    main()


if __name__ == '__main__':
    if 'BENCH_INSIDE' in os.environ:
        hidden()
    else:
        os.execvpe('unshare', ['unshare', '--mount', '--propagation', 'private', sys.executable, __file__],
                   dict(os.environ, BENCH_INSIDE='1'))
