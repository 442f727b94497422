# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of a daemon at every step of a pod's life, in a whole installation: after the next 'bulkhead up' the pod runs
once, or is gone as it was asked to be; what was acknowledged is there; nothing is left over."""
import os
import pathlib
import subprocess

import installation
import leftovers
import pytest

TOP = pathlib.Path(__file__).parent.parent.parent
DOMAIN = {'apiVersion': 'trust.bulkhead.dev/v1', 'kind': 'TrustDomain', 'metadata': {'name': 'one'}, 'spec': {}}
NAMESPACE = {'apiVersion': 'v1', 'kind': 'Namespace',
             'metadata': {'name': 'one', 'labels': {'trust.bulkhead.dev/domain': 'one'}}}
# Where, and the part that dies there.
STARTING = {'cism-bind': 'cism', 'cism-bound': 'cism', 'cis-ticket-checked': 'cis', 'image-unpacked': 'cis',
            'image-published': 'cis', 'cis-root-ready': 'cis', 'cis-started': 'cis', 'cir-blob-renamed': 'cir',
            'cir-manifest-linked': 'cir', 'store-before-commit,18': 'cism', 'store-after-commit,18': 'cism'}
DELETING = {'cism-delete': 'cism', 'cis-deleting': 'cis', 'cism-stopped': 'cism'}


@pytest.fixture(scope='module')
def busybox():
    subprocess.run([TOP / 'tools/make-images'], check=True)
    return TOP / '.cache/images/busybox'


@pytest.fixture
def machine(programs, kubectls, cell, root):
    """An installation that is not started; afterwards nothing of it may be left in its cell."""
    made = installation.Installation(cell, root, programs, kubectls)
    before = cell.snapshot()
    yield made
    made.keep_logs()
    made.up()
    made.kubectl('delete', 'pods', '--all', '-n', 'one', timeout=90)
    made.down()
    assert leftovers.added(before, cell.snapshot()) == []


def pid_of(machine, part):
    return (machine.root / f'run/bulkhead/{part}.pid').read_text(encoding='utf-8').split()[0]


def is_gone(machine, pid):
    """Whether no process has the number in the cell; one that nobody has waited for counts as gone."""
    done = machine.cell.run(['cat', f'/proc/{pid}/stat'])
    return done.returncode != 0 or done.stdout.rsplit(')', 1)[1].split()[0] == 'Z'


def is_dead(machine, part):
    return is_gone(machine, pid_of(machine, part))


def crash_at(point):
    return dict(os.environ, BULKHEAD_CRASH_AT=point)


def push(machine, busybox):
    """Pushes the image; when the registry dies under it, it is started again and the push repeated."""
    try:
        machine.push(busybox, 'ims/busybox:bookworm')
    except AssertionError:
        assert is_dead(machine, 'cir')
        machine.up()
        machine.push(busybox, 'ims/busybox:bookworm')


def apply(machine, manifest):
    """Applies; when the CISM dies under it, it is started again and asked again, as a user would."""
    done = machine.apply(manifest, check=False)
    if done.returncode:
        assert is_dead(machine, 'cism'), done.stderr
        machine.up()
        machine.apply(manifest)


def start_pod(machine, busybox):
    push(machine, busybox)
    for manifest in (DOMAIN, NAMESPACE, machine.busybox_pod('one', 'p', 'exec sleep 987654')):
        apply(machine, manifest)


def sleepers(machine):
    return [line for line in machine.cell.snapshot()['process'] if line.startswith('sleep ') and '987654' in line]


def runs(machine):
    """pod 'one/p' is Running"""
    done = machine.kubectl('get', 'pod', 'p', '-n', 'one', '-o', 'jsonpath={.status.phase}', check=False)
    return done.returncode == 0 and done.stdout == 'Running'


@pytest.mark.parametrize('point', STARTING)
def test_killed_while_a_pod_starts(machine, busybox, point):
    """PLC-6, bad input of the main job: one pod, whatever died on the way."""
    machine.up(env=crash_at(point))
    first = pid_of(machine, STARTING[point])
    start_pod(machine, busybox)
    machine.wait(lambda: is_gone(machine, first), 60)
    machine.up()
    assert pid_of(machine, STARTING[point]) != first
    machine.wait(lambda: runs(machine), 90)
    assert len(sleepers(machine)) == 1


@pytest.mark.parametrize('point', DELETING)
def test_killed_while_a_pod_ends(machine, busybox, point):
    """PLC-6: the ledger lets go exactly when the stop is confirmed, also across a crash."""
    part = DELETING[point]
    machine.up(env=crash_at(point))
    start_pod(machine, busybox)
    machine.wait(lambda: runs(machine), 90)
    machine.kubectl('delete', 'pod', 'p', '-n', 'one', '--wait=false', check=False)
    machine.wait(lambda: is_dead(machine, part), 60)
    machine.up()
    machine.kubectl('delete', 'pod', 'p', '-n', 'one', '--ignore-not-found', timeout=90)
    assert sleepers(machine) == []
    held = machine.kubectl('get', '--raw', '/api/v1/nodes/node-1/holders').stdout
    assert held.strip() == '{"uids":[]}'
