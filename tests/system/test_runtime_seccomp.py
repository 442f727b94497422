# SPDX-License-Identifier: Apache-2.0
"""System call profiles of config.json in force: agents, flags, actions, architectures, the floor (ISO-1, ISO-4)."""
import array
import errno
import fcntl
import json
import pathlib
import shutil
import socket
import stat
import struct
import subprocess
import threading

import pytest

from support_runtime import Runtime, wait_until

RECEIVE, SEND = 0xc0502100, 0xc0182101
CONTINUE = 1


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def profile(action, *names, **more):
    """All is allowed but these names."""
    rule = {'names': list(names), 'action': action}
    rule.update((key, more.pop(key)) for key in ('args', 'errnoRet') if key in more)
    return {'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [rule], **more}


def under(runtime, seccomp):
    """What changes in the configuration so that this profile is in force."""
    return {'linux': dict(runtime.config()['linux'], seccomp=seccomp)}


class Agent:
    """A seccomp agent: takes listeners and answers each call with what `answer` makes of (name in args, number)."""

    def __init__(self, path, answer):
        self.answer, self.states, self.calls, self.fds = answer, [], [], []
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(str(path))
        self.server.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            with peer:
                text, fds = b'', array.array('i')
                while True:
                    data, ancillary, _, _ = peer.recvmsg(65536, socket.CMSG_SPACE(64))
                    for level, kind, content in ancillary:
                        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                        fds.frombytes(content)
                    if not data:
                        break
                    text += data
            self.states.append(json.loads(text))
            self.fds.extend(fds)
            for fd in fds:
                threading.Thread(target=self.serve, args=(fd,), daemon=True).start()

    def serve(self, fd):
        while True:
            call = bytearray(80)
            try:
                fcntl.ioctl(fd, RECEIVE, call)
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                return
            ident, _, _, number = struct.unpack_from('=QIIi', call)
            self.calls.append(number)
            value, error, flags = self.answer(number)
            try:
                fcntl.ioctl(fd, SEND, struct.pack('=QqiI', ident, value, error, flags))
            except FileNotFoundError:
                pass  # the caller was killed meanwhile

    def close(self):
        if self.server.fileno() >= 0:
            self.server.shutdown(socket.SHUT_RDWR)
            self.server.close()


@pytest.fixture
def agents(runtime):
    made = []

    def make(answer, path=None):
        made.append(Agent(path or runtime.folder / 'agent', answer))
        return made[-1]
    yield make
    for agent in made:
        agent.close()


def refuse(_):
    return 0, -errno.ENOTBLK, 0


def let_go_on(_):
    return 0, 0, CONTINUE


def notified(runtime, *names, metadata='for the agent'):
    return profile('SCMP_ACT_NOTIFY', *names, listenerPath=str(runtime.folder / 'agent'), listenerMetadata=metadata)


def test_agent_answers_calls_of_run(runtime, agents):
    agent = agents(refuse)
    done = runtime.run('/bin/sh', '-c', 'mkdir /tmp/x; ls /tmp', **under(runtime, notified(runtime, 'mkdir')))
    assert (done.stdout, done.stderr) == ('', "mkdir: can't create directory '/tmp/x': Block device required\n")
    assert agent.calls == [83]
    [state] = agent.states
    pid = state.pop('pid')
    assert state == {'ociVersion': '1.2.0', 'fds': ['seccompFd'], 'metadata': 'for the agent', 'state': {
        **state['state'], 'ociVersion': '1.2.0', 'id': 'c1', 'status': 'created', 'pid': pid,
        'bundle': str(runtime.folder / 'b1'), 'annotations': {'dev.bulkhead.root.idmap': 'true'}}}


def test_agent_of_create_and_start_and_of_exec(runtime, agents):
    agent = agents(lambda number: (0, 0, 0))
    name = runtime.start('/bin/sh', '-c', 'mkdir /tmp/x; sleep 1000', **under(runtime, notified(runtime, 'mkdir')))
    wait_until(lambda: agent.calls)
    pid = runtime.status(name)['pid']
    assert (agent.states[0]['pid'], agent.states[0]['state']['status']) == (pid, 'created')
    done = runtime.call('exec', name, '/bin/sh', '-c', 'mkdir /tmp/y; echo $?; ls /tmp; echo $$')
    assert done.stdout.split()[0] == '0' and done.stdout.split()[-1].isdigit(), done.stderr
    assert len(done.stdout.split()) == 2
    assert agent.calls == [83, 83]
    assert agent.states[1]['state']['status'] == 'running'
    assert agent.states[1]['pid'] not in (pid, 0)
    assert runtime.call('delete', '--force', name).returncode == 0


def test_agent_is_asked_about_hooks_of_the_container_too(runtime, agents):
    agent = agents(refuse)
    config = runtime.config('/bin/cat', '/tmp/error', **under(runtime, notified(runtime, 'mkdir')))
    config['hooks'] = {'startContainer': [{'path': '/bin/sh', 'args': ['sh', '-c', 'mkdir /tmp/x 2> /tmp/error; :']}]}
    done = runtime.run(config=config)
    assert done.stdout == "mkdir: can't create directory '/tmp/x': Block device required\n", done.stderr
    assert agent.calls == [83]
    assert len(agent.states) == 2


def test_every_call_may_be_asked_about(runtime, agents):
    """Also those that the runtime itself would need between the filter and the program."""
    agent = agents(let_go_on)
    asked = {'defaultAction': 'SCMP_ACT_NOTIFY', 'listenerPath': str(runtime.folder / 'agent'),
             'flags': ['SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV', 'SECCOMP_FILTER_FLAG_TSYNC']}
    done = runtime.run('/bin/echo', 'through', **under(runtime, asked))
    assert (done.returncode, done.stdout) == (0, 'through\n'), done.stderr
    assert {59, 1} < set(agent.calls)  # execve, write
    assert 'metadata' not in agent.states[0]


def test_without_the_agent_nothing_starts(runtime, agents):
    path = runtime.folder / 'agent'
    error = "bulkhead-runtime: {}config.json: linux.seccomp.listenerPath: cannot hand the listener to '{}': {}\n"
    seccomp = notified(runtime, 'mkdir', 'sendmsg', 'write', 'exit_group')
    done = runtime.run('/bin/echo', 'ran', **under(runtime, seccomp))
    assert (done.returncode, done.stdout) == (4, '')
    assert done.stderr == error.format("container 'c1': ", path, 'No such file or directory')
    agent = agents(let_go_on)
    name = runtime.start('/bin/sleep', '1000', **under(runtime, notified(runtime, 'mkdir')))
    agent.close()
    done = runtime.call('exec', name, '/bin/echo', 'ran')
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr == error.format('', path, 'Connection refused')
    runtime.call('delete', '--force', name)
    assert runtime.leftovers() == []


@pytest.mark.parametrize('seccomp, message', [
    (profile('SCMP_ACT_NOTIFY', 'mkdir'), 'listenerPath: is missing, SCMP_ACT_NOTIFY needs it'),
    (profile('SCMP_ACT_NOTIFY', 'mkdir', listenerPath='agent'), "listenerPath: must be an absolute path, not 'agent'"),
    (profile('SCMP_ACT_NOTIFY', 'mkdir', listenerPath='/' + 'x' * 107),
     "listenerPath: is longer than a socket's address, 107 bytes"),
    (profile('SCMP_ACT_NOTIFY', 'mkdir', listenerPath='/x', listenerMetadata=1),
     'listenerMetadata: must be a string, not a number'),
    (profile('SCMP_ACT_LOG', 'mkdir', flags=['SECCOMP_FILTER_FLAG_NEW_LISTENER']),
     "flags[0]: unknown flag 'SECCOMP_FILTER_FLAG_NEW_LISTENER'"),
    (profile('SCMP_ACT_LOG', 'mkdir', architectures=['SCMP_ARCH_X86', 'X86']),
     "architectures[1]: unknown architecture 'X86'"),
    (profile('SCMP_ACT_ERRNO', 'mkdir', errnoRet=4096), 'syscalls[0].errnoRet: 4096 is not within 0 to 4095'),
])
def test_what_cannot_be_honoured_is_refused(runtime, seccomp, message):
    done = runtime.run(**under(runtime, seccomp))
    assert done.returncode == 3
    assert done.stderr == f'bulkhead-runtime: config.json: linux.seccomp.{message}\n'
    assert runtime.leftovers() == []


@pytest.mark.parametrize('action, more, wanted', [
    ('SCMP_ACT_ERRNO', {}, (1, "mkdir: can't create directory '/tmp/x': Operation not permitted\n")),
    ('SCMP_ACT_ERRNO', {'errnoRet': 15}, (1, "mkdir: can't create directory '/tmp/x': Block device required\n")),
    ('SCMP_ACT_LOG', {'flags': ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW']}, (0, '')),
    ('SCMP_ACT_TRACE', {}, (1, "mkdir: can't create directory '/tmp/x': Function not implemented\n")),
    ('SCMP_ACT_TRAP', {}, (159, '')),
    ('SCMP_ACT_KILL_THREAD', {}, (159, '')),
    ('SCMP_ACT_KILL', {}, (159, '')),
    ('SCMP_ACT_KILL_PROCESS', {}, (159, '')),
])
def test_actions(runtime, action, more, wanted):
    seccomp = profile(action, 'mkdir', **more)
    done = runtime.run('/bin/sh', '-c', '/bin/mkdir /tmp/x 2>&1; echo $?', **under(runtime, seccomp))
    assert done.stdout.rpartition('\n')[0].splitlines()[-1:] == [str(wanted[0])], done.stdout
    assert wanted[1] in done.stdout


def test_default_errno(runtime):
    allowed = json.loads(pathlib.Path('/usr/share/containers/seccomp.json').read_text())['syscalls'][1]['names']
    only = {'defaultAction': 'SCMP_ACT_ERRNO', 'defaultErrnoRet': 15,
            'syscalls': [{'names': [name for name in [*allowed, 'arch_prctl'] if name != 'mkdir'],
                          'action': 'SCMP_ACT_ALLOW'}]}
    done = runtime.run('/bin/mkdir', '/tmp/x', **under(runtime, only))
    assert done.stderr == "mkdir: can't create directory '/tmp/x': Block device required\n"


# int $0x80 with getpid's number of x86, then x32's getpid; each prints what came back
FOREIGN = r'''
#include <stdio.h>
#include <errno.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    long r;
    if (argc > 1)
        return syscall(0x40000000 + 39) > 0 ? 0 : errno == ENOSYS ? 3 : 4;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory");
    return r > 0 ? 0 : 5;
}
'''


@pytest.fixture(scope='module')
def foreign(tmp_path_factory):
    folder = tmp_path_factory.mktemp('foreign')
    (folder / 'foreign.c').write_text(FOREIGN)
    subprocess.run(['gcc', '-O1', '-static', '-o', folder / 'foreign', folder / 'foreign.c'], check=True)
    return folder / 'foreign'


@pytest.mark.parametrize('architectures, x86, x32', [
    (None, 159, 3),
    (['SCMP_ARCH_X86_64'], 159, 3),
    (['SCMP_ARCH_X86'], 0, 3),
])
def test_other_architectures_only_when_granted(runtime, foreign, architectures, x86, x32):
    shutil.copy(foreign, runtime.folder / 'rootfs' / 'bin' / 'foreign')
    script = '/bin/foreign; echo $?; /bin/foreign x32; echo $?'
    more = {'architectures': architectures} if architectures else {}
    done = runtime.run('/bin/sh', '-c', script, **under(runtime, profile('SCMP_ACT_ERRNO', 'mkdir', **more)))
    assert [line for line in done.stdout.split() if line.isdigit()] == [str(x86), str(x32)], done.stderr
    if architectures is None:
        done = runtime.run('/bin/sh', '-c', script)
        assert [line for line in done.stdout.split() if line.isdigit()] == ['159', '3'], done.stderr


# What every container is kept from, though its profile allows all: (what Python calls, errno).
FLOOR = [
    (('socket', 38, 5, 0), errno.EAFNOSUPPORT), (('socket', 16, 3, 6), errno.EAFNOSUPPORT),
    (('socket', 40, 1, 0), errno.EAFNOSUPPORT), (('socket', 17, 3, 0), errno.EAFNOSUPPORT),
    (('socket', 2, 3, 1), errno.EPERM), (('socket', 10, 3, 58), errno.EPERM), (('socket', 2, 10, 0), errno.EPERM),
    (('socket', 2, 1, 0), 0), (('socket', 10, 1, 0), 0), (('socket', 1, 1, 0), 0), (('socket', 16, 3, 0), 0),
    (('io_uring_setup', 1, 0), errno.EPERM), (('keyctl', 0, -3, 0), errno.EPERM), (('add_key', 0), errno.EPERM),
    (('request_key', 0), errno.EPERM), (('bpf', 0, 0, 0), errno.EPERM), (('ptrace', 0), errno.EPERM),
    (('process_vm_readv', 1, 0), errno.EPERM), (('unshare', 0x10000000), errno.EPERM), (('clone3', 0, 0), errno.ENOSYS),
]
NUMBERS = {'socket': 41, 'io_uring_setup': 425, 'keyctl': 250, 'add_key': 248, 'request_key': 249, 'bpf': 321,
           'ptrace': 101, 'process_vm_readv': 310, 'unshare': 272, 'clone3': 435}
CALLER = r'''
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        long number, a = 0, b = 0, c = 0;
        sscanf(argv[i], "%ld,%ld,%ld,%ld", &number, &a, &b, &c);
        errno = 0;
        printf("%d\n", syscall(number, a, b, c, 0, 0) < 0 ? errno : 0);
    }
}
'''


def test_floor_holds_whatever_the_profile_allows(runtime, tmp_path):
    (tmp_path / 'caller.c').write_text(CALLER)
    subprocess.run(['gcc', '-O1', '-static', '-o', runtime.folder / 'rootfs' / 'bin' / 'caller', tmp_path / 'caller.c'],
                   check=True)
    words = [','.join(str(word) for word in (NUMBERS[call[0]], *call[1:])) for call, _ in FLOOR]
    done = runtime.run('/bin/caller', *words, **under(runtime, {'defaultAction': 'SCMP_ACT_ALLOW'}))
    assert dict(zip(words, map(int, done.stdout.split()))) == dict(zip(words, (want for _, want in FLOOR))), done.stderr


def test_filters_are_kept_and_never_taken_from_others(runtime):
    """An entry that allows all, put where the filter is looked for, is not loaded unless it is whole and one's own."""
    folder = runtime.state / '.filters'

    def refused():
        done = runtime.run('/bin/mkdir', '/tmp/x', **under(runtime, profile('SCMP_ACT_ERRNO', 'mkdir', errnoRet=15)))
        return done.stderr == "mkdir: can't create directory '/tmp/x': Block device required\n"

    assert refused()
    [entry] = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(entry.stat().st_mode)) == (0o700, 0o600)
    first = entry.stat()
    assert refused()
    assert (entry.stat().st_ino, entry.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    whole = entry.read_bytes()
    allow = whole[:-8] + struct.pack('=HBBI', 6, 0, 0, 0x7fff0000)
    for text in (allow, whole[:100], b''):
        entry.write_bytes(text)
        assert refused()
        assert entry.read_bytes() == whole
    entry.chmod(0o644)
    assert refused() and stat.S_IMODE(entry.stat().st_mode) == 0o600
    # Not even a good one counts where others may write.
    entry.unlink()
    folder.chmod(0o755)
    assert refused() and list(folder.iterdir()) == []
    name = runtime.start('/bin/sleep', '1000')
    folder.chmod(0o700)
    assert runtime.call('exec', name, '/bin/true').returncode == 0
    assert len(list(folder.iterdir())) == 1
    assert runtime.call('list', '--quiet').stdout.split() == [name]


def test_what_a_killed_start_left_keeps_no_filter_from_being_kept(runtime):
    """Each container's first process has the number 1, and so would all their temporary files."""
    filters = runtime.state / '.filters'
    assert runtime.run('/bin/true').returncode == 0
    kept, = filters.iterdir()
    kept.rename(filters / f'.{kept.name}.1')
    assert runtime.run('/bin/true').returncode == 0
    assert kept.exists()
