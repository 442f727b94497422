#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Containers that the probes run in, and what of the test's own lies outside for them to reach.

attack.py --runtime PROGRAM --probe PROGRAM [--off LAYER,...]... runs the suite and prints a line of JSON a probe."""
import argparse
import ctypes
import fcntl
import json
import mmap
import os
import pathlib
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import time

SECRET = b'BULKHEAD'
UID_BASE = 1900000000
GROUPS = pathlib.Path('/sys/fs/cgroup')
PROCESSES = 40
# The probes that take more memory than there is.
HOGS = ('memory_hog', 'file_hog', 'pipe_flood', 'socket_flood')
MEMORY = 32 << 20
SPACES = ('user', 'pid', 'network', 'ipc', 'uts', 'cgroup')
# Every layer that can be switched off, and what a container goes without then: those up to 'devices' are left out of
# config.json here, 'ceiling' by the scene that has one, the others by switches.c.
LAYERS = {
    'user': 'a user namespace with ids of its own',
    'pid': 'a pid namespace',
    'network': 'a network namespace',
    'ipc': 'an ipc namespace',
    'uts': 'a uts namespace',
    'cgroup': 'a cgroup namespace',
    'masks': 'masked paths',
    'noexec': 'mounts without programs',
    'readonly': 'read-only root, sysfs, control groups and protected paths',
    'limits': 'limits of memory, processes, processor and files',
    'devices': 'the list of devices of the control group',
    'dev': "a /dev of the runtime's own making",
    'ceiling': 'a ceiling on what of the host is mounted, held against what was opened',
    'capabilities': 'the computed capabilities, bounding set and locked secure bits',
    'cwd': 'the check that the working folder lies inside the root',
    'descriptors': 'close-on-exec on what came from the caller',
    'dumpable': 'processes that nobody may look into before they are confined',
    'executable': "the runtime's own program write-protected",
    'hooks': 'hooks with the environment of config.json alone',
    'landlock': 'Landlock',
    'no_new_privs': 'no_new_privs',
    'nodev': 'mounts without devices',
    'paths': 'paths resolved inside the root',
    'procfs': 'the check that procfs is procfs',
    'seccomp': 'the system call filter',
    'session': 'a session of its own',
    'sysctls': 'the list of settings that a container may have',
    'terminal': 'terminals opened through their devpts and never by a name',
}
MASKED = ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/acpi', '/proc/sysrq-trigger', '/sys/firmware']
READONLY = ['/proc/sys', '/proc/bus', '/proc/irq', '/proc/fs']

libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """The suite itself could not be run."""


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def file_handle(path):
    """The handle of a file as type:hexadecimal; '' where the file system has none."""
    class Handle(ctypes.Structure):
        _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('data', ctypes.c_ubyte * 128)]
    handle, mount = Handle(bytes=128), ctypes.c_int()
    if libc.name_to_handle_at(-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0) < 0:
        return ''
    return f'{handle.type}:{bytes(handle.data[:handle.bytes]).hex()}'


def machine():
    """The running kernel, and its best ABI of Landlock (0 without)."""
    return {'kernel': os.uname().release.partition('-')[0], 'landlock': max(0, libc.syscall(444, None, 0, 1))}


class Outside:
    """What belongs to the test and to no container: a victim process, a secret file, sockets, shared memory."""

    def __init__(self, folder):
        self.secret = folder / 'outside' / 'secret'
        self.secret.parent.mkdir(mode=0o700)
        self.secret.write_bytes(SECRET)
        self.secret.chmod(0o600)
        self.passed = folder / 'passed'
        self.passed.mkdir(mode=0o755)
        for name, mode in (('secret', 0o600), ('open', 0o644)):
            (self.passed / name).write_bytes(SECRET)
            (self.passed / name).chmod(mode)
        self.abstract = 'bulkhead-' + secrets.token_hex(8)
        self.sockets = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
        self.sockets[0].bind('\0' + self.abstract)
        self.sockets[1].bind(str(folder / 'outside' / 'socket'))
        for listening in self.sockets:
            listening.listen(16)
        self.key = 0x42480000 | int.from_bytes(os.urandom(2), 'big')
        self.segment = self._segment()
        self.victim, self.address = self._victim()
        self.friend = self._friend(folder / 'volume' / 'friend')

    def _segment(self):
        made = check(libc.shmget(self.key, 4096, 0o1600))
        libc.shmat.restype = ctypes.c_void_p
        at = libc.shmat(made, None, 0)
        ctypes.memmove(at, SECRET, len(SECRET))
        libc.shmdt(ctypes.c_void_p(at))
        return made

    @staticmethod
    def _victim():
        """A process that waits, and where in its memory the secret is."""
        memory = mmap.mmap(-1, 4096)
        memory.write(SECRET)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            while True:
                signal.pause()
        return pid, address

    def _friend(self, path):
        """A process that hands a folder of the host to whoever connects."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        path.chmod(0o666)
        listening.listen(16)
        passed = os.open(self.passed, os.O_RDONLY | os.O_DIRECTORY)
        pid = os.fork()
        if pid == 0:
            while True:
                peer, _ = listening.accept()
                socket.send_fds(peer, [b'x'], [passed])
                peer.close()
        os.close(passed)
        listening.close()
        return pid

    def facts(self):
        return {'victim': self.victim, 'address': self.address, 'secret': self.secret,
                'socket': self.secret.parent / 'socket', 'open': 'open',
                'handle': file_handle(self.secret), 'abstract': self.abstract,
                'network': os.readlink('/proc/self/ns/net'), 'names': os.readlink('/proc/self/ns/uts'),
                'segment': self.key, 'processes': PROCESSES, 'memory': MEMORY}

    def close(self):
        for pid in (self.victim, self.friend):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        check(libc.shmctl(self.segment, 0, None))
        for listening in self.sockets:
            listening.close()


