# SPDX-License-Identifier: Apache-2.0
"""Terminals with real ptys: console sockets, the caller's own terminal, further processes (ISO-2)."""
import array
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time
import tty

import pytest

from support_runtime import BASE, Runtime, wait_until

NO_PTS = [mount for mount in BASE['mounts'] if mount['destination'] != '/dev/pts']


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


def bundle_of(runtime, *args, terminal=True, size=None, **changes):
    """A bundle whose process has a terminal."""
    config = runtime.config(*args, **changes)
    config['process']['terminal'] = terminal
    if size:
        config['process']['consoleSize'] = size
    return runtime.bundle(config)


class Console:
    """A console socket and what comes over it."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(20)

    def receive(self):
        """The master end, as the callers of runtimes take it."""
        with self.listener.accept()[0] as peer:
            name, control, _, _ = peer.recvmsg(4096, socket.CMSG_SPACE(4))
        self.listener.close()
        (level, kind, data), = control
        assert (level, kind, name) == (socket.SOL_SOCKET, socket.SCM_RIGHTS, b'/dev/ptmx')
        return array.array('i', data)[0]


def read_until(master, word, seconds=20):
    """What the terminal shows up to a word."""
    end, text = time.monotonic() + seconds, b''
    while word not in text:
        assert select.select([master], [], [], max(0, end - time.monotonic()))[0], text
        try:
            text += os.read(master, 4096)
        except OSError:
            assert word in text, text
    return text


def size_of(rows, columns):
    return struct.pack('HHHH', rows, columns, 0, 0)


def spawn_on(terminal, words):
    """A process whose controlling terminal is this one."""
    def take():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    return subprocess.Popen([str(word) for word in words], stdin=terminal, stdout=terminal, stderr=terminal,
                            preexec_fn=take)


SHELL = ('test -t 0 && test -t 1 && test -t 2 && echo all-$(tty); echo $(stat -c "%u %g %a %t:%T" $(tty)); '
         'echo $(stat -c "%t:%T" /dev/console); stty size; exec 3<>/dev/tty && echo con$((1))trolled')


def test_console_socket_of_create(runtime):
    console = Console(runtime.folder / 'console')
    bundle = bundle_of(runtime, '/bin/sh', '-c', SHELL + '; read line; echo "got <$line>"', user={'uid': 7, 'gid': 8},
                       size={'width': 91, 'height': 17})
    done = runtime.call('create', '--bundle', bundle, '--console-socket', console.path, 'a')
    assert done.returncode == 0, done.stderr
    master = console.receive()
    assert runtime.call('start', 'a').returncode == 0
    lines = read_until(master, b'con1trolled').decode().split('\r\n')
    assert lines[:4] == ['all-/dev/pts/0', '7 5 620 88:0', '88:0', '17 91']
    os.write(master, b'hello\n')
    assert b'got <hello>' in read_until(master, b'got <hello>')
    os.close(master)
    wait_until(lambda: runtime.status('a')['status'] == 'stopped')
    assert runtime.call('delete', 'a').returncode == 0
    assert not runtime.leftovers()


def test_hangup_of_the_master_ends_the_session(runtime):
    console = Console(runtime.folder / 'console')
    bundle = bundle_of(runtime, '/bin/sh')
    assert runtime.call('create', '-b', bundle, '--console-socket', console.path, 'a').returncode == 0
    master = console.receive()
    assert runtime.call('start', 'a').returncode == 0
    os.close(master)
    wait_until(lambda: runtime.status('a')['status'] == 'stopped')


def test_console_socket_with_a_long_path(runtime):
    folder = runtime.folder / ('x' * 150)
    folder.mkdir()
    short = Console(runtime.folder / 'console')
    (folder / 'socket').symlink_to(short.path)
    bundle = bundle_of(runtime)
    done = runtime.call('create', '-b', bundle, '--console-socket', folder / 'socket', 'a')
    assert done.returncode == 0, done.stderr
    os.close(short.receive())


@pytest.mark.parametrize('words, terminal, message', [
    (['create'], True, 'config.json: process.terminal: needs --console-socket'),
    (['run', '--detach'], True, 'config.json: process.terminal: needs --console-socket'),
    (['create', '--console-socket', '/nowhere/at/all'], True,
     "--console-socket: cannot connect to '/nowhere/at/all': No such file or directory"),
    (['create', '--console-socket', '/nowhere'], False, '--console-socket: the process has no terminal'),
])
def test_console_sockets_that_do_not_fit(runtime, words, terminal, message):
    bundle = bundle_of(runtime, terminal=terminal)
    done = runtime.call(words[0], *words[1:], '--bundle', bundle, 'a')
    assert done.stderr == f'bulkhead-runtime: {message}\n'
    assert done.returncode != 0
    assert not runtime.leftovers()


def test_terminal_without_devpts_is_refused(runtime):
    console = Console(runtime.folder / 'console')
    bundle = bundle_of(runtime, mounts=NO_PTS)
    done = runtime.call('create', '--bundle', bundle, '--console-socket', console.path, 'a')
    assert done.stderr.splitlines() == [
        'bulkhead-runtime: config.json: process.terminal: cannot open a terminal in /dev/pts: Wrong medium type',
        'hint: the container needs a mount of type devpts on /dev/pts']
    assert not runtime.leftovers()


@pytest.mark.parametrize('image', ['tmpfs', 'link'])
def test_pts_that_is_something_else_is_refused(runtime, image):
    """A multiplexer the image brought must not be opened, wherever it leads (class of CVE-2025-52565)."""
    source = runtime.folder / 'fake'
    source.mkdir()
    (source / 'ptmx').symlink_to('/dev/null')
    mount = {'destination': '/dev/pts', 'type': 'bind', 'source': str(source), 'options': ['bind']}
    if image == 'link':
        (source / 'ptmx').unlink()
        os.mknod(source / 'ptmx', 0o20666, os.makedev(1, 3))
    console = Console(runtime.folder / 'console')
    bundle = bundle_of(runtime, mounts=NO_PTS + [mount])
    done = runtime.call('create', '--bundle', bundle, '--console-socket', console.path, 'a')
    assert done.stderr.splitlines()[0] == ('bulkhead-runtime: config.json: process.terminal: cannot open a terminal in '
                                           '/dev/pts: Wrong medium type')
    assert not runtime.leftovers()


def test_run_in_the_callers_terminal(runtime):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, size_of(33, 77))
    before = termios.tcgetattr(slave)
    script = SHELL + '; trap "stty size" WINCH; while read line; do echo "got <$line>"; done; exit 5'
    bundle = bundle_of(runtime, '/bin/sh', '-c', script)
    process = spawn_on(slave, [runtime.program, '--root', runtime.state, 'run', '-b', bundle, 'a'])
    assert read_until(master, b'con1trolled').decode().split('\r\n')[3] == '33 77'
    # Raw: bytes reach the container's terminal as they are, and that one echoes.
    assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    os.write(master, b'one\r')
    assert read_until(master, b'got <one>').count(b'one') == 2
    fcntl.ioctl(slave, termios.TIOCSWINSZ, size_of(40, 100))
    os.kill(process.pid, signal.SIGWINCH)
    os.write(master, b'two\r')
    read_until(master, b'40 100')
    os.write(master, b'\x04')
    assert process.wait(20) == 5
    after = termios.tcgetattr(slave)
    assert after == before
    os.close(master)
    os.close(slave)
    assert not runtime.leftovers()


def test_interrupt_key_reaches_the_container_alone(runtime):
    master, slave = pty.openpty()
    script = 'trap "echo interrupted; exit 6" INT; echo up; while :; do sleep 0.05; done'
    bundle = bundle_of(runtime, '/bin/sh', '-c', script)
    process = spawn_on(slave, [runtime.program, '--root', runtime.state, 'run', '-b', bundle, 'a'])
    read_until(master, b'up')
    os.write(master, b'\x03')
    read_until(master, b'interrupted')
    assert process.wait(20) == 6
    os.close(master)
    os.close(slave)


def test_much_output_and_no_terminal_of_the_caller(runtime):
    """Pipes instead of a terminal: every byte arrives, the terminal's line ends included."""
    done = runtime.call('run', '-b', bundle_of(runtime, '/bin/sh', '-c', 'yes 0123456789 | head -20000'), 'a')
    assert done.returncode == 0, done.stderr
    assert done.stdout == '0123456789\n' * 20000  # text mode reads CR LF as one


