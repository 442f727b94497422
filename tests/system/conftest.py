# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by the system tests, and the count of results that './dev test' reads."""
import fcntl
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import cell as cells  # noqa: E402
import installation  # noqa: E402

HERE = pathlib.Path(__file__).parent
TOP = HERE.parent.parent
TEST_SECONDS = 180
RESULTS = {'passed': 0, 'failed': 0, 'skipped': 0, 'unexpected skips': []}


@pytest.fixture(autouse=True)
def time_limit(request):
    """No test may hang: after TEST_SECONDS, or what its mark 'seconds' says, it fails where it stands."""
    mark = request.node.get_closest_marker('seconds')
    seconds = mark.args[0] if mark else TEST_SECONDS

    def late(*_):
        pytest.fail(f'not done within {seconds} s')
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope='session')
def build():
    """The build folder under test."""
    folder = pathlib.Path(os.environ.get('BULKHEAD_BUILD', TOP / 'build' / 'test')).absolute()
    assert (folder / 'build.ninja').exists(), f'{folder} is not built: ./dev build test'
    return folder


@pytest.fixture(scope='session')
def programs(build):
    """The folder usr/bin of the build installed below itself, as a user would have it."""
    # Several runs of pytest may share it: what is there already is not touched again.
    with open(build / 'installed.lock', 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(['meson', 'install', '-C', str(build), '--no-rebuild', '--quiet', '--only-changed'],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=dict(os.environ, DESTDIR=str(build / 'installed')))
    assert done.returncode == 0, f'{build} cannot be installed: {done.stdout}'
    return build / 'installed' / 'usr' / 'bin'


@pytest.fixture
def root():
    """A folder for --root, removed afterwards together with what is mounted below it."""
    with installation.temporary_root() as folder:
        yield folder


def network_namespace():
    """The name of a network namespace of its own with lo up; what still runs in it afterwards is killed."""
    name = 'bht-' + secrets.token_hex(4)
    subprocess.run(['ip', 'netns', 'add', name], check=True)
    subprocess.run(['ip', '-n', name, 'link', 'set', 'lo', 'up'], check=True)
    yield name
    inside = subprocess.run(['ip', 'netns', 'pids', name], stdout=subprocess.PIPE, text=True, check=False)
    for pid in inside.stdout.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue
    subprocess.run(['ip', 'netns', 'delete', name], check=True)


@pytest.fixture
def netns():
    yield from network_namespace()


@pytest.fixture(scope='module')
def module_netns():
    """As netns, for all tests of a file."""
    yield from network_namespace()


@pytest.fixture
def cell():
    """Pid, mount, network and cgroup namespaces of its own (cell.py)."""
    made = cells.Cell()
    yield made
    made.close()


@pytest.fixture(scope='session')
def kubectls():
    """{version: path} of every kubectl of this machine and of Debian's 1.20."""
    return installation.find_kubectls()


@pytest.fixture
def bulkhead(programs, kubectls, cell, root):
    """A running installation in a cell (installation.py)."""
    made = installation.Installation(cell, root, programs, kubectls)
    made.up()
    yield made
    made.keep_logs()


def allowed_skips():
    with open(HERE / 'allowed-skips.txt', encoding='utf-8') as lines:
        return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def pytest_runtest_logreport(report):
    if report.when == 'call' and report.passed:
        RESULTS['passed'] += 1
    elif report.failed:
        RESULTS['failed'] += 1
    elif report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, (tuple, list)) else str(report.longrepr)
        line = f'{report.nodeid}: {reason}'
        RESULTS['skipped'] += 1
        if not any(re.search(pattern, line) for pattern in allowed_skips()):
            RESULTS['unexpected skips'].append(line)


def pytest_sessionfinish(session, exitstatus):
    if hasattr(session.config, 'workerinput'):
        return  # the process that hands out the tests hears every report
    unexpected = RESULTS['unexpected skips'] if os.environ.get('BULKHEAD_CI') else []
    for line in unexpected:
        print(f'\nskip that allowed-skips.txt does not name: {line}')
    if unexpected:
        RESULTS['skipped'] -= len(unexpected)
        RESULTS['failed'] += len(unexpected)
        session.exitstatus = 1
    if 'BULKHEAD_RESULTS' in os.environ:
        with open(os.environ['BULKHEAD_RESULTS'], 'w', encoding='utf-8') as to:
            json.dump(RESULTS, to)


def pytest_configure(config):
    config.addinivalue_line('markers', 'seconds(N): how long the test may take where TEST_SECONDS is too little')
    config.addinivalue_line('markers', 'vm: runs in a virtual machine, and mostly waits')
