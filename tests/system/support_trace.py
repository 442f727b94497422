# SPDX-License-Identifier: Apache-2.0
"""The system calls of a command by strace, as objects: name, words, result, process, and what each descriptor is."""
import re
import signal
import subprocess

LINE = re.compile(r'(\d+) +(\w+)\((.*)\) += (.*)', re.S)
UNFINISHED = re.compile(r'(\d+) +(\w+)\((.*) <unfinished \.\.\.>$', re.S)
RESUMED = re.compile(r'(\d+) +<\.\.\. (\w+) resumed>(.*)$', re.S)


def split(text):
    """The words between the commas of the outermost level."""
    found, depth, quoted, at, skip = [], 0, False, '', False
    for char in text:
        if skip:
            skip = False
        elif char == '\\':
            skip = True
        elif char == '"':
            quoted = not quoted
        elif not quoted and char in '([{':
            depth += 1
        elif not quoted and char in ')]}':
            depth -= 1
        elif char == ',' and not quoted and depth == 0:
            found.append(at.strip())
            at = ''
            continue
        at += char
    return found + [at.strip()] if at.strip() else found


class Call:
    def __init__(self, pid, name, words, result):
        self.pid, self.name, self.words, self.result = int(pid), name, split(words), result
        self.failed = result.startswith('-1 ')

    def word(self, index):
        return self.words[index] if index < len(self.words) else ''

    def path(self, index):
        """A word that is a path, without its quotes."""
        return self.word(index).strip('"')

    def number(self, index):
        """The number of a word that is a descriptor; None for AT_FDCWD and NULL."""
        found = re.match(r'-?\d+', self.word(index))
        return int(found[0]) if found else None

    def shown(self, index):
        """What strace says that the descriptor is."""
        found = re.match(r'(?:-?\d+|AT_FDCWD)<(.*)>(?:\(deleted\))?$', self.word(index), re.S)
        return found[1] if found else ''

    def made(self):
        """The number it returned; None on failure."""
        found = re.match(r'\d+', self.result)
        return int(found[0]) if found else None

    def __repr__(self):
        return f'{self.pid} {self.name}({", ".join(self.words)}) = {self.result}'


def parse(text):
    """Calls in the order in which they began."""
    calls, open_calls = [], {}
    for line in text.splitlines():
        unfinished, resumed, whole = UNFINISHED.match(line), RESUMED.match(line), LINE.match(line)
        if unfinished:
            pid, name, words = unfinished.groups()
            calls.append(None)
            open_calls[pid] = (len(calls) - 1, name, words)
        elif resumed and resumed[1] in open_calls:
            index, name, words = open_calls.pop(resumed[1])
            whole = LINE.match(f'{resumed[1]} {name}({words}{resumed[3]}')
            if whole:
                calls[index] = Call(*whole.groups())
        elif whole:
            calls.append(Call(*whole.groups()))
    return [call for call in calls if call]


def attach(to, pid):
    """Follows a process and what it makes from now on, until detach()."""
    strace = subprocess.Popen(['strace', '-f', '-y', '-s', '4096', '-o', str(to), '-p', str(pid)],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert 'attached' in strace.stderr.readline()
    return strace


def detach(strace, to):
    """Ends it; returns the calls."""
    strace.send_signal(signal.SIGINT)
    strace.communicate(timeout=20)
    return parse(to.read_text(encoding='utf-8', errors='replace'))


def trace(to, *words, **options):
    """Runs a command under strace; returns (exit status, calls)."""
    words = ['strace', '-f', '-y', '-s', '4096', '-o', str(to), '--', *map(str, words)]
    done = subprocess.run(words, timeout=60, check=False, **options)
    return done.returncode, parse(to.read_text(encoding='utf-8', errors='replace'))
