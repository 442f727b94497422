# SPDX-License-Identifier: Apache-2.0
"""The store over three members of etcd with TLS: the conformance test, and nothing acknowledged is lost or told twice
while members are killed and paused."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from etcd import Cluster, free_ports
from etcd_proxy import Proxy


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


@pytest.fixture(name='member')
def make_member():
    """One member without TLS; its port."""
    folder = tempfile.mkdtemp(prefix='bulkhead-test-', dir='/var/tmp')
    port, peer = free_ports(2)
    urls = [f'http://127.0.0.1:{port}', f'http://127.0.0.1:{peer}']
    with open(f'{folder}/log', 'wb') as log, subprocess.Popen(
            ['etcd', '--data-dir', f'{folder}/data', '--log-level', 'error', '--listen-client-urls', urls[0],
             '--advertise-client-urls', urls[0], '--listen-peer-urls', urls[1], '--initial-advertise-peer-urls',
             urls[1], '--initial-cluster', f'default={urls[1]}'], stdout=log, stderr=log,
            env={'PATH': os.environ['PATH']}) as process:
        try:
            yield port
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder)


def test_lost_answers(build, member, cluster, tmp_path):
    """A transaction happens once and is known to have, or never, though answers get lost and requests come late."""
    proxy = Proxy(member, seed=1)
    out = pathlib.Path(tmp_path / 'out')
    with open(out, 'wb') as to, subprocess.Popen(
            [f'{build}/tests/programs/store_storm', '/storm/', proxy.url, *cluster.arguments()[1:]],
            stdin=subprocess.PIPE, stdout=to, stderr=subprocess.PIPE, env={}) as storm:
        time.sleep(6)
        storm.stdin.close()
        assert storm.wait(timeout=60) == 0, storm.stderr.read().decode()
    proxy.close()
    lines = out.read_text().splitlines()
    acknowledged, seen = events_of(lines, 'ack'), events_of(lines, 'saw')
    assert lines[-1] == 'end' and min(proxy.counts.values()) > 20, proxy.counts
    # Nothing is left open: whoever loses an answer asks until it is known.
    assert acknowledged and not [line for line in lines if line.startswith('no ')]
    assert sorted(acknowledged, key=lambda pair: pair[1]) == seen
    kept = subprocess.run(['etcdctl', '--endpoints', f'127.0.0.1:{member}', 'get', '--prefix', '--keys-only',
                           '/storm/kk/'], env={'PATH': os.environ['PATH'], 'ETCDCTL_API': '3'}, capture_output=True,
                          text=True, timeout=30, check=True).stdout.split()
    assert {f'/storm/k{key}' for key, _ in acknowledged} == set(kept)


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
    refused = [line.split()[1] for line in lines if line.startswith('no ')]
    acknowledged, seen = events_of(lines, 'ack'), events_of(lines, 'saw')
    assert turns and len(acknowledged) > 100
    # In order of revision, none twice, and every acknowledged one among them with its revision.
    assert [revision for _, revision in seen] == sorted(revision for _, revision in seen)
    assert len({key for key, _ in seen}) == len(seen)
    assert not set(acknowledged) - set(seen)
    kept = set(cluster.ctl('get', '--prefix', '--keys-only', '/storm/kk/').stdout.split())
    assert not {f'/storm/k{key}' for key, _ in acknowledged} - kept
    # What is said not to have happened has not, though each is sent to whoever answers.
    assert not set(refused) & {key for key, _ in seen}
    # What was not acknowledged and happened all the same was told as well.
    assert {f'/storm/k{key}' for key, _ in seen} == kept
