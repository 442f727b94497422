# SPDX-License-Identifier: Apache-2.0
"""Two replicas of the CISM over one etcd: either may be asked, both place at once, and the ledger holds."""
import concurrent.futures
import json
import os
import subprocess
import time

import pytest

from support_cism import PORT, Cism, domain, namespace, pod

ETCD = 'http://127.0.0.1:2379'
APART = [{'from': {'domains': ['blue']}, 'level': 'Server'}]
SERVERS = 4


@pytest.fixture(name='store')
def make_store(netns, root):
    """One member in the network namespace."""
    words = ['ip', 'netns', 'exec', netns, 'etcd', '--data-dir', f'{root}/etcd', '--log-level', 'error',
             '--listen-client-urls', ETCD, '--advertise-client-urls', ETCD, '--listen-peer-urls',
             'http://127.0.0.1:2380']
    with open(f'{root}/etcd.log', 'wb') as log, subprocess.Popen(words, stdout=log, stderr=log,
                                                                 env={'PATH': os.environ['PATH']}) as process:
        yield process
        process.kill()


@pytest.fixture(name='replicas')
def make_replicas(programs, netns, root, kubectls, store):
    assert store.poll() is None
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
