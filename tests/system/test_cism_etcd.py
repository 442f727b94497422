# SPDX-License-Identifier: Apache-2.0
"""Two replicas of the CISM over one etcd: either may be asked, both place at once, and the ledger holds."""
import base64
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from support_cism import PORT, Cism, domain, namespace, pod

ETCD = 'http://127.0.0.1:2379'
APART = [{'from': {'domains': ['blue']}, 'level': 'Server'}]
SERVERS = 4


class Member:
    """One member of etcd in the network namespace."""

    def __init__(self, netns, root):
        self.words = ['ip', 'netns', 'exec', netns, 'etcd', '--data-dir', f'{root}/etcd', '--log-level', 'error',
                      '--listen-client-urls', ETCD, '--advertise-client-urls', ETCD, '--listen-peer-urls',
                      'http://127.0.0.1:2380']
        self.root, self.process = root, None

    def start(self):
        with open(f'{self.root}/etcd.log', 'ab') as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log, env={'PATH': os.environ['PATH']})

    def kill(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


@pytest.fixture(name='store')
def make_store(netns, root):
    member = Member(netns, root)
    member.start()
    yield member
    member.kill()


@pytest.fixture(name='replicas')
def make_replicas(programs, netns, root, kubectls, store):
    assert store.process.poll() is None
    settings = {'address': '127.0.0.1', 'port': PORT, 'registries': [{'host': '127.0.0.1:5000'}],
                'store': {'etcd': {'endpoints': [ETCD]}}}
    instances = [(f'node-{n}', f'server-{n}', 1) for n in range(SERVERS)]
    one = Cism(programs, netns, f'{root}/1', kubectls, instances, settings)
    two = one.replica(f'{root}/2', PORT + 1)
    one.start()
    two.start()
    yield one, two
    one.stop()
    two.stop()


@pytest.fixture(name='three')
def make_three(replicas, root):
    third = replicas[0].replica(f'{root}/3', PORT + 2)
    third.start()
    yield [*replicas, third]
    third.stop()


def leaders(replicas):
    said = [cism.curl('admin', 'GET', '/metrics', raw=True)[1].decode() for cism in replicas]
    return [cism for cism, text in zip(replicas, said) if 'bulkhead_leading 1\n' in text]


def history(netns, key):
    """Everything that ever happened to keys that begin so, as (what, key, value)."""
    words = ['ip', 'netns', 'exec', netns, 'timeout', '3', 'etcdctl', '--endpoints', ETCD, 'watch', '--prefix',
             '--rev', '1', f'/bulkhead/k{key}', '-w', 'json']
    done = subprocess.run(words, env={'PATH': os.environ['PATH'], 'ETCDCTL_API': '3'}, capture_output=True, text=True,
                          check=False)
    events = [event for line in done.stdout.splitlines() for event in json.loads(line)['Events']]
    return [('DELETE' if event.get('type') == 1 else 'PUT', base64.b64decode(event['kv']['key']).decode(),
             base64.b64decode(event['kv'].get('value', '')).decode()) for event in events]


def test_what_one_writes_the_other_tells(replicas):
    one, two = replicas
    one.apply(namespace('a', None))
    watch = subprocess.Popen(two.kubectl_words(['get', 'configmaps', '-n', 'a', '-w', '-o', 'name']), text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        for number in range(20):
            status, _ = (one, two)[number % 2].curl('admin', 'POST', '/api/v1/namespaces/a/configmaps',
                                                    {'metadata': {'name': f'c{number}'}, 'data': {'a': 'b'}})
            assert status == 201
        told = [watch.stdout.readline().strip() for _ in range(20)]
    finally:
        watch.kill()
        watch.wait()
    assert told == [f'configmap/c{number}' for number in range(20)]
    assert {item['metadata']['name'] for item in one.get('/api/v1/namespaces/a/configmaps')['items']} == \
        {f'c{number}' for number in range(20)}


def servers_by_domain(cism, where):
    return {found['spec'].get('nodeName') for found in cism.get(f'/api/v1/namespaces/{where}/pods')['items']} - {None}


def test_both_place_and_no_server_holds_both_domains(replicas):
    one, two = replicas
    for number in range(SERVERS):
        one.heartbeat(f'node-{number}')
    one.apply(domain('blue'), domain('red', separation=APART), namespace('b', 'blue'), namespace('r', 'red'))

    def create(number):
        where, cism = ('b', 'r')[number % 2], replicas[number // 2 % 2]
        status, answer = cism.curl('admin', 'POST', f'/api/v1/namespaces/{where}/pods', pod(where, f'p{number}'))
        assert status == 201, answer
        return where, f'p{number}'

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create, range(20)))
    for where, name in made:
        one.wait_bound(where, name)
    assert not servers_by_domain(one, 'b') & servers_by_domain(two, 'r')
    assert servers_by_domain(one, 'b') and servers_by_domain(two, 'r')
    # Each pod is charged once, by whichever replica placed it.
    held = [uid for number in range(SERVERS) for uid in two.holders(f'node-{number}')]
    assert len(held) == len(set(held)) == 20


def test_a_replica_goes_on_alone(replicas):
    one, two = replicas
    one.apply(namespace('a', None))
    one.process.kill()
    one.process.wait()
    two.kubectl('create', 'configmap', 'c', '-n', 'a')
    one.start()
    assert json.loads(one.kubectl('get', 'configmap', 'c', '-n', 'a', '-o', 'json').stdout)['metadata']['name'] == 'c'


def test_a_revision_of_the_other_replica_is_no_future(replicas):
    one, two = replicas
    for number in range(10):
        one.apply(namespace(f'n{number}', None))
        revision = one.get('/api/v1/namespaces')['metadata']['resourceVersion']
        for match in ('', '&resourceVersionMatch=NotOlderThan', '&resourceVersionMatch=Exact'):
            status, found = two.curl('admin', 'GET', f'/api/v1/namespaces?resourceVersion={revision}{match}')
            assert status == 200 and f'n{number}' in {item['metadata']['name'] for item in found['items']}
    status, refused = two.curl('admin', 'GET', '/api/v1/namespaces?resourceVersion=100000000')
    assert status == 504 and refused['message'].startswith('Too large resource version: 100000000, current: ')


def test_probes_answer_while_the_store_stands_still(replicas, store):
    one, _ = replicas
    store.process.send_signal(signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            asked = [pool.submit(one.curl, 'admin', 'GET', '/api/v1/namespaces', seconds=60) for _ in range(39)]
            began, told = time.monotonic(), None
            while told is None:
                before = time.monotonic()
                assert one.curl(None, 'GET', '/livez', raw=True, seconds=5) == (200, b'ok')
                status, text = one.curl(None, 'GET', '/readyz', raw=True, seconds=5)
                told = text if status == 503 else None
                assert before - began < 15
            assert told.startswith(b'store: the store has not answered for ')
            # From then on nobody waits for it.
            before = time.monotonic()
            status, refused = one.curl('admin', 'GET', '/api/v1/namespaces')
            assert status == 503 and refused['message'].startswith('the store has not answered for ')
            assert time.monotonic() - before < 4
            store.process.send_signal(signal.SIGCONT)
            assert {done.result()[0] for done in asked} <= {200, 503, 504}
    finally:
        store.process.send_signal(signal.SIGCONT)
    one.wait(lambda: one.curl(None, 'GET', '/readyz', raw=True) == (200, b'ok'))
    assert one.curl('admin', 'GET', '/api/v1/namespaces')[0] == 200


def test_an_older_copy_of_the_store_is_not_written_to(replicas, store):
    one, two = replicas
    store.kill()
    shutil.copytree(f'{store.root}/etcd', f'{store.root}/copy')
    store.start()
    one.wait(lambda: one.curl('admin', 'GET', '/api/v1/namespaces')[0] == 200)
    for number in range(5):
        one.apply(namespace(f'n{number}', None))
    store.kill()
    shutil.rmtree(f'{store.root}/etcd')
    os.rename(f'{store.root}/copy', f'{store.root}/etcd')
    store.start()
    for replica in (one, two):
        assert replica.process.wait(30) != 0
        assert 'the store went back from revision ' in replica.log.read_text()
        replica.process = None
    # What is there now is served by who begins anew.
    one.start()
    names = {item['metadata']['name'] for item in one.get('/api/v1/namespaces')['items']}
    assert 'default' in names and not names & {f'n{number}' for number in range(5)}


def test_a_leader_that_stood_still_writes_nothing_any_more(three, netns):
    first, = leaders(three)
    others = [cism for cism in three if cism is not first]
    names = [f'n{number}' for number in range(25)]
    others[0].apply(*[namespace(name, None) for name in names])
    for name in names:
        assert others[0].curl('admin', 'POST', f'/api/v1/namespaces/{name}/configmaps',
                              {'metadata': {'name': 'c'}, 'data': {'a': 'b'}})[0] == 201
    first.process.send_signal(signal.SIGSTOP)
    try:
        for name in names[:12]:
            assert others[0].curl('admin', 'DELETE', f'/api/v1/namespaces/{name}')[0] == 200
        assert leaders(others) == []
        new, = others[0].wait(lambda: leaders(others), seconds=30, every=0.5)
        for name in names[12:]:
            assert others[0].curl('admin', 'DELETE', f'/api/v1/namespaces/{name}')[0] == 200
        time.sleep(0.5)  # the new one is at it when the old one goes on
    finally:
        first.process.send_signal(signal.SIGCONT)
    others[0].wait(lambda: not {item['metadata']['name'] for item in others[0].get('/api/v1/namespaces')['items']}
                   & set(names), seconds=40)
    assert first.wait(lambda: leaders(three) == [new])
    assert 'does not lead the controllers any more' in first.log.read_text()
    # Each takeover is a version of the lease; the paused one's beats end where it was taken over.
    leases = [value for _, _, value in history(netns, '/leader/lease')]
    assert len(leases) == len(set(leases)) == 2
    beats = [value for _, _, value in history(netns, '/leader/beat')]
    assert beats == [leases[0]] * beats.count(leases[0]) + [leases[1]] * beats.count(leases[1])
    gone = [key for what, key, _ in history(netns, '/registry/core/') if what == 'DELETE']
    assert len(gone) == len(set(gone)) == 2 * len(names)
    # One that stops gives it back at once.
    new.stop()
    rest = [cism for cism in three if cism is not new]
    rest[0].wait(lambda: leaders(rest), seconds=5)
    new.start()


def servers(cism):
    """Which server each node is on, and in which epoch."""
    return {node['metadata']['name']: (node['metadata']['labels']['nfv.bulkhead.dev/server'],
                                       int(node['metadata']['annotations']['nfv.bulkhead.dev/epoch']))
            for node in cism.get('/api/v1/nodes')['items']}


def test_the_newest_topology_counts_and_nothing_flaps(replicas, netns):
    one, two = replicas
    before = {f'node-{n}': (f'server-{n}', 1) for n in range(SERVERS)}
    rows = [(name, *place) for name, place in before.items()]
    assert servers(two) == before

    def refused(cism, why):
        cism.wait(lambda: why in cism.log.read_text())
        assert 'the topology stays as it was' in cism.log.read_text()

    # Whichever replica reads a newer one, all have it.
    two.write_topology([*rows[1:], ('node-0', 'server-7', 2)], 5)
    moved = {**before, 'node-0': ('server-7', 2)}
    one.wait(lambda: servers(one) == moved)
    one.write_topology(rows, 4)
    refused(one, 'its generation 4 is older than 5')
    one.write_topology([*rows[:2], ('node-2', 'server-9', 2)], 5)
    refused(one, 'it differs from the one of the same generation 5')
    one.write_topology(rows[1:])
    refused(one, 'it differs from the one of generation 5 and has no generation')
    one.write_topology([('node-0', 'server-8', 2), *rows[1:]], 6)
    refused(one, "instance 'node-0' is on server 'server-8' in the same epoch 2 as on 'server-7'")
    one.write_topology(rows, 6)
    refused(one, "instance 'node-0' goes back from epoch 2 to 1")
    # Started again with files that are older and differ, neither changes anything.
    one.stop()
    one.start()
    time.sleep(2)
    assert servers(one) == servers(two) == moved
    assert [what for what, _, _ in history(netns, '/topology')] == ['PUT', 'PUT']
    written = [json.loads(value) for _, _, value in history(netns, '/registry/core/nodes/node-0')]
    # Made, moved, and once said to be proven apart.
    places = [node['metadata']['labels']['nfv.bulkhead.dev/server'] for node in written]
    assert places[0] == 'server-0' and places[-1] == 'server-7' and places == sorted(places)
    assert [row['type'] for row in written[-1]['status']['conditions']].count('Separated') == 1 and len(written) == 3


def move_store(cism, programs, *words):
    command = cism.words(programs / 'bulkhead', 'move-store', '--root', cism.root, '--endpoint', ETCD, *words)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_state_moves_from_sqlite(programs, netns, root, kubectls, store):
    cism = Cism(programs, netns, f'{root}/1', kubectls)
    cism.start()
    try:
        cism.heartbeat()
        cism.apply(domain('blue'), namespace('b', 'blue'),
                   *[{'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': f'c{number}', 'namespace': 'b'},
                      'data': {'text': 'x' * 20000}} for number in range(70)])
        assert cism.curl('admin', 'POST', '/api/v1/namespaces/b/pods', pod('b', 'p'))[0] == 201
        bound = cism.wait_bound('b', 'p')
        ticket = cism.curl('node-1', 'GET', '/api/v1/namespaces/b/pods/p/ticket')[1]
        refused = move_store(cism, programs)
        assert (refused.returncode, refused.stderr) == (
            8, "bulkhead: store 'state.db' is in use by another process\nhint: stop the other process first\n")
        cism.stop()
        # One that was cut off: nobody serves half of it, and the next one begins again.
        etcdctl = ['ip', 'netns', 'exec', netns, 'etcdctl', '--endpoints', ETCD]
        for key in ('/bulkhead/k/moving', '/bulkhead/k/left'):
            subprocess.run([*etcdctl, 'put', key, 'x'], check=True, capture_output=True,
                           env={'PATH': os.environ['PATH'], 'ETCDCTL_API': '3'})
        half = cism.replica(f'{root}/2', PORT + 1)
        settings = json.loads((half.etc / 'cism.json').read_text())
        (half.etc / 'cism.json').write_text(json.dumps({**settings, 'store': {'etcd': {'endpoints': [ETCD]}}}))
        assert not half.start(check=False)
        assert 'a move into this store did not come to its end' in half.log.read_text()
        half.stop()
        done = move_store(cism, programs)
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(r'moved  \d+ keys, \d+ bytes, sha256 [0-9a-f]{64}\n', done.stdout)
        assert int(done.stdout.split()[1]) > 75 and int(done.stdout.split()[3]) > 1400000
        state = cism.root / 'var/lib/bulkhead/cism'
        assert not (state / 'state.db').exists() and (state / 'state.db.moved').exists()
        again = move_store(cism, programs)
        assert again.returncode != 0 and 'names a store already' in again.stderr
        cism.start()
        found = cism.pod('b', 'p')
        for one in (bound, found):
            del one['metadata']['resourceVersion']
        assert found == bound
        assert len(cism.get('/api/v1/namespaces/b/configmaps')['items']) == 70
        assert cism.holders() == [bound['metadata']['uid']]
        assert cism.curl('node-1', 'GET', '/api/v1/namespaces/b/pods/p/ticket')[1]['payload'] == ticket['payload']
        # What is there already is not mixed with anything.
        (state / 'state.db.moved').rename(state / 'state.db')
        (cism.etc / 'cism.json').write_text(json.dumps(settings))
        cism.stop()
        mixed = move_store(cism, programs)
        assert mixed.returncode != 0
        assert re.match(r'bulkhead: the store to move to has \d+ keys already\n', mixed.stderr)
    finally:
        cism.stop()
