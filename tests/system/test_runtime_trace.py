# SPDX-License-Identifier: Apache-2.0
"""The system calls of the runtime: once the root is open everything goes by descriptor, nothing by path and nothing
falls back to one; a process cannot be looked into before it joins a namespace; descriptors are close-on-exec from birth
(ISO-2)."""
import os
import re
import shutil
import subprocess

import pytest

import support_trace
from support_runtime import Runtime, needs_layer

# Calls with paths: (index of the descriptor or None, index of the path).
PATHS = {
    'openat': [(0, 1)], 'openat2': [(0, 1)], 'open_tree': [(0, 1)], 'move_mount': [(0, 1), (2, 3)], 'fspick': [(0, 1)],
    'mount_setattr': [(0, 1)], 'umount2': [(None, 0)], 'pivot_root': [(None, 0), (None, 1)], 'chdir': [(None, 0)],
    'mkdirat': [(0, 1)], 'mknodat': [(0, 1)], 'symlinkat': [(1, 2)], 'linkat': [(0, 1), (2, 3)], 'unlinkat': [(0, 1)],
    'renameat': [(0, 1), (2, 3)], 'renameat2': [(0, 1), (2, 3)], 'fchownat': [(0, 1)], 'fchmodat': [(0, 1)],
    'fchmodat2': [(0, 1)], 'newfstatat': [(0, 1)], 'statx': [(0, 1)], 'faccessat': [(0, 1)], 'faccessat2': [(0, 1)],
    'readlinkat': [(0, 1)], 'readlink': [(None, 0)], 'access': [(None, 0)], 'statfs': [(None, 0)],
    'utimensat': [(0, 1)], 'truncate': [(None, 0)], 'execveat': [(0, 1)],
}
# Ways by path that have a way by descriptor: never taken, at no time.
FORBIDDEN = set('mount umount chroot open creat stat lstat mkdir mknod symlink link unlink rename rmdir chmod chown '
                'lchown setxattr lsetxattr removexattr inotify_add_watch open_by_handle_at uselib swapon'.split())
# These do not follow a link in the last part of the name, by their nature or with the flag.
NOFOLLOW = {'mkdirat', 'mknodat', 'symlinkat', 'unlinkat', 'renameat', 'renameat2', 'readlinkat'}
NOFOLLOW_FLAGS = re.compile(r'O_NOFOLLOW|O_EXCL|AT_SYMLINK_NOFOLLOW|OPEN_TREE_NOFOLLOW')
# What is named by an absolute path all the same, and why that is no way for a container to be in between.
EXCEPTIONS = [
    # The root of the calling process: a name without parts has nothing that could be replaced.
    ('openat', r'/'), ('chdir', r'/'), ('pivot_root', r'\.'), ('umount2', r'\.'),
    # Where the machine's procfs is, in the mount namespace that is about to become the container's.
    ('openat', r'/proc'),
    # Of the machine's procfs, by processes that are not in the container's root yet.
    ('openat', r'/proc/\d+/(stat|uid_map|gid_map|setgroups|ns/\w+|oom_score_adj)'),
    ('openat', r'/proc/self/(mountinfo|oom_score_adj|ns/\w+)'), ('newfstatat', r'/proc/self/ns/\w+'),
    # The working folder, which is the container's root by then.
    ('openat', r'\.'),
    # The program, looked for by the process that will execute it, in the root that is its own by then.
    ('faccessat2', r'/bin/marker'),
    # The caller's own --pid-file, on the machine, written by the process that never leaves the machine's root.
    ('openat', r'.*/pids(/pidfile[^/]*)?'), ('renameat', r'.*/pids/pidfile[^/]*'),
    ('unlinkat', r'.*/pids/pidfile[^/]*'),
]
CLOSES = re.compile(r'[A-Z]+_CLOEXEC')
# Those whose descriptors are close-on-exec without being asked.
BORN_CLOSED = {'pidfd_open', 'landlock_create_ruleset', 'seccomp'}
MAKERS = set('openat openat2 open_tree socket socketpair accept4 pipe2 fsopen fsmount fspick memfd_create signalfd4 '
             'epoll_create1 timerfd_create eventfd2 pidfd_open landlock_create_ruleset inotify_init1'.split())


@pytest.fixture(scope='module')
def runtime(programs, build):
    made = Runtime(programs / 'bulkhead-runtime')
    shutil.copy(build / 'tests' / 'programs' / 'marker', made.folder / 'rootfs' / 'bin' / 'marker')
    yield made
    made.close()