class Attack:
    """The suite with one runtime: off names the layers that its containers go without."""

    def __init__(self, runtime, probe, off=()):
        self.runtime = str(runtime)
        self.off = frozenset(off)
        where = os.environ.get('ATTACK_DIR', '/var/tmp')
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-attack-', dir=where))
        self.folder.chmod(0o755)
        self.parent = 'bht-' + secrets.token_hex(4)
        self.count = 0
        self.owner = 0 if 'user' in self.off else UID_BASE
        self.facts = {}
        # {race: (starts, swaps)}
        self.raced = {}
        self.probe = probe
        self.root = self.make_root('root')
        (self.folder / 'volume').mkdir()
        os.chown(self.folder / 'volume', self.owner, self.owner)
        self.outside = Outside(self.folder)
        # What a caller forgot to close; and the terminal that it was started from.
        self.leaked = os.open(self.outside.secret.parent, os.O_RDONLY | os.O_DIRECTORY)
        self.terminal = os.openpty()

    def make_root(self, name):
        """The root of an image with nothing but the probe."""
        root = self.folder / name
        for below in ('proc', 'sys', 'dev/pts', 'dev/shm', 'tmp', 'data', 'volume'):
            (root / below).mkdir(parents=True)
        os.mknod(root / 'dev' / 'null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
        (root / 'dev' / 'ptmx').symlink_to('pts/ptmx')
        shutil.copy(self.probe, root / 'probe')
        (root / 'data' / 'file').write_text('of the image\n')
        for path in [root, *root.rglob('*')]:
            os.chown(path, self.owner, self.owner, follow_symlinks=False)
        return root

    def config(self, *args, root=None):
        """A config.json of a container with every layer but those that are off."""
        spaces = [{'type': kind} for kind in SPACES if kind not in self.off]
        made = {
            'ociVersion': '1.2.0',
            'process': {'user': {'uid': 0, 'gid': 0}, 'args': [str(word) for word in args], 'cwd': '/', 'env': []},
            'root': {'path': str(root or self.root), 'readonly': 'readonly' not in self.off},
            'mounts': self._mounts(),
            'linux': {'namespaces': [{'type': 'mount'}] + spaces, 'cgroupsPath': f'/{self.parent}/c{self.count}',
                      'maskedPaths': [] if 'masks' in self.off else MASKED,
                      'readonlyPaths': [] if 'readonly' in self.off else READONLY, 'resources': {}},
        }
        if 'user' not in self.off:
            maps = [{'containerID': 0, 'hostID': UID_BASE, 'size': 65536}]
            made['linux'].update(uidMappings=maps, gidMappings=maps)
        if 'limits' not in self.off:
            made['linux']['resources'] = {'memory': {'limit': MEMORY, 'swap': MEMORY}, 'pids': {'limit': PROCESSES}}
        if 'devices' in self.off:
            made['linux']['resources']['devices'] = [{'allow': True, 'access': 'rwm'}]
        return made

    def _mounts(self):
        plain = ['nosuid', 'nodev'] + ([] if 'noexec' in self.off else ['noexec'])
        shared = 'rw' if 'readonly' in self.off else 'ro'
        room = ['size=0', 'nr_inodes=0'] if 'limits' in self.off else ['size=16m']
        return [
            # First, so that it is attached once: that is what switches.c leaves out.
            {'destination': '/dev', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['nosuid', 'mode=755', 'size=64k']},
            self._kernel_mount('/proc', 'proc', 'pid', plain),
            {'destination': '/dev/pts', 'type': 'devpts', 'source': 'devpts',
             'options': ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620']},
            {'destination': '/dev/shm', 'type': 'tmpfs', 'source': 'shm', 'options': plain + ['mode=1777', 'size=8m']},
            self._kernel_mount('/sys', 'sysfs', 'network', plain + [shared]),
            {'destination': '/sys/fs/cgroup', 'type': 'cgroup', 'source': 'cgroup', 'options': [shared]},
            {'destination': '/tmp', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['mode=1777', *room]},
            {'destination': '/volume', 'type': 'bind', 'source': str(self.folder / 'volume'), 'options': ['bind']},
        ]

    def _kernel_mount(self, path, kind, space, options):
        """A file system of its own; what shows a namespace of the host cannot be made in a user namespace."""
        if space in self.off and 'user' not in self.off:
            return {'destination': path, 'type': 'bind', 'source': path, 'options': ['rbind', *options]}
        return {'destination': path, 'type': kind, 'source': kind, 'options': options}

    def is_bare(self):
        return self.off == set(LAYERS)

    def call(self, *words, environment=None, preexec_fn=None, before=(), **more):
        """
        Runs the runtime from a terminal of its own unless stdin says otherwise; returns the finished process. before
        goes before the command.
        """
        def prepare():
            if more['stdin'] == self.terminal[1]:
                fcntl.ioctl(self.terminal[1], termios.TIOCSCTTY, 0)
            if preexec_fn:
                preexec_fn()
        more = {'stdin': self.terminal[1], 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **more}
        environment = dict(os.environ, BULKHEAD_LAYERS_OFF=','.join(sorted(self.off)), **(environment or {}))
        command = [self.runtime, '--root', self.folder / 'state', *before, *words]
        return subprocess.run([str(word) for word in command], text=True, timeout=120, check=False,
                              env=environment, start_new_session=True, preexec_fn=prepare,
                              pass_fds=(self.leaked, self.terminal[1]), **more)

    def bundle(self, config):
        self.count += 1
        folder = self.folder / f'b{self.count}'
        folder.mkdir()
        config['linux']['cgroupsPath'] = f'/{self.parent}/c{self.count}'
        (folder / 'config.json').write_text(json.dumps(config))
        return folder

    def run(self, config, **more):
        """`run` of a container to its end."""
        folder = self.bundle(config)
        return self.call('run', '--bundle', folder, f'c{self.count}', **more)

    def start(self, config, to):
        """Creates and starts a container that goes on, its output to the file; returns its id."""
        folder = self.bundle(config)
        name = f'c{self.count}'
        for words in (('create', '--bundle', folder, name), ('start', name)):
            # Not from the terminal: its session's end would be that of a container without a session of its own.
            done = self.call(*words, stdin=subprocess.DEVNULL, stdout=to, stderr=to)
            if done.returncode:
                to.flush()
                raise Failure(f'{words[0]} ended with {done.returncode}: {pathlib.Path(to.name).read_text()}')
        return name

    def entered(self):
        """Tries all probes in a process that `exec` puts into a running container."""
        with open(self.folder / 'entered', 'wb') as to:
            name = self.start(self.config('/probe', 'wait'), to)
        return self._tried([], lambda words: self.call('exec', name, *words))

    def _tried(self, names, run):
        """
        The results of the named probes, or of all, by the finished process that run(words) returns. Where a container
        is out of memory the kernel may end all of it instead of the one that took too much: that holds too, and the
        rest is tried anew.
        """
        left = list(names) or [row['name'] for row in listed(self.probe)]
        rows = []
        while left:
            done = run(self.words(*left))
            rows += [json.loads(line) for line in done.stdout.splitlines()]
            left = [name for name in left if name not in {row['name'] for row in rows}]
            if done.returncode == 0:
                break
            if done.returncode != 128 + signal.SIGKILL or left[:1] not in ([name] for name in HOGS):
                raise Failure(f'the probe ended with {done.returncode} in {left[:1]}: {done.stdout}{done.stderr}')
            progress(f'all of the container was killed in {left[0]}')
            rows.append({'name': left.pop(0), 'result': 'held', 'error': 'KILL'})
        return rows

    def words(self, *names):
        """The command line that runs these probes inside, or all."""
        facts = dict(self.outside.facts(), **self.facts)
        return ['/probe', 'run', *names, *(f'{key}={value}' for key, value in facts.items())]

    def inside(self, *names, config=None, **more):
        """Tries the named probes, or all, in one container; [{'name', 'result', 'error'}]."""
        config = config or self.config()

        def run(words):
            config['process']['args'] = words
            return self.run(config, **more)
        return self._tried(names, run)

    def close(self):
        state = self.folder / 'state'
        for path in state.glob('*') if state.exists() else []:
            self.call('delete', '--force', path.name)
        for group in [*GROUPS.glob(f'*/{self.parent}'), GROUPS / self.parent]:
            if group.exists():
                remove_group(group)
        self.outside.close()
        for fd in (self.leaked, *self.terminal):
            os.close(fd)
        shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def remove_group(group):
    for below in [path for path in group.glob('*/') if path.is_dir()] + [group]:
        end = time.monotonic() + 5
        while (below / 'cgroup.procs').read_text() and time.monotonic() < end:
            time.sleep(0.01)
        below.rmdir()


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure('this did not come about in time')
        time.sleep(0.01)


def layers_off(text):
    """The layers that 'LAYER,...', 'all' or 'all-but:LAYER,...' leaves out."""
    if text == 'all':
        return sorted(LAYERS)
    kept = text.startswith('all-but:')
    words = [word for word in text.removeprefix('all-but:').split(',') if word]
    unknown = set(words) - set(LAYERS)
    if unknown:
        raise Failure(f"there is no layer '{sorted(unknown)[0]}'")
    return sorted(set(LAYERS) - set(words)) if kept else sorted(words)


def listed(probe):
    """[{'name', 'about', 'shape'}] of the program's probes."""
    return [json.loads(line) for line in subprocess.check_output([probe, 'list'], text=True).splitlines()]


def progress(text):
    """Says on standard error what is tried now, and when since the machine's start: for who asks why it takes long."""
    print(f'[{time.clock_gettime(time.CLOCK_BOOTTIME):8.2f}] {text}', file=sys.stderr, flush=True)


def run_all(attack, names=()):
    """[{'name', 'result', 'error'}] of the named ways out, or of all: the program's and the scenes'."""
    import scenes  # it needs this module first
    of_program = [row['name'] for row in listed(attack.probe) if not names or row['name'] in names]
    return (attack.inside(*of_program) if of_program else []) + scenes.run_all(attack, names)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runtime', required=True)
    parser.add_argument('--probe', required=True)
    parser.add_argument('--off', action='append', default=[], help="LAYER,... or 'all' or 'all-but:LAYER,...'")
    parser.add_argument('--exec', action='store_true', help='the probes in a process that `exec` puts in')
    parser.add_argument('--only', default='', help='NAME,... of the ways out to try')
    parser.add_argument('--device', default='0:0', help='MAJOR:MINOR of a block device that begins with the secret')
    options = parser.parse_args()
    print(json.dumps(machine()), flush=True)
    for row in options.off or ['']:
        with Attack(options.runtime, options.probe, layers_off(row)) as attack:
            attack.facts.update(zip(('major', 'minor'), map(int, options.device.split(':'))))
            progress(f"the program, with '{row}' off")
            names = [word for word in options.only.split(',') if word]
            for result in attack.entered() if options.exec else run_all(attack, names):
                print(json.dumps(dict(result, off=row)), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