def test_exec_in_the_callers_terminal(runtime):
    name = runtime.start('/bin/sleep', '1000')
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, size_of(20, 50))
    process = spawn_on(slave, [runtime.program, '--root', runtime.state, 'exec', '-t', name, '/bin/sh', '-c',
                               SHELL + '; exit 7'])
    lines = read_until(master, b'con1trolled').decode().split('\r\n')
    assert (lines[0], lines[4]) == ('all-/dev/pts/0', '20 50')
    assert process.wait(20) == 7
    os.close(master)
    os.close(slave)


def test_exec_with_a_console_socket(runtime):
    name = runtime.start('/bin/sleep', '1000')
    console = Console(runtime.folder / 'console')
    done = runtime.call('exec', '--tty', '--detach', '--console-socket', console.path, name, '/bin/sh', '-c',
                        'tty; read line; echo "got <$line>"')
    assert done.returncode == 0, done.stderr
    master = console.receive()
    read_until(master, b'/dev/pts/0')
    tty.setraw(master)
    os.write(master, b'word\n')
    read_until(master, b'got <word>')
    os.close(master)
    done = runtime.call('exec', '--tty', '--detach', name, '/bin/sh')
    assert done.stderr == 'bulkhead-runtime: config.json: process.terminal: needs --console-socket\n'


# Somebody else in the container, who does not end, and writes on to the terminal of a process that has ended.
BABBLE = 'trap "" HUP; yes & yes & yes & sleep 0.5; exit 3'


def test_exec_ends_with_its_process_whoever_writes_on(runtime):
    name = runtime.start('/bin/sleep', '1000')
    done = runtime.call('exec', '-t', name, '/bin/sh', '-c', BABBLE)
    assert (done.returncode, done.stderr) == (3, '')
    assert done.stdout.startswith('y\ny\n')


def test_signal_ends_a_run_that_nobody_reads(runtime):
    name = runtime.start('/bin/sleep', '1000')
    words = [runtime.program, '--root', runtime.state, 'exec', '-t', name, '/bin/sh', '-c', BABBLE]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        process.terminate()
        assert process.wait(20) == 3