def rich(runtime, *args, **changes):
    """A configuration with something of everything that is mounted, masked or written."""
    config = runtime.config(*args, **changes)
    source = runtime.folder / 'volume'
    source.mkdir(exist_ok=True)
    (runtime.folder / 'file').touch()
    config['mounts'] += [{'destination': '/data', 'type': 'bind', 'source': str(source), 'options': ['rbind', 'ro']},
                         {'destination': '/etc/file', 'type': 'bind', 'source': str(runtime.folder / 'file'),
                          'options': ['bind', 'ro']}]
    config['linux']['sysctl'] = {'net.ipv4.ip_forward': '0'}
    config['linux']['devices'] = [{'path': '/dev/sub/null', 'type': 'c', 'major': 1, 'minor': 3, 'fileMode': 0o666}]
    config['process']['rlimits'] = [{'type': 'RLIMIT_NOFILE', 'soft': 64, 'hard': 64}]
    return config


class Judge:
    """Reads calls in their order and knows of each process what its descriptors are."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.own = {}  # pid: descriptors of file systems that only the runtime has
        self.hidden = {}  # pid: not dumpable
        self.opened = False  # the root
        self.inside = set()  # processes whose root is the container's
        self.left = set()  # processes that execute the container's program
        self.bad = []

    def is_own(self, call, index):
        shown, number = call.shown(index), call.number(index)
        return (number in self.own.get(call.pid, set()) or shown.startswith(str(self.runtime.state)) or
                shown.startswith('/sys/fs/cgroup/'))

    def judge_path(self, call, folder, path):
        name = call.path(path)
        if not name or any(call.name == row[0] and re.fullmatch(row[1], name) for row in EXCEPTIONS):
            return True
        # Whether the program is there: decides on nothing but when the error is told.
        if call.name == 'faccessat2' and call.pid in self.inside:
            return True
        if folder is None or call.number(folder) is None:
            return False
        if call.name == 'openat2':
            return bool(re.search('RESOLVE_(IN_ROOT|BENEATH)', call.words[2]))
        if self.is_own(call, folder):
            return '..' not in name.split('/') and not name.startswith('/')
        follows = call.name not in NOFOLLOW and not NOFOLLOW_FLAGS.search(' '.join(call.words[2:]))
        return '/' not in name and name != '..' and not follows

    def note(self, call):
        """Keeps what the next calls are judged by."""
        own = self.own.setdefault(call.pid, set())
        number = call.made()
        if call.name in ('clone3', 'clone', 'fork', 'vfork') and number:
            self.own[number] = set(own)
            self.hidden[number] = self.hidden.get(call.pid, False)
        elif call.name == 'fsmount' and number is not None:
            own.add(number)
        elif call.name == 'fcntl' and number is not None and 'F_DUPFD' in call.word(1) and call.number(0) in own:
            own.add(number)
        elif call.name == 'openat' and number is not None and call.number(0) in own:
            own.add(number)
        elif call.name == 'open_tree' and number is not None and call.number(0) in own and not call.path(1):
            own.add(number)
        elif call.name == 'close':
            own.discard(call.number(0))
        elif call.name in MAKERS and number is not None:
            own.discard(number)
        if call.name == 'pivot_root' and not call.failed:
            self.inside.add(call.pid)
        if call.name == 'prctl' and call.word(0) == 'PR_SET_DUMPABLE':
            self.hidden[call.pid] = call.word(1) in ('0', 'SUID_DUMP_DISABLE')
        elif call.name in ('execve', 'execveat') and not call.failed:
            self.hidden[call.pid] = False

    @staticmethod
    def duplicates(call, later):
        """Whether it makes a descriptor that stays open, other than a standard one."""
        if call.name != 'dup2':
            return call.name == 'dup' or (call.name == 'fcntl' and call.word(1) == 'F_DUPFD')
        follows = next((other for other in later if other.pid == call.pid), None)
        closed = follows and follows.name == 'fcntl' and follows.words[1:] == ['F_SETFD', 'FD_CLOEXEC']
        return not call.failed and call.made() > 2 and not (closed and follows.number(0) == call.made())

    def read(self, calls, root=r'rootfs'):
        for index, call in enumerate(calls):
            # From the program's end on it is the deletion of a container that runs no longer.
            if call.name == 'wait4' and call.made() in self.left:
                break
            if call.pid in self.left:
                continue
            if call.name == 'execve' and not call.failed and not call.path(0).endswith('/bulkhead-runtime'):
                self.left.add(call.pid)
                continue
            if call.name in FORBIDDEN:
                self.bad.append(f'by path: {call}')
            if self.opened and call.name in PATHS:
                self.bad += [f'by path after the root is open: {call}' for folder, path in PATHS[call.name]
                             if not self.judge_path(call, folder, path)]
            if call.name == 'fsconfig' and ('FSCONFIG_SET_PATH' in call.word(1) or call.path(3).startswith('/')):
                self.bad.append(f'a file system by path: {call}')
            if call.name == 'setns' and not self.hidden.get(call.pid):
                self.bad.append(f'joined while dumpable: {call}')
            if call.name in MAKERS - BORN_CLOSED and not call.failed and not CLOSES.search(' '.join(call.words)):
                # What stands in for a missing standard descriptor is closed at once when none is missing.
                if not (call.name == 'openat' and call.path(1) == '/dev/null' and not self.opened):
                    self.bad.append(f'not close-on-exec: {call}')
            if self.duplicates(call, calls[index + 1:]):
                self.bad.append(f'not close-on-exec: {call}')
            self.note(call)
            if call.name == 'open_tree' and call.path(1) == root and not call.failed:
                self.opened = True
        return self


def out_of(path):
    return {'stdin': subprocess.DEVNULL, 'stdout': path.open('wb'), 'stderr': subprocess.STDOUT}


@needs_layer
@pytest.mark.parametrize('readonly', [True, False], ids=['root', 'layer'])
def test_create_and_start_go_by_descriptor(runtime, readonly):
    config = rich(runtime, '/bin/marker')
    config['root']['readonly'] = readonly
    bundle = runtime.bundle(config)
    (bundle / 'pids').mkdir()
    words = ['--root', runtime.state, 'run', '--pid-file', bundle / 'pids' / 'pidfile', '--bundle', bundle, 't']
    status, calls = support_trace.trace(bundle / 'trace', runtime.program, *words, **out_of(bundle / 'out'))
    assert status == 0, (bundle / 'out').read_text()
    judge = Judge(runtime).read(calls)
    assert judge.opened and judge.left
    assert not judge.bad, '\n'.join(judge.bad)
    names = {call.name for call in calls}
    assert {'fsmount', 'move_mount', 'openat2', 'pivot_root', 'close_range'} <= names
    assert not runtime.leftovers()


def test_exec_goes_by_descriptor(runtime):
    name = runtime.start('/bin/sleep', '1000', config=None)
    inside = [int(pid) for pid in runtime.call('ps', '--format', 'json', name).stdout.strip('[]\n').split(',')]
    spawner, = [pid for pid in inside if 'bulkhead' in os.readlink(f'/proc/{pid}/exe')]
    to, traced = runtime.folder / 'exec', runtime.folder / 'spawner'
    following = support_trace.attach(traced, spawner)
    words = [runtime.program, '--root', runtime.state, 'exec', name, '/bin/marker']
    status, _ = support_trace.trace(runtime.folder / 'trace', *words, **out_of(to))
    calls = support_trace.detach(following, traced)
    assert status == 0 and to.read_text().endswith('end\n'), to.read_text()
    judge = Judge(runtime)
    # The spawner is in the container since before its program ran: every call of it and of what it forks counts.
    judge.opened = True
    judge.hidden[spawner] = True
    judge.read(calls)
    assert judge.left
    assert not judge.bad, '\n'.join(judge.bad)
    runtime.call('delete', '--force', name)


@pytest.mark.parametrize('preserve, wanted', [(0, ['0', '1', '2']), (2, ['0', '1', '2', '3', '4'])])
def test_only_preserved_descriptors_reach_the_program(runtime, preserve, wanted):
    bundle = runtime.bundle(runtime.config('/bin/marker'))
    keep = [os.open('/dev/null', os.O_RDONLY) for _ in range(12)]
    for number in range(3, 12):
        os.dup2(keep[0], number + 100)

    def leak():
        for number in range(3, 10):
            os.dup2(number + 100, number)
    done = subprocess.run([runtime.program, '--root', str(runtime.state), 'run', '--preserve-fds', str(preserve),
                           '--bundle', str(bundle), 'p'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          preexec_fn=leak, close_fds=False, timeout=20, check=False)
    for number in [*keep, *range(103, 112)]:
        os.close(number)
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith('fd ')] == wanted
    assert not runtime.leftovers()
