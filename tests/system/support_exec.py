# SPDX-License-Identifier: Apache-2.0
"""What tests of processes added to a container share: `exec` in the background, and who lives in the container."""
import pathlib
import re
import subprocess

from support_runtime import wait_until


def begin(runtime, *words, **more):
    """`exec` in the background."""
    return subprocess.Popen([runtime.program, '--root', str(runtime.state), 'exec', *map(str, words)], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def group(runtime, controller, name):
    """The control group of a container of this test: the count of a configuration is one behind its bundle's."""
    return runtime.group(controller, f'c{int(name[1:]) - 1}')


def members(runtime, name):
    """The host's process ids of a container."""
    return set(map(int, (group(runtime, 'memory', name) / 'cgroup.procs').read_text().split()))


def inside(runtime, name):
    """Those of them that are in its pid namespace: not the runtime's own on their way."""
    found = set()
    for pid in members(runtime, name):
        try:
            status = pathlib.Path(f'/proc/{pid}/status').read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if len(re.search(r'^NSpid:(.*)$', status, re.M).group(1).split()) > 1:
            found.add(pid)
    return found


def named(runtime, name, command):
    """The processes of a container that execute this."""
    found = set()
    for pid in inside(runtime, name):
        try:
            if pathlib.Path(f'/proc/{pid}/comm').read_text() == f'{command}\n':
                found.add(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def spawner_of(runtime, name):
    """The host's process id of a container's spawner, as soon as it has its name."""
    return next(iter(wait_until(lambda: named(runtime, name, 'bulkhead-exec'))))


def field(pid, key):
    return re.search(rf'^{key}:[ \t]*(.*)$', pathlib.Path(f'/proc/{pid}/status').read_text(), re.M).group(1)
