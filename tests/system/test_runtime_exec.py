# SPDX-License-Identifier: Apache-2.0
"""Processes added to a running container (ISO-1, ISO-3): confinement, ends, signals, and containers that attack."""
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from support_runtime import Runtime, wait_until


@pytest.fixture
def runtime(programs):
    made = Runtime(programs / 'bulkhead-runtime')
    yield made
    made.close()


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


def test_delete_does_not_wait_for_an_exec_that_comes_up(runtime):
    """A container may stop what enters it before it is what it shall be: the container's lock is free by then."""
    name = runtime.start('/bin/sh', '-c', 'while :; do :; done')
    before = inside(runtime, name)
    # A millisecond of processor time a second, and a loop that takes it: whatever enters stands still on the way.
    quota = group(runtime, 'cpu', name) / 'cpu.cfs_quota_us'
    if quota.exists():
        quota.write_text('1000')
        (group(runtime, 'cpu', name) / 'cpu.cfs_period_us').write_text('1000000')
    else:
        (group(runtime, 'cpu', name) / 'cpu.max').write_text('1000 1000000')
    running = begin(runtime, name, '/bin/sleep', '1000')
    for pid in wait_until(lambda: inside(runtime, name) - before):
        os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    assert runtime.status(name)['status'] == 'running'
    done = runtime.call('delete', '--force', name)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 10
    assert running.wait(10) != 0
    assert runtime.leftovers() == []
