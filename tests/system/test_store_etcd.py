# SPDX-License-Identifier: Apache-2.0
"""The store over three members of etcd with TLS: the conformance test, and nothing acknowledged is lost or told twice
while members are killed and paused."""
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import pytest

from etcd import Cluster


@pytest.fixture(scope='module', name='cluster')
def make_cluster():
    cluster = Cluster(tempfile.mkdtemp(prefix='bulkhead-test-', dir='/var/tmp'))
    try:
        cluster.wait()
        yield cluster
    finally:
        cluster.close()


def test_conformance(build, cluster):
    done = subprocess.run([f'{build}/tests/unit/test_etcd'], env={'BULKHEAD_ETCD': ' '.join(cluster.arguments())},
                          capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def faults(cluster, seconds):
    """Kills and pauses one member after the other, the leader among them; a majority is always there."""
    until = time.monotonic() + seconds
    for turn in range(1000):
        index = turn % len(cluster.processes)
        if turn % 2:
            cluster.signal(index, signal.SIGSTOP)
            time.sleep(2.5)
            cluster.signal(index, signal.SIGCONT)
        else:
            cluster.kill(index)
            time.sleep(1.5)
            cluster.start(index)
        time.sleep(1.5)
        if time.monotonic() > until:
            return turn + 1
    return 0


def events_of(lines, word):
    return [(line.split()[1], int(line.split()[2])) for line in lines if line.startswith(word + ' ')]


@pytest.mark.seconds(300)
def test_nothing_is_lost_while_members_die(build, cluster, tmp_path):
    seconds = int(os.environ.get('BULKHEAD_ETCD_SECONDS', '12'))
    out = pathlib.Path(tmp_path / 'out')
    with open(out, 'wb') as to, subprocess.Popen(
            [f'{build}/tests/programs/store_storm', '/storm/', *cluster.arguments()], stdin=subprocess.PIPE, stdout=to,
            stderr=subprocess.PIPE, env={}) as storm:
        time.sleep(1)
        turns = faults(cluster, seconds)
        storm.stdin.close()
        assert storm.wait(timeout=120) == 0, storm.stderr.read().decode()
    lines = out.read_text().splitlines()
    assert lines[-1] == 'end'
    assert not [line for line in lines if line.startswith('lost ')]
    acknowledged, seen = events_of(lines, 'ack'), events_of(lines, 'saw')
    assert turns and len(acknowledged) > 100
    # In order of revision, none twice, and every acknowledged one among them with its revision.
    assert [revision for _, revision in seen] == sorted(revision for _, revision in seen)
    assert len({key for key, _ in seen}) == len(seen)
    assert not set(acknowledged) - set(seen)
    kept = set(cluster.ctl('get', '--prefix', '--keys-only', '/storm/kk/').stdout.split())
    assert not {f'/storm/k{key}' for key, _ in acknowledged} - kept
    # What was not acknowledged and happened all the same was told as well.
    assert {f'/storm/k{key}' for key, _ in seen} == kept
