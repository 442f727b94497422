# SPDX-License-Identifier: Apache-2.0
"""Other engines as callers of bulkhead-runtime: each in a cell, with what it writes outside its folders on overlays."""
import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import termios
import time

import cell as cells
import installation
import leftovers
from support_runtime import wait_until

TOP = pathlib.Path(__file__).parent.parent.parent
KINDS = ('process', 'mount', 'cgroup', 'namespace')


def busybox_layout():
    """The OCI layout of the busybox image."""
    subprocess.run([TOP / 'tools/make-images'], check=True)
    return TOP / '.cache/images/busybox'


class Terminal:
    """A program with a terminal of its own, whose other side is here."""

    def __init__(self, start, rows=24, columns=80):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        self.seen = ''
        try:
            self.process = start(stdin=slave, stdout=slave, stderr=slave)
        finally:
            os.close(slave)

    def read(self):
        """What it printed since; empty when nothing comes within 0.1 s, None at the end."""
        if not select.select([self.master], [], [], 0.1)[0]:
            return ''
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return None
        self.seen += data.decode('utf-8', 'replace')
        return data or None

    def expect(self, text, seconds=20):
        """Waits until it has printed this."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert self.read() is not None or text in self.seen, f'ended without {text!r}: {self.seen!r}'
            assert time.monotonic() < end, f'no {text!r} in {self.seen!r}'

    def write(self, text):
        os.write(self.master, text.encode())

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def end(self, seconds=20):
        """Reads to the end; returns the status."""
        end = time.monotonic() + seconds
        while self.read() is not None:
            assert time.monotonic() < end, f'no end: {self.seen!r}'
        os.close(self.master)
        return self.process.wait(seconds)


class Engine:
    """A caller with a cell and a folder. base: the words before every command; hide_v2: for engines that refuse
    machines with cgroup v1 beside v2. foreign: leftovers that match it are the engine's own."""

    def __init__(self, cell, folder, program, hide_v2=False, foreign=r'\0'):
        self.cell, self.folder, self.runtime = cell, folder, str(program)
        self.base, self.foreign = [], foreign
        self.before = None
        script = '[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified\n' if hide_v2 else ''
        for place in ('/etc', '/var/lib', '/opt'):
            upper, work = folder / f'u{place}', folder / f'w{place}'
            script += (f'mkdir -p {upper} {work} && '
                       f'mount -t overlay o -o lowerdir={place},upperdir={upper},workdir={work} {place} || exit 1\n')
        self.inside(script)

    def inside(self, script, check=True):
        """Runs a shell script in the cell; returns what it printed."""
        done = self.cell.run(['sh', '-c', script], stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def __call__(self, *words, stdin=subprocess.DEVNULL, timeout=60, **options):
        """Runs the engine's command."""
        return self.cell.run([*self.base, *words], stdin=stdin, timeout=timeout, env=self.environment(), **options)

    def environment(self):
        return dict(os.environ, HOME=str(self.folder))

    def ok(self, *words, **options):
        """Runs a command that has to succeed; returns what it printed."""
        done = self(*words, **options)
        assert done.returncode == 0, f'{words}: status {done.returncode}: {done.stdout}{done.stderr}'
        return done.stdout

    def popen(self, *words, **options):
        return self.cell.popen([*self.base, *words], env=self.environment(), **options)

    def terminal(self, *words, **options):
        """Runs a command on a terminal of its own."""
        def start(**files):
            line = ['setsid', '--ctty', '--wait', *self.base, *words]
            return subprocess.Popen(self.cell.words(line), env=self.environment(), **files,
                                    preexec_fn=lambda: cells.join_cgroups(self.cell.name, '/init'))
        return Terminal(start, **options)

    def remember(self):
        """What is there now is no leftover."""
        self.before = self.cell.snapshot()

    def leftovers(self):
        found = leftovers.added(self.before, self.cell.snapshot())
        state = self.inside('ls -d /run/bulkhead/runtime/* 2>/dev/null', check=False)
        ours = [line for line in found if line.partition(':')[0] in KINDS and not re.search(self.foreign, line)]
        return ours + state.split()

    def assert_nothing_left(self):
        """Waits for what ends by itself soon after a container; then nothing may be there that was not before."""
        try:
            wait_until(lambda: not self.leftovers(), 10)
        except AssertionError:
            assert not self.leftovers(), self.leftovers()


@contextlib.contextmanager
def engine(program, **options):
    """An engine's cell, over and gone afterwards with all that ran in it."""
    with installation.temporary_root() as folder:
        cell = cells.Cell()
        try:
            yield Engine(cell, folder, program, **options)
        finally:
            cell.close()
